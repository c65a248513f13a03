"""What is told of each arm: latency, cold start, memory, placement, sizes, recommendation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import simulated
from hypothesis import given
from hypothesis import strategies as st

from ortlab.analysis import analyze
from ortlab.analysis.summaries import summarize_latency
from ortlab.domain import (
    ArmSummary,
    Block,
    ExecutedOperator,
    Experiment,
    OptimizationStyle,
    Outcome,
    PartitionPrediction,
    Replay,
    ReplayProof,
    Run,
)
from ortlab.placement import compare_placement
from ortlab.wire import (
    Failure,
    FailureKind,
    MemoryKind,
    MemoryPhase,
    MemoryPoint,
    ProviderRequest,
    Purpose,
    Stage,
    Timing,
)

ARM = simulated.make_arm("arm")
NNAPI = "NnapiExecutionProvider"


def latency(samples: Sequence[Sequence[int]]) -> list[Block]:
    return [simulated.latency_block(ARM, index, block) for index, block in enumerate(samples)]


def summary_of(run: Run, arm_id: str) -> ArmSummary:
    return next(arm for arm in analyze(run, checks=False).arms if arm.arm_id == arm_id)


@given(
    st.lists(
        st.lists(st.integers(1_000, 10_000_000), min_size=1, max_size=60), min_size=1, max_size=8
    )
)
def test_latency_summary_agrees_with_numpy(samples: list[list[int]]) -> None:
    summary = summarize_latency(latency(samples))
    assert summary is not None
    pooled = np.concatenate(samples)
    assert summary.block_count == len(samples)
    assert summary.sample_count == len(pooled)
    assert summary.median_ns == pytest.approx(np.median([np.median(block) for block in samples]))
    assert summary.p90_ns == pytest.approx(np.percentile(pooled, 90))
    assert summary.minimum_ns == pooled.min()
    assert summary.throughput_per_s == pytest.approx(1e9 / summary.median_ns)
    assert summary.p99_ns is None


@pytest.mark.parametrize(("blocks", "given_p99"), [(33, False), (34, True)])
def test_p99_needs_a_thousand_samples(blocks: int, *, given_p99: bool) -> None:
    summary = summarize_latency(latency([range(1_000, 1_030)] * blocks))
    assert summary is not None
    assert summary.sample_count == 30 * blocks
    assert (summary.p99_ns is not None) is given_p99


def test_outliers_are_counted_and_kept() -> None:
    calm = [1_000_000 + index for index in range(30)]
    spiky = [*calm[:28], 9_000_000, 100]
    summary = summarize_latency(latency([calm, spiky]))
    assert summary is not None
    assert summary.outlier_count == 2
    assert summary.sample_count == 60
    assert summary.minimum_ns == 100


def test_failed_blocks_are_told_and_not_summed_up() -> None:
    experiment = simulated.make_experiment([ARM, simulated.make_arm("other")])
    run = simulated.run_with_ratios(experiment, {"other": [1.0] * 8})
    failed = simulated.latency_block(ARM, 8, [5] * 30)
    assert failed.result is not None
    failure = Failure(stage=Stage.MEASURE, kind=FailureKind.OUT_OF_MEMORY, message="bad alloc")
    failed = replace(failed, outcome=Outcome.FAILED, result=replace(failed.result, failure=failure))
    died = simulated.died_block(ARM, Purpose.MEMORY, 7)
    summary = summary_of(replace(run, blocks=(*run.blocks, failed, died)), "arm")
    assert summary.latency is not None
    assert summary.latency.block_count == 8
    assert summary.latency.minimum_ns > 5
    assert len(summary.failures) == 2
    assert "measure (out_of_memory): bad alloc" in summary.failures[0]
    assert "died (signal)" in summary.failures[1]


def test_cold_start_and_memory_are_medians_over_fresh_processes() -> None:
    experiment = simulated.make_experiment([ARM])
    blocks = []
    for index, size in enumerate((10, 30, 20)):
        cold = simulated.side_block(ARM, Purpose.COLD_START, index)
        timing = Timing(
            environment_ns=size, load_model_ns=5, session_creation_ns=2 * size, first_run_ns=size
        )
        assert cold.result is not None
        blocks.append(replace(cold, result=replace(cold.result, timing=timing)))
        memory = simulated.side_block(ARM, Purpose.MEMORY, index)
        point = MemoryPoint(
            metric="VmRSS",
            kind=MemoryKind.CURRENT,
            scope="process",
            phase=MemoryPhase.LOADED,
            size_bytes=size,
        )
        assert memory.result is not None
        blocks.append(replace(memory, result=replace(memory.result, memory=(point,))))
    summary = summary_of(simulated.make_run(experiment, blocks), "arm")
    assert summary.cold_start is not None
    assert summary.cold_start.block_count == 3
    assert summary.cold_start.environment_ns == 20
    assert summary.cold_start.session_creation_ns == 45
    assert summary.cold_start.first_run_ns == 20
    (memory_summary,) = summary.memory
    assert memory_summary.size_bytes == 20
    assert memory_summary.block_count == 3
    assert (memory_summary.metric, memory_summary.phase) == ("VmRSS", "loaded")


@pytest.mark.parametrize(
    ("executed", "proof"),
    [(simulated.REPLAYED, ReplayProof.ON), (simulated.NOT_REPLAYED, ReplayProof.OFF)],
)
def test_replay_is_proven_from_executed_operators(
    executed: tuple[ExecutedOperator, ...], proof: ReplayProof
) -> None:
    arm = replace(
        ARM, style=OptimizationStyle.RUNTIME, replay=Replay.ON, saved_optimization_count=24
    )
    block = simulated.side_block(arm, Purpose.PROFILE, executed=executed)
    summary = summary_of(simulated.make_run(simulated.make_experiment([arm]), [block]), "arm")
    assert summary.replay is proof
    assert summary.replay_as_asked is (proof is ReplayProof.ON)
    assert summary.executed == executed


# ------------------------------------------------------------------------------ placement


def test_placement_sets_what_was_asked_beside_what_ran() -> None:
    arm = replace(
        ARM,
        variant_id="onnx",
        providers=(ProviderRequest(name=NNAPI), ProviderRequest(name=simulated.CPU)),
    )
    experiment = simulated.make_experiment([arm])
    profile = simulated.side_block(arm, Purpose.PROFILE)
    run = simulated.make_run(experiment, [profile])
    rows = compare_placement(run, analyze(run).arms, None)
    assert [(row.provider, row.executed_node_count) for row in rows] == [
        (NNAPI, 0),
        (simulated.CPU, 35),
    ]
    assert rows[0].predicted_node_count is None
    assert "nothing ran" in rows[0].note
    assert rows[1].note == ""


def test_placement_names_a_provider_that_was_not_registered() -> None:
    arm = replace(ARM, providers=(ProviderRequest(name=NNAPI), ProviderRequest(name=simulated.CPU)))
    block = simulated.side_block(arm, Purpose.PROFILE)
    assert block.result is not None
    block = replace(block, result=replace(block.result, registered_providers=(simulated.CPU,)))
    run = simulated.make_run(simulated.make_experiment([arm]), [block])
    row = compare_placement(run, analyze(run).arms, None)[0]
    assert row.requested
    assert not row.registered
    assert "does not report it" in row.note


def test_prediction_of_the_arms_own_variant_is_used() -> None:
    arm = replace(
        ARM,
        variant_id="fixed-arm",
        providers=(ProviderRequest(name=NNAPI), ProviderRequest(name=simulated.CPU)),
    )
    run = simulated.make_run(
        simulated.make_experiment([arm]), [simulated.side_block(arm, Purpose.PROFILE)]
    )
    predictions = tuple(
        PartitionPrediction(
            provider="nnapi",
            variant_id=variant,
            node_count=40,
            supported_node_count=count,
            partition_count=2,
            unsupported_operators=(),
            stop_operators=(),
            suitability="MAYBE",
        )
        for variant, count in (("onnx", 30), ("fixed-arm", 31))
    )
    prepared = simulated.make_prepared(predictions=predictions)
    row = compare_placement(run, analyze(run).arms, prepared)[0]
    assert row.predicted_node_count == 31
    assert row.predicted_partition_count == 2
    assert "31 nodes were predicted" in row.note


# ------------------------------------------------------------------------------ recommendation


def steady(ratio: float, rounds: int = 8) -> list[float]:
    return [ratio * (1 + 0.001 * (index % 3 - 1)) for index in range(rounds)]


def wild() -> list[float]:
    return [1.0 + 0.1 * (index % 3 - 1) for index in range(24)]


def experiment_of(sizes: Mapping[str, int]) -> Experiment:
    return simulated.make_experiment(
        [simulated.make_arm(name, size_bytes=size) for name, size in sizes.items()]
    )


@pytest.mark.parametrize(
    ("sizes", "ratios", "expected", "word"),
    [
        ({"base": 10, "a": 9}, {"a": steady(0.9)}, "a", "faster"),
        ({"base": 10, "a": 9}, {"a": steady(1.1)}, "base", "nothing else"),
        ({"base": 10, "a": 9}, {"a": steady(1.0)}, "a", "no difference you could notice"),
        ({"base": 9, "a": 10}, {"a": steady(1.0)}, "base", "ship the smaller, base"),
        ({"base": 10, "a": 9}, {"a": wild()}, None, "could not be told"),
        (
            {"base": 10, "a": 30, "b": 20},
            {"a": steady(0.80), "b": steady(0.801)},
            "b",
            "no difference you could notice",
        ),
        ({"base": 10, "a": 30, "b": 2}, {"a": steady(0.8), "b": steady(0.9)}, "a", "faster"),
    ],
    ids=["faster", "slower", "smaller", "smaller base", "undecided", "two leaders", "leader"],
)
def test_recommendation(
    sizes: dict[str, int], ratios: dict[str, list[float]], expected: str | None, word: str
) -> None:
    experiment = experiment_of(sizes)
    analysis = analyze(simulated.run_with_ratios(experiment, ratios))
    assert analysis.finished
    assert analysis.recommendation.arm_id == expected
    style = experiment.arm(expected).style if expected else None
    assert analysis.recommendation.style is style
    assert word in analysis.recommendation.sentence
    if expected:
        assert any("File size" in line for line in analysis.recommendation.evidence)
        assert any("Peak memory" in line for line in analysis.recommendation.evidence)
        assert analysis.recommendation.sentence in analysis.headlines


def test_wrong_but_fast_arm_is_not_recommended() -> None:
    experiment = experiment_of({"base": 10, "wrong": 1, "right": 20})
    run = simulated.run_with_ratios(experiment, {"wrong": steady(0.5), "right": steady(0.9)})

    def change(block: Block) -> Block:
        if block.arm_id != "wrong" or block.parity is None:
            return block
        return replace(block, parity=None)

    analysis = analyze(replace(run, blocks=tuple(change(block) for block in run.blocks)))
    assert analysis.recommendation.arm_id == "right"
    assert any(line.startswith("Left out: wrong") for line in analysis.recommendation.evidence)
