"""`LabStore`: every question to the lab's database, each one transaction.

A token belongs to one attempt, and only the attempt that runs may store blocks. Whatever is
written is on the disk when the method returns. All methods may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from device_lab.planning import OpenCell, ReadinessLimits
from device_lab.store import cells as cell_rows
from device_lab.store import jobs as job_rows
from device_lab.store import leases, phones, rows, upkeep
from device_lab.store.overview import overview
from device_lab.values import (
    Attempt,
    Cell,
    CellResult,
    Event,
    Job,
    JobSpec,
    KnownPhone,
    LabPhone,
    Lease,
    Outcome,
    Overview,
    StoredBlock,
)
from ortlab.codec import from_json
from ortlab.errors import UsageError

_EXPORT_CHUNK = 2000
_EVERYTHING = 1 << 40

Answer = TypeVar("Answer")


class LabStore:
    """The lab's database, brought up to date when it is opened.

    Every method raises StorageError when the database cannot be used.

    Args:
        url: Of SQLAlchemy: ``sqlite:///lab.db`` or ``postgresql://user@host/database``.

    Raises:
        UsageError: The URL means nothing.
        StorageError: The database cannot be opened or brought up to date, or a newer version of
            ortlab has written it.
    """

    def __init__(self, url: str) -> None:
        # SQLAlchemy takes long to import, and most commands have no lab.
        from device_lab.store.database import Database

        self._database = Database(url)
        self._parsed = rows.Parsed()

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    # Jobs

    def submit(self, spec: JobSpec, now: datetime) -> str:
        """Take a job in and return its id; the same content again changes nothing.

        Raises:
            UsageError: It is new, and its deadline has passed.
        """
        return self._database.write(lambda run: job_rows.submit(run, spec, now))

    def cancel(self, job_id: str, now: datetime, *, reason: str | None = None) -> int:
        """Cancel a job and return how many of its cells were not done.

        A holder is told with its next call; until it ends its lease, its phone stays taken.

        Args:
            job_id: The job, as `job` takes it.
            now: The time.
            reason: Why, as words that follow a colon; None where somebody only wants it so.

        Raises:
            UsageError: The lab has no such job.
        """
        job = self.job(job_id)
        return self._database.write(lambda run: job_rows.cancel(run, job.job_id, now, reason))

    def jobs(self) -> tuple[Job, ...]:
        """Return every job, the newest first."""
        return self._database.read(lambda run: job_rows.jobs(run, self._parsed))

    def job(self, text: str) -> Job:
        """Return the job with an id, a beginning of an id of at least 4 characters, or a name.

        Raises:
            UsageError: No job is meant, or more than one.
        """
        return self._database.read(lambda run: job_rows.find_job(run, self._parsed, text))

    def set_baseline(self, job_id: str, *, baseline: bool) -> None:
        """Mark a job as a baseline, which is never deleted, or take the mark away.

        Raises:
            UsageError: The lab has no such job.
        """
        self._database.write(lambda run: job_rows.set_baseline(run, job_id, baseline=baseline))

    # Phones

    def see_phones(
        self,
        host_id: str,
        seen: Iterable[LabPhone],
        now: datetime,
        *,
        limits: ReadinessLimits | None = None,
    ) -> None:
        """Write down which phones a host has and how they are.

        Phones of that host that are not among them become ABSENT; a phone that is not ready to
        measure is BLOCKED; a quarantine stays, and so do labels that `label` gave.
        """
        given = tuple(seen)
        limits = limits or ReadinessLimits()
        self._database.write(lambda run: phones.see_phones(run, host_id, given, now, limits))

    def phones(self) -> tuple[KnownPhone, ...]:
        """Return every phone the lab knows, by id."""
        return self._database.read(lambda run: phones.known_phones(run, self._parsed))

    def quarantine(self, phone_id: str, reason: str, now: datetime) -> None:
        """Give a phone no further cell until it is released.

        Raises:
            UsageError: The lab does not know the phone.
        """
        self._database.write(lambda run: phones.quarantine(run, phone_id, reason, now))

    def release_phone(self, phone_id: str, now: datetime) -> None:
        """End a quarantine; any other phone is left as it is.

        Raises:
            UsageError: The lab does not know the phone.
        """
        self._database.write(lambda run: phones.release_phone(run, phone_id, now))

    def label(self, phone_id: str, labels: Iterable[str], now: datetime) -> None:
        """Give a phone its labels, in place of those it has.

        Raises:
            UsageError: The lab does not know the phone.
        """
        given = tuple(labels)
        self._database.write(lambda run: phones.label(run, phone_id, given, now))

    # Leases

    def claim(
        self,
        holder: str,
        phone_id: str,
        now: datetime,
        *,
        cell_id: str | None = None,
        duration_s: float = 120.0,
        limits: ReadinessLimits | None = None,
    ) -> Lease | None:
        """Lease a cell to a phone.

        Args:
            holder: Who measures, for people.
            phone_id: The phone.
            now: The time.
            cell_id: The only cell that is wanted; None for the most urgent one that fits.
            duration_s: How long the lease lasts unless it is renewed.
            limits: When a phone is ready.

        Returns:
            The lease; None if the phone is unknown, busy, absent, in quarantine or not ready, or
            if no open cell fits it.
        """
        operation = partial(
            leases.claim,
            parsed=self._parsed,
            holder=holder,
            phone_id=phone_id,
            now=now,
            cell_id=cell_id,
            duration_s=duration_s,
            limits=limits or ReadinessLimits(),
        )
        return self._database.write(operation)

    def renew(self, lease: Lease, now: datetime, *, duration_s: float = 120.0) -> Lease:
        """Return the lease with a new end.

        Raises:
            LeaseOverError: It ended, expired, or its job was cancelled.
        """
        return self._database.write(lambda run: leases.renew(run, lease, now, duration_s))

    def begin_experiment(self, lease: Lease, experiment_json: str, now: datetime) -> str:
        """Keep the experiment of the lease's cell and phone, and return the one that is kept.

        The first one stays, so that an experiment goes on as it was planned.

        Raises:
            LeaseOverError: The lease ended, expired, or its job was cancelled.
        """
        return self._database.write(
            lambda run: leases.begin_experiment(run, lease, experiment_json, now)
        )

    def record_block(self, lease: Lease, block_id: str, line: str, now: datetime) -> None:
        """Store a block; it is on the disk when this returns.

        The same block again with the same content changes nothing.

        Raises:
            LeaseOverError: The lease ended, expired, or its job was cancelled.
            StorageError: The block is there with another content.
        """
        self._database.write(lambda run: leases.record_block(run, lease, block_id, line, now))

    def finish(
        self,
        lease: Lease,
        outcome: Outcome,
        now: datetime,
        *,
        reason: str | None = None,
        result: CellResult | None = None,
        blames_phone: bool = True,
    ) -> Outcome:
        """End a lease, and return the outcome that was written down.

        A failed cell is tried again while its job's retries last; a phone whose attempts failed
        three times in a row, other than by the job's own fault, is put into quarantine. What ends
        after its job was cancelled is written down as CANCELLED, without its result; CANCELLED of
        a job that was not cancelled is RELEASED, so that the cell is open again.

        Raises:
            LeaseOverError: The lease ended already or expired.
        """
        operation = partial(
            leases.finish,
            parsed=self._parsed,
            lease=lease,
            outcome=outcome,
            now=now,
            reason=reason,
            result=result,
            blames_phone=blames_phone,
        )
        return self._database.write(operation)

    def expire(self, now: datetime, *, limits: ReadinessLimits | None = None) -> tuple[Lease, ...]:
        """End the leases whose time is over and return them; to be called every few seconds.

        Each counts as a failed attempt of its cell, but not of its phone. What is not done of a
        job whose deadline passed is cancelled, and its holders are told as by `cancel`. Phones
        whose host fell silent become ABSENT, and cells that wait for a phone that is gone open to
        others.
        """
        silence = limits or ReadinessLimits()

        def operation(run: rows.Run) -> tuple[Lease, ...]:
            ended = leases.expire(run, self._parsed, now)
            job_rows.cancel_overdue(run, now)
            phones.sweep(run, now, silence)
            return ended

        return self._database.write(operation)

    # What is there

    def cells(self, job_id: str | None = None) -> tuple[Cell, ...]:
        """Return the cells of a job, or all, by id."""
        return self._values(rows.to_cell, "cells", "cell_id", job_id=job_id)

    def cell(self, cell_id: str) -> Cell:
        """Return a cell.

        Raises:
            UsageError: The lab has no such cell.
        """
        found = self._values(rows.to_cell, "cells", "cell_id", cell_id=cell_id)
        if not found:
            message = f"cannot find the cell {cell_id[:100]}: the lab has none with that id"
            raise UsageError(message, next_step="ortlab lab status")
        return found[0]

    def open_cells(self) -> tuple[OpenCell, ...]:
        """Return the cells that wait, in no particular order."""
        return self._database.read(lambda run: cell_rows.open_cells(run, self._parsed))

    def blocks(self, cell_id: str, phone_id: str | None = None) -> tuple[StoredBlock, ...]:
        """Return a cell's blocks, of one phone or all, in the order in which they came."""
        return self._values(rows.to_block, "blocks", "number", cell_id=cell_id, phone_id=phone_id)

    def experiment(self, cell_id: str, phone_id: str) -> str | None:
        """Return the experiment of a cell on a phone; None if none was begun."""
        found = self._values(
            lambda row: str(row.text), "experiments", "cell_id", cell_id=cell_id, phone_id=phone_id
        )
        return found[0] if found else None

    def attempts(
        self, *, cell_id: str | None = None, phone_id: str | None = None, limit: int = 100
    ) -> tuple[Attempt, ...]:
        """Return attempts, the newest first."""
        return self._values(
            rows.to_attempt,
            "attempts",
            "token DESC",
            limit=limit,
            cell_id=cell_id,
            phone_id=phone_id,
        )

    def events(self, *, limit: int = 100) -> tuple[Event, ...]:
        """Return what happened, the newest first."""
        return self._values(rows.to_event, "events", "number DESC", limit=limit)

    def results(
        self,
        *,
        model_name: str | None = None,
        phone_id: str | None = None,
        job_id: str | None = None,
        limit: int = 1000,
        newest_first: bool = True,
    ) -> tuple[CellResult, ...]:
        """Return results by the time at which they were finished."""
        direction = "DESC" if newest_first else "ASC"
        return self._values(
            lambda row: from_json(CellResult, row.value, source=f"the result of {row.cell_id}"),
            "results",
            f"finished_at {direction}, cell_id {direction}",
            limit=limit,
            model_name=model_name,
            phone_id=phone_id,
            job_id=job_id,
        )

    def overview(self, now: datetime) -> Overview:
        """Return how the lab is; cheap however many blocks there are."""
        return self._database.read(lambda run: overview(run, self._parsed, now))

    # Upkeep

    def integrity_check(self) -> tuple[str, ...]:
        """Return what is wrong with the store, in words; empty if nothing is."""
        return self._database.read(lambda run: upkeep.integrity_check(run, run.dialect))

    def rows(self, table: str) -> Iterator[dict[str, object]]:
        """Yield every row of jobs, cells, phones, attempts, blocks, results or events.

        Raises:
            UsageError: There is no such table.
        """
        after: object | None = None
        while True:
            read = partial(upkeep.chunk_of, table=table, after=after, size=_EXPORT_CHUNK)
            chunk = self._database.read(read)
            for row in chunk:
                yield row._asdict()
            if len(chunk) < _EXPORT_CHUNK:
                return
            after = getattr(chunk[-1], upkeep.EXPORTED[table])

    def block_sizes(self) -> dict[str, tuple[int, int]]:
        """Return for each cell that has blocks how many, and the bytes of their lines.

        It reads every block, so it takes its time in a large store.
        """
        return self._database.read(lambda run: upkeep.block_sizes(run, run.dialect))

    def delete_blocks(self, cell_id: str) -> int:
        """Delete the blocks and experiments of a cell that is over; its result stays.

        Returns:
            How many blocks that were.

        Raises:
            UsageError: There is no such cell, it is not over, or its job is a baseline.
        """
        return self._database.write(lambda run: upkeep.delete_blocks(run, cell_id))

    def delete_job(self, job_id: str) -> int:
        """Delete a job that is over with all that came of it.

        Returns:
            How many blocks that were.

        Raises:
            UsageError: There is no such job, it is not over, or it is a baseline.
        """
        return self._database.write(lambda run: upkeep.delete_job(run, job_id))

    def _values(
        self,
        convert: Callable[[Any], Answer],
        table: str,
        order: str,
        *,
        limit: int = _EVERYTHING,
        **wanted: str | None,
    ) -> tuple[Answer, ...]:
        read = partial(rows.find, table=table, order=order, limit=limit, wanted=wanted)
        return tuple(convert(row) for row in self._database.read(read))
