"""What the next block is: order, looks, repeats, exclusions; through simulated answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import (
    Noise,
    SimulatedDevice,
    died_block,
    latency_block,
    make_arm,
    make_experiment,
    make_rule,
    side_block,
    simulate,
)

from ortlab.bench import Done, NextBlock, PlanOptions, next_block, progress_of
from ortlab.bench.plan import plan_rule
from ortlab.domain import (
    Arm,
    Block,
    BlockCounts,
    ExecutedOperator,
    Experiment,
    OptimizationStyle,
    ParityStatus,
    Replay,
    ReplayProof,
    Run,
    StoppingRule,
    Verdict,
)
from ortlab.replay import prove_replay, replay_as_asked
from ortlab.rounds import block_medians, complete_rounds, exclusions, log_ratios
from ortlab.statistics import decide, square_size
from ortlab.wire import Purpose

CPU = "CPUExecutionProvider"
QUIET = Noise(
    process=0.001, iteration=0.001, correlation=0.0, spike_share=0.0, drift=0.0, samples=3
)
LOUD = replace(QUIET, process=0.3)
MEASURED = (Purpose.LATENCY, Purpose.MEMORY, Purpose.COLD_START)


def experiment_of(arm_count: int, **changes: object) -> Experiment:
    arms = [make_arm(f"arm-{index}") for index in range(arm_count)]
    rule = plan_rule(arm_count, PlanOptions())
    return make_experiment(arms, **{"rule": rule, **changes})


def device(seed: int = 1, noise: Noise = QUIET, **effects: float) -> SimulatedDevice:
    return SimulatedDevice(
        noise=noise, seed=seed, effects={name.replace("_", "-"): e for name, e in effects.items()}
    )


def latency(run: Run) -> list[Block]:
    return [block for block in run.blocks if block.purpose is Purpose.LATENCY]


def rounds_of(run: Run) -> dict[tuple[int, int], list[str]]:
    rounds: dict[tuple[int, int], list[str]] = {}
    for block in latency(run):
        rounds.setdefault((block.round_index, block.attempt), []).append(block.arm_id)
    return rounds


# ---------------------------------------------------------------- order


@settings(max_examples=40)
@given(arms=st.integers(1, 6), seed=st.integers(0, 2**31), loud=st.booleans())
def test_blocks_come_in_phases_and_rounds_are_balanced(arms: int, seed: int, loud: bool) -> None:
    experiment = experiment_of(arms, seed=seed)
    run = simulate(experiment, device(seed, LOUD if loud else QUIET))
    phases = [block.purpose for block in run.blocks]
    order = [Purpose.PARITY, Purpose.PROFILE, *MEASURED]
    assert [order.index(p) for p in phases] == sorted(order.index(p) for p in phases)
    counts = Counter((b.purpose, b.arm_id) for b in run.blocks if b.purpose is not Purpose.LATENCY)
    assert set(counts.values()) == {1}
    assert len(counts) == 4 * arms
    ids = [arm.arm_id for arm in experiment.arms]
    rounds = list(rounds_of(run).values())
    assert all(sorted(members) == ids for members in rounds)
    assert len(rounds) in experiment.rule.looks
    assert len(rounds) % square_size(arms) == 0
    places = Counter((place, arm) for members in rounds for place, arm in enumerate(members))
    assert len(set(places.values())) == 1


@settings(max_examples=25)
@given(
    arms=st.integers(2, 4),
    seed=st.integers(0, 2**31),
    crash=st.integers(0, 60),
    disturbed=st.sets(st.integers(0, 60)),
)
def test_any_prefix_gives_the_block_that_followed_and_none_twice(
    arms: int, seed: int, crash: int, disturbed: set[int]
) -> None:
    experiment = experiment_of(arms, seed=seed)
    asked = 0

    def change(block: Block) -> Block:
        nonlocal asked
        asked += 1
        if asked == crash:
            arm = experiment.arm(block.arm_id)
            return died_block(arm, block.purpose, block.round_index, attempt=block.attempt)
        noise = ("the charger was pulled",) if asked in disturbed else ()
        return replace(block, disturbances=noise)

    run = simulate(experiment, device(seed), change)
    ids = [block.block_id for block in run.blocks]
    assert len(set(ids)) == len(ids)
    for length in range(len(ids)):
        step = next_block(experiment, run.blocks[:length])
        assert isinstance(step, NextBlock)
        assert step.block_id == ids[length]
    assert isinstance(next_block(experiment, run.blocks), Done)


def test_ids_name_purpose_round_attempt_and_arm() -> None:
    run = simulate(experiment_of(2), device())
    for block in run.blocks:
        expected = f"{block.purpose}-{block.round_index:03d}-{block.attempt}-{block.arm_id}"
        assert block.block_id == expected


def test_another_seed_gives_another_order() -> None:
    orders = {
        tuple(b.arm_id for b in latency(simulate(experiment_of(3, seed=seed), device())))
        for seed in range(6)
    }
    assert len(orders) > 1


# ---------------------------------------------------------------- looks


def test_a_clear_difference_ends_at_the_first_look() -> None:
    run = simulate(experiment_of(2), device(arm_1=0.1))
    assert len(rounds_of(run)) == 8
    assert decide(log_ratios(run.experiment, run.blocks, "arm-1"), run.experiment.rule) is (
        Verdict.SLOWER
    )


def test_one_open_comparison_keeps_all_arms_going_to_its_look() -> None:
    noise = replace(QUIET, process=0.02)
    run = simulate(experiment_of(4), device(3, noise, arm_1=0.4, arm_2=0.4, arm_3=0.02))
    assert len(rounds_of(run)) > 8
    assert {len(members) for members in rounds_of(run).values()} == {4}


def test_noise_ends_at_the_last_look_undecided() -> None:
    run = simulate(experiment_of(2), device(7, LOUD))
    assert len(rounds_of(run)) == 24
    done = next_block(run.experiment, run.blocks)
    assert isinstance(done, Done)
    assert "undecided: arm-1" in done.reason


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), effect=st.sampled_from([0.0, 0.01, 0.03]))
def test_the_rounds_end_at_the_first_look_that_decides(seed: int, effect: float) -> None:
    experiment = experiment_of(2, seed=seed)
    run = simulate(experiment, device(seed, Noise(samples=5), arm_1=effect))
    ratios = log_ratios(experiment, run.blocks, "arm-1")
    verdicts = {look: decide(ratios[:look], experiment.rule) for look in experiment.rule.looks}
    decided = [look for look, v in verdicts.items() if v is not Verdict.INCONCLUSIVE]
    assert len(ratios) == (decided[0] if decided else 24)


def test_one_arm_is_measured_without_comparison_to_its_first_look() -> None:
    run = simulate(experiment_of(1), device())
    assert len(rounds_of(run)) == 8
    done = next_block(run.experiment, run.blocks)
    assert isinstance(done, Done)
    assert "no other arm" in done.reason


def test_counts_of_zero_are_left_out() -> None:
    counts = BlockCounts(parity=0, profile=0, memory=0, cold_start=0)
    run = simulate(experiment_of(2, counts=counts), device())
    assert {block.purpose for block in run.blocks} == {Purpose.LATENCY}


# ---------------------------------------------------------------- disturbed rounds


def disturb(run_rounds: set[int], attempts: int) -> Callable[[Block], Block]:
    def change(block: Block) -> Block:
        hit = (
            block.purpose is Purpose.LATENCY
            and block.round_index in run_rounds
            and block.attempt < attempts
            and block.arm_id == "arm-1"
        )
        return replace(block, disturbances=("throttled",)) if hit else block

    return change


def attempts_of(run: Run) -> dict[int, int]:
    return Counter(index for index, _ in rounds_of(run))


def test_a_disturbed_round_is_repeated_at_once_in_its_own_order() -> None:
    run = simulate(experiment_of(2), device(), disturb({3}, 1))
    rounds = rounds_of(run)
    assert attempts_of(run) == {**dict.fromkeys(range(8), 1), 3: 2}
    assert rounds[3, 0] == rounds[3, 1]
    keys = list(rounds)
    assert keys.index((3, 1)) == keys.index((3, 0)) + 1


def test_a_round_is_repeated_at_most_as_often_as_the_rule_says() -> None:
    run = simulate(experiment_of(2), device(), disturb({2}, 99))
    assert attempts_of(run)[2] == 3
    rule = replace(experiment_of(2).rule, extra_attempts=0)
    run = simulate(experiment_of(2, rule=rule), device(), disturb({2}, 99))
    assert attempts_of(run)[2] == 1


def test_a_machine_that_is_always_disturbed_is_not_measured_three_times() -> None:
    run = simulate(experiment_of(2), device(), disturb(set(range(24)), 99))
    assert attempts_of(run) == {**dict.fromkeys(range(8), 1), 0: 3, 1: 3}


def test_disturbed_attempts_count_in_one_view_and_not_in_the_other() -> None:
    arm, base = make_arm("arm-1"), make_arm("arm-0")
    experiment = make_experiment([base, arm])
    blocks = [
        latency_block(base, 0, [100]),
        latency_block(arm, 0, [400], disturbances=("throttled",)),
        latency_block(base, 0, [100], attempt=1),
        latency_block(arm, 0, [100], attempt=1),
        latency_block(base, 1, [100]),
        latency_block(arm, 1, [200]),
        latency_block(base, 2, [100]),
    ]
    both = log_ratios(experiment, blocks, "arm-1")
    calm = log_ratios(experiment, blocks, "arm-1", include_disturbed=False)
    assert both == pytest.approx((math.log(4) / 2, math.log(2)))
    assert calm == pytest.approx((0.0, math.log(2)))
    assert block_medians(experiment, blocks, "arm-1") == pytest.approx({0: 200, 1: 200})
    assert complete_rounds(experiment, blocks) == 2


# ---------------------------------------------------------------- crashes and exclusions


def answering(bad: str, purpose: Purpose, times: int = 99) -> Callable[[Block], Block]:
    """Let blocks of one arm and purpose die."""
    left = times

    def change(block: Block) -> Block:
        nonlocal left
        if block.arm_id == bad and block.purpose is purpose and left:
            left -= 1
            return died_block(make_arm(bad), purpose, block.round_index, attempt=block.attempt)
        return block

    return change


@pytest.mark.parametrize("purpose", [Purpose.PARITY, Purpose.PROFILE])
def test_an_arm_that_dies_before_the_rounds_is_never_timed(purpose: Purpose) -> None:
    run = simulate(experiment_of(3), device(), answering("arm-2", purpose))
    assert "arm-2" not in {block.arm_id for block in run.blocks if block.purpose in MEASURED}
    assert "SIGSEGV" in exclusions(run.experiment, run.blocks)["arm-2"]
    assert complete_rounds(run.experiment, run.blocks) >= 6


def test_an_arm_out_of_tolerance_is_never_timed_not_even_profiled() -> None:
    def change(block: Block) -> Block:
        if block.arm_id == "arm-1" and block.purpose is Purpose.PARITY:
            return side_block(make_arm("arm-1"), Purpose.PARITY, parity=ParityStatus.FAILED)
        return block

    run = simulate(experiment_of(3), device(), change)
    assert {b.purpose for b in run.blocks if b.arm_id == "arm-1"} == {Purpose.PARITY}
    assert "tolerance" in exclusions(run.experiment, run.blocks)["arm-1"]


def test_one_crash_leaves_a_hole_and_the_round_is_not_repeated() -> None:
    run = simulate(experiment_of(2), device(), answering("arm-1", Purpose.LATENCY, times=1))
    assert attempts_of(run) == dict.fromkeys(range(8), 1)
    assert len(log_ratios(run.experiment, run.blocks, "arm-1")) == 7
    assert exclusions(run.experiment, run.blocks) == {}


@pytest.mark.parametrize("purpose", MEASURED)
def test_an_arm_that_keeps_crashing_is_given_up_after_two(purpose: Purpose) -> None:
    experiment = experiment_of(3, counts=BlockCounts(memory=4, cold_start=4))
    run = simulate(experiment, device(), answering("arm-2", purpose))
    died = [block for block in run.blocks if block.death]
    assert len(died) == 2
    assert "2 of its blocks failed" in exclusions(experiment, run.blocks)["arm-2"]
    last_death = run.blocks.index(died[-1])
    assert "arm-2" not in {block.arm_id for block in run.blocks[last_death + 1 :]}
    assert {b.arm_id for b in run.blocks if b.purpose is Purpose.COLD_START} >= {"arm-0", "arm-1"}


def test_without_its_baseline_an_experiment_describes_and_compares_nothing() -> None:
    run = simulate(experiment_of(3), device(noise=LOUD), answering("arm-0", Purpose.PARITY))
    assert len(rounds_of(run)) == 6
    done = next_block(run.experiment, run.blocks)
    assert isinstance(done, Done)
    assert "baseline arm-0 is out" in done.reason


def test_nothing_is_measured_when_every_arm_is_out() -> None:
    def change(block: Block) -> Block:
        return died_block(
            make_arm(block.arm_id), block.purpose, block.round_index, attempt=block.attempt
        )

    run = simulate(experiment_of(3), device(), change)
    assert len(run.blocks) == 6  # each was tried twice
    done = next_block(run.experiment, run.blocks)
    assert isinstance(done, Done)
    assert "no arm can be measured" in done.reason


# ---------------------------------------------------------------- replay


def runtime_arm(replay: Replay, **changes: object) -> Arm:
    counts = {"ai.onnx:Conv": 6, "ai.onnx:Relu": 6, "ai.onnx:Softmax": 1}
    return make_arm(
        f"runtime-{replay}",
        **{
            "style": OptimizationStyle.RUNTIME,
            "saved_optimization_count": 6,
            "replay": replay,
            "operator_counts": counts,
            **changes,
        },
    )


def ran(provider: str = CPU, /, **counts: int) -> tuple[ExecutedOperator, ...]:
    return tuple(
        ExecutedOperator(provider=provider, operator=name, count=count)
        for name, count in counts.items()
    )


REPLAYED = ran(FusedConv=6, Softmax=1)
PLAIN = ran(Conv=6, Relu=6, Softmax=1)


@pytest.mark.parametrize(
    ("executed", "proof", "agrees"),
    [
        (REPLAYED, ReplayProof.ON, {Replay.ON, Replay.DEFAULT}),
        (PLAIN, ReplayProof.OFF, {Replay.OFF, Replay.DEFAULT}),
        ((*PLAIN, *ran(Transpose=2, Cast=1)), ReplayProof.OFF, {Replay.OFF, Replay.DEFAULT}),
        ((), ReplayProof.UNKNOWN, {Replay.DEFAULT}),
    ],
)
def test_replay_is_what_executed(
    executed: tuple[ExecutedOperator, ...], proof: ReplayProof, agrees: set[Replay]
) -> None:
    for replay in Replay:
        arm = runtime_arm(replay)
        assert prove_replay(arm, executed) is proof
        assert replay_as_asked(arm, executed) is (replay in agrees)


def test_fused_operators_of_the_model_itself_prove_nothing() -> None:
    arm = runtime_arm(Replay.ON, operator_counts={"com.microsoft:FusedConv": 2, "ai.onnx:Conv": 4})
    assert prove_replay(arm, ran(FusedConv=2, Conv=4)) is ReplayProof.OFF
    assert prove_replay(arm, ran(FusedConv=6)) is ReplayProof.ON


def test_dropped_quantization_pairs_prove_replay_unless_branches_hide_them() -> None:
    counts = {"ai.onnx:QuantizeLinear": 3, "ai.onnx:DequantizeLinear": 3, "ai.onnx:MaxPool": 1}
    arm = runtime_arm(Replay.ON, operator_counts=counts)
    executed = ran(QuantizeLinear=1, DequantizeLinear=1, MaxPool=1)
    assert prove_replay(arm, executed) is ReplayProof.ON
    hidden = runtime_arm(Replay.ON, operator_counts={**counts, "ai.onnx:If": 1})
    assert prove_replay(hidden, executed) is ReplayProof.OFF


def test_another_provider_that_took_the_nodes_leaves_replay_open() -> None:
    executed = (*ran(Softmax=1), *ran("XnnpackExecutionProvider", Conv=6))
    assert prove_replay(runtime_arm(Replay.ON), executed) is ReplayProof.UNKNOWN
    assert replay_as_asked(runtime_arm(Replay.ON), executed)
    assert prove_replay(runtime_arm(Replay.OFF), executed) is ReplayProof.OFF


def test_replay_is_no_question_without_records_or_in_another_style() -> None:
    fixed = make_arm("fixed", style=OptimizationStyle.FIXED)
    assert prove_replay(fixed, REPLAYED) is ReplayProof.NOT_APPLICABLE
    empty = runtime_arm(Replay.ON, saved_optimization_count=0)
    assert prove_replay(empty, PLAIN) is ReplayProof.NOT_APPLICABLE
    assert replay_as_asked(empty, PLAIN)


@pytest.mark.parametrize(("replay", "executed"), [(Replay.ON, PLAIN), (Replay.OFF, REPLAYED)])
def test_an_arm_whose_replay_is_not_as_asked_is_not_timed(
    replay: Replay, executed: tuple[ExecutedOperator, ...]
) -> None:
    arm = runtime_arm(replay)
    experiment = make_experiment([make_arm("onnx"), arm])

    def change(block: Block) -> Block:
        if block.arm_id == arm.arm_id and block.purpose is Purpose.PROFILE:
            return replace(block, executed=executed)
        return block

    run = simulate(experiment, device(), change)
    purposes = {block.purpose for block in run.blocks if block.arm_id == arm.arm_id}
    assert purposes == {Purpose.PARITY, Purpose.PROFILE}
    assert f"asks for replay {replay}" in exclusions(experiment, run.blocks)[arm.arm_id]


# ---------------------------------------------------------------- figures


def test_false_alarms_and_power_are_those_of_the_method() -> None:
    """100 experiments each; the full simulations stand under `benchmarks/`."""
    looks = (8, 12, 16, 24)
    rule: StoppingRule = make_rule(looks=looks, look_alpha=0.0182, floor=None)
    counts = BlockCounts(parity=0, profile=0, memory=0, cold_start=0)

    def claims(effect: float) -> int:
        found = 0
        for seed in range(100):
            experiment = experiment_of(2, seed=seed, rule=rule, counts=counts)
            run = simulate(experiment, device(seed, Noise(), arm_1=effect))
            verdict = decide(log_ratios(experiment, run.blocks, "arm-1"), rule)
            found += verdict in (Verdict.FASTER, Verdict.SLOWER)
        return found

    assert claims(0.0) <= 12  # 5 expected; more than 12 in one of 700 sets of seeds
    assert claims(0.03) >= 95


def test_progress_tells_the_rounds_and_the_time_left() -> None:
    experiment = experiment_of(2)
    run = simulate(experiment, device(arm_1=0.1))
    seen = []
    for length in range(len(run.blocks)):
        step = next_block(experiment, run.blocks[:length])
        assert isinstance(step, NextBlock)
        seen.append(progress_of(experiment, run.blocks[:length], step, "x"))
    in_rounds = [p for p in seen if p.step and p.step.purpose is Purpose.LATENCY]
    assert [p.rounds_done for p in in_rounds] == [index // 2 for index in range(16)]
    assert {p.next_look for p in in_rounds} == {8}
    assert all(p.least_s < p.most_s for p in in_rounds)
    assert seen[-1].next_look is None
    assert seen[-1].least_s == seen[-1].most_s == pytest.approx(3.3)
    end = progress_of(experiment, run.blocks, None, "done")
    assert (end.rounds_done, end.least_s, end.most_s) == (8, 0.0, 0.0)
