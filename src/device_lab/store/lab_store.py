"""Jobs, phones, leases and blocks in a database; every operation is one transaction.

Transactions that write are serial: SQLite takes its write lock at the start, PostgreSQL an
advisory lock. A token belongs to one attempt and only the attempt that runs may store blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from device_lab.planning import OpenCell, ReadinessLimits, choose_cell
from device_lab.values import (
    Cell,
    CellState,
    JobSpec,
    LabPhone,
    Lease,
    Outcome,
    PhoneState,
    StoredBlock,
)
from ortlab.codec import from_json, to_json
from ortlab.errors import StorageError, UsageError

_LOCK_NUMBER = 7_316_001
_OPEN_ENDS = (Outcome.RELEASED, Outcome.EXPIRED)


def _text(at: datetime) -> str:
    # A fixed width, so that texts sort as times do.
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class LabStore:
    """The lab's database.

    Args:
        url: Of SQLAlchemy: ``sqlite:///lab.db`` or ``postgresql+psycopg://…``.

    Raises:
        StorageError: The database cannot be opened or brought up to date.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
                sa.event.listen(self._engine, "begin", _begin_sqlite)
            self._migrate()
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            message = f"cannot open the lab's store: {str(error).splitlines()[0]}"
            raise StorageError(message) from error

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def submit(self, spec: JobSpec, now: datetime) -> str:
        """Take a job in and return its id; the same content again changes nothing."""
        job_id = spec.digest
        with self._transaction() as run:
            if run("SELECT 1 FROM jobs WHERE job_id = :job", job=job_id):
                return job_id
            run(
                "INSERT INTO jobs VALUES (:job, :spec, :at, :no)",
                job=job_id,
                spec=to_json(spec),
                at=_text(now),
                no=False,
            )
            for index, model in enumerate(spec.models):
                for slot in range(spec.requirements.phone_count):
                    run(
                        "INSERT INTO cells VALUES (:cell, :job, :model, :slot, 'open', NULL, 0)",
                        cell=f"{job_id[:16]}-{index}-{slot}",
                        job=job_id,
                        model=model,
                        slot=slot,
                    )
        return job_id

    def see_phone(self, phone: LabPhone) -> None:
        """Write down how a phone is; a quarantine stays."""
        with self._transaction() as run:
            run(
                "INSERT INTO phones VALUES (:phone, :value, 'available', NULL)"
                " ON CONFLICT (phone_id) DO UPDATE SET value = excluded.value",
                phone=phone.phone_id,
                value=to_json(phone),
            )

    def quarantine(self, phone_id: str, reason: str) -> None:
        """Give a phone no further cell until it is released."""
        self._set_phone(phone_id, PhoneState.QUARANTINED, reason)

    def release_phone(self, phone_id: str) -> None:
        """End a quarantine."""
        self._set_phone(phone_id, PhoneState.AVAILABLE, None)

    def claim(
        self,
        holder: str,
        phone_id: str,
        now: datetime,
        *,
        duration_s: float = 120.0,
        limits: ReadinessLimits | None = None,
    ) -> Lease | None:
        """Lease the next cell to a phone; None if it is busy, not ready, or nothing fits."""
        with self._transaction() as run:
            rows = run(
                "SELECT value FROM phones WHERE phone_id = :phone AND state = 'available' AND NOT"
                " EXISTS (SELECT 1 FROM attempts WHERE phone_id = :phone AND outcome IS NULL)",
                phone=phone_id,
            )
            if not rows:
                return None
            phone = from_json(LabPhone, rows[0].value, source=f"phone {phone_id}")
            cell = choose_cell(phone, _open_cells(run), now, limits or ReadinessLimits())
            if cell is None:
                return None
            expires_at = now + timedelta(seconds=duration_s)
            run(
                "UPDATE cells SET state = 'leased', phone_id = :phone WHERE cell_id = :cell",
                phone=phone_id,
                cell=cell.cell_id,
            )
            (row,) = run(
                "INSERT INTO attempts (cell_id, phone_id, holder, started_at, expires_at)"
                " VALUES (:cell, :phone, :holder, :at, :until) RETURNING token",
                cell=cell.cell_id,
                phone=phone_id,
                holder=holder,
                at=_text(now),
                until=_text(expires_at),
            )
            return Lease(
                phone_id=phone_id,
                cell_id=cell.cell_id,
                holder=holder,
                token=row.token,
                expires_at=expires_at,
            )

    def record_block(self, lease: Lease, block_id: str, line: str) -> None:
        """Store a block; the same id again changes nothing.

        Raises:
            StorageError: The lease is over, so its phone and cell may be somebody else's.
        """
        with self._transaction() as run:
            _check_lease(run, lease)
            run(
                "INSERT INTO blocks VALUES (:cell, :block, :token, :line) ON CONFLICT DO NOTHING",
                cell=lease.cell_id,
                block=block_id,
                token=lease.token,
                line=line,
            )

    def finish(self, lease: Lease, outcome: Outcome, now: datetime) -> None:
        """End a lease; a failed cell is tried again while its job's retries last.

        Raises:
            StorageError: The lease is over already.
        """
        with self._transaction() as run:
            _check_lease(run, lease)
            _end(run, lease.token, lease.cell_id, outcome, now)

    def expire(self, now: datetime) -> int:
        """End the leases whose time is over and return how many they were."""
        with self._transaction() as run:
            rows = run(
                "SELECT token, cell_id FROM attempts WHERE outcome IS NULL AND expires_at <= :at",
                at=_text(now),
            )
            for row in rows:
                _end(run, row.token, row.cell_id, Outcome.EXPIRED, now)
            return len(rows)

    def cells(self) -> list[Cell]:
        """Return every cell, by id."""
        with self._transaction() as run:
            rows = run("SELECT * FROM cells ORDER BY cell_id")
        return [Cell(**{**row._asdict(), "state": CellState(row.state)}) for row in rows]

    def blocks(self, cell_id: str) -> list[StoredBlock]:
        """Return a cell's blocks, by id."""
        with self._transaction() as run:
            rows = run("SELECT * FROM blocks WHERE cell_id = :cell ORDER BY block_id", cell=cell_id)
        return [StoredBlock(**row._asdict()) for row in rows]

    def _set_phone(self, phone_id: str, state: PhoneState, reason: str | None) -> None:
        with self._transaction() as run:
            if not run(
                "UPDATE phones SET state = :state, reason = :reason WHERE phone_id = :phone"
                " RETURNING phone_id",
                state=str(state),
                reason=reason,
                phone=phone_id,
            ):
                message = f"cannot change the phone {phone_id}: the lab does not know it"
                raise UsageError(message)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))

                def run(statement: str, **values: object) -> list[Any]:
                    result = connection.execute(sa.text(statement), values)
                    return list(result.all()) if result.returns_rows else []

                yield run
        except sa.exc.SQLAlchemyError as error:
            message = f"cannot use the lab's store: {str(error).splitlines()[0]}"
            raise StorageError(message) from error

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself, or the lock comes too late.
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_lease(run: Any, lease: Lease) -> None:
    if not run(
        "SELECT 1 FROM attempts WHERE token = :token AND cell_id = :cell AND outcome IS NULL",
        token=lease.token,
        cell=lease.cell_id,
    ):
        message = f"cannot write to the cell {lease.cell_id}: the lease {lease.token} is over"
        raise StorageError(message)


