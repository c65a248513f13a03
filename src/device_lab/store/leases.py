"""Leases: who may measure what until when, and what becomes of a cell when one ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from device_lab.planning import ReadinessLimits, unready
from device_lab.store.cells import choose, move_cell, note_if_over
from device_lab.store.phones import count_failure
from device_lab.store.rows import Parsed, Run, note, to_lease, to_text, to_time
from device_lab.values import CellResult, CellState, Lease, LeaseOverError, Outcome, PhoneState
from ortlab.codec import to_json
from ortlab.errors import StorageError

_FAILURES = (Outcome.FAILED, Outcome.EXPIRED)


def claim(
    run: Run,
    parsed: Parsed,
    *,
    holder: str,
    phone_id: str,
    now: datetime,
    cell_id: str | None,
    duration_s: float,
    limits: ReadinessLimits,
) -> Lease | None:
    """Lease a cell to a phone; None if it may not have one or nothing fits."""
    row = run.first(
        "SELECT p.value, a.token, a.expires_at FROM phones p LEFT JOIN attempts a"
        " ON a.phone_id = p.phone_id AND a.outcome IS NULL"
        " WHERE p.phone_id = :phone AND p.state IN ('available', 'blocked')",
        phone=phone_id,
    )
    if row is None or (row.token is not None and to_time(row.expires_at) > now):
        return None
    if row.token is not None:
        end(run, parsed, row.token, Outcome.EXPIRED, now, reason=None)
    phone = parsed.phone(phone_id, row.value)
    chosen = None if unready(phone, now, limits) else choose(run, parsed, phone, now, cell_id)
    if chosen is None:
        return None
    return _take(run, chosen, phone_id, holder, now, now + timedelta(seconds=duration_s))


def _take(
    run: Run, cell: Any, phone_id: str, holder: str, now: datetime, expires_at: datetime
) -> Lease:
    # The phone measures this model now, so it can never come back to another slot of it.
    run(
        "UPDATE cells SET home_phone_id = NULL WHERE job_id = :job AND model = :model"
        " AND home_phone_id = :phone AND cell_id != :cell",
        job=cell.job_id,
        model=cell.model,
        phone=phone_id,
        cell=cell.cell_id,
    )
    move_cell(
        run,
        cell,
        CellState.LEASED,
        phone_id=phone_id,
        home_phone_id=cell.home_phone_id,
        failed_attempts=cell.failed_attempts,
        reason=cell.reason,
    )
    (row,) = run(
        "INSERT INTO attempts (cell_id, phone_id, holder, started_at, expires_at)"
        " VALUES (:cell, :phone, :holder, :at, :until) RETURNING token",
        cell=cell.cell_id,
        phone=phone_id,
        holder=holder,
        at=to_text(now),
        until=to_text(expires_at),
    )
    return Lease(
        phone_id=phone_id,
        cell_id=cell.cell_id,
        holder=holder,
        token=row.token,
        expires_at=expires_at,
    )


def check(run: Run, lease: Lease, now: datetime, *, even_cancelled: bool = False) -> None:
    """Refuse a lease that is over.

    Raises:
        LeaseOverError: Its attempt ended, its time is over, or its job was cancelled.
    """
    row = run.first(
        "SELECT a.outcome, a.expires_at, j.cancelled, c.reason FROM attempts a"
        " JOIN cells c ON c.cell_id = a.cell_id JOIN jobs j ON j.job_id = c.job_id"
        " WHERE a.token = :token AND a.cell_id = :cell AND a.phone_id = :phone",
        token=lease.token,
        cell=lease.cell_id,
        phone=lease.phone_id,
    )
    if row is None:
        message = (
            f"cannot write to the cell {lease.cell_id}: the lab gave no lease {lease.token} for it"
        )
        raise StorageError(message)
    reason = _over(row, now, even_cancelled=even_cancelled)
    if reason is not None:
        why = f"{reason}: {row.reason}" if reason is Outcome.CANCELLED and row.reason else reason
        message = (
            f"cannot write to the cell {lease.cell_id}: the lease {lease.token} is over ({why})"
        )
        raise LeaseOverError(message, reason=reason)


def _over(row: Any, now: datetime, *, even_cancelled: bool) -> Outcome | None:
    if row.outcome is not None:
        return Outcome(row.outcome)
    if row.cancelled and not even_cancelled:
        return Outcome.CANCELLED
    return Outcome.EXPIRED if to_time(row.expires_at) <= now else None


def renew(run: Run, lease: Lease, now: datetime, duration_s: float) -> Lease:
    """Let a lease last from now on."""
    check(run, lease, now)
    expires_at = now + timedelta(seconds=duration_s)
    run(
        "UPDATE attempts SET expires_at = :until WHERE token = :token",
        until=to_text(expires_at),
        token=lease.token,
    )
    return Lease(
        phone_id=lease.phone_id,
        cell_id=lease.cell_id,
        holder=lease.holder,
        token=lease.token,
        expires_at=expires_at,
    )


def begin_experiment(run: Run, lease: Lease, experiment_json: str, now: datetime) -> str:
    """Keep the experiment of a cell on a phone; the first one stays."""
    check(run, lease, now)
    run(
        "INSERT INTO experiments (cell_id, phone_id, text) VALUES (:cell, :phone, :text)"
        " ON CONFLICT DO NOTHING",
        cell=lease.cell_id,
        phone=lease.phone_id,
        text=experiment_json,
    )
    (row,) = run(
        "SELECT text FROM experiments WHERE cell_id = :cell AND phone_id = :phone",
        cell=lease.cell_id,
        phone=lease.phone_id,
    )
    return str(row.text)


def record_block(run: Run, lease: Lease, block_id: str, line: str, now: datetime) -> None:
    """Store a block under a lease that is not over."""
    # The check is part of the statement, so that the usual block takes one.
    added = run.change(
        "INSERT INTO blocks (cell_id, phone_id, block_id, token, line)"
        " SELECT a.cell_id, a.phone_id, :block, a.token, :line FROM attempts a"
        " JOIN cells c ON c.cell_id = a.cell_id"
        " WHERE a.token = :token AND a.cell_id = :cell AND a.phone_id = :phone"
        " AND a.outcome IS NULL AND a.expires_at > :at AND c.state = 'leased'"
        " ON CONFLICT (cell_id, phone_id, block_id) DO NOTHING",
        token=lease.token,
        cell=lease.cell_id,
        phone=lease.phone_id,
        block=block_id,
        line=line,
        at=to_text(now),
    )
    if added:
        run.new_blocks += 1
        return
    check(run, lease, now)
    (row,) = run(
        "SELECT line FROM blocks WHERE cell_id = :cell AND phone_id = :phone AND block_id = :block",
        cell=lease.cell_id,
        phone=lease.phone_id,
        block=block_id,
    )
    if row.line != line:
        message = (
            f"cannot store the block {block_id} of the cell {lease.cell_id}: the lab has it"
            " already with another content"
        )
        raise StorageError(message)


def finish(
    run: Run,
    parsed: Parsed,
    lease: Lease,
    outcome: Outcome,
    now: datetime,
    *,
    reason: str | None,
    result: CellResult | None,
    blames_phone: bool = True,
) -> Outcome:
    """End a lease and keep its result."""
    if result is not None and result.cell_id != lease.cell_id:
        message = f"cannot keep a result of the cell {result.cell_id} for {lease.cell_id}"
        raise StorageError(message)
    check(run, lease, now, even_cancelled=True)
    written = end(run, parsed, lease.token, outcome, now, reason=reason, blames_phone=blames_phone)
    if result is not None and written is Outcome.DONE:
        run(
            "INSERT INTO results (cell_id, job_id, phone_id, model_name, finished_at, value)"
            " SELECT cell_id, job_id, :phone, :model, :at, :value FROM cells WHERE cell_id = :cell",
            cell=lease.cell_id,
            phone=lease.phone_id,
            model=result.model_name,
            at=to_text(result.finished_at),
            value=to_json(result),
        )
    return written


def expire(run: Run, parsed: Parsed, now: datetime) -> tuple[Lease, ...]:
    """End the leases whose time is over."""
    rows = run(
        "SELECT * FROM attempts WHERE outcome IS NULL AND expires_at <= :at"
        " ORDER BY expires_at, token",
        at=to_text(now),
    )
    for row in rows:
        end(run, parsed, row.token, Outcome.EXPIRED, now, reason=None)
    return tuple(to_lease(row) for row in rows)


def end(
    run: Run,
    parsed: Parsed,
    token: int,
    outcome: Outcome,
    now: datetime,
    *,
    reason: str | None,
    blames_phone: bool = True,
) -> Outcome:
    """End an attempt that runs, move its cell on, and return the outcome that is written."""
    (row,) = run(
        "SELECT a.phone_id, a.holder, a.cell_id, c.job_id, c.model, c.state, c.home_phone_id,"
        " c.failed_attempts, c.reason, j.cancelled FROM attempts a"
        " JOIN cells c ON c.cell_id = a.cell_id JOIN jobs j ON j.job_id = c.job_id"
        " WHERE a.token = :token",
        token=token,
    )
    if row.cancelled:
        outcome, reason = Outcome.CANCELLED, row.reason or reason
    elif outcome is Outcome.CANCELLED:
        outcome = Outcome.RELEASED
    if outcome is Outcome.EXPIRED and reason is None:
        reason = f"{row.holder} was not heard of before its lease ended"
    run(
        "UPDATE attempts SET outcome = :outcome, ended_at = :at, reason = :reason"
        " WHERE token = :token",
        outcome=str(outcome),
        at=to_text(now),
        reason=reason,
        token=token,
    )
    if outcome in _FAILURES:
        kind = "attempt-failed" if outcome is Outcome.FAILED else "attempt-expired"
        note(run, now, kind, row.cell_id, f"on {row.phone_id}: {reason or 'no reason was given'}")
    # An expired lease tells of its holder, not of the phone.
    if outcome is Outcome.DONE:
        run("UPDATE phones SET failures = 0 WHERE phone_id = :phone", phone=row.phone_id)
    elif outcome is Outcome.FAILED and blames_phone:
        count_failure(run, row.phone_id, now)
    if not row.cancelled:
        _move_on(run, parsed, row, outcome, now, reason)
    return outcome


def _move_on(
    run: Run, parsed: Parsed, row: Any, outcome: Outcome, now: datetime, reason: str | None
) -> None:
    failed = row.failed_attempts + (outcome in _FAILURES)
    state = CellState.DONE
    if outcome is not Outcome.DONE:
        tries_left = failed <= parsed.spec(run, row.job_id).retries
        state = CellState.OPEN if outcome is Outcome.RELEASED or tries_left else CellState.FAILED
    is_open = state is CellState.OPEN
    move_cell(
        run,
        row,
        state,
        phone_id=None if is_open else row.phone_id,
        home_phone_id=_home(run, row) if is_open else row.home_phone_id,
        failed_attempts=failed,
        reason=reason if outcome in _FAILURES else row.reason,
    )
    if not is_open:
        words = f"{row.model} on {row.phone_id}" + (f": {reason}" if reason else "")
        note(run, now, f"cell-{state}", row.cell_id, words)
        note_if_over(run, row.job_id, now)


def _home(run: Run, row: Any) -> str | None:
    """Return the phone that an open cell goes back to: the one that has its newest blocks."""
    found = run.first(
        "SELECT p.state FROM blocks b JOIN phones p ON p.phone_id = b.phone_id"
        " WHERE b.cell_id = :cell AND b.phone_id = :phone LIMIT 1",
        cell=row.cell_id,
        phone=row.phone_id,
    )
    if found is None:
        home: str | None = row.home_phone_id
        return home
    return None if found.state == PhoneState.QUARANTINED else str(row.phone_id)
