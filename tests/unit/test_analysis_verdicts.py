"""What a run may claim: verdicts, sentences, what takes a verdict away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import simulated
from hypothesis import given
from hypothesis import strategies as st

from ortlab.analysis import analyze, difference
from ortlab.analysis.power import spread_of
from ortlab.domain import (
    Analysis,
    Arm,
    Block,
    Comparison,
    Experiment,
    Run,
    Verdict,
)
from ortlab.wire import Purpose

FASTER = tuple(0.95 + 0.002 * (index % 3) for index in range(8))
SLOWER = tuple(1.05 + 0.002 * (index % 3) for index in range(8))
SAME = tuple(1.0 + 0.004 * (index % 3 - 1) for index in range(8))
WILD = tuple(1.0 + 0.1 * (index % 3 - 1) for index in range(24))
OPPOSITE = {
    Verdict.FASTER: Verdict.SLOWER,
    Verdict.SLOWER: Verdict.FASTER,
    Verdict.EQUIVALENT: Verdict.EQUIVALENT,
    Verdict.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Verdict.NONE: Verdict.NONE,
}


def two_arms() -> Experiment:
    arms = (
        simulated.make_arm("onnx", label=".onnx"),
        simulated.make_arm("fixed", label="Fixed", size_bytes=900_000),
    )
    return simulated.make_experiment(arms)


def run_of(ratios: Sequence[float], experiment: Experiment | None = None) -> Run:
    return simulated.run_with_ratios(experiment or two_arms(), {"fixed": ratios})


def only(analysis: Analysis) -> Comparison:
    (comparison,) = analysis.comparisons
    return comparison


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        (FASTER, Verdict.FASTER),
        (SLOWER, Verdict.SLOWER),
        (SAME, Verdict.EQUIVALENT),
        (WILD, Verdict.INCONCLUSIVE),
    ],
)
def test_verdict_follows_the_rounds(ratios: Sequence[float], verdict: Verdict) -> None:
    analysis = analyze(run_of(ratios))
    assert analysis.finished
    assert analysis.rounds == len(ratios)
    assert only(analysis).verdict is verdict
    assert only(analysis).sentence in analysis.headlines


def test_sentence_tells_figures_at_the_level_that_decided() -> None:
    comparison = only(analyze(run_of(FASTER)))
    assert comparison.sentence == (
        "Fixed is 4.8 % faster than .onnx (98.2 % interval 4.6 to 5.0 %, 8 rounds)."
    )
    assert comparison.effect is not None
    assert comparison.effect.confidence == pytest.approx(1 - simulated.POCOCK_ALPHA)
    assert comparison.reason == ""
    slower = only(analyze(run_of(SLOWER))).sentence
    assert slower.startswith("Fixed is 5.2 % slower than .onnx (98.2 % interval 5.0 to 5.4 %")
    same = only(analyze(run_of(SAME))).sentence
    assert same == (
        "Fixed and .onnx are equivalent: −0.1 %, within ±2 %"
        " (98.2 % interval −0.4 to +0.3 %, 8 rounds)."
    )
    double = only(analyze(run_of([2.4, 2.41] * 4))).sentence
    assert "Fixed is 2.4 times as slow as .onnx" in double
    far = only(analyze(run_of([1234.0, 1240.0] * 4))).sentence
    assert "Fixed is 1237 times as slow as .onnx (98.2 % interval 1234 to 1240 times" in far


def test_several_comparisons_share_the_alpha() -> None:
    arms = [simulated.make_arm(name) for name in ("base", "fast", "slow")]
    experiment = simulated.make_experiment(arms)
    run = simulated.run_with_ratios(experiment, {"fast": FASTER, "slow": SLOWER})
    analysis = analyze(run)
    assert [c.verdict for c in analysis.comparisons] == [Verdict.FASTER, Verdict.SLOWER]
    for comparison in analysis.comparisons:
        assert comparison.effect is not None
        assert comparison.effect.confidence == pytest.approx(1 - simulated.POCOCK_ALPHA / 2)
    between = difference(run, "slow", "fast")
    assert between is not None
    assert between.low < SLOWER[0] / FASTER[0] < between.high


def test_effect_below_the_floor_is_not_claimed() -> None:
    experiment = replace(two_arms(), rule=simulated.make_rule(floor=0.04))
    ratios = [1.03 + 0.002 * (index % 3) for index in range(8)]
    assert only(analyze(run_of(ratios, experiment))).verdict is Verdict.EQUIVALENT
    wide = [1.03 + 0.05 * (index % 3 - 1) for index in range(24)]
    comparison = only(analyze(run_of(wide, experiment)))
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "noise floor of 4 %" in comparison.reason


@pytest.mark.parametrize("rounds", [0, 1, 5, 8, 11])
def test_unfinished_run_gets_no_verdict_and_says_what_is_to_come(rounds: int) -> None:
    whole = run_of(WILD)
    kept = [b for b in whole.blocks if b.purpose is not Purpose.LATENCY or b.round_index < rounds]
    analysis = analyze(replace(whole, blocks=tuple(kept)))
    assert not analysis.finished
    assert only(analysis).verdict is Verdict.NONE
    assert f"next look comes after {8 if rounds < 8 else 12}" in analysis.stop_reason
    assert analysis.headlines[0].startswith("Not finished: ")
    assert analysis.headlines[0].endswith("; no verdict is given before.")


def test_run_without_its_memory_blocks_is_not_finished() -> None:
    whole = run_of(FASTER)
    kept = tuple(block for block in whole.blocks if block.purpose is not Purpose.MEMORY)
    analysis = analyze(replace(whole, blocks=kept))
    assert not analysis.finished
    assert "memory blocks are still to come" in analysis.stop_reason


def test_disturbed_rounds_are_kept_and_the_verdict_is_given_without_them_too() -> None:
    ratios = [*FASTER[:6], 1.3, 1.3, *WILD[8:]]

    def disturb(block: Block) -> Block:
        late = block.purpose is Purpose.LATENCY and block.round_index >= 6
        return replace(block, disturbances=("throttled",)) if late else block

    experiment = two_arms()
    rule = replace(experiment.rule, extra_attempts=0)
    run = run_of(ratios, replace(experiment, rule=rule))
    run = replace(run, blocks=tuple(disturb(block) for block in run.blocks))
    comparison = only(analyze(run))
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.verdict_undisturbed is Verdict.FASTER
    assert comparison.effect is not None
    assert comparison.effect_undisturbed is not None
    assert comparison.effect.rounds == 24
    assert comparison.effect_undisturbed.rounds == 6
    assert "Without disturbed rounds: faster" in comparison.sentence


def test_calm_run_has_no_second_verdict() -> None:
    comparison = only(analyze(run_of(FASTER)))
    assert comparison.verdict_undisturbed is None
    assert comparison.effect_undisturbed is None


@pytest.mark.parametrize("victim", ["fixed", "onnx"])
def test_arm_that_died_has_no_verdict(victim: str) -> None:
    experiment = two_arms()
    arm = experiment.arm(victim)
    whole = run_of(FASTER, experiment)

    def kill(block: Block) -> Block:
        if block.arm_id != victim or block.purpose is not Purpose.LATENCY:
            return block
        if block.round_index < 6:
            return block
        return simulated.died_block(arm, Purpose.LATENCY, block.round_index)

    run = replace(whole, blocks=tuple(kill(block) for block in whole.blocks))
    analysis = analyze(run)
    comparison = only(analysis)
    assert comparison.verdict is Verdict.NONE
    assert arm.label in comparison.reason
    assert "SIGSEGV" in comparison.reason
    summary = next(summary for summary in analysis.arms if summary.arm_id == victim)
    assert len(summary.failures) == 2
    assert "SIGSEGV" in summary.failures[0]
    assert analysis.recommendation.arm_id is None


def test_single_arm_is_a_measurement_without_comparison() -> None:
    experiment = simulated.make_experiment(
        [simulated.make_arm("only")], rule=simulated.make_rule(looks=(8,), comparisons=0)
    )
    blocks = simulated.side_blocks(experiment)
    blocks += [simulated.latency_block(experiment.arms[0], i, [1_000_000] * 30) for i in range(8)]
    analysis = analyze(simulated.make_run(experiment, blocks))
    assert analysis.finished
    assert analysis.comparisons == ()
    assert analysis.recommendation.arm_id is None
    assert "1 ms" in analysis.headlines[0]


def test_run_without_blocks_is_analyzed() -> None:
    analysis = analyze(simulated.make_run(two_arms(), []))
    assert not analysis.finished
    assert analysis.rounds == 0
    assert only(analysis).effect is None
    assert only(analysis).verdict is Verdict.NONE


def test_checks_stand_beside_and_can_be_left_out() -> None:
    with_checks, without = (only(analyze(run_of(FASTER), checks=c)) for c in (True, False))
    assert with_checks.effect is not None
    assert with_checks.effect.sign_flip_p == pytest.approx(2 / 2**8)
    assert with_checks.effect.bootstrap_low is not None
    assert without.effect == replace(
        with_checks.effect, sign_flip_p=None, bootstrap_low=None, bootstrap_high=None
    )
    assert without.verdict is with_checks.verdict


def test_absurd_rounds_give_an_absurd_interval_and_no_crash() -> None:
    arms = [simulated.make_arm(name) for name in "abcde"]
    experiment = simulated.make_experiment(arms)
    ratios = dict.fromkeys("bcde", (1000000.0, 1e-06))
    analysis = analyze(simulated.run_with_ratios(experiment, ratios, base_ns=10**9))
    assert all(comparison.verdict is Verdict.NONE for comparison in analysis.comparisons)
    found = analysis.comparisons[0].effect
    assert found is not None
    assert found.high == math.inf
    assert spread_of(found) == math.inf


# ------------------------------------------------------------------------------ properties

NOISE = st.lists(st.floats(-0.06, 0.06), min_size=24, max_size=24)
CENTER = st.sampled_from([-0.1, -0.03, 0.0, 0.01, 0.03, 0.1])


def finished_run(center: float, noise: Sequence[float], *, base_ns: int, swap: bool = False) -> Run:
    """Carry out the plan on rounds with these ratios, so that it stops where the plan says."""
    experiment = two_arms()
    if swap:
        experiment = replace(experiment, baseline="fixed")
    arms = {arm.arm_id: arm for arm in experiment.arms}

    class Recorded(simulated.SimulatedDevice):
        def block(self, arm: Arm, purpose: Purpose, round_index: int, attempt: int = 0) -> Block:
            if purpose is not Purpose.LATENCY:
                return simulated.side_block(arm, purpose, round_index)
            log = center + noise[round_index] if arm is arms["fixed"] else 0.0
            samples = [round(base_ns * math.exp(log))] * 5
            return simulated.latency_block(arm, round_index, samples, attempt=attempt)

    return simulated.simulate(experiment, Recorded(noise=simulated.Noise(), seed=1))


@given(center=CENTER, noise=NOISE, scale=st.integers(2, 500))
def test_verdicts_do_not_depend_on_the_unit(center: float, noise: list[float], scale: int) -> None:
    run = finished_run(center, noise, base_ns=50_000_000)

    def slow(block: Block) -> Block:
        assert block.result is not None
        timing = block.result.timing
        longer = replace(timing, measured_ns=tuple(scale * ns for ns in timing.measured_ns))
        return replace(block, result=replace(block.result, timing=longer))

    scaled = replace(run, blocks=tuple(slow(block) for block in run.blocks))
    first, second = analyze(run, checks=False), analyze(scaled, checks=False)
    assert second.rounds == first.rounds
    assert only(second).verdict is only(first).verdict
    assert only(second).sentence == only(first).sentence


@given(center=CENTER, noise=NOISE)
def test_exchanging_arm_and_baseline_exchanges_the_verdict(
    center: float, noise: list[float]
) -> None:
    first = analyze(finished_run(center, noise, base_ns=50_000_000), checks=False)
    other = analyze(finished_run(center, noise, base_ns=50_000_000, swap=True), checks=False)
    assert other.rounds == first.rounds
    assert only(other).verdict is OPPOSITE[only(first).verdict]
    there, back = only(first).effect, only(other).effect
    assert there is not None
    assert back is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.low == pytest.approx(1 / there.high)
    assert back.high == pytest.approx(1 / there.low)
