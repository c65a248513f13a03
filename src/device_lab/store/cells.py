"""The cells' states with the counts that are kept of them, and which open cell a phone gets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from device_lab.planning import OpenCell, unmet
from device_lab.store.rows import NEVER, Parsed, Run, counted, note, to_text, to_time
from device_lab.values import CellState, LabPhone

_FIRST_CHUNK = 16


def move_cell(
    run: Run,
    cell: Any,
    state: CellState,
    *,
    phone_id: str | None,
    home_phone_id: str | None,
    failed_attempts: int = 0,
    reason: str | None = None,
) -> None:
    """Bring a cell, given as its row, into a state and keep the counts true."""
    run(
        "UPDATE cells SET state = :state, phone_id = :phone, home_phone_id = :home,"
        " failed_attempts = :failed, reason = :reason WHERE cell_id = :cell",
        state=str(state),
        phone=phone_id,
        home=home_phone_id,
        failed=failed_attempts,
        reason=reason,
        cell=cell.cell_id,
    )
    if cell.state != state:
        shift_tally(run, cell.job_id, cell.model, CellState(cell.state), state)


def shift_tally(
    run: Run, job_id: str, model: str, old: CellState, new: CellState, cells: int = 1
) -> None:
    """Count cells of a job and model that went from one state to another."""
    run(
        "UPDATE tallies SET cells = cells + CASE WHEN state = :new THEN :more ELSE :fewer END"
        " WHERE job_id = :job AND model = :model AND state IN (:old, :new)",
        job=job_id,
        model=model,
        old=str(old),
        new=str(new),
        more=cells,
        fewer=-cells,
    )
    opened = cells * ((new is CellState.OPEN) - (old is CellState.OPEN))
    if opened:
        run(
            "UPDATE jobs SET open_cells = open_cells + :opened WHERE job_id = :job",
            opened=opened,
            job=job_id,
        )


def note_if_over(run: Run, job_id: str, now: datetime) -> None:
    """Write down that a job is done once none of its cells waits or runs."""
    counts = {
        str(row.state): int(row.cells)
        for row in run(
            "SELECT state, sum(cells) AS cells FROM tallies WHERE job_id = :job"
            " GROUP BY state ORDER BY state",
            job=job_id,
        )
    }
    if not counts.get(CellState.OPEN) and not counts.get(CellState.LEASED):
        note(run, now, "job-done", job_id, f"every cell came to its end: {counted(counts)}")


def choose(
    run: Run, parsed: Parsed, phone: LabPhone, now: datetime, cell_id: str | None
) -> Any | None:
    """Return the row of the open cell that a ready phone gets, in `planning.order`.

    A job whose deadline passed gets none, whether or not anybody has cancelled it yet.

    Args:
        run: The transaction.
        parsed: Specifications that were read before.
        phone: The phone.
        now: The time.
        cell_id: The only cell that may be chosen; None for any.
    """
    if cell_id is not None:
        return _choose_this(run, parsed, phone, now, cell_id)
    begun = {}
    for row in run(
        "SELECT * FROM cells WHERE home_phone_id = :phone AND state = 'open' ORDER BY cell_id DESC",
        phone=phone.phone_id,
    ):
        begun[row.job_id] = row
    for job_id in _waiting_jobs(run, now):
        if unmet(phone, parsed.spec(run, job_id).requirements):
            continue
        row = begun.get(job_id) or _fresh(run, job_id, phone.phone_id)
        if row is not None:
            return row
    return None


def open_cells(run: Run, parsed: Parsed) -> tuple[OpenCell, ...]:
    """Return the cells that wait, in no particular order."""
    taken: dict[tuple[str, str], set[str]] = {}
    for row in run(
        "SELECT c.job_id, c.model, c.phone_id FROM cells c JOIN jobs j ON j.job_id = c.job_id"
        " WHERE j.open_cells > 0 AND c.phone_id IS NOT NULL"
    ):
        taken.setdefault((row.job_id, row.model), set()).add(row.phone_id)
    frozen = {key: frozenset(phones) for key, phones in taken.items()}
    nobody: frozenset[str] = frozenset()
    cells: list[OpenCell] = []
    times: dict[str, datetime] = {}
    for row in run(
        "SELECT c.cell_id, c.job_id, c.model, c.home_phone_id, j.submitted_at FROM jobs j"
        " JOIN cells c ON c.job_id = j.job_id WHERE j.open_cells > 0 AND c.state = 'open'"
    ):
        spec = parsed.spec(run, row.job_id)
        if row.submitted_at not in times:
            times[row.submitted_at] = to_time(row.submitted_at)
        cells.append(
            OpenCell(
                cell_id=row.cell_id,
                job_id=row.job_id,
                model=row.model,
                requirements=spec.requirements,
                priority=spec.priority,
                deadline=spec.deadline,
                submitted_at=times[row.submitted_at],
                taken_phone_ids=frozen.get((row.job_id, row.model), nobody),
                home_phone_id=row.home_phone_id,
            )
        )
    return tuple(cells)


def _waiting_jobs(run: Run, now: datetime) -> Iterator[str]:
    """Yield the jobs with open cells that may still be measured, the most urgent first.

    Most phones find a cell in the first jobs, so the rest is read only for those that do not.
    """
    after: tuple[object, ...] = (-(1 << 31), "", "", "")
    chunk = _FIRST_CHUNK
    while True:
        rows = run(
            "SELECT urgency, deadline, submitted_at, job_id FROM jobs WHERE open_cells > 0"
            " AND deadline > :now AND (urgency, deadline, submitted_at, job_id)"
            " > (:urgency, :deadline, :at, :job)"
            " ORDER BY urgency, deadline, submitted_at, job_id LIMIT :chunk",
            urgency=after[0],
            deadline=after[1],
            at=after[2],
            job=after[3],
            now=to_text(now),
            chunk=chunk,
        )
        yield from (row.job_id for row in rows)
        if len(rows) < chunk:
            return
        after = tuple(rows[-1])
        chunk *= 8


def _fresh(run: Run, job_id: str, phone_id: str) -> Any | None:
    """Return a cell of a model that the phone has not, and that no other phone began."""
    for row in run(
        "SELECT t.model FROM tallies t WHERE t.job_id = :job AND t.state = 'open' AND t.cells > 0"
        " AND NOT EXISTS (SELECT 1 FROM cells c WHERE c.job_id = :job AND c.model = t.model"
        " AND c.phone_id = :phone) ORDER BY t.position",
        job=job_id,
        phone=phone_id,
    ):
        found: Any | None = run.first(
            "SELECT * FROM cells WHERE job_id = :job AND model = :model AND state = 'open'"
            " AND home_phone_id IS NULL ORDER BY slot LIMIT 1",
            job=job_id,
            model=row.model,
        )
        if found is not None:
            return found
    return None


def _choose_this(
    run: Run, parsed: Parsed, phone: LabPhone, now: datetime, cell_id: str
) -> Any | None:
    row = run.first(
        "SELECT c.* FROM cells c JOIN jobs j ON j.job_id = c.job_id"
        " WHERE c.cell_id = :cell AND c.state = 'open' AND j.deadline > :now"
        " AND (c.home_phone_id IS NULL OR c.home_phone_id = :phone) AND NOT EXISTS"
        " (SELECT 1 FROM cells t WHERE t.job_id = c.job_id AND t.model = c.model"
        " AND t.phone_id = :phone)",
        cell=cell_id,
        phone=phone.phone_id,
        now=to_text(now),
    )
    if row is None or unmet(phone, parsed.spec(run, row.job_id).requirements):
        return None
    return row


def deadline_text(deadline: datetime | None) -> str:
    """Return a deadline as the queue sorts it."""
    return NEVER if deadline is None else to_text(deadline)
