"""The frozen values that the lab's store, planning and gates hand to each other.

Times are aware and in UTC; whoever makes a value passes them in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ortlab.codec import to_json
from ortlab.config import BenchSection
from ortlab.domain import DeviceInfo, DeviceKind


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Which phones may run a job; None leaves a choice open.

    ``phone_count`` distinct phones measure each model.
    """

    platform: DeviceKind | None = None
    soc: str | None = None
    min_os: str | None = None
    max_os: str | None = None
    min_memory_bytes: int | None = None
    labels: tuple[str, ...] = ()
    phone_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What somebody wants measured; ``retries`` are further attempts after a failed one."""

    name: str
    models: tuple[str, ...]
    bench: BenchSection = field(default_factory=BenchSection)
    requirements: Requirements = field(default_factory=Requirements)
    priority: int = 0
    deadline: datetime | None = None
    retries: int = 2

    @property
    def digest(self) -> str:
        """SHA-256 of the whole content, in hexadecimal; the same content is the same job."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A submitted specification; its id is the digest of the specification."""

    job_id: str
    spec: JobSpec
    submitted_at: datetime
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One experiment: job, model and the number of the phone slot, from 0."""

    cell_id: str
    job_id: str
    model: str
    slot: int
    state: CellState
    phone_id: str | None = None
    failed_attempts: int = 0


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
