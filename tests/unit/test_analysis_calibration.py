"""The noise floor: A/A experiments in, one stored figure out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from ortlab.analysis import (
    CalibrationPlan,
    NoiseFloor,
    calibration_effects,
    calibration_floor,
    calibration_plan,
    load_floor,
    same_configuration,
    save_floor,
)
from ortlab.analysis.calibration import floor_path
from ortlab.domain import BlockCounts, Run
from ortlab.errors import BenchmarkError, StorageError, UsageError
from ortlab.schedule import Done, next_block

ARM = simulated.make_arm("onnx")
FLOOR = NoiseFloor(
    device_id="host",
    effect=0.012,
    experiments=20,
    created_at="2026-11-21T00:00:00+00:00",
    ort_version="1.31.1",
)


def twin_run(plan: CalibrationPlan, ratio: float, index: int = 0, *, slices: int = 1) -> Run:
    rounds = plan.rounds * slices
    experiment = simulated.make_experiment(
        plan.arms,
        rule=replace(plan.rule, looks=(rounds,)),
        seed=index,
        counts=BlockCounts(parity=1, profile=1, memory=0, cold_start=0),
    )
    return simulated.run_with_ratios(experiment, {plan.arms[1].arm_id: [ratio] * rounds})


def test_plan_measures_one_configuration_twice_with_one_look() -> None:
    plan = calibration_plan(ARM)
    first, second = plan.arms
    assert first.arm_id != second.arm_id
    assert same_configuration(first, second)
    assert same_configuration(first, ARM)
    assert (plan.experiments, plan.rounds, plan.rule.looks) == (20, 12, (12,))
    run = twin_run(plan, 1.5)
    assert isinstance(next_block(run.experiment, run.blocks), Done)
    earlier = tuple(block for block in run.blocks if block.round_index < 8)
    assert not isinstance(next_block(run.experiment, earlier), Done)


@pytest.mark.parametrize(("experiments", "rounds"), [(19, 12), (20, 6), (20, 13)])
def test_plan_that_says_too_little_is_refused(experiments: int, rounds: int) -> None:
    with pytest.raises(UsageError):
        calibration_plan(ARM, experiments=experiments, rounds=rounds)


@settings(max_examples=20)
@given(st.lists(st.floats(-0.05, 0.05), min_size=20, max_size=30))
def test_floor_is_the_95th_percentile_of_the_differences(logs: list[float]) -> None:
    plan = calibration_plan(ARM)
    runs = [twin_run(plan, math.exp(log), index) for index, log in enumerate(logs)]
    effects = calibration_effects(runs)
    assert effects == pytest.approx(logs, abs=2e-6)  # samples are whole nanoseconds
    floor = calibration_floor(runs)
    assert floor.effect == pytest.approx(math.expm1(np.percentile(np.abs(logs), 95)), abs=5e-6)
    assert floor.experiments == len(logs)
    assert (floor.device_id, floor.ort_version) == ("host", simulated.ORT_VERSION)


def test_long_run_is_sliced_into_experiments() -> None:
    plan = calibration_plan(ARM)
    assert calibration_floor([twin_run(plan, 1.01, slices=20)]).experiments == 20
    with pytest.raises(BenchmarkError, match="19 complete"):
        calibration_floor([twin_run(plan, 1.01, slices=19)])


def test_runs_that_are_no_twins_or_of_two_devices_are_refused() -> None:
    plan = calibration_plan(ARM)
    runs = [twin_run(plan, 1.0, index) for index in range(20)]
    other = replace(plan, arms=(plan.arms[0], replace(plan.arms[1], intra_op_num_threads=2)))
    with pytest.raises(UsageError, match="twins"):
        calibration_floor([*runs, twin_run(other, 1.0)])
    phone = replace(runs[0].experiment, device=simulated.host(device_id="R58M"))
    with pytest.raises(UsageError, match="several devices"):
        calibration_floor([*runs[1:], replace(runs[0], experiment=phone)])


# ------------------------------------------------------------------------------ stored


def test_floor_is_stored_and_found(tmp_path: Path) -> None:
    assert load_floor(tmp_path / "none", "host") is None
    path = save_floor(tmp_path / "floors", FLOOR)
    assert load_floor(tmp_path / "floors", "host") == FLOOR
    again = replace(FLOOR, effect=0.02)
    assert save_floor(tmp_path / "floors", again) == path
    assert load_floor(tmp_path / "floors", "host") == again
    assert [entry.name for entry in (tmp_path / "floors").iterdir()] == [path.name]


@given(st.text(), st.text())
def test_file_name_stays_in_its_directory_and_is_the_devices_own(first: str, second: str) -> None:
    directory = Path("/floors")
    path = floor_path(directory, first)
    assert path.parent == directory
    assert path.name.isascii()
    assert path.name.isprintable()
    assert (path == floor_path(directory, second)) is (first == second)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"device_id": 1}', "not json", '{"device_id": "host", "effect": "x"}']
)
def test_broken_file_is_a_storage_error(tmp_path: Path, text: str) -> None:
    floor_path(tmp_path, "host").write_text(text)
    with pytest.raises(StorageError, match="noise-floor"):
        load_floor(tmp_path, "host")


@pytest.mark.parametrize("wrong", [{"device_id": "other"}, {"effect": -0.1}])
def test_floor_of_another_device_or_below_zero_is_refused(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    path = save_floor(tmp_path, replace(FLOOR, **wrong))
    path.rename(floor_path(tmp_path, "host"))
    with pytest.raises(StorageError):
        load_floor(tmp_path, "host")


def test_directory_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot store"):
        save_floor(tmp_path / "file", FLOOR)
    with pytest.raises(StorageError, match="cannot read"):
        load_floor(tmp_path / "file", "host")
