"""The frozen values that the lab's store, planning and gates hand to each other.

Times are aware and in UTC; whoever makes a value passes them in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from ortlab.codec import to_json
from ortlab.config import BenchSection
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import StorageError

DEADLINE_PASSED: Final = "its deadline passed"
"""Why cells are cancelled that were not done when their job had to be over."""


class LeaseOverError(StorageError):
    """A lease gives no right any more: its writer is late.

    Args:
        message: What could not be written, and why.
        reason: How the lease ended; ``EXPIRED`` also where nobody has noted it yet.
    """

    def __init__(self, message: str, *, reason: Outcome) -> None:
        super().__init__(message)
        self.reason = reason


class PhoneState(StrEnum):
    """Whether a phone may get a cell."""

    AVAILABLE = "available"
    LEASED = "leased"
    BLOCKED = "blocked"
    QUARANTINED = "quarantined"
    ABSENT = "absent"


class CellState(StrEnum):
    """How far a cell is."""

    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPhone:
    """A phone as its host last saw it.

    Attributes:
        phone_id: In the lab.
        host_id: Of the machine it hangs on.
        info: As the phone describes itself.
        soc: Model of its chip; None if unknown.
        labels: Given by people.
        battery_percent: 0 to 100; None if unknown.
        temperature_c: Of the battery; None if unknown.
        free_bytes: Of its storage; None if unknown.
        noise_floor: Smallest relative effect it can tell, as a ratio; None before it is known.
        seen_at: When its host last saw it.
        blocked: What keeps it from measuring until a person acts, such as a locked screen; None
            if nothing does.
    """

    phone_id: str
    host_id: str
    info: DeviceInfo
    soc: str | None
    labels: tuple[str, ...]
    battery_percent: float | None
    temperature_c: float | None
    free_bytes: int | None
    noise_floor: float | None
    seen_at: datetime
    blocked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPhone:
    """A phone with what the lab decided about it.

    Attributes:
        phone: As its host last saw it.
        state: Whether it may get a cell.
        reason: Why it is in that state; None where nothing needs to be said.
        since: When it came into that state.
    """

    phone: LabPhone
    state: PhoneState
    reason: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Which phones may run a job; None leaves a choice open.

    ``phone_count`` distinct phones measure each model. ``phone_ids`` names the only phones that
    may, as a rerun on the same phone needs it; empty leaves that open.
    """

    platform: DeviceKind | None = None
    soc: str | None = None
    min_os: str | None = None
    max_os: str | None = None
    min_memory_bytes: int | None = None
    labels: tuple[str, ...] = ()
    phone_count: int = 1
    phone_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What somebody wants measured; ``retries`` are further attempts after a failed one.

    What is not done at the ``deadline`` is cancelled; before it, it orders the queue. ``bases``,
    if there are any, name for each model what it alone is interleaved with, beside
    ``bench.against``.
    """

    name: str
    models: tuple[str, ...]
    bench: BenchSection = field(default_factory=BenchSection)
    requirements: Requirements = field(default_factory=Requirements)
    priority: int = 0
    deadline: datetime | None = None
    retries: int = 2
    bases: tuple[str, ...] = ()

    def bench_of(self, model: str) -> BenchSection:
        """Return ``bench`` with what one of the models is interleaved with."""
        if not self.bases:
            return self.bench
        base = self.bases[self.models.index(model)]
        return replace(self.bench, against=(*self.bench.against, base))

    @property
    def digest(self) -> str:
        """SHA-256 of the whole content, in hexadecimal; the same content is the same job."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A submitted specification; its id is the digest of the specification.

    A baseline is never pruned. ``overdue`` tells that it was cancelled because its deadline passed.
    """

    job_id: str
    spec: JobSpec
    submitted_at: datetime
    cancelled: bool = False
    baseline: bool = False
    overdue: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One experiment: job, model and the number of the phone slot, from 0.

    Attributes:
        cell_id: In the lab.
        job_id: Of its job.
        model: The model it measures.
        slot: Which of the job's distinct phones, from 0.
        state: How far it is.
        phone_id: The phone that holds or last held it; None while it waits.
        failed_attempts: Those that failed or expired.
        home_phone_id: The phone on which it has blocks already, and to which it goes back.
        reason: Why it was cancelled, failed, or failed last; None if nobody said.
    """

    cell_id: str
    job_id: str
    model: str
    slot: int
    state: CellState
    phone_id: str | None = None
    failed_attempts: int = 0
    home_phone_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One lease of a cell and how it ended; ``outcome`` is None while it lasts."""

    cell_id: str
    phone_id: str
    holder: str
    token: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to measure a cell on a phone until it expires; tokens only ever grow."""

    phone_id: str
    cell_id: str
    holder: str
    token: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """A block's result as one line of JSON, with the token under which it was measured."""

    cell_id: str
    phone_id: str
    block_id: str
    token: int
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in the lab, in words."""

    at: datetime
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm against the baseline, measured side by side in one cell.

    Attributes:
        arm: Label of the arm.
        baseline: Label of the arm that it is compared with.
        ratio: Of the arm's latency to the baseline's; above 1 is slower.
        low: Lower end of the ratio's interval.
        high: Upper end of the ratio's interval.
        verdict: In one word, as the analysis gives it.
        sentence: What the comparison says, in words.
        log_ratios: Per round, the natural logarithm of the ratio.
    """

    arm: str
    baseline: str
    ratio: float
    low: float
    high: float
    verdict: str
    sentence: str
    log_ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What came of a cell.

    Attributes:
        cell_id: Of the cell.
        job_id: Of its job.
        model: As the job names it.
        model_name: Under which nights are compared.
        phone_id: Of the phone that measured it.
        phone_name: As people call that phone.
        virtual: Whether that phone is a program, whose times mean nothing.
        finished_at: When its last block was measured.
        control: Digest of the baseline arm's content and runtime.
        control_label: Label of the baseline arm.
        trust: How far the measurement can be trusted, as the analysis gives it.
        comparisons: Of every other arm with the baseline.
        sentences: What the analysis says, in words.
    """

    cell_id: str
    job_id: str
    model: str
    model_name: str
    phone_id: str
    phone_name: str
    virtual: bool
    finished_at: datetime
    control: str
    control_label: str
    trust: str
    comparisons: tuple[Comparison, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long open cells take, were nothing else to come.

    Attributes:
        typical_s: With the median of the past durations for every cell.
        cautious_s: With their 90th percentile for every cell, so that it is seldom exceeded.
        counted_cells: Cells that the times stand for.
        unplaced_cells: Cells that no phone can take as things are; the times leave them out.
        past_durations: How many durations the times rest on.
    """

    typical_s: float
    cautious_s: float
    counted_cells: int
    unplaced_cells: int
    past_durations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far a job is.

    Attributes:
        job: The job.
        cells: State to the number of its cells in that state; states without any are left out.
        reasons: Why cells failed or were cancelled, and why open ones can run nowhere, in words.
        estimate: Until its last cell ends; None if nothing is left, or no cell ever finished.
    """

    job: Job
    cells: Mapping[CellState, int]
    reasons: tuple[str, ...] = ()
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The lab at one moment.

    Attributes:
        jobs: Those that are not over and the newest of the others, newest first.
        phones: Every phone the lab knows, by id.
        leases: Those that run, by token.
        block_count: Blocks in the store.
    """

    jobs: tuple[JobProgress, ...]
    phones: tuple[KnownPhone, ...]
    leases: tuple[Lease, ...]
    block_count: int
