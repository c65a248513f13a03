"""Where a run stands and how long it will still take, from the blocks on record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ortlab.domain import Block, Experiment
from ortlab.rounds import exclusions
from ortlab.schedule import NextBlock, rounds_done
from ortlab.wire import Purpose

_START_S: Final = 0.5
_MEMORY_S: Final = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """Where a run stands before its next block.

    Attributes:
        experiment_id: Of the run.
        step: The block that begins; None when nothing is left to run.
        blocks_done: Blocks on record.
        rounds_done: Latency rounds that are over.
        next_look: Round after which the data are looked at next; None when the rounds are over.
        last_look: Round after which the experiment ends at the latest.
        least_s: Time left if the next look decides everything.
        most_s: Time left if only the last look does.
        message: For people.
    """

    experiment_id: str
    step: NextBlock | None
    blocks_done: int
    rounds_done: int
    next_look: int | None
    last_look: int
    least_s: float
    most_s: float
    message: str


def progress_of(
    experiment: Experiment, blocks: Sequence[Block], step: NextBlock | None, message: str
) -> RunProgress:
    """Return where a run stands; times come from its own blocks where it has some."""
    rounds = rounds_done(experiment, blocks)
    last_look = experiment.rule.looks[-1]
    over = step is None or step.purpose in (Purpose.MEMORY, Purpose.COLD_START)
    next_look = None if over else next((x for x in experiment.rule.looks if x > rounds), last_look)
    rest_s = 0.0 if step is None else _rest_s(experiment, blocks)
    round_s = _round_s(experiment, blocks)
    least = (next_look - rounds) * round_s if next_look is not None else 0.0
    most = (last_look - rounds) * round_s if next_look is not None else 0.0
    return RunProgress(
        experiment_id=experiment.experiment_id,
        step=step,
        blocks_done=len(blocks),
        rounds_done=rounds,
        next_look=next_look,
        last_look=last_look,
        least_s=max(0.0, least) + rest_s,
        most_s=max(0.0, most) + rest_s,
        message=message,
    )


def _round_s(experiment: Experiment, blocks: Sequence[Block]) -> float:
    active = len(experiment.arms) - len(exclusions(experiment, blocks))
    return active * _block_s(experiment, blocks, Purpose.LATENCY)


def _rest_s(experiment: Experiment, blocks: Sequence[Block]) -> float:
    """Return the time of the blocks beside the rounds that are still to come."""
    out = exclusions(experiment, blocks)
    counts = experiment.counts
    planned = {
        Purpose.PARITY: counts.parity,
        Purpose.PROFILE: counts.profile,
        Purpose.MEMORY: counts.memory,
        Purpose.COLD_START: counts.cold_start,
    }
    left_s = 0.0
    for purpose, count in planned.items():
        for arm in experiment.arms:
            if arm.arm_id in out:
                continue
            done = sum(b.purpose is purpose and b.arm_id == arm.arm_id for b in blocks)
            left_s += max(0, count - done) * _block_s(experiment, blocks, purpose)
    return left_s


def _block_s(experiment: Experiment, blocks: Sequence[Block], purpose: Purpose) -> float:
    durations: dict[Purpose, list[float]] = defaultdict(list)
    for block in blocks:
        durations[block.purpose].append(block.duration_s)
    if durations[purpose]:
        return sum(durations[purpose]) / len(durations[purpose])
    if purpose is Purpose.LATENCY:
        measured_ns = experiment.stop.min_ns + experiment.warm_up.min_ns
        return _START_S + measured_ns / 1e9
    return _MEMORY_S if purpose is Purpose.MEMORY else _START_S
