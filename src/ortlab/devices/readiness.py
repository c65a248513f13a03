"""What is looked at on a phone before a block, and waiting until it is cool again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from ortlab.domain import DeviceInfo
from ortlab.errors import DeviceNotReadyError

Status = TypeVar("Status")

_TOLD_EVERY_S: Final = 30.0
_COOL: Final = frozenset({None, "none", "nominal"})
_TOO_HOT: Final = frozenset({"severe", "critical", "emergency", "shutdown", "serious"})


class Readiness(StrEnum):
    """How a finding stands; the words are those of `ortlab doctor`."""

    OK = "ok"
    WARNING = "warning"
    BLOCKED = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneFinding:
    """One thing that was looked at on a phone.

    Attributes:
        subject: What was looked at.
        state: How it stands.
        detail: What was seen, in words.
        next_step: What to press or type; empty when nothing needs doing.
    """

    subject: str
    state: Readiness
    detail: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLook:
    """A phone as it was when it was looked at, without any app on it; None is not known.

    Attributes:
        device_id: What ``--device`` takes.
        findings: What was looked at, and what is wrong.
        info: The phone; runtime and providers are empty, since no app was asked. None where the
            phone could not be asked.
        serial_number: Of the hardware; empty where it tells none.
        soc: Model of its chip.
        battery_percent: 0 to 100.
        temperature_c: Of the battery.
        free_bytes: Of its storage.
    """

    device_id: str
    findings: tuple[PhoneFinding, ...]
    info: DeviceInfo | None = None
    serial_number: str = ""
    soc: str | None = None
    battery_percent: float | None = None
    temperature_c: float | None = None
    free_bytes: int | None = None

    @property
    def blocking(self) -> PhoneFinding | None:
        """The first finding that needs a person, if there is one."""
        wrong = (finding for finding in self.findings if finding.state is Readiness.BLOCKED)
        return next(wrong, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a phone is held to.

    Attributes:
        least_battery_percent: Below it no block is run.
        cool_down_s: Longest wait for a phone to become cool, each time.
        margin_c: How much warmer than at the start its battery may be.
        poll_s: Between two looks.
    """

    least_battery_percent: float = 20.0
    cool_down_s: float = 300.0
    margin_c: float = 3.0
    poll_s: float = 5.0


def check_ready(found: Sequence[PhoneFinding], name: str, say: Callable[[str], None]) -> None:
    """Say the warnings.

    Raises:
        DeviceNotReadyError: Something needs a person.
    """
    for finding in found:
        if finding.state is Readiness.BLOCKED:
            message = f"cannot run blocks on {name}: {finding.detail}"
            raise DeviceNotReadyError(message, next_step=finding.next_step)
        if finding.state is Readiness.WARNING:
            say(f"warning: {name}: {finding.detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """How warm a phone is.

    Attributes:
        thermal_status: The platform's own word, or None where it tells none.
        temperature_c: Of the battery, or None.
    """

    thermal_status: str | None
    temperature_c: float | None

    @property
    def is_cool(self) -> bool:
        """Whether the platform does not say that it slows down for its heat."""
        return self.thermal_status in _COOL


class CoolDown(Generic[Status]):
    """Waits until a phone is as cool as when the run began.

    Cool is: thermal status ``none`` or ``nominal``, and a battery at most ``margin_c`` warmer
    than at the start.
    A phone that becomes cool by its own account but stays warmer than that, as after minutes of
    work it must, gets its temperature then as the new start.

    Args:
        limits: How long and how close.
        read: Reads the phone's state.
        warmth: Takes a thermal status and a temperature in °C out of it.
        say: Told what is waited for.
        clock: In seconds.
        sleep: For a number of seconds.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        read: Callable[[], Status],
        warmth: Callable[[Status], Warmth],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits = limits
        self._read = read
        self._warmth = warmth
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self._start_c: float | None = None
        self._warned = False

    def wait(self, status: Status) -> Status:
        """Return once the phone is cool, or the limit has passed.

        Args:
            status: As just read.

        Raises:
            DeviceNotReadyError: It is still severely throttled when the limit has passed.
        """
        warmth = self._warmth(status)
        self._warn(warmth)
        if self._start_c is None and warmth.is_cool:
            self._start_c = warmth.temperature_c
        started, reasons = self._clock(), tuple(self._reasons(warmth))
        told_s = -_TOLD_EVERY_S
        while reasons:
            waited_s = self._clock() - started
            left_s = self._limits.cool_down_s - waited_s
            if left_s <= 0:
                self._give_up(warmth, reasons, waited_s)
                break
            if waited_s - told_s >= _TOLD_EVERY_S:
                told_s = waited_s
                seen = ", ".join(reasons)
                self._say(f"waiting for the phone to cool down: {seen}; {left_s:.0f} s at most")
            self._sleep(min(self._limits.poll_s, left_s))
            status = self._read()
            warmth = self._warmth(status)
            reasons = tuple(self._reasons(warmth))
        return status

    def _reasons(self, warmth: Warmth) -> Iterator[str]:
        if not warmth.is_cool:
            yield f"thermal status {warmth.thermal_status}"
        degrees = warmth.temperature_c
        if degrees is not None and self._start_c is not None:
            limit = self._start_c + self._limits.margin_c
            if degrees > limit:
                yield f"battery at {degrees:.1f} °C, wanted {limit:.1f} °C"

    def _give_up(self, warmth: Warmth, reasons: Sequence[str], waited_s: float) -> None:
        seen = ", ".join(reasons)
        if warmth.thermal_status in _TOO_HOT:
            message = f"cannot go on: after {waited_s:.0f} s the phone is still too hot ({seen})"
            step = "let it cool down out of its case and off the charger, then run it again"
            raise DeviceNotReadyError(message, next_step=step)
        self._say(f"warning: after {waited_s:.0f} s the phone is still warm ({seen}); going on")
        if warmth.is_cool:
            self._start_c = warmth.temperature_c

    def _warn(self, warmth: Warmth) -> None:
        if self._warned or warmth.thermal_status is not None:
            return
        self._warned = True
        without = "and no temperature" if warmth.temperature_c is None else ""
        self._say(
            f"warning: this phone tells no thermal status {without}".rstrip()
            + "; throttling may pass unseen"
        )
