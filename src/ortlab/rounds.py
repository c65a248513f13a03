"""Blocks to rounds: per-round log ratios, and which arms of a run may be used at all.

A round is one block of each arm. A disturbed round is repeated as another **attempt** of the same
round and nothing of it is thrown away: a round's log ratio is the mean over its attempts, so that
the number of rounds stays the planned one. Leaving disturbed attempts out is the second view,
shown beside the first: it favours an arm that brings the disturbance about itself.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ortlab.domain import Arm, Block, Experiment, Outcome, ParityStatus
from ortlab.replay import prove_replay, replay_as_asked
from ortlab.statistics import median
from ortlab.wire import Purpose

MOST_CRASHES = 2
"""Failed or died blocks after which an arm gets no more blocks."""

_REPEATED = frozenset({Purpose.LATENCY, Purpose.MEMORY, Purpose.COLD_START})

AttemptKey = tuple[int, int]


def median_ns(block: Block) -> float | None:
    """Return a block's median latency in nanoseconds; None unless it measured one above 0."""
    if block.outcome is not Outcome.OK or block.result is None:
        return None
    measured = block.result.timing.measured_ns
    value = median(measured) if measured else 0.0
    return value if value > 0 else None


def disturbed_attempts(blocks: Iterable[Block]) -> frozenset[AttemptKey]:
    """Return the attempts, as (round, attempt), in which any latency block was disturbed."""
    return frozenset(
        (block.round_index, block.attempt)
        for block in blocks
        if block.purpose is Purpose.LATENCY and block.disturbances
    )


def log_ratios(
    experiment: Experiment,
    blocks: Sequence[Block],
    arm_id: str,
    *,
    include_disturbed: bool = True,
) -> tuple[float, ...]:
    """Return ``ln(arm ÷ baseline)`` of block medians, one for each round that has both.

    Args:
        experiment: Names the baseline.
        blocks: Of the run, any purpose and order.
        arm_id: The arm.
        include_disturbed: Whether disturbed attempts count.
    """
    arm = _attempt_medians(blocks, arm_id, include_disturbed=include_disturbed)
    base = _attempt_medians(blocks, experiment.baseline, include_disturbed=include_disturbed)
    by_round: dict[int, list[float]] = defaultdict(list)
    for key in sorted(arm.keys() & base.keys()):
        by_round[key[0]].append(math.log(arm[key] / base[key]))
    return tuple(math.fsum(values) / len(values) for values in by_round.values())


def block_medians(
    experiment: Experiment,  # noqa: ARG001 - the same arguments as log_ratios
    blocks: Sequence[Block],
    arm_id: str,
    *,
    include_disturbed: bool = True,
) -> Mapping[int, float]:
    """Return round to median latency in nanoseconds; attempts count as their geometric mean."""
    by_round: dict[int, list[float]] = defaultdict(list)
    medians = _attempt_medians(blocks, arm_id, include_disturbed=include_disturbed)
    for key in sorted(medians):
        by_round[key[0]].append(math.log(medians[key]))
    return {index: math.exp(math.fsum(logs) / len(logs)) for index, logs in by_round.items()}


def _attempt_medians(
    blocks: Sequence[Block], arm_id: str, *, include_disturbed: bool
) -> dict[AttemptKey, float]:
    left_out = frozenset() if include_disturbed else disturbed_attempts(blocks)
    medians: dict[AttemptKey, float] = {}
    for block in blocks:
        if block.purpose is not Purpose.LATENCY or block.arm_id != arm_id:
            continue
        key = (block.round_index, block.attempt)
        if key not in left_out and (value := median_ns(block)) is not None:
            medians[key] = value
    return medians


def complete_rounds(experiment: Experiment, blocks: Sequence[Block]) -> int:
    """Return the rounds in which every arm that is not excluded has a latency median."""
    out = exclusions(experiment, blocks)
    present = [
        set(block_medians(experiment, blocks, arm.arm_id))
        for arm in experiment.arms
        if arm.arm_id not in out
    ]
    return len(set.intersection(*present)) if present else 0


def exclusions(experiment: Experiment, blocks: Iterable[Block]) -> dict[str, str]:
    """Return the arms that get no further blocks, each with the reason in a sentence.

    An arm is excluded when its parity or profile block failed, or died twice, when its outputs
    are out of tolerance, when the executed operators contradict the replay it asks for, and after
    ``MOST_CRASHES`` failed latency, memory or cold-start blocks.
    """
    arms = {arm.arm_id: arm for arm in experiment.arms}
    reasons: dict[str, str] = {}
    crashes: Counter[str] = Counter()
    for block in blocks:
        arm = arms.get(block.arm_id)
        if arm is None:
            continue
        if block.outcome is not Outcome.OK and block.purpose in _REPEATED:
            crashes[arm.arm_id] += 1
        reason = _exclusion(arm, block, crashes[arm.arm_id])
        if reason:
            reasons.setdefault(arm.arm_id, reason)
    return reasons


def is_tried_again(block: Block) -> bool:
    """Whether a parity or profile block ended in a way that another attempt may not.

    A system that ends an app, a cable, a damaged file or an app that hung happen once; a failure
    that the runner told will be told again.
    """
    return block.purpose not in _REPEATED and block.attempt == 0 and block.death is not None


def _exclusion(arm: Arm, block: Block, crashes: int) -> str:
    if is_tried_again(block):
        return ""
    if block.outcome is not Outcome.OK:
        what = f"{block.purpose.replace('_', '-')} block {block.outcome}: {failure_text(block)}"
        if block.purpose not in _REPEATED:
            return f"its {what}"
        return f"{crashes} of its blocks failed, the last a {what}" * (crashes >= MOST_CRASHES)
    if block.parity is not None and block.parity.status is ParityStatus.FAILED:
        return f"its outputs are out of tolerance: {block.parity.reason}"
    if block.purpose is Purpose.PROFILE and not replay_as_asked(arm, block.executed):
        proof = prove_replay(arm, block.executed)
        return f"it asks for replay {arm.replay}, but the executed operators say {proof}"
    return ""


def failure_text(block: Block) -> str:
    """Return why a block failed or died, in the runner's or the device's words."""
    if block.death is not None:
        return block.death.message
    if block.result is not None and block.result.failure is not None:
        return block.result.failure.message
    return "no reason was recorded"
