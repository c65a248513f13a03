"""One test for each rule of the trust table, and one that none is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import simulated
from simulated import QUIET

from ortlab.analysis import analyze
from ortlab.analysis.trust import RULES
from ortlab.domain import (
    Analysis,
    Block,
    DeviceKind,
    Experiment,
    Grade,
    OptimizationStyle,
    ParityStatus,
    Replay,
    Run,
    Verdict,
)
from ortlab.wire import BrowserFacts, Conditions, Purpose

FASTER = tuple(0.95 + 0.002 * (index % 3) for index in range(8))


def experiment(**changes: Any) -> Experiment:
    arms = (simulated.make_arm("base"), simulated.make_arm("other"))
    return simulated.make_experiment(arms, **changes)


def good_run(**changes: Any) -> Run:
    return simulated.run_with_ratios(experiment(**changes), {"other": FASTER})


def changed(
    run: Run, change: Callable[[Block], Block], *, purpose: Purpose | None = Purpose.LATENCY
) -> Run:
    blocks = (change(b) if purpose in (None, b.purpose) else b for b in run.blocks)
    return replace(run, blocks=tuple(blocks))


def with_runtime(run: Run, **changes: Any) -> Run:
    def change(block: Block) -> Block:
        assert block.result is not None
        assert block.result.runtime is not None
        facts = replace(block.result.runtime, **changes)
        return replace(block, result=replace(block.result, runtime=facts))

    return changed(run, change, purpose=None)


def with_conditions(run: Run, moment: Conditions) -> Run:
    def change(block: Block) -> Block:
        assert block.result is not None
        return replace(block, result=replace(block.result, conditions_after=moment))

    return changed(run, change)


def applies(analysis: Analysis, rule: str, grade: Grade) -> str:
    """Assert that this rule and no other applies; return its sentence."""
    assert {finding.rule for finding in analysis.findings} == {rule}
    assert analysis.grade is grade
    return analysis.findings[0].sentence


def verdict(analysis: Analysis) -> Verdict:
    return analysis.comparisons[0].verdict


def test_good_run_earns_grade_a() -> None:
    analysis = analyze(good_run())
    assert analysis.findings == ()
    assert analysis.grade is Grade.A
    assert verdict(analysis) is Verdict.FASTER


def test_virtual_device() -> None:
    analysis = analyze(good_run(device=simulated.host(virtual=True)))
    assert "virtual" in applies(analysis, "virtual_device", Grade.NONE)
    assert verdict(analysis) is Verdict.NONE


@pytest.mark.parametrize("status", [ParityStatus.FAILED, ParityStatus.NOT_CHECKED, None])
def test_parity_missing_or_failed(status: ParityStatus | None) -> None:
    def change(block: Block) -> Block:
        if block.arm_id != "other" or block.parity is None:
            return block
        parity = replace(block.parity, status=status, reason="worst output y") if status else None
        return replace(block, parity=parity)

    analysis = analyze(changed(good_run(), change, purpose=Purpose.PARITY))
    sentence = applies(analysis, "parity_missing_or_failed", Grade.NONE)
    assert "other" in sentence
    assert analysis.findings[0].arm_id == "other"
    assert verdict(analysis) is Verdict.NONE
    assert analysis.comparisons[0].reason in sentence


@pytest.mark.parametrize("asked", [Replay.ON, Replay.OFF])
def test_replay_not_as_asked(asked: Replay) -> None:
    arms = (
        simulated.make_arm("base"),
        simulated.make_arm(
            "other", style=OptimizationStyle.RUNTIME, replay=asked, saved_optimization_count=24
        ),
    )
    run = simulated.run_with_ratios(simulated.make_experiment(arms), {"other": FASTER})
    wrong = simulated.NOT_REPLAYED if asked is Replay.ON else simulated.REPLAYED

    def change(block: Block) -> Block:
        return replace(block, executed=wrong) if block.arm_id == "other" else block

    analysis = analyze(changed(run, change, purpose=Purpose.PROFILE))
    assert str(asked) in applies(analysis, "replay_not_as_asked", Grade.NONE)
    assert verdict(analysis) is Verdict.NONE
    assert not analysis.arms[1].replay_as_asked


def test_samples_without_a_runtime_are_not_from_ort() -> None:
    analysis = analyze(with_runtime(good_run(), ort_version=""))
    applies(analysis, "samples_not_from_ort", Grade.NONE)
    assert verdict(analysis) is Verdict.NONE


def test_samples_without_executed_operators_are_not_from_ort() -> None:
    run = changed(good_run(), lambda b: replace(b, executed=()), purpose=Purpose.PROFILE)
    analysis = analyze(run)
    applies(analysis, "samples_not_from_ort", Grade.NONE)
    assert verdict(analysis) is Verdict.NONE


@pytest.mark.parametrize("kind", [DeviceKind.ANDROID, DeviceKind.IOS, DeviceKind.WEB])
@pytest.mark.parametrize("build", ["debug", None])
def test_not_a_release_build(kind: DeviceKind, build: str | None) -> None:
    run = good_run(device=simulated.host(kind=kind))
    analysis = analyze(with_runtime(run, app_build=build))
    assert (build or "unknown") in applies(analysis, "not_a_release_build", Grade.C)
    assert verdict(analysis) is Verdict.FASTER
    assert analyze(with_runtime(run, app_build="release")).grade is Grade.A


def test_debugger_attached() -> None:
    applies(analyze(with_runtime(good_run(), debugger_attached=True)), "debugger_attached", Grade.C)


def test_emulator() -> None:
    applies(analyze(good_run(device=simulated.host(emulator=True))), "emulator", Grade.C)


@pytest.mark.parametrize(
    "moment",
    [replace(QUIET, thermal_status="severe"), replace(QUIET, low_power_mode=True)],
    ids=["thermal", "low power"],
)
def test_throttled(moment: Conditions) -> None:
    sentence = applies(analyze(with_conditions(good_run(), moment)), "throttled", Grade.C)
    assert "16 of 16" in sentence


def test_few_rounds() -> None:
    planned = experiment(rule=simulated.make_rule(looks=(6,), look_alpha=0.05))
    run = simulated.run_with_ratios(planned, {"other": FASTER[:6]})
    assert "6" in applies(analyze(run), "few_rounds", Grade.C)


def test_shared_process_supports_no_verdict() -> None:
    analysis = analyze(with_runtime(good_run(), shared_process=True))
    applies(analysis, "shared_process", Grade.C)
    assert verdict(analysis) is Verdict.NONE


BROWSER = BrowserFacts(
    cross_origin_isolated=True,
    clock_step_ns=5_000,
    threads_asked=None,
    threads_got=1,
    adapter=None,
    adapter_is_fallback=None,
    visible=True,
    user_agent="Mozilla/5.0",
)


def in_browser(arm_id: str | None = None, **changes: Any) -> Run:
    """Return a good run in a browser; an arm's blocks, or all, say something else of it."""
    run = with_runtime(good_run(device=simulated.host(kind=DeviceKind.WEB)), app_build="release")

    def change(block: Block) -> Block:
        assert block.result is not None
        facts = replace(BROWSER, **changes) if arm_id in (None, block.arm_id) else BROWSER
        return replace(block, result=replace(block.result, browser=facts))

    return changed(run, change)


