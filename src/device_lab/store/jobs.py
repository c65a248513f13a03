"""Jobs: taken in once, found by what people remember of them, cancelled at any moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from device_lab.store.cells import deadline_text, shift_tally
from device_lab.store.rows import Parsed, Run, note, to_text, to_time
from device_lab.values import DEADLINE_PASSED, CellState, Job, JobSpec
from ortlab.codec import to_json
from ortlab.errors import UsageError

_LEAST_PREFIX = 4
COLUMNS: Final = (
    "job_id, submitted_at, cancelled, baseline, CASE WHEN cancelled THEN EXISTS"  # noqa: S608
    " (SELECT 1 FROM cells WHERE cells.job_id = jobs.job_id AND cells.state = 'cancelled'"
    f" AND cells.reason = '{DEADLINE_PASSED}') ELSE FALSE END AS overdue"
)
"""What `to_job` reads of the table jobs."""


def submit(run: Run, spec: JobSpec, now: datetime) -> str:
    """Take a job in; the same content again changes nothing."""
    job_id = spec.digest
    if run("SELECT 1 FROM jobs WHERE job_id = :job", job=job_id):
        return job_id
    if spec.deadline is not None and spec.deadline <= now:
        message = (
            f"cannot submit {spec.name}: its deadline, {spec.deadline:%Y-%m-%d %H:%M} UTC, has"
            " passed"
        )
        raise UsageError(message, next_step="give it a later deadline, or none")
    slots = spec.requirements.phone_count
    run(
        "INSERT INTO jobs (job_id, spec, submitted_at, cancelled, name, urgency, deadline,"
        " open_cells, baseline)"
        " VALUES (:job, :spec, :at, :no, :name, :urgency, :deadline, :open, :no)",
        job=job_id,
        spec=to_json(spec),
        at=to_text(now),
        no=False,
        name=spec.name,
        urgency=-spec.priority,
        deadline=deadline_text(spec.deadline),
        open=len(spec.models) * slots,
    )
    models = list(enumerate(spec.models))
    run.many(
        "INSERT INTO cells (cell_id, job_id, model, slot, state, failed_attempts)"
        " VALUES (:cell, :job, :model, :slot, 'open', 0)",
        [
            {"cell": f"{job_id[:16]}-{at}-{slot}", "job": job_id, "model": model, "slot": slot}
            for at, model in models
            for slot in range(slots)
        ],
    )
    run.many(
        "INSERT INTO tallies (job_id, model, state, position, cells)"
        " VALUES (:job, :model, :state, :at, :cells)"
        " ON CONFLICT (job_id, model, state) DO UPDATE SET cells = tallies.cells + :cells",
        [
            {
                "job": job_id,
                "model": model,
                "state": str(state),
                "at": at,
                "cells": slots if state is CellState.OPEN else 0,
            }
            for at, model in models
            for state in CellState
        ],
    )
    count = len(models) * slots
    note(run, now, "job-submitted", job_id, f"{spec.name}: {count} cells")
    return job_id


def cancel(run: Run, job_id: str, now: datetime, reason: str | None) -> int:
    """Cancel what waits or runs of a job and return how many cells that were."""
    changed = run.change(
        "UPDATE jobs SET cancelled = :yes WHERE job_id = :job AND cancelled = :no",
        yes=True,
        no=False,
        job=job_id,
    )
    if not changed:
        return 0
    count = 0
    for row in run(
        "SELECT model, state, cells FROM tallies"
        " WHERE job_id = :job AND state IN ('open', 'leased') AND cells > 0 ORDER BY model, state",
        job=job_id,
    ):
        shift_tally(
            run, job_id, row.model, CellState(row.state), CellState.CANCELLED, int(row.cells)
        )
        count += int(row.cells)
    run(
        "UPDATE cells SET state = 'cancelled', reason = :reason"
        " WHERE job_id = :job AND state IN ('open', 'leased')",
        reason=reason,
        job=job_id,
    )
    why = f": {reason}" if reason else ""
    kind = "job-overdue" if reason == DEADLINE_PASSED else "job-cancelled"
    note(run, now, kind, job_id, f"{count} cells were not done{why}")
    return count


def cancel_overdue(run: Run, now: datetime) -> None:
    """Cancel what waits or runs of the jobs whose deadline passed."""
    at = to_text(now)
    # Two questions, each from a narrow index: of what waits, and of the few that run.
    waiting = run("SELECT job_id FROM jobs WHERE open_cells > 0 AND deadline <= :at", at=at)
    running = run(
        "SELECT DISTINCT j.job_id FROM attempts a JOIN cells c ON c.cell_id = a.cell_id"
        " JOIN jobs j ON j.job_id = c.job_id"
        " WHERE a.outcome IS NULL AND j.deadline <= :at AND j.cancelled = :no",
        at=at,
        no=False,
    )
    for job_id in sorted({row.job_id for row in (*waiting, *running)}):
        cancel(run, job_id, now, DEADLINE_PASSED)


def jobs(run: Run, parsed: Parsed) -> tuple[Job, ...]:
    """Return every job, the newest first."""
    rows = run(f"SELECT {COLUMNS} FROM jobs ORDER BY submitted_at DESC, job_id")  # noqa: S608
    parsed.read_specs(run, (row.job_id for row in rows))
    return tuple(to_job(run, parsed, row) for row in rows)


def find_job(run: Run, parsed: Parsed, text: str) -> Job:
    """Return the job that a person means: by its id, the beginning of it, or its name."""
    rows = run(
        f"SELECT {COLUMNS} FROM jobs WHERE job_id = :text OR name = :text"  # noqa: S608
        " ORDER BY submitted_at DESC, job_id",
        text=text,
    )
    if not rows and len(text) >= _LEAST_PREFIX and text.isalnum():
        rows = run(
            f"SELECT {COLUMNS} FROM jobs WHERE job_id LIKE :start"  # noqa: S608
            " ORDER BY submitted_at DESC, job_id",
            start=f"{text.lower()}%",
        )
    if len(rows) == 1:
        return to_job(run, parsed, rows[0])
    shown = repr(text[:100])
    if not rows:
        message = f"cannot find the job {shown}: none has that id, beginning of an id, or name"
    else:
        ids = ", ".join(row.job_id[:12] for row in rows[:5])
        message = (
            f"cannot tell which job {shown} is: {len(rows)} have that name or beginning ({ids})"
        )
    raise UsageError(message, next_step="ortlab lab status")


def set_baseline(run: Run, job_id: str, *, baseline: bool) -> None:
    """Mark a job as a baseline, or no longer."""
    if not run.change(
        "UPDATE jobs SET baseline = :baseline WHERE job_id = :job", baseline=baseline, job=job_id
    ):
        message = f"cannot mark the job {job_id[:100]}: the lab does not know it"
        raise UsageError(message, next_step="ortlab lab status")


def to_job(run: Run, parsed: Parsed, row: Any) -> Job:
    """Return a row of jobs."""
    return Job(
        job_id=row.job_id,
        spec=parsed.spec(run, row.job_id),
        submitted_at=to_time(row.submitted_at),
        cancelled=bool(row.cancelled),
        baseline=bool(row.baseline),
        overdue=bool(row.overdue),
    )
