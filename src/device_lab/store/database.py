"""The connection to SQLite or PostgreSQL: transactions, migrations, errors in words.

Transactions that write are serial: SQLite takes its write lock at the start, PostgreSQL an
advisory lock. A PostgreSQL server that starts again is waited for.

Only this package imports SQLAlchemy, and `LabStore` imports this module when it is first needed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from device_lab.store.group_commit import ConnectionLostError, GroupCommit
from ortlab.errors import StorageError, UsageError

HEAD: Final = "0002"
"""The newest schema that this version knows."""

_LOCK_NUMBER = 7_316_001
_MAX_WAIT_S = 30.0
_BUSY_MS = 60_000
# A server or a network that says nothing more must not keep us for ever.
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": _BUSY_MS,
}
# SQLAlchemy's own way to ask loads a tenth of it, and every command asks.
_FIND_SCHEMA = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT to_regclass('alembic_version')",
}
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
        self._commits = GroupCommit(self._transaction)
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
        try:
            return self._read(operation)
        except ConnectionLostError:
            return self._read(operation)

    def _read(self, operation: Callable[[Transaction], Answer]) -> Answer:
        with self._words("read"), self._connected() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return operation(Transaction(connection))

    def write(self, operation: Callable[[Transaction], Answer]) -> Answer:
        """Run what may write, and return after its commit.

        The operation may be run again from its start, see `GroupCommit`.

        Raises:
            StorageError: The database cannot be used; nothing of the operation is in it, unless
                the connection broke during the commit itself.
        """
        return self._commits.carry_out(operation)

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with self._words("use"), self._connected() as connection:
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
        except (sa.exc.SQLAlchemyError, OSError, UnicodeError) as error:
            message = f"cannot {verb} the lab's store {self._shown}: {self._why(error)}"
            lost = getattr(error, "connection_invalidated", False)
            kind = ConnectionLostError if lost else StorageError
            raise kind(message) from _without_secrets(error)

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """Give a connection; while PostgreSQL starts again, wait for it."""
        patience = _patience_s() if self._engine.dialect.name == "postgresql" else ()
        for wait_s in patience:
            try:
                connection = self._engine.connect()
                break
            except sa.exc.OperationalError:
                time.sleep(wait_s)
        else:
            connection = self._engine.connect()
        with connection:
            yield connection

    @property
    def _shown(self) -> str:
        # A password can also stand behind the question mark.
        return self._url.set(query={}).render_as_string(hide_password=True)

    def _why(self, error: BaseException) -> str:
        """Return the first line of an error, without the password."""
        cause = getattr(error, "orig", None) or error
        line = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        secrets = [self._url.password]
        secrets += [str(text) for name, text in self._url.query.items() if "pass" in name.lower()]
        for secret in filter(None, secrets):
            line = line.replace(secret, "***")
        return line

    def _opened(self) -> sa.Engine:
        if self._url.get_backend_name() == "postgresql":
            try:
                engine = sa.create_engine(
                    self._url,
                    pool_pre_ping=True,
                    pool_size=8,
                    max_overflow=16,
                    connect_args=_PATIENCE,
                )
            except ImportError as error:
                message = f"cannot open the lab's store {self._shown}: psycopg is missing"
                raise StorageError(message, next_step="pip install 'ortlab[lab]'") from error
            sa.event.listen(engine, "connect", _prepare_postgres)
            return engine
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
        if connection.exec_driver_sql(_FIND_SCHEMA[connection.dialect.name]).scalar() is None:
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


def _patience_s() -> Iterator[float]:
    """Yield the pauses between attempts to connect, in seconds: half a minute in all."""
    pause_s = 0.05
    waited_s = 0.0
    while waited_s < _MAX_WAIT_S:
        yield pause_s
        waited_s += pause_s
        pause_s = min(1.0, 2 * pause_s)


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


def _prepare_postgres(connection: Any, _record: object) -> None:
    # Whoever is stopped in the middle of a transaction must not stop the whole lab.
    connection.execute(f"SET lock_timeout = {_BUSY_MS}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {2 * _BUSY_MS}")
    connection.commit()


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
