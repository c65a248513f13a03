"""What the next block of an experiment is: pure, seeded, a function of the blocks on record.

Parity of each arm comes first, then its profile; arms that fail either are not timed. Then rounds
in balanced random order up to the next planned look, where every comparison is decided at the
look's alpha; the rounds end when all are decided or at the last look. Memory and cold-start blocks
follow. Resuming is asking again with what is on disk. Source: `docs/method.md`, "Planned looks".

A crash is data: a failed block is recorded and not repeated, its round is incomplete for that arm,
and after `rounds.MOST_CRASHES` failures the arm gets no more blocks. Only a parity or profile block
that died is tried once more, since the whole arm hangs on it. A disturbed round is repeated
at once, at most ``rule.extra_attempts`` times; when two rounds stayed disturbed through all their
attempts, the disturbance is a state of the machine rather than an event, and later rounds are
marked without being repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ortlab.domain import Block, Experiment, Verdict
from ortlab.rounds import disturbed_attempts, exclusions, is_tried_again, log_ratios
from ortlab.statistics import balanced_order, decide
from ortlab.wire import Purpose

GIVE_UP_REPEATING_AFTER: Final = 2
"""Rounds disturbed in all their attempts after which no further round is repeated."""

_SEED_OFFSET: Final = {Purpose.LATENCY: 0, Purpose.MEMORY: 1, Purpose.COLD_START: 2}

BlockKey = tuple[Purpose, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextBlock:
    """The block to run now.

    Attributes:
        block_id: Unique in the run and safe as a file name.
        arm_id: Of the experiment.
        purpose: Why it is run.
        round_index: From 0; for latency blocks, else the repetition.
        attempt: From 0; rises when a disturbed round is repeated.
    """

    block_id: str
    arm_id: str
    purpose: Purpose
    round_index: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Nothing is left to run; ``reason`` says in words why the rounds ended."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The blocks on record, indexed for planning."""

    experiment: Experiment
    blocks: Sequence[Block]
    keys: frozenset[BlockKey]
    excluded: dict[str, str]

    @property
    def active(self) -> tuple[str, ...]:
        return tuple(a.arm_id for a in self.experiment.arms if a.arm_id not in self.excluded)

    @property
    def begun_after_rounds(self) -> bool:
        return any(key[0] in (Purpose.MEMORY, Purpose.COLD_START) for key in self.keys)

    def missing(self, purpose: Purpose, index: int, attempt: int = 0) -> NextBlock | None:
        """Return the first arm, in the order of this round, whose block is not on record."""
        for arm_id in self.order(purpose, index):
            key = (purpose, index, attempt, arm_id)
            if key not in self.keys and arm_id not in self.excluded:
                return _step(*key)
        return None

    def order(self, purpose: Purpose, index: int) -> tuple[str, ...]:
        arms = self.experiment.arms
        if purpose not in _SEED_OFFSET:
            return tuple(arm.arm_id for arm in arms)
        seed = self.experiment.seed + _SEED_OFFSET[purpose]
        return tuple(arms[place].arm_id for place in balanced_order(len(arms), index, seed))


def next_block(experiment: Experiment, blocks: Sequence[Block]) -> NextBlock | Done:
    """Return the block to run next, or why nothing is left to run.

    Args:
        experiment: What was planned.
        blocks: On record so far; any prefix of a run's blocks gives the block that followed it.
    """
    record = _Record(
        experiment=experiment,
        blocks=blocks,
        keys=frozenset((b.purpose, b.round_index, b.attempt, b.arm_id) for b in blocks),
        excluded=exclusions(experiment, blocks),
    )
    counts = experiment.counts
    if step := _another_attempt(record):
        return step
    for purpose, count in ((Purpose.PARITY, counts.parity), (Purpose.PROFILE, counts.profile)):
        if step := _repetition(record, purpose, count):
            return step
    if not record.active:
        return Done(reason=f"no arm can be measured: {_reasons(record.excluded)}")
    # Once a later phase has begun the rounds are over: deciding them again would cost time.
    if not record.begun_after_rounds:
        rounds = _next_in_rounds(record)
        if isinstance(rounds, NextBlock):
            return rounds
    for purpose, count in (
        (Purpose.MEMORY, counts.memory),
        (Purpose.COLD_START, counts.cold_start),
    ):
        if step := _repetition(record, purpose, count):
            return step
    return _next_in_rounds(record)