def test_a_browser_as_it_should_be_earns_grade_a() -> None:
    for fine in ({}, {"threads_asked": 2, "threads_got": 2}, {"adapter_is_fallback": False}):
        assert analyze(in_browser(**fine)).grade is Grade.A


def test_fewer_threads_than_asked() -> None:
    analysis = analyze(in_browser("other", threads_asked=4, threads_got=1))
    assert "4 threads" in applies(analysis, "fewer_threads_than_asked", Grade.NONE)
    assert analysis.findings[0].arm_id == "other"
    assert verdict(analysis) is Verdict.NONE


def test_not_isolated() -> None:
    analysis = analyze(in_browser(cross_origin_isolated=False, clock_step_ns=100_000))
    assert "100 µs" in applies(analysis, "not_isolated", Grade.C)


def test_software_adapter() -> None:
    analysis = analyze(in_browser("other", adapter="swiftshader", adapter_is_fallback=True))
    assert "swiftshader" in applies(analysis, "software_adapter", Grade.C)
    assert analysis.findings[0].arm_id == "other"


def test_page_in_background() -> None:
    analysis = analyze(in_browser("other", visible=False))
    assert "8 of 16" in applies(analysis, "page_in_background", Grade.C)


def test_warm_up_not_converged() -> None:
    def change(block: Block) -> Block:
        assert block.result is not None
        if block.arm_id != "other" or block.round_index > 2:
            return block
        timing = replace(block.result.timing, warm_up_converged=False)
        return replace(block, result=replace(block.result, timing=timing))

    sentence = applies(analyze(changed(good_run(), change)), "warm_up_not_converged", Grade.B)
    assert "3 of 8" in sentence


