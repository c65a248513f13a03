"""The connection to SQLite or PostgreSQL: transactions, group commit, migrations, errors in words.

Transactions that write are serial: SQLite takes its write lock at the start, PostgreSQL an
advisory lock. The operations that many threads ask for at the same moment share one transaction,
and each returns only after its commit, so that one wait for the disk serves them all.

Only this package imports SQLAlchemy, and `LabStore` imports this module when it is first needed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from ortlab.errors import OrtlabError, StorageError, UsageError

HEAD: Final = "0002"
"""The newest schema that this version knows."""

_LOCK_NUMBER = 7_316_001
_MAX_SHARED = 512
_BUSY_MS = 60_000
_NEXT_STEP = "give the store as sqlite:///lab.db or postgresql://user@host/database"

Answer = TypeVar("Answer")


class Transaction:
    """A transaction that runs: call it with a statement and its values to get the rows.

    Attributes:
        dialect: ``sqlite`` or ``postgresql``.
        write_count: Statements so far that may have changed something.
        new_blocks: Blocks that came in; added to the counter before the commit.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name
        self.write_count = 0
        self.new_blocks = 0

    def __call__(self, statement: str, **values: object) -> list[Any]:
        """Run a statement and return its rows; none where it has none."""
        if not statement.startswith("SELECT"):
            self.write_count += 1
        result = self._execute(statement, values)
        return list(result.all()) if result.returns_rows else []

    def first(self, statement: str, **values: object) -> Any | None:
        """Return the first row; None without any."""
        return next(iter(self(statement, **values)), None)

    def change(self, statement: str, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        self.write_count += 1
        return self._execute(statement, values).rowcount

    def many(self, statement: str, values: list[dict[str, object]]) -> None:
        """Run a statement that changes rows once for each set of values."""
        self.write_count += 1
        if values:
            self._execute(statement, values)

    def _execute(self, statement: str, values: Any) -> sa.CursorResult[Any]:
        # SQLAlchemy's own translation of names takes longer than SQLite takes to answer.
        if self.dialect == "postgresql":
            statement = _for_psycopg(statement)
        return self._connection.exec_driver_sql(statement, values)

    def settle(self) -> None:
        """Bring the counter up to date; the last thing before the commit."""
        if self.new_blocks:
            self(
                "UPDATE counters SET value = value + :more WHERE name = 'blocks'",
                more=self.new_blocks,
            )


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Answer]):
    """An operation of a thread that waits for its commit."""

    operation: Callable[[Transaction], Answer]
    answers: list[Answer] = field(default_factory=list)
    error: BaseException | None = None
    settled: bool = False
    turn: threading.Event = field(default_factory=threading.Event)