def rounds_done(experiment: Experiment, blocks: Sequence[Block]) -> int:
    """Return the rounds in which every arm that still takes part has had its latency block.

    A failed block counts: its round is over, although incomplete for that arm.
    """
    latency = [block for block in blocks if block.purpose is Purpose.LATENCY]
    active = {arm.arm_id for arm in experiment.arms} - exclusions(experiment, blocks).keys()
    last = max((block.round_index for block in latency), default=-1)
    present = {block.arm_id for block in latency if block.round_index == last}
    return last + 1 if active <= present else max(last, 0)


def _repetition(record: _Record, purpose: Purpose, count: int) -> NextBlock | None:
    steps = (record.missing(purpose, index) for index in range(count))
    return next((step for step in steps if step), None)


def _another_attempt(record: _Record) -> NextBlock | None:
    """Return the second attempt at a parity or profile block whose first one died."""
    for block in filter(is_tried_again, record.blocks):
        key = (block.purpose, block.round_index, block.attempt + 1, block.arm_id)
        if key not in record.keys:
            return _step(*key)
    return None


def _next_in_rounds(record: _Record) -> NextBlock | Done:
    latency = [block for block in record.blocks if block.purpose is Purpose.LATENCY]
    if not latency:
        first = record.missing(Purpose.LATENCY, 0)
        return first or Done(reason=f"no arm can be measured: {_reasons(record.excluded)}")
    index, attempt = max((block.round_index, block.attempt) for block in latency)
    if step := record.missing(Purpose.LATENCY, index, attempt):
        return step
    if _repeats(record, latency, index, attempt):
        step = record.missing(Purpose.LATENCY, index, attempt + 1)
    elif reason := _end_of_rounds(record, index + 1):
        return Done(reason=reason)
    else:
        step = record.missing(Purpose.LATENCY, index + 1)
    return step or Done(reason=f"no arm can be measured: {_reasons(record.excluded)}")


def _repeats(record: _Record, latency: Sequence[Block], index: int, attempt: int) -> bool:
    """Whether the round is disturbed, may be repeated, and repeating has been of any use."""
    disturbed = disturbed_attempts(latency)
    last_attempt = record.experiment.rule.extra_attempts
    in_vain = sum((other, last_attempt) in disturbed for other in range(index))
    return (
        (index, attempt) in disturbed
        and attempt < last_attempt
        and in_vain < GIVE_UP_REPEATING_AFTER
    )


def _end_of_rounds(record: _Record, rounds: int) -> str:
    """Return why the rounds end after this many, or an empty string when they go on."""
    experiment, rule = record.experiment, record.experiment.rule
    last = rounds >= rule.looks[-1]
    if rounds not in rule.looks and not last:
        return ""
    if experiment.baseline in record.excluded:
        why = record.excluded[experiment.baseline]
        return f"nothing can be compared: the baseline {experiment.baseline} is out, {why}"
    others = [arm_id for arm_id in record.active if arm_id != experiment.baseline]
    if not others:
        return f"{rounds} rounds were measured; there is no other arm to compare with"
    undecided = [
        arm_id
        for arm_id in others
        if decide(log_ratios(experiment, record.blocks, arm_id), rule) is Verdict.INCONCLUSIVE
    ]
    if not undecided:
        return f"every comparison is decided after {rounds} rounds"
    if last:
        listed = ", ".join(undecided)
        return f"after {rounds} rounds, the last planned look, undecided: {listed}"
    return ""


def _step(purpose: Purpose, index: int, attempt: int, arm_id: str) -> NextBlock:
    return NextBlock(
        block_id=f"{purpose}-{index:03d}-{attempt}-{arm_id}",
        arm_id=arm_id,
        purpose=purpose,
        round_index=index,
        attempt=attempt,
    )


def _reasons(excluded: dict[str, str]) -> str:
    return "; ".join(f"{arm_id}: {reason}" for arm_id, reason in excluded.items())
