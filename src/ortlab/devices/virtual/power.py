"""A battery and a temperature that respond to load.

A body that is heated at a constant rate and loses heat in proportion to what it is warmer than its
surroundings: ``T' = (T_end - T) / tau`` with ``T_end = ambient + heating × load`` (Newton's law of
cooling), solved exactly between two looks, so that the result does not depend on how often anyone
looks. Nothing here is measured; it lets a driver's waiting, pausing and refusing be tried.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class ThermalStatus(IntEnum):
    """`PowerManager.THERMAL_STATUS_*` of Android."""

    NONE = 0
    LIGHT = 1
    MODERATE = 2
    SEVERE = 3
    CRITICAL = 4
    EMERGENCY = 5
    SHUTDOWN = 6


_THRESHOLDS_C = {
    ThermalStatus.LIGHT: 40.0,
    ThermalStatus.MODERATE: 43.0,
    ThermalStatus.SEVERE: 46.0,
    ThermalStatus.CRITICAL: 49.0,
    ThermalStatus.EMERGENCY: 52.0,
    ThermalStatus.SHUTDOWN: 56.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatModel:
    """How a phone warms and drains.

    Attributes:
        ambient_c: Of its surroundings.
        heating_c: Warmer than that in the end, one program running.
        time_constant_s: After which 63 % of the way is done.
        drain_percent_per_hour: Battery, one program running.
        idle_percent_per_hour: Battery, nothing running.
        charge_percent_per_hour: What the cable gives.
    """

    ambient_c: float = 25.0
    heating_c: float = 3.5
    time_constant_s: float = 60.0
    drain_percent_per_hour: float = 25.0
    idle_percent_per_hour: float = 1.0
    charge_percent_per_hour: float = 30.0


class Power:
    """The battery, its temperature, and the screen's lock; safe to use from several threads.

    Args:
        model: How it warms and drains.
        temperature_c: Of the battery, now.
        percent: Of the battery, now.
        charging: Whether the cable gives power.
        clock: Seconds, never backwards.
    """

    def __init__(
        self,
        model: HeatModel,
        *,
        temperature_c: float,
        percent: float,
        charging: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._temperature_c = temperature_c
        self._percent = float(percent)
        self._charging = charging
        self._clock = clock
        self._load = 0
        self._then = clock()
        self._lock = threading.Lock()

    @property
    def temperature_c(self) -> float:
        """Of the battery now, in degrees Celsius."""
        with self._lock:
            self._advance()
            return self._temperature_c

    @property
    def percent(self) -> float:
        """Of the battery now, 0 to 100."""
        with self._lock:
            self._advance()
            return self._percent

    @property
    def charging(self) -> bool:
        """Whether the cable gives power."""
        return self._charging

    @property
    def thermal_status(self) -> ThermalStatus:
        """What Android makes of the temperature."""
        reached = [s for s, limit in _THRESHOLDS_C.items() if self.temperature_c >= limit]
        return max(reached, default=ThermalStatus.NONE)

    def program_started(self) -> None:
        """Heat from now on."""
        self._change_load(1)

    def program_ended(self) -> None:
        """Heat less from now on."""
        self._change_load(-1)

    def set_state(
        self,
        *,
        temperature_c: float | None = None,
        percent: float | None = None,
        charging: bool | None = None,
    ) -> None:
        """Put it into another state; what is None stays."""
        with self._lock:
            self._advance()
            if temperature_c is not None:
                self._temperature_c = temperature_c
            if percent is not None:
                self._percent = min(100.0, max(0.0, percent))
            if charging is not None:
                self._charging = charging

    def _change_load(self, change: int) -> None:
        with self._lock:
            self._advance()
            self._load = max(0, self._load + change)

    def _advance(self) -> None:
        now = self._clock()
        passed_s, self._then = now - self._then, now
        model = self._model
        end_c = model.ambient_c + model.heating_c * self._load
        decay = math.exp(-passed_s / model.time_constant_s)
        self._temperature_c = end_c + (self._temperature_c - end_c) * decay
        rate = model.charge_percent_per_hour if self._charging else 0.0
        rate -= model.drain_percent_per_hour if self._load else model.idle_percent_per_hour
        self._percent = min(100.0, max(0.0, self._percent + rate * passed_s / 3600))


def thermal_threshold_c(status: ThermalStatus) -> float:
    """Return the temperature from which Android reports a status."""
    return _THRESHOLDS_C.get(status, 0.0)
