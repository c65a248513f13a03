"""The model of a phone's battery and temperature."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.devices.virtual.power import HeatModel, Power, ThermalStatus

HOT = HeatModel(ambient_c=25, heating_c=40, time_constant_s=60)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(model: HeatModel = HOT, **changes: Any) -> tuple[Power, Clock]:
    clock = Clock()
    given_ = {"temperature_c": 25.0, "percent": 50.0, "charging": False} | changes
    return Power(model, clock=clock, **given_), clock


def test_idle_it_stays_at_the_temperature_of_its_surroundings() -> None:
    power, clock = make()
    clock.now = 3600
    assert power.temperature_c == pytest.approx(25)
    assert power.thermal_status is ThermalStatus.NONE


def test_a_running_program_heats_it_as_newton_says_and_it_cools_afterwards() -> None:
    power, clock = make()
    power.program_started()
    clock.now = 60
    assert power.temperature_c == pytest.approx(65 - 40 * math.exp(-1))
    power.program_ended()
    clock.now = 120
    assert power.temperature_c == pytest.approx(25 + (40 - 40 * math.exp(-1)) * math.exp(-1))


@given(st.lists(st.floats(0.01, 100), max_size=20))
def test_how_often_anyone_looks_changes_nothing(pauses: list[float]) -> None:
    looked, clock = make()
    alone, other = make()
    looked.program_started()
    alone.program_started()
    for pause in pauses:
        clock.now += pause
        _ = looked.temperature_c, looked.percent
    other.now = clock.now
    assert looked.temperature_c == pytest.approx(alone.temperature_c)
    assert looked.percent == pytest.approx(alone.percent)


@given(st.floats(20, 70))
def test_the_status_rises_with_the_temperature(temperature_c: float) -> None:
    power, _ = make(temperature_c=temperature_c)
    warmer, _ = make(temperature_c=temperature_c + 5)
    assert power.thermal_status <= warmer.thermal_status
    assert (power.thermal_status >= ThermalStatus.CRITICAL) is (temperature_c >= 49)


def test_load_drains_the_battery_and_the_cable_fills_it() -> None:
    power, clock = make()
    power.program_started()
    clock.now = 3600
    assert power.percent == pytest.approx(25)
    power.program_ended()
    power.set_state(charging=True)
    clock.now = 3600 * 10
    assert power.percent == 100


def test_it_is_never_emptier_than_empty() -> None:
    power, clock = make(percent=1.0)
    power.program_started()
    clock.now = 3600 * 100
    assert power.percent == 0
