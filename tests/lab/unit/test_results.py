"""A run as the lab keeps it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

from simulated import make_arm, make_experiment, make_rule

from device_lab.results import cell_result, control_digest, ended_at
from device_lab.values import Cell, CellResult, CellState
from instant_device import INFO, InstantDevice
from ortlab.analysis import analyze
from ortlab.bench import run_experiment
from ortlab.codec import from_json, to_json
from ortlab.domain import Run

EXPERIMENT = make_experiment(
    [make_arm("a"), make_arm("b")], device=INFO, rule=make_rule(looks=(4,), floor=None)
)
CELL = Cell(cell_id="c", job_id="j", model="/m/a", slot=0, state=CellState.LEASED)


def run_in(directory: Path) -> Run:
    return run_experiment(
        directory, EXPERIMENT, InstantDevice(), progress=lambda _: None, should_stop=lambda: False
    )


def test_a_result_says_what_the_analysis_says(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    result = cell_result(run, CELL, "phone")
    analysis = analyze(run)
    (comparison,), (compared,) = result.comparisons, analysis.comparisons
    assert compared.effect is not None
    assert (comparison.ratio, comparison.low) == (compared.effect.ratio, compared.effect.low)
    assert (comparison.arm, comparison.baseline) == ("b", "a")
    assert len(comparison.log_ratios) == 4
    assert comparison.verdict == compared.verdict == "no verdict"
    assert (result.virtual, result.trust) == (True, "none")
    assert result.sentences == analysis.headlines
    assert result.finished_at == max(map(ended_at, run.blocks))
    assert result.finished_at.utcoffset() is not None
    assert from_json(CellResult, to_json(result), source="the store") == result


def test_without_rounds_there_is_no_number(tmp_path: Path) -> None:
    run = replace(run_in(tmp_path), blocks=())
    result = cell_result(run, CELL, "phone")
    assert result.comparisons[0].ratio != result.comparisons[0].ratio
    assert result.comparisons[0].log_ratios == ()
    back = from_json(CellResult, to_json(result), source="the store")
    assert back.comparisons[0].ratio != back.comparisons[0].ratio
    assert back.finished_at == result.finished_at


def test_the_control_is_what_it_is_and_what_ran_it_not_its_name(tmp_path: Path) -> None:
    analysis = analyze(run_in(tmp_path))
    arm = EXPERIMENT.arms[0]
    digest = control_digest(arm, analysis)
    renamed = replace(arm, label="x", model_path="/other/place", prepared_sha256="1" * 64)
    assert control_digest(renamed, analysis) == digest
    for changed in (
        replace(arm, model_sha256="1" * 64),
        replace(arm, intra_op_num_threads=7),
        replace(arm, config_entries={"k": "v"}),
    ):
        assert control_digest(changed, analysis) != digest
    newer = replace(analysis, arms=tuple(replace(a, ort_version="9.9") for a in analysis.arms))
    assert control_digest(arm, newer) != digest