class Database:
    """A database that is up to date.

    Args:
        url: Of SQLAlchemy; PostgreSQL is reached with psycopg, whatever driver the URL names.

    Raises:
        UsageError: The URL means nothing, or another kind of database.
        StorageError: The database cannot be reached or brought up to date, or a newer version
            of ortlab has written it.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self._queue: list[_Waiting[Any]] = []
        self._queue_lock = threading.Lock()
        self._led = False
        self._engine = self._opened()
        try:
            self._migrate()
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def read(self, operation: Callable[[Transaction], Answer]) -> Answer:
        """Run what only reads, on one consistent state.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._words("read"), self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return operation(Transaction(connection))

    def write(self, operation: Callable[[Transaction], Answer]) -> Answer:
        """Run what may write, and return after its commit.

        The operation may be run again from its start when another one that shared its
        transaction failed, so it must keep nothing of a run outside the database.

        Raises:
            StorageError: The database cannot be used; nothing of the operation is in it, unless
                the connection broke during the commit itself.
        """
        waiting = _Waiting(operation)
        with self._queue_lock:
            self._queue.append(waiting)
            leads, self._led = not self._led, True
        if not leads:
            try:
                # A lock of all in place of each one's own signal would let a thread that is
                # served take it again before the others learn that they are served, too.
                waiting.turn.wait()
            except BaseException:
                self._give_up(waiting)
                raise
        if not waiting.settled:
            self._serve()
        if waiting.error is not None:
            raise waiting.error
        return waiting.answers[-1]

    def _serve(self) -> None:
        """Carry out what waits, and let another thread carry out what came meanwhile."""
        batch: list[_Waiting[Any]] = []
        try:
            if not self._together(batch):
                for one in batch:
                    self._alone(one)
        except BaseException:
            # Such as Ctrl-C: the others must not wait for ever, nor take it for a success.
            for one in batch or self._taken():
                if not one.settled:
                    one.error = StorageError("cannot use the lab's store: it was interrupted")
                    one.settled = True
                    one.turn.set()
            raise
        finally:
            for one in batch:
                one.turn.set()
            with self._queue_lock:
                self._hand_over()

    def _hand_over(self) -> None:
        """Let the first that waits serve, while the queue is held."""
        self._led = bool(self._queue)
        if self._queue:
            self._queue[0].turn.set()

    def _give_up(self, waiting: _Waiting[Any]) -> None:
        """Take back an operation that nobody has begun."""
        with self._queue_lock:
            if waiting in self._queue:
                self._queue.remove(waiting)
                if waiting.turn.is_set():
                    self._hand_over()

    def _taken(self) -> list[_Waiting[Any]]:
        """Take what waits out of the queue."""
        with self._queue_lock:
            batch = self._queue[:_MAX_SHARED]
            del self._queue[:_MAX_SHARED]
        return batch

    def _together(self, batch: list[_Waiting[Any]]) -> bool:
        """Fill the batch with what waits and carry it out in one transaction.

        Returns:
            False, and nothing is done, if one of several spoils it.
        """
        try:
            with self._transaction() as run:
                # Only now: while other processes held the lock, more have come.
                batch += self._taken()
                for one in batch:
                    before = run.write_count
                    try:
                        one.answers.append(one.operation(run))
                    except OrtlabError as error:
                        if run.write_count != before:
                            raise
                        one.error = error
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    one.answers.clear()
                    one.error = None
                return False
            # One alone, or the transaction did not even begin: it would for none of them.
            batch += self._taken() if not batch else []
            for one in batch:
                one.error = error
        for one in batch:
            one.settled = True
        return True

    def _alone(self, one: _Waiting[Any]) -> None:
        try:
            with self._transaction() as run:
                answer = one.operation(run)
            one.answers.append(answer)
        except Exception as error:
            one.error = error
        one.settled = True

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._words("use"), self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                if self._engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")
                run = Transaction(connection)
                yield run
                run.settle()

    @contextmanager
    def _words(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, OSError) as error:
            message = f"cannot {verb} the lab's store {self._shown}: {self._why(error)}"
            raise StorageError(message) from _without_secrets(error)

    @property
    def _shown(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def _why(self, error: BaseException) -> str:
        """Return the first line of an error, without the password."""
        cause = getattr(error, "orig", None) or error
        line = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        password = self._url.password
        return line.replace(str(password), "***") if password else line

    def _opened(self) -> sa.Engine:
        if self._url.get_backend_name() == "postgresql":
            try:
                return sa.create_engine(self._url, pool_pre_ping=True, pool_size=8, max_overflow=16)
            except ImportError as error:
                message = f"cannot open the lab's store {self._shown}: psycopg is missing"
                raise StorageError(message, next_step="pip install 'ortlab[lab]'") from error
        with self._words("open"):
            Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self._url,
            pool_size=8,
            max_overflow=16,
            connect_args={"timeout": _BUSY_MS / 1000, "check_same_thread": False},
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _migrate(self) -> None:
        with self._words("open"), self._engine.connect() as connection:
            if self._revision(connection) == HEAD:
                return
            connection.rollback()
            connection.execution_options(writes=True)
            with connection.begin():
                if self._engine.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")
                self._upgrade(connection)

    def _revision(self, connection: sa.Connection) -> str | None:
        """Return the schema's revision; None for a database without one."""
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        found = None if row is None else str(row[0])
        if found is not None and not found.isdecimal():
            message = f"cannot open the lab's store {self._shown}: it belongs to another program"
            raise StorageError(message, next_step=_NEXT_STEP)
        if found is not None and int(found) > int(HEAD):
            message = (
                f"cannot open the lab's store {self._shown}: a newer version of ortlab has"
                f" written it (schema {found}; this version knows up to {HEAD})"
            )
            raise StorageError(message, next_step="pip install --upgrade ortlab")
        return found

    def _upgrade(self, connection: sa.Connection) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        # ConfigParser would take a percent sign of the path for a reference.
        place = str(Path(__file__).parent / "migrations").replace("%", "%%")
        config.set_main_option("script_location", place)
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except (CommandError, ValueError, KeyError, TypeError) as error:
            # The latter are of migrations that read values which no version of ours writes.
            message = f"cannot bring the lab's store {self._shown} up to date: {self._why(error)}"
            raise StorageError(message) from error


@lru_cache(maxsize=512)
def _for_psycopg(statement: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", statement.replace("%", "%%"))


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except (sa.exc.SQLAlchemyError, ValueError, ImportError):
        # The URL itself is not shown, nor the error that quotes it: a password may be in it.
        message = "cannot use the lab's store: its address is no URL that we understand"
        raise UsageError(message, next_step=_NEXT_STEP) from None
    if backend == "postgres":
        backend = "postgresql"
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        message = f"cannot use the lab's store: {backend!r} is neither sqlite nor postgresql"
        raise UsageError(message, next_step=_NEXT_STEP)
    if parsed.database in (None, "", ":memory:"):
        message = "cannot use the lab's store: SQLite needs a file, so that it outlives us"
        raise UsageError(message, next_step=_NEXT_STEP)
    return parsed.set(drivername="sqlite")


def _without_secrets(error: BaseException) -> BaseException | None:
    """Return what may be chained: not SQLAlchemy's own text, which quotes values."""
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, BaseException) else None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself, or the lock comes too late.
    connection.isolation_level = None
    for setting in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
