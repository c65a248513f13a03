"""A copy of an embedded store that is whole although the lab goes on.

SQLite's online backup copies page by page under its own locks; copying the file would miss what
stands in the write-ahead log. PostgreSQL has ``pg_dump``, which is named where it is needed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from ortlab.errors import StorageError, UsageError

_BUSY_S = 60.0


def back_up(url: str, target: Path) -> int:
    """Copy an SQLite store to a file, which opens as a store, and return its size in bytes.

    Args:
        url: Of the store.
        target: Must not be there yet.

    Raises:
        UsageError: The store is no SQLite file, or the target is there already.
        StorageError: The store cannot be read, or the target not written.
    """
    source = _file_of(url)
    if target.exists() or target.is_symlink():
        message = f"cannot back up to {target}: it is there already"
        raise UsageError(message, next_step="name a new file")
    if not source.is_file():
        message = f"cannot back up {source}: there is no store yet"
        raise UsageError(message, next_step="ortlab lab init")
    staged: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        os.close(descriptor)
        staged = Path(name)
        _copy(source, staged)
        with staged.open("rb") as stream:
            os.fsync(stream.fileno())
        size = staged.stat().st_size
        staged.replace(target)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot back up {source} to {target}: {why or error}"
        raise StorageError(message, next_step="make room, or name another file") from error
    finally:
        if staged is not None:
            with contextlib.suppress(OSError):
                staged.unlink(missing_ok=True)
    return size


def compact(url: str) -> tuple[int, int]:
    """Give the space of what was deleted back to the disk.

    Args:
        url: Of an SQLite store; agents that write meanwhile wait.

    Returns:
        The file's size before and after, in bytes.

    Raises:
        UsageError: The store is no SQLite file.
        StorageError: There is no room for the copy that this needs, or the store is busy.
    """
    source = _file_of(url)
    try:
        with contextlib.closing(sqlite3.connect(source, timeout=_BUSY_S)) as connection:
            # What still stands in the write-ahead log is part of neither size.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            before = source.stat().st_size
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, source.stat().st_size
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot compact {source}: {why or error}"
        raise StorageError(message, next_step="make room, or stop the agents first") from error


def _copy(source: Path, staged: Path) -> None:
    read = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
    with contextlib.closing(read), contextlib.closing(sqlite3.connect(staged)) as written:
        # In one step: a copy in parts begins anew whenever an agent writes in between.
        read.backup(written)
        (found,) = written.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        # One file is what is handed on, without a log beside it.
        written.execute("PRAGMA journal_mode=DELETE")


def _file_of(url: str) -> Path:
    scheme, separator, place = url.partition(":///")
    if separator and scheme.split("+")[0] == "sqlite" and place:
        return Path(place.partition("?")[0])
    message = "cannot do this for the store: it is no SQLite file"
    step = "use PostgreSQL's own: pg_dump --format=custom --file=lab.dump DATABASE, or VACUUM"
    raise UsageError(message, next_step=step)