def test_low_battery() -> None:
    low = replace(QUIET, battery_percent=29.0, charging=False)
    assert "29 %" in applies(analyze(with_conditions(good_run(), low)), "low_battery", Grade.B)
    for fine in (replace(low, charging=True), replace(low, battery_percent=30.0)):
        assert analyze(with_conditions(good_run(), fine)).grade is Grade.A


def test_floor_unknown() -> None:
    analysis = analyze(good_run(rule=simulated.make_rule(floor=None)))
    applies(analysis, "floor_unknown", Grade.B)


def test_coarse_clock() -> None:
    def change(block: Block) -> Block:
        assert block.result is not None
        clock = replace(block.result.clock, resolution_ns=15_000_000)
        return replace(block, result=replace(block.result, clock=clock))

    assert "15000000" in applies(analyze(changed(good_run(), change)), "coarse_clock", Grade.B)


@pytest.mark.parametrize(
    "moment",
    [
        replace(QUIET, cpu_governor="powersave"),
        replace(QUIET, cpu_governor=None, cpu_frequency_khz=(1_000_000, 1_200_000)),
    ],
    ids=["governor", "frequency"],
)
def test_frequency_scaling(moment: Conditions) -> None:
    run = with_conditions(good_run(), moment)
    if moment.cpu_governor is None:
        steady = replace(moment, cpu_frequency_khz=(2_000_000, 2_000_000))

        def change(block: Block) -> Block:
            assert block.result is not None
            return replace(block, result=replace(block.result, conditions_before=steady))

        run = changed(run, change)
    applies(analyze(run), "frequency_scaling", Grade.B)
    browser = simulated.host(kind=DeviceKind.WEB)
    released = with_runtime(run, app_build="release")
    there = replace(released, experiment=replace(run.experiment, device=browser))
    applies(analyze(there), "frequency_scaling", Grade.B)
    phone = simulated.host(kind=DeviceKind.ANDROID)
    elsewhere = replace(released, experiment=replace(run.experiment, device=phone))
    assert analyze(elsewhere).grade is Grade.A


def test_busy_core() -> None:
    busy = replace(QUIET, busy_fraction=0.13)  # of four cores: more than half a core
    assert "16 of 16" in applies(analyze(with_conditions(good_run(), busy)), "busy_core", Grade.B)
    idle = replace(QUIET, busy_fraction=0.12)
    assert analyze(with_conditions(good_run(), idle)).grade is Grade.A


def test_lowest_grade_wins() -> None:
    planned = simulated.host(emulator=True)
    run = good_run(device=planned, rule=simulated.make_rule(floor=None))
    assert analyze(run).grade is Grade.C


def test_every_rule_has_a_test() -> None:
    source = Path(__file__).read_text()
    for rule in RULES:
        grade = f"Grade.{rule.grade.name}"
        assert re.search(rf'"{rule.name}",\s*{re.escape(grade)}', source), rule.name
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.meaning.endswith(".") for rule in RULES)
