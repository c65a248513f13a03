"""The lab at one moment, from counts that are kept rather than from a look at every row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from device_lab.planning import ReadinessLimits, unready, why_nowhere
from device_lab.store.jobs import to_job
from device_lab.store.phones import known_phones
from device_lab.store.rows import Parsed, Run, to_lease
from device_lab.values import (
    CellState,
    JobProgress,
    KnownPhone,
    LabPhone,
    Overview,
    PhoneState,
    Requirements,
)

_OLD_JOBS = 100
_REASONS = 5


def overview(run: Run, parsed: Parsed, now: datetime) -> Overview:
    """Return how the lab is."""
    phones = tuple(_as_of(known, now) for known in known_phones(run, parsed))
    (count,) = run("SELECT value FROM counters WHERE name = 'blocks'")
    leases = run("SELECT * FROM attempts WHERE outcome IS NULL ORDER BY token")
    return Overview(
        jobs=_progress(run, parsed, [known.phone for known in phones]),
        phones=phones,
        leases=tuple(to_lease(row) for row in leases),
        block_count=int(count.value),
    )


def _as_of(known: KnownPhone, now: datetime) -> KnownPhone:
    """Return a phone as it is now: since its host last told of it, time has gone by."""
    hindrances = "; ".join(unready(known.phone, now, ReadinessLimits()))
    if known.state is not PhoneState.AVAILABLE or not hindrances:
        return known
    return replace(known, state=PhoneState.BLOCKED, reason=hindrances)


def _progress(run: Run, parsed: Parsed, phones: list[LabPhone]) -> tuple[JobProgress, ...]:
    rows = _shown_jobs(run)
    counts = _counts(run)
    nowhere: dict[Requirements, str | None] = {}
    shown = []
    for row in rows:
        job = to_job(run, parsed, row)
        cells = counts.get(row.job_id, {})
        reasons = _failures(run, row.job_id) if CellState.FAILED in cells else ()
        if CellState.OPEN in cells:
            required = job.spec.requirements
            if required not in nowhere:
                nowhere[required] = why_nowhere(required, phones)
            if (words := nowhere[required]) is not None:
                reasons = (words, *reasons)
        shown.append(JobProgress(job=job, cells=cells, reasons=reasons))
    return tuple(shown)


def _shown_jobs(run: Run) -> list[Any]:
    columns = "job_id, submitted_at, cancelled, baseline"
    newest = run(
        f"SELECT {columns} FROM jobs ORDER BY submitted_at DESC, job_id LIMIT :most",  # noqa: S608
        most=_OLD_JOBS,
    )
    unfinished = run(
        f"SELECT {columns} FROM jobs WHERE open_cells > 0 OR job_id IN"  # noqa: S608
        " (SELECT c.job_id FROM attempts a JOIN cells c ON c.cell_id = a.cell_id"
        " WHERE a.outcome IS NULL)"
    )
    by_id = {row.job_id: row for row in (*newest, *unfinished)}
    return sorted(by_id.values(), key=lambda row: (row.submitted_at, row.job_id), reverse=True)


def _counts(run: Run) -> dict[str, dict[CellState, int]]:
    counts: dict[str, dict[CellState, int]] = {}
    for row in run(
        "SELECT job_id, state, sum(cells) AS cells FROM tallies WHERE cells > 0"
        " GROUP BY job_id, state"
    ):
        counts.setdefault(row.job_id, {})[CellState(row.state)] = int(row.cells)
    return counts


def _failures(run: Run, job_id: str) -> tuple[str, ...]:
    rows = run(
        "SELECT reason, count(*) AS cells FROM cells WHERE job_id = :job AND state = 'failed'"
        " GROUP BY reason ORDER BY count(*) DESC, reason LIMIT :most",
        job=job_id,
        most=_REASONS,
    )
    return tuple(
        f"{row.cells} failed: {row.reason}" if row.cells > 1 else str(row.reason)
        for row in rows
        if row.reason
    )
