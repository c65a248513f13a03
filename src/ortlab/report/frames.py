"""Tidy tables of a run: samples, blocks, memory, operators.

One row an observation. `samples` has a million rows easily, so its text columns are categories and
nothing loops over single samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ortlab.domain import Block, Outcome, Run
from ortlab.text import encodable
from ortlab.wire import BrowserFacts, Conditions, Purpose, Timing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

WARM_UP, MEASURED = "warm-up", "measured"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockSamples:
    """A block's samples as arrays of int64 nanoseconds."""

    block: Block
    warm_up_ns: NDArray[np.int64]
    measured_ns: NDArray[np.int64]


def block_samples(run: Run) -> tuple[BlockSamples, ...]:
    """Return the samples of every block that has any, in the order they were recorded."""
    import numpy as np

    found = []
    for block in run.blocks:
        timing = block.result.timing if block.result else Timing()
        if timing.warm_up_ns or timing.measured_ns:
            found.append(
                BlockSamples(
                    block=block,
                    warm_up_ns=np.asarray(timing.warm_up_ns, dtype=np.int64),
                    measured_ns=np.asarray(timing.measured_ns, dtype=np.int64),
                )
            )
    return tuple(found)


def samples_frame(run: Run, samples: Sequence[BlockSamples] | None = None) -> pd.DataFrame:
    """Return one row a sample: run, arm, purpose, block, round, index, phase, latency_ns.

    ``round`` and ``index`` count from 0; ``index`` counts within the block's phase. The first run
    of a block is no sample; `blocks_frame` has it.
    """
    import numpy as np
    import pandas as pd

    parts = [
        (item.block, phase, values)
        for item in (block_samples(run) if samples is None else samples)
        for phase, values in enumerate((item.warm_up_ns, item.measured_ns))
        if len(values)
    ]
    lengths = np.asarray([len(values) for _, _, values in parts], dtype=np.int64)

    def text(values: list[str]) -> pd.Categorical:
        codes, names = pd.factorize(np.asarray([encodable(v) for v in values], dtype=object))
        return pd.Categorical.from_codes(np.repeat(codes, lengths), pd.Index(names, dtype=object))

    def joined(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)

    rounds = np.asarray([block.round_index for block, _, _ in parts], dtype=np.int32)
    return pd.DataFrame(
        {
            "run": text([run.experiment.experiment_id] * len(parts)),
            "arm": text([block.arm_id for block, _, _ in parts]),
            "purpose": text([str(block.purpose) for block, _, _ in parts]),
            "block": text([block.block_id for block, _, _ in parts]),
            "round": np.repeat(rounds, lengths),
            "index": joined([np.arange(len(values)) for _, _, values in parts]).astype(np.int32),
            "phase": text([(WARM_UP, MEASURED)[phase] for _, phase, _ in parts]),
            "latency_ns": joined([values for _, _, values in parts]),
        },
        copy=False,
    )


def blocks_frame(run: Run, samples: Sequence[BlockSamples] | None = None) -> pd.DataFrame:
    """Return one row a block, with its durations, conditions and outcome; unknowns are empty.

    Runs in which a page told of its browser have columns for that, too.
    """
    by_id = {
        item.block.block_id: item for item in (block_samples(run) if samples is None else samples)
    }
    rows = [_block_row(run, block, by_id.get(block.block_id)) for block in run.blocks]
    if any(block.result and block.result.browser for block in run.blocks):
        for row, block in zip(rows, run.blocks, strict=True):
            row.update(_browser_row(block))
    return _frame(rows)


def memory_frame(run: Run) -> pd.DataFrame:
    """Return one row a memory figure, in bytes."""
    return _frame(
        [
            {
                "run": run.experiment.experiment_id,
                "arm": block.arm_id,
                "block": block.block_id,
                "round": block.round_index,
                "metric": point.metric,
                "kind": str(point.kind),
                "scope": point.scope,
                "phase": str(point.phase),
                "size_bytes": point.size_bytes,
            }
            for block in run.blocks
            if block.result
            for point in block.result.memory
        ]
    )


def operators_frame(run: Run) -> pd.DataFrame:
    """Return one row an executed operator of a profile block."""
    return _frame(
        [
            {
                "run": run.experiment.experiment_id,
                "arm": block.arm_id,
                "block": block.block_id,
                "provider": item.provider,
                "operator": item.operator,
                "count": item.count,
            }
            for block in run.blocks
            if block.purpose is Purpose.PROFILE
            for item in block.executed
        ]
    )