def _end(run: Any, token: int, cell_id: str, outcome: Outcome, now: datetime) -> None:
    (row,) = run(
        "SELECT failed_attempts, spec, cancelled FROM cells JOIN jobs USING (job_id)"
        " WHERE cell_id = :cell",
        cell=cell_id,
    )
    failed = row.failed_attempts + (outcome is Outcome.FAILED)
    retries = from_json(JobSpec, row.spec, source="a job").retries
    state = CellState(str(outcome)) if outcome not in _OPEN_ENDS else CellState.OPEN
    if state is CellState.FAILED and failed <= retries:
        state = CellState.OPEN
    run(
        "UPDATE attempts SET outcome = :outcome, ended_at = :at WHERE token = :token",
        outcome=str(outcome),
        at=_text(now),
        token=token,
    )
    run(
        "UPDATE cells SET state = :state, failed_attempts = :failed, phone_id ="
        " CASE WHEN :is_open THEN NULL ELSE phone_id END WHERE cell_id = :cell",
        state=str(state),
        is_open=state is CellState.OPEN,
        failed=failed,
        cell=cell_id,
    )


def _open_cells(run: Any) -> list[OpenCell]:
    taken: dict[tuple[str, str], set[str]] = {}
    for row in run("SELECT job_id, model, phone_id FROM cells WHERE phone_id IS NOT NULL"):
        taken.setdefault((row.job_id, row.model), set()).add(row.phone_id)
    cells = []
    for row in run(
        "SELECT cell_id, job_id, model, spec, submitted_at FROM cells JOIN jobs USING (job_id)"
        " WHERE state = 'open'"
    ):
        spec = from_json(JobSpec, row.spec, source=f"job {row.job_id}")
        cells.append(
            OpenCell(
                cell_id=row.cell_id,
                job_id=row.job_id,
                model=row.model,
                requirements=spec.requirements,
                priority=spec.priority,
                deadline=spec.deadline,
                submitted_at=datetime.fromisoformat(row.submitted_at),
                taken_phone_ids=frozenset(taken.get((row.job_id, row.model), ())),
            )
        )
    return cells
