"""The lab at one moment, from counts that are kept rather than from a look at every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from statistics import median
from typing import Any

from device_lab.forecast import OpenGroup, forecast
from device_lab.planning import ReadinessLimits, rank, unready, why_nowhere
from device_lab.store.jobs import COLUMNS, to_job
from device_lab.store.phones import known_phones
from device_lab.store.rows import Parsed, Run, to_lease, to_time
from device_lab.values import (
    CellState,
    Estimate,
    JobProgress,
    KnownPhone,
    Overview,
    PhoneState,
    Requirements,
)

_OLD_JOBS = 100
_PAST_ATTEMPTS = 500
_SERVING = (PhoneState.AVAILABLE, PhoneState.LEASED, PhoneState.BLOCKED)
_REASONS = 5


def overview(run: Run, parsed: Parsed, now: datetime) -> Overview:
    """Return how the lab is."""
    phones = tuple(_as_of(known, now) for known in known_phones(run, parsed))
    (count,) = run("SELECT value FROM counters WHERE name = 'blocks'")
    leases = run("SELECT * FROM attempts WHERE outcome IS NULL ORDER BY expires_at")
    return Overview(
        jobs=_progress(run, parsed, phones, now),
        phones=phones,
        leases=tuple(to_lease(row) for row in sorted(leases, key=lambda row: int(row.token))),
        block_count=int(count.value),
    )


def _as_of(known: KnownPhone, now: datetime) -> KnownPhone:
    """Return a phone as it is now: since its host last told of it, time has gone by."""
    hindrances = "; ".join(unready(known.phone, now, ReadinessLimits()))
    if known.state is not PhoneState.AVAILABLE or not hindrances:
        return known
    return replace(known, state=PhoneState.BLOCKED, reason=hindrances)


def _progress(
    run: Run, parsed: Parsed, known: tuple[KnownPhone, ...], now: datetime
) -> tuple[JobProgress, ...]:
    phones = [one.phone for one in known]
    rows = _shown_jobs(run)
    parsed.read_specs(run, (row.job_id for row in rows))
    counts = _counts(run)
    estimates = _estimates(run, parsed, known, now)
    nowhere: dict[Requirements, str | None] = {}
    shown = []
    for row in rows:
        job = to_job(run, parsed, row)
        cells = counts.get(row.job_id, {})
        told = CellState.FAILED in cells or CellState.CANCELLED in cells
        reasons = _failures(run, row.job_id) if told else ()
        if CellState.OPEN in cells:
            required = job.spec.requirements
            if required not in nowhere:
                nowhere[required] = why_nowhere(required, phones)
            if (words := nowhere[required]) is not None:
                reasons = (words, *reasons)
        estimate = estimates.get(row.job_id)
        shown.append(JobProgress(job=job, cells=cells, reasons=reasons, estimate=estimate))
    return tuple(shown)


def _estimates(
    run: Run, parsed: Parsed, known: tuple[KnownPhone, ...], now: datetime
) -> Mapping[str, Estimate]:
    """Return for each unfinished job how long it takes."""
    durations_s: dict[str, list[float]] = {}
    for row in run(
        "SELECT c.model, a.started_at, a.ended_at FROM attempts a JOIN cells c"
        " ON c.cell_id = a.cell_id WHERE a.outcome = 'done' ORDER BY a.token DESC LIMIT :most",
        most=_PAST_ATTEMPTS,
    ):
        lasted = to_time(row.ended_at) - to_time(row.started_at)
        durations_s.setdefault(row.model, []).append(max(0.0, lasted.total_seconds()))
    if not durations_s:
        return {}
    serving = [one.phone for one in known if one.state in _SERVING]
    running = run(
        "SELECT c.job_id, c.model, a.phone_id, a.started_at FROM attempts a"
        " JOIN cells c ON c.cell_id = a.cell_id"
        " WHERE a.outcome IS NULL AND c.state = 'leased'"
    )
    typical_s = {model: median(past) for model, past in durations_s.items()}
    usual_s = median(lasted for past in durations_s.values() for lasted in past)
    busy_s: dict[str, float] = {}
    own_s: dict[str, float] = {}
    for row in running:
        spent_s = (now - to_time(row.started_at)).total_seconds()
        left_s = max(0.0, typical_s.get(row.model, usual_s) - spent_s)
        busy_s[row.phone_id] = left_s
        own_s[row.job_id] = max(left_s, own_s.get(row.job_id, 0.0))
    waiting = forecast(_groups(run, parsed), serving, durations_s, busy_s) or {}
    nothing = Estimate(
        typical_s=0.0,
        cautious_s=0.0,
        counted_cells=0,
        unplaced_cells=0,
        past_durations=sum(len(past) for past in durations_s.values()),
    )
    return {
        job_id: _with_running(
            waiting.get(job_id, nothing),
            own_s.get(job_id, 0.0),
            sum(1 for row in running if row.job_id == job_id),
        )
        for job_id in {*waiting, *own_s}
    }


def _with_running(waiting: Estimate, left_s: float, cells: int) -> Estimate:
    return replace(
        waiting,
        typical_s=max(waiting.typical_s, left_s),
        cautious_s=max(waiting.cautious_s, left_s),
        counted_cells=waiting.counted_cells + cells,
    )


def _groups(run: Run, parsed: Parsed) -> list[OpenGroup]:
    taken: dict[tuple[str, str], set[str]] = {}
    homes: dict[tuple[str, str], list[str]] = {}
    for row in run(
        "SELECT c.job_id, c.model, c.phone_id FROM jobs j JOIN cells c ON c.job_id = j.job_id"
        " WHERE j.open_cells > 0 AND c.phone_id IS NOT NULL"
    ):
        taken.setdefault((row.job_id, row.model), set()).add(row.phone_id)
    for row in run(
        "SELECT job_id, model, home_phone_id FROM cells"
        " WHERE home_phone_id IS NOT NULL AND state = 'open'"
    ):
        homes.setdefault((row.job_id, row.model), []).append(row.home_phone_id)
    groups = []
    for row in run(
        "SELECT t.job_id, t.model, t.cells, j.submitted_at FROM jobs j JOIN tallies t"
        " ON t.job_id = j.job_id WHERE j.open_cells > 0 AND t.state = 'open' AND t.cells > 0"
        " ORDER BY t.job_id, t.position"
    ):
        spec = parsed.spec(run, row.job_id)
        key = (row.job_id, row.model)
        groups.append(
            OpenGroup(
                job_id=row.job_id,
                model=row.model,
                requirements=spec.requirements,
                rank=rank(spec.priority, spec.deadline, to_time(row.submitted_at)),
                cell_count=int(row.cells),
                taken_phone_ids=frozenset(taken.get(key, ())),
                home_phone_ids=tuple(homes.get(key, ())),
            )
        )
    return groups


def _shown_jobs(run: Run) -> list[Any]:
    newest = run(
        f"SELECT {COLUMNS} FROM jobs ORDER BY submitted_at DESC, job_id LIMIT :most",  # noqa: S608
        most=_OLD_JOBS,
    )
    unfinished = run(
        f"SELECT {COLUMNS} FROM jobs WHERE open_cells > 0 OR job_id IN"  # noqa: S608
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
        "SELECT state, reason, count(*) AS cells FROM cells WHERE job_id = :job"
        " AND state IN ('failed', 'cancelled') AND reason IS NOT NULL GROUP BY state, reason"
        " ORDER BY state, count(*) DESC, reason LIMIT :most",
        job=job_id,
        most=_REASONS,
    )
    return tuple(
        str(row.reason)
        if row.cells == 1 and row.state == CellState.FAILED
        else f"{row.cells} {row.state}: {row.reason}"
        for row in rows
    )
