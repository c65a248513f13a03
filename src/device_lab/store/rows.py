"""Rows of the tables to values and back; times are texts of a fixed width, so that they sort."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from device_lab.values import (
    Attempt,
    Cell,
    CellState,
    Event,
    JobSpec,
    LabPhone,
    Lease,
    Outcome,
    StoredBlock,
)
from ortlab.codec import from_json

_AT_ONCE: Final = 500
NEVER: Final = "9999-12-31T23:59:59.999999+00:00"


class Run(Protocol):
    """A transaction, as the modules beside this one use it."""

    new_blocks: int

    def __call__(self, statement: str, **values: object) -> list[Any]:
        """Run a statement and return its rows."""

    def first(self, statement: str, **values: object) -> Any | None:
        """Return the first row; None without any."""

    def change(self, statement: str, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""

    def many(self, statement: str, values: list[dict[str, object]]) -> None:
        """Run a statement once for each set of values."""


class Parsed:
    """Specifications and phones that were parsed once; a text that is the same means the same."""

    def __init__(self) -> None:
        self._specs: dict[str, JobSpec] = {}
        self._phones: dict[str, tuple[str, LabPhone]] = {}

    def spec(self, run: Run, job_id: str) -> JobSpec:
        """Return a job's specification; its id is the digest of it, so it never changes."""
        if job_id not in self._specs:
            self.read_specs(run, (job_id,))
        return self._specs[job_id]

    def read_specs(self, run: Run, job_ids: Iterable[str]) -> None:
        """Read the specifications of jobs that are about to be asked for, in few questions."""
        missing = [job_id for job_id in job_ids if job_id not in self._specs]
        for start in range(0, len(missing), _AT_ONCE):
            given = {f"job{at}": one for at, one in enumerate(missing[start : start + _AT_ONCE])}
            names = ", ".join(f":{name}" for name in given)
            for row in run(
                f"SELECT job_id, spec FROM jobs WHERE job_id IN ({names})",  # noqa: S608
                **given,
            ):
                source = f"the specification of job {row.job_id}"
                self._specs[row.job_id] = from_json(JobSpec, row.spec, source=source)

    def phone(self, phone_id: str, text: str) -> LabPhone:
        """Return a phone from its text."""
        found = self._phones.get(phone_id)
        if found is None or found[0] != text:
            found = (text, from_json(LabPhone, text, source=f"phone {phone_id}"))
            self._phones[phone_id] = found
        return found[1]


def to_text(at: datetime) -> str:
    """Return an aware time as it is stored."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def to_time(text: str) -> datetime:
    """Return a stored time."""
    return datetime.fromisoformat(text)


def note(run: Run, now: datetime, kind: str, subject: str, text: str) -> None:
    """Write an event down."""
    run(
        "INSERT INTO events (at, kind, subject, text) VALUES (:at, :kind, :subject, :text)",
        at=to_text(now),
        kind=kind,
        subject=subject,
        text=text,
    )


def find(
    run: Run, *, table: str, order: str, limit: int, wanted: Mapping[str, str | None]
) -> list[Any]:
    """Return the rows of a table whose columns have the values that are not None."""
    given = {name: value for name, value in wanted.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in given)
    return run(
        f"SELECT * FROM {table}"  # noqa: S608 - only names of our own
        + (f" WHERE {where}" if where else "")
        + f" ORDER BY {order} LIMIT :most",
        most=limit,
        **given,
    )


def to_cell(row: Any) -> Cell:
    """Return a row of cells."""
    return Cell(
        cell_id=row.cell_id,
        job_id=row.job_id,
        model=row.model,
        slot=row.slot,
        state=CellState(row.state),
        phone_id=row.phone_id,
        failed_attempts=row.failed_attempts,
        home_phone_id=row.home_phone_id,
        reason=row.reason,
    )


def to_attempt(row: Any) -> Attempt:
    """Return a row of attempts."""
    return Attempt(
        cell_id=row.cell_id,
        phone_id=row.phone_id,
        holder=row.holder,
        token=row.token,
        started_at=to_time(row.started_at),
        ended_at=None if row.ended_at is None else to_time(row.ended_at),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=row.reason,
    )


def to_lease(row: Any) -> Lease:
    """Return the lease of a row of attempts."""
    return Lease(
        phone_id=row.phone_id,
        cell_id=row.cell_id,
        holder=row.holder,
        token=row.token,
        expires_at=to_time(row.expires_at),
    )


def to_block(row: Any) -> StoredBlock:
    """Return a row of blocks."""
    return StoredBlock(
        cell_id=row.cell_id,
        phone_id=row.phone_id,
        block_id=row.block_id,
        token=row.token,
        line=row.line,
    )


def to_event(row: Any) -> Event:
    """Return a row of events."""
    return Event(at=to_time(row.at), kind=row.kind, subject=row.subject, text=row.text)


def counted(counts: Mapping[str, int]) -> str:
    """Return counts in words, such as ``3 done, 1 failed``."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