def _block_row(run: Run, block: Block, samples: BlockSamples | None) -> dict[str, Any]:
    import numpy as np

    result, death = block.result, block.death
    timing = result.timing if result else Timing()
    failure = result.failure if result else None
    measured = samples.measured_ns if samples is not None else np.empty(0, dtype=np.int64)
    before = (result.conditions_before if result else None) or Conditions()
    after = (result.conditions_after if result else None) or Conditions()
    arm = run.experiment.arm(block.arm_id)
    return {
        "run": run.experiment.experiment_id,
        "arm": block.arm_id,
        "variant": arm.variant_id,
        "style": str(arm.style),
        "precision": str(arm.precision),
        "purpose": str(block.purpose),
        "block": block.block_id,
        "round": block.round_index,
        "attempt": block.attempt,
        "outcome": str(block.outcome),
        "failure_stage": str(failure.stage) if failure else None,
        "failure_kind": str(failure.kind) if failure else str(death.kind) if death else None,
        "failure_message": failure.message if failure else death.message if death else None,
        "disturbances": "; ".join(block.disturbances),
        "ort_version": result.runtime.ort_version if result and result.runtime else None,
        "session": block.session_id,
        "started_at": block.started_at,
        "duration_s": block.duration_s,
        "environment_ns": timing.environment_ns,
        "load_model_ns": timing.load_model_ns,
        "session_creation_ns": timing.session_creation_ns,
        "first_run_ns": timing.first_run_ns,
        "close_ns": timing.close_ns,
        "warm_up_count": len(timing.warm_up_ns),
        "warm_up_converged": timing.warm_up_converged,
        "measured_count": len(timing.measured_ns),
        "stop_reason": str(timing.stop_reason) if timing.stop_reason else None,
        "median_ns": float(np.median(measured)) if len(measured) else None,
        "p90_ns": float(np.percentile(measured, 90)) if len(measured) else None,
        "mean_ns": float(np.mean(measured)) if len(measured) else None,
        "minimum_ns": int(measured.min()) if len(measured) else None,
        "maximum_ns": int(measured.max()) if len(measured) else None,
        "temperature_before_c": before.temperature_c,
        "temperature_after_c": after.temperature_c,
        "thermal_status_after": after.thermal_status,
        "battery_percent_before": before.battery_percent,
        "busy_fraction_before": before.busy_fraction,
        "cpu_governor_before": before.cpu_governor,
    }


def _browser_row(block: Block) -> dict[str, Any]:
    told = block.result.browser if block.result else None
    return {field.name: getattr(told, field.name, None) for field in fields(BrowserFacts)}


_WHOLE = frozenset(
    {
        "round",
        "attempt",
        "environment_ns",
        "load_model_ns",
        "session_creation_ns",
        "first_run_ns",
        "close_ns",
        "warm_up_count",
        "measured_count",
        "minimum_ns",
        "maximum_ns",
        "size_bytes",
        "count",
        "clock_step_ns",
        "threads_asked",
        "threads_got",
    }
)
_REAL = frozenset(
    {
        "duration_s",
        "median_ns",
        "p90_ns",
        "mean_ns",
        "temperature_before_c",
        "temperature_after_c",
        "battery_percent_before",
        "busy_fraction_before",
    }
)
_TRUTH = frozenset({"warm_up_converged", "cross_origin_isolated", "adapter_is_fallback", "visible"})


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Give columns one type each, whether or not any row fills them."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if name in _WHOLE:
            columns[name] = pd.array(values, dtype="Int64")
        elif name in _REAL:
            columns[name] = pd.array(values, dtype="Float64")
        elif name in _TRUTH:
            columns[name] = pd.array(values, dtype="boolean")
        else:
            safe = [None if value is None else encodable(value) for value in values]
            columns[name] = pd.Series(safe, dtype="object").astype("category")
    return pd.DataFrame(columns)


def good_latency_samples(samples: Sequence[BlockSamples]) -> tuple[BlockSamples, ...]:
    """Return those of latency blocks that succeeded and measured something."""
    return tuple(
        item
        for item in samples
        if item.block.purpose is Purpose.LATENCY
        and item.block.outcome is Outcome.OK
        and len(item.measured_ns)
    )
