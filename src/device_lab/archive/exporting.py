"""Everything in the store as Parquet, in row groups, so that memory stays small however much it is.

The directory appears at once and whole: it is written under another name beside it first.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from device_lab.archive import tables
from device_lab.store import LabStore
from ortlab import __version__
from ortlab.errors import StorageError, UsageError

SCHEMA = "ortlab.lab_export/1"
_GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTable:
    """A file of the export."""

    name: str
    rows: int
    size_bytes: int


def export(
    store: LabStore,
    directory: Path,
    now: datetime,
    *,
    progress: Callable[[str], None] = lambda _text: None,
) -> tuple[ExportedTable, ...]:
    """Write every table of the store to ``directory/<table>.parquet``.

    Args:
        store: Of the lab; it may be in use.
        directory: Must not be there yet.
        now: The time, for the export's own description in ``export.json``.
        progress: Told where the work stands.

    Raises:
        UsageError: The directory is there already, or its parent is not.
        StorageError: The store cannot be read, or the directory not written.
    """
    if directory.exists() or directory.is_symlink():
        message = f"cannot export to {directory}: it is there already"
        raise UsageError(message, next_step="name a new directory")
    if not directory.parent.is_dir():
        message = f"cannot export to {directory}: {directory.parent} is no directory"
        raise UsageError(message, next_step=f"mkdir -p {directory.parent}")
    with _writing(directory), _staged(directory) as staged:
        schemas = tables.schemas()
        written = []
        for name, (source, convert) in tables.converters().items():
            progress(f"exporting {name}")
            rows = (made for row in store.rows(source) for made in convert(row))
            written.append(_write(staged / f"{name}.parquet", schemas[name], rows, progress))
        _describe(staged / "export.json", written, now)
    return tuple(written)


def _write(
    path: Path, schema: Any, rows: Iterator[tables.Row], progress: Callable[[str], None]
) -> ExportedTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    clean = [
        (name, kind, tables.cleaner(kind))
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    with path.open("wb") as stream:
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            for group in _groups(rows):
                columns = [
                    pa.array([make(row.get(name)) for row in group], type=kind)
                    for name, kind, make in clean
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                count += len(group)
                progress(f"exporting {path.stem}: {count} rows")
        stream.flush()
        os.fsync(stream.fileno())
        size = stream.tell()
    return ExportedTable(name=path.stem, rows=count, size_bytes=size)


def _groups(rows: Iterator[tables.Row]) -> Iterator[list[tables.Row]]:
    """Yield rows in groups that are bounded by their number and by how long their texts are."""
    group: list[tables.Row] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(group) >= _GROUP_ROWS or characters >= _GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _describe(path: Path, written: list[ExportedTable], now: datetime) -> None:
    value = {
        "schema": SCHEMA,
        "ortlab_version": __version__,
        "exported_at": now.isoformat(),
        "rows": {table.name: table.rows for table in written},
    }
    with path.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(value, indent=2) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot export to {directory}: {error.strerror or error}"
        raise StorageError(message, next_step="make room, or name another directory") from error


@contextlib.contextmanager
def _staged(directory: Path) -> Iterator[Path]:
    staged = Path(tempfile.mkdtemp(prefix=f".{directory.name[:100]}.", dir=directory.parent))
    try:
        yield staged
        # What was private while it was made gets the rights that a new directory has.
        mask = os.umask(0)
        os.umask(mask)
        staged.chmod(0o777 & ~mask)
        staged.rename(directory)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
