"""The gate: limits, bounds, needed rounds, and the two ways for stored runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import simulated
from hypothesis import assume, given
from hypothesis import strategies as st

from ortlab.analysis import GateDesign, GateStatus, analyze, gate, parse_limit
from ortlab.analysis.power import needed_rounds, needed_units, spread_of, welch_effect
from ortlab.domain import Arm, Block, BlockCounts, Run
from ortlab.errors import UsageError
from ortlab.statistics import effect, interval
from ortlab.wire import Purpose

CANDIDATE, CONTROL = simulated.make_arm("candidate"), simulated.make_arm("control")


def steady(ratio: float, rounds: int = 8, spread: float = 0.002) -> list[float]:
    return [ratio * (1 + spread * (index % 3 - 1)) for index in range(rounds)]


def run_of(ratios: Sequence[float], **changes: Any) -> Run:
    experiment = simulated.make_experiment([CONTROL, CANDIDATE], **changes)
    return simulated.run_with_ratios(experiment, {"candidate": ratios})


def stored(
    name: str, ratio: float, *, session: float = 1.0, arms: Sequence[Arm] = (CONTROL, CANDIDATE)
) -> Run:
    """A finished stored run, all of whose latencies share a session effect."""
    experiment = simulated.make_experiment(arms, experiment_id=name)
    return simulated.run_with_ratios(
        experiment, {arms[1].arm_id: steady(ratio)}, base_ns=round(1_000_000 * session)
    )


# ------------------------------------------------------------------------------ the limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [("2%", 0.02), ("2 %", 0.02), (" 2.5% ", 0.025), ("0.02", 0.02), ("0", 0.0), ("100%", 1.0),
     (".5%", 0.005), ("+3%", 0.03)],
)  # fmt: skip
def test_limit_is_read(text: str, limit: float) -> None:
    assert parse_limit(text) == pytest.approx(limit)


@pytest.mark.parametrize(
    "text", ["", "two", "-1%", "2", "3.0", "1e-2", "2%%", "nan", "inf", "٢%", "2000%", "0x1"]
)
def test_limit_that_cannot_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_limit(text)


@given(st.floats(0, 10))
def test_limit_in_percent_is_the_fraction(limit: float) -> None:
    assert parse_limit(f"{limit * 100:.6f}%") == pytest.approx(limit, abs=1e-8)


def test_nothing_to_gate_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        gate([], max_slowdown=0.02)
    with pytest.raises(UsageError):
        gate([run_of(steady(1.0))], max_slowdown=math.nan)


# ------------------------------------------------------------------------------ interleaved


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (0.95, GateStatus.PASS),
        (1.0, GateStatus.PASS),
        (1.015, GateStatus.PASS),
        (1.05, GateStatus.FAIL),
    ],
)
def test_bounds_decide(ratio: float, status: GateStatus) -> None:
    result = gate([run_of(steady(ratio))], max_slowdown=0.02)
    assert result.status is status
    assert result.design is GateDesign.INTERLEAVED
    assert result.sentence.startswith(str(status))
    (row,) = result.rows
    assert row.effect == analyze(run_of(steady(ratio)), checks=False).comparisons[0].effect


@given(center=st.floats(-0.1, 0.1), limit=st.floats(0, 0.1), spread=st.floats(0.001, 0.05))
def test_gate_follows_the_interval_that_decided(center: float, limit: float, spread: float) -> None:
    run = run_of(steady(1 + center, 24, spread))
    result = gate([run], max_slowdown=limit)
    (row,) = result.rows
    assert row.effect is not None
    assert row.effect.confidence == pytest.approx(1 - simulated.POCOCK_ALPHA)
    expected = (
        GateStatus.PASS
        if row.effect.high < 1 + limit
        else GateStatus.FAIL
        if row.effect.low > 1 + limit
        else GateStatus.INCONCLUSIVE
    )
    assert result.status is expected


def test_inconclusive_says_how_many_rounds_a_new_experiment_needs() -> None:
    ratios = steady(1.03, 24, 0.04)
    result = gate([run_of(ratios)], max_slowdown=0.02)
    assert result.status is GateStatus.INCONCLUSIVE
    needed = result.needed_rounds
    assert needed is not None
    assert needed > 24
    assert needed % 2 == 0
    assert f"a new experiment of about {needed} rounds would decide" in result.sentence
    # The observed spread and effect, seen over that many rounds, leave the limit outside.
    logs = [math.log(ratio) for ratio in ratios]
    alpha = simulated.POCOCK_ALPHA
    spread = spread_of(effect(logs, alpha=alpha, checks=False))
    mean = math.fsum(logs) / len(logs)
    gap = abs(mean - math.log(1.02))
    for count, decided in ((needed, True), (needed - 3, False)):
        pattern = [(-1) ** index * 1.0 for index in range(count - count % 2)]
        unit = math.sqrt(len(pattern) / (len(pattern) - 1))
        scaled = [mean + value * spread / unit for value in pattern]
        _, low, high = interval(scaled, alpha=alpha)
        assert ((high - low) / 2 < gap) is decided


def test_effect_at_the_limit_is_hopeless_and_says_so() -> None:
    ratios = [1.02 * math.exp(0.05 * (-1) ** index) for index in range(24)]
    result = gate([run_of(ratios)], max_slowdown=0.02)
    assert result.status is GateStatus.INCONCLUSIVE
    assert result.needed_rounds is None
    assert "too close to the limit" in result.sentence


def test_worst_arm_decides_and_arms_can_be_chosen() -> None:
    arms = [simulated.make_arm(name) for name in ("base", "good", "bad")]
    run = simulated.run_with_ratios(
        simulated.make_experiment(arms), {"good": steady(1.0), "bad": steady(1.1)}
    )
    assert gate([run], max_slowdown=0.02).status is GateStatus.FAIL
    assert gate([run], max_slowdown=0.02, arms=["good"]).status is GateStatus.PASS
    for name in ("nobody", "base"):
        with pytest.raises(UsageError, match=name):
            gate([run], max_slowdown=0.02, arms=[name])


def virtual(run: Run) -> Run:
    device = simulated.host(virtual=True)
    return replace(run, experiment=replace(run.experiment, device=device))


def without_parity(run: Run) -> Run:
    return replace(run, blocks=tuple(replace(block, parity=None) for block in run.blocks))


def unfinished(run: Run) -> Run:
    return replace(run, blocks=run.blocks[:-2])


def in_one_process(run: Run) -> Run:
    def change(block: Block) -> Block:
        assert block.result is not None
        assert block.result.runtime is not None
        facts = replace(block.result.runtime, shared_process=True)
        return replace(block, result=replace(block.result, runtime=facts))

    return replace(run, blocks=tuple(change(block) for block in run.blocks))


SPOILT = pytest.mark.parametrize("spoil", [virtual, without_parity, unfinished, in_one_process])


@SPOILT
def test_run_that_supports_no_verdict_is_refused(spoil: Callable[[Run], Run]) -> None:
    result = gate([spoil(run_of(steady(1.1)))], max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert result.rows[0].status is GateStatus.REFUSED


def test_single_arm_has_nothing_to_compare() -> None:
    experiment = simulated.make_experiment(
        [CANDIDATE], rule=simulated.make_rule(looks=(8,), comparisons=0)
    )
    result = gate([simulated.make_run(experiment, [])], max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED


# ------------------------------------------------------------------------------ stored runs


@pytest.mark.parametrize("sides", [(0, 2), (0, 5), (1, 1), (2, 2), (2, 3), (3, 2)])
def test_stored_runs_are_refused(sides: tuple[int, int]) -> None:
    base = [stored(f"base-{index}", 1.0) for index in range(sides[0])]
    new = [stored(f"new-{index}", 1.5) for index in range(sides[1])]
    result = gate(new, base=base, max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert result.sentence.startswith("inconclusive: not interleaved")
    assert "--control" in result.sentence
    assert result.rows == ()


@pytest.mark.parametrize(
    ("ratio", "status"), [(1.0, GateStatus.PASS), (1.05, GateStatus.FAIL), (0.9, GateStatus.PASS)]
)
@pytest.mark.parametrize("session", [0.8, 1.0, 1.3])
def test_control_arm_takes_the_session_out(
    ratio: float, status: GateStatus, session: float
) -> None:
    old, fresh = stored("old", 1.1), stored("fresh", 1.1 * ratio, session=session)
    result = gate([fresh], base=[old], control="control", max_slowdown=0.02)
    assert result.status is status
    assert result.design is GateDesign.CONTROL
    (row,) = result.rows
    assert row.effect is not None
    assert row.effect.ratio == pytest.approx(ratio, rel=1e-3)
    in_order = gate([old, fresh], control="control", max_slowdown=0.02)
    assert in_order == result


def test_control_interval_is_that_of_a_ratio_of_ratios() -> None:
    old, fresh = run_of(steady(1.1, 24, 0.06)), run_of(steady(1.1, 24, 0.03), experiment_id="fresh")
    (row,) = gate([fresh], base=[old], control="control", max_slowdown=0.02).rows
    assert row.effect is not None
    half = (math.log(row.effect.high) - math.log(row.effect.low)) / 2
    halves = []
    for spread in (0.06, 0.03):
        logs = [math.log(ratio) for ratio in steady(1.1, 24, spread)]
        _, low, high = interval(logs, alpha=simulated.POCOCK_ALPHA)
        halves.append((high - low) / 2)
    assert half == pytest.approx(math.hypot(*halves), rel=0.03)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_sha256": "f" * 64}, "not the same file"),
        ({"intra_op_num_threads": 2}, "not the same file"),
        ({"config_entries": {"a": "b"}}, "not the same file"),
        ({"arm_id": "another"}, "did not measure"),
    ],
)
def test_control_arm_must_be_one_and_the_same(change: dict[str, Any], word: str) -> None:
    fresh = stored("fresh", 1.5, arms=(replace(CONTROL, **change), CANDIDATE))
    result = gate([fresh], base=[stored("old", 1.0)], control="control", max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert word in result.sentence


def test_control_arm_may_lie_elsewhere() -> None:
    moved = replace(CONTROL, model_path="/elsewhere/control.onnx", label="Control")
    fresh = stored("fresh", 1.5, arms=(moved, CANDIDATE))
    result = gate([fresh], base=[stored("old", 1.0)], control="control", max_slowdown=0.02)
    assert result.status is GateStatus.FAIL


def test_control_arm_must_run_on_one_ort() -> None:
    def upgrade(block: Block) -> Block:
        assert block.result is not None
        assert block.result.runtime is not None
        facts = replace(block.result.runtime, ort_version="1.32.0")
        return replace(block, result=replace(block.result, runtime=facts))

    fresh = stored("fresh", 1.5)
    fresh = replace(fresh, blocks=tuple(upgrade(block) for block in fresh.blocks))
    result = gate([fresh], base=[stored("old", 1.0)], control="control", max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert "1.31.1 and 1.32.0" in result.sentence


def sessions(side: str, ratio: float, effects: Sequence[float]) -> list[Run]:
    return [
        stored(f"{side}-{index}", ratio, session=session) for index, session in enumerate(effects)
    ]


def test_three_sessions_a_side_are_units() -> None:
    base = sessions("base", 1.0, (1.0, 1.01, 0.99))
    worse = gate(sessions("new", 1.2, (1.0, 1.01, 0.99)), base=base, max_slowdown=0.02)
    assert worse.design is GateDesign.SESSIONS
    by_arm = {row.arm_id: row for row in worse.rows}
    assert by_arm["candidate"].status is GateStatus.FAIL
    effect_found = by_arm["candidate"].effect
    assert effect_found is not None
    assert effect_found.rounds == 3
    assert effect_found.confidence == pytest.approx(1 - 0.05 / 2)
    # As many rounds as one likes do not help: sessions that differ leave it open.
    wide = gate(
        sessions("new", 1.03, (1.0, 1.06, 0.94)),
        base=sessions("base", 1.0, (1.0, 1.06, 0.94)),
        max_slowdown=0.02,
        arms=["candidate"],
    )
    assert wide.status is GateStatus.INCONCLUSIVE
    assert "sessions a side would decide" in wide.sentence


def test_sessions_of_other_lengths_count_only_the_rounds_all_have() -> None:
    def warming(name: str, rounds: int) -> Run:
        experiment = simulated.make_experiment(
            [CONTROL, CANDIDATE],
            experiment_id=name,
            rule=simulated.make_rule(looks=(rounds,), look_alpha=0.05),
            counts=BlockCounts(parity=1, profile=1, memory=0, cold_start=0),
        )
        blocks = simulated.side_blocks(experiment)
        for index in range(rounds):
            slow = round(1_000_000 * (1 + 0.01 * index) * (1 + 0.001 * (len(name) % 3)))
            blocks += [simulated.latency_block(arm, index, [slow] * 5) for arm in experiment.arms]
        return simulated.make_run(experiment, blocks)

    base = [warming("b" * length, 8) for length in (1, 2, 3)]
    new = [warming("n" * length, 24) for length in (1, 2, 3)]
    result = gate(new, base=base, max_slowdown=0.02, arms=["candidate"])
    assert result.status is GateStatus.PASS
    assert result.rows[0].effect is not None
    assert result.rows[0].effect.ratio == pytest.approx(1.0)


def test_one_run_given_twice_is_no_second_session() -> None:
    base = sessions("base", 1.0, (1.0, 1.01, 0.99))
    new = sessions("new", 1.5, (1.0, 1.01))
    result = gate([*new, new[0]], base=base, max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert "given twice" in result.sentence


@SPOILT
@pytest.mark.parametrize("control", ["control", None])
def test_stored_run_that_supports_no_verdict_is_refused(
    spoil: Callable[[Run], Run], control: str | None
) -> None:
    base = sessions("base", 1.0, (1.0, 1.01, 0.99))
    new = sessions("new", 1.5, (1.0, 1.01, 0.99))
    good = gate(new, base=base, control=control, max_slowdown=0.02, arms=["candidate"])
    assert good.status is GateStatus.FAIL
    result = gate([*new[:2], spoil(new[2])], base=base, control=control, max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED


def test_runs_of_other_devices_or_inputs_are_refused() -> None:
    old, fresh = stored("old", 1.0), stored("fresh", 1.5)
    phone = simulated.host(device_id="R58M")
    elsewhere = replace(fresh, experiment=replace(fresh.experiment, device=phone))
    result = gate([elsewhere], base=[old], control="control", max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert "several devices" in result.sentence
    other = replace(fresh.experiment.sample, inputs=())
    inputs = replace(fresh, experiment=replace(fresh.experiment, sample=other))
    result = gate([inputs], base=[old], control="control", max_slowdown=0.02)
    assert result.status is GateStatus.REFUSED
    assert "different inputs" in result.sentence


def test_renamed_arm_is_compared_when_it_is_the_only_one() -> None:
    renamed = (CONTROL, replace(CANDIDATE, arm_id="candidate-2", label="candidate-2"))
    result = gate(
        [stored("fresh", 1.5, arms=renamed)],
        base=[stored("old", 1.0)],
        control="control",
        max_slowdown=0.02,
    )
    assert result.status is GateStatus.FAIL
    assert re.search(r"candidate-2 in fresh against candidate in old", result.rows[0].sentence)


# ------------------------------------------------------------------------------ how many more


@given(
    spread=st.floats(0.001, 0.2), gap=st.floats(0.0005, 0.2), alpha=st.sampled_from([0.05, 0.018])
)
def test_needed_rounds_is_the_fewest(spread: float, gap: float, alpha: float) -> None:
    needed = needed_rounds(spread, gap, alpha=alpha, most=1_000)
    if needed is None:
        return

    def half(count: int) -> float:
        unit = math.sqrt((count - 1) / count)
        values = [spread * unit * math.sqrt(count / (count - 1)) * v for v in zigzag(count)]
        _, low, high = interval(values, alpha=alpha)
        return (high - low) / 2

    def zigzag(count: int) -> list[float]:
        raw = [(-1.0) ** index for index in range(count)]
        mean = math.fsum(raw) / count
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in raw) / (count - 1))
        return [(v - mean) / deviation for v in raw]

    assert half(needed) < gap * (1 + 1e-6)
    assert needed == 2 or half(needed - 1) >= gap * (1 - 1e-6)


@given(
    new=st.lists(st.floats(-1, 1), min_size=3, max_size=12),
    base=st.lists(st.floats(-1, 1), min_size=3, max_size=12),
)
def test_welch_agrees_with_scipy(new: list[float], base: list[float]) -> None:
    from scipy import stats

    assume(max(new) - min(new) > 1e-3)
    assume(max(base) - min(base) > 1e-3)
    found = welch_effect(new, base, alpha=0.05)
    bounds = stats.ttest_ind(new, base, equal_var=False).confidence_interval(0.95)
    assert math.log(found.low) == pytest.approx(bounds.low, abs=1e-9)
    assert math.log(found.high) == pytest.approx(bounds.high, abs=1e-9)


def test_sides_without_spread_have_an_interval_without_width() -> None:
    found = welch_effect([0.1] * 3, [0.0] * 3, alpha=0.05)
    assert found.low == pytest.approx(found.high)
    assert needed_units([0.1] * 3, [0.0] * 3, 0.05, alpha=0.05, most=100) == 2


def test_unfinished_stored_run_is_named() -> None:
    broken = replace(stored("fresh", 1.0), blocks=stored("fresh", 1.0).blocks[:-4])
    assert any(block.purpose is Purpose.LATENCY for block in broken.blocks)
    result = gate([broken], base=[stored("old", 1.0)], control="control", max_slowdown=0.02)
    assert "fresh is not finished" in result.sentence
