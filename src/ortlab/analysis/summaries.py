"""What was observed of each arm, without judging it.

Percentiles describe pooled samples; verdicts use block medians (`verdicts.py`). No sample is ever
dropped: outliers are counted, and that is all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from ortlab.domain import (
    Arm,
    ArmSummary,
    Block,
    ColdStartSummary,
    LatencySummary,
    MemorySummary,
    Outcome,
    Parity,
    ParityStatus,
    Run,
)
from ortlab.replay import prove_replay, replay_as_asked
from ortlab.statistics import median, percentile, tukey_outlier_count
from ortlab.wire import Purpose, Timing

P99_MIN_SAMPLES = 1_000


def summarize_arm(run: Run, arm: Arm) -> ArmSummary:
    """Return what a run says of one arm."""
    blocks = [block for block in run.blocks if block.arm_id == arm.arm_id]
    good = [block for block in blocks if block.outcome is Outcome.OK and block.result is not None]
    by_purpose = {p: [block for block in good if block.purpose is p] for p in Purpose}
    executed = next((b.executed for b in by_purpose[Purpose.PROFILE] if b.executed), ())
    profiled = any(block.purpose is Purpose.PROFILE for block in blocks)
    return ArmSummary(
        arm_id=arm.arm_id,
        ort_version=_ort_version(good),
        latency=summarize_latency(by_purpose[Purpose.LATENCY]),
        cold_start=summarize_cold_start(by_purpose[Purpose.COLD_START]),
        memory=summarize_memory(by_purpose[Purpose.MEMORY]),
        executed=executed,
        registered_providers=_registered(good),
        replay=prove_replay(arm, executed),
        replay_as_asked=not profiled or replay_as_asked(arm, executed),
        parity=_worst_parity(blocks),
        failures=tuple(describe_failure(block) for block in blocks if _failed(block)),
    )


def summarize_latency(blocks: Sequence[Block]) -> LatencySummary | None:
    """Summarize successful latency blocks; None without a sample."""
    timings = [timing for timing in _timings(blocks) if timing.measured_ns]
    if not timings:
        return None
    pooled = list(chain.from_iterable(timing.measured_ns for timing in timings))
    middle = median([median(timing.measured_ns) for timing in timings])
    return LatencySummary(
        block_count=len(timings),
        sample_count=len(pooled),
        median_ns=middle,
        p90_ns=percentile(pooled, 90),
        p99_ns=percentile(pooled, 99) if len(pooled) >= P99_MIN_SAMPLES else None,
        minimum_ns=float(min(pooled)),
        throughput_per_s=1e9 / middle if middle > 0 else 0.0,
        outlier_count=sum(tukey_outlier_count(timing.measured_ns) for timing in timings),
        warm_up_converged_count=sum(timing.warm_up_converged is True for timing in timings),
    )


def summarize_cold_start(blocks: Sequence[Block]) -> ColdStartSummary | None:
    """Summarize successful cold-start blocks; None without one."""
    timings = _timings(blocks)
    if not timings:
        return None
    return ColdStartSummary(
        block_count=len(timings),
        environment_ns=_median_of(timing.environment_ns for timing in timings),
        session_creation_ns=_median_of(
            timing.session_creation_ns + (timing.load_model_ns or 0)
            for timing in timings
            if timing.session_creation_ns is not None
        ),
        first_run_ns=_median_of(timing.first_run_ns for timing in timings),
    )


def summarize_memory(blocks: Sequence[Block]) -> tuple[MemorySummary, ...]:
    """Return the median of each memory figure over the blocks, in the order they were read."""
    sizes: dict[tuple[str, str, str, str], list[float]] = {}
    for block in blocks:
        for point in block.result.memory if block.result else ():
            key = (point.metric, str(point.kind), point.scope, str(point.phase))
            sizes.setdefault(key, []).append(float(point.size_bytes))
    return tuple(
        MemorySummary(
            metric=metric,
            kind=kind,
            scope=scope,
            phase=phase,
            size_bytes=median(values),
            block_count=len(values),
        )
        for (metric, kind, scope, phase), values in sizes.items()
    )


def describe_failure(block: Block) -> str:
    """Return what became of a block that gave no result, in a sentence."""
    place = f"{block.purpose} block {block.block_id}"
    if block.death is not None:
        last = f" after {block.death.last_stage}" if block.death.last_stage else ""
        return f"{place} died ({block.death.kind}){last}: {block.death.message}"
    failure = block.result.failure if block.result else None
    if failure is not None:
        return f"{place} failed in {failure.stage} ({failure.kind}): {failure.message}"
    return f"{place} {block.outcome}"


def _failed(block: Block) -> bool:
    return block.outcome is not Outcome.OK


def _timings(blocks: Iterable[Block]) -> list[Timing]:
    return [block.result.timing for block in blocks if block.result is not None]


def _median_of(values: Iterable[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _ort_version(blocks: Sequence[Block]) -> str | None:
    """Return the version that ran; several in a row when an upgrade came between."""
    versions = [b.result.runtime.ort_version for b in blocks if b.result and b.result.runtime]
    return " and ".join(dict.fromkeys(version for version in versions if version)) or None


def _registered(blocks: Sequence[Block]) -> tuple[str, ...]:
    for block in blocks:
        if block.result is not None and block.result.registered_providers:
            return block.result.registered_providers
    return ()


def _worst_parity(blocks: Sequence[Block]) -> Parity | None:
    """Return the worst parity seen: one failure is enough."""
    order = (ParityStatus.FAILED, ParityStatus.NOT_CHECKED, ParityStatus.PASSED)
    seen = [block.parity for block in blocks if block.parity is not None]
    return min(seen, key=lambda parity: order.index(parity.status), default=None)
