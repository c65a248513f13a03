"""Projects on disk: written whole or not at all, and written again around what a user changed.

A first run builds the tree beside its place and renames it there. A later run knows from the
record `.ortlab/generated.json` what it wrote: files that are unchanged since follow the template,
files that the user changed or deleted stay so. The generated folder is ours; it is exchanged in
one step, and what a user changed in it is put aside. Every other file is renamed into place, and
the record says beforehand what is about to be written, so that a run that was killed is no user's
change to the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ortlab.codec import from_json
from ortlab.domain import AppPlatform
from ortlab.errors import StorageError, UsageError
from ortlab.scaffold.files import Content, place, storage_error, sync_tree
from ortlab.scaffold.record import (
    OWN_DIRECTORY,
    RECORD,
    SCHEMA_VERSION,
    ProjectPlan,
    Record,
    Written,
    finished_record,
    record_text,
)
from ortlab.scaffold.rerun import Update


def write_project(plan: ProjectPlan, destination: Path) -> Written:
    """Write a project, or write it again around the user's changes.

    Raises:
        UsageError: ``destination`` holds something else.
        StorageError: The disk refuses, another run writes there, or the record cannot be read.
    """
    record = _record_of(destination, plan.platform)
    try:
        if record is None:
            return _write_new(plan, destination)
        with _locked(destination):
            return Update(plan=plan, record=record, directory=destination).run()
    except OSError as error:
        raise storage_error(error, f"cannot write the project {destination}") from error


def _record_of(destination: Path, platform: AppPlatform) -> Record | None:
    """Return the record of a project of ours, or None where there is nothing yet."""
    next_step = "give a directory that is new or empty"
    if destination.is_symlink() and not destination.exists():
        message = f"cannot generate into {destination}: it is a link to nowhere"
        raise UsageError(message, next_step=next_step)
    if not destination.exists():
        return None
    if not destination.is_dir():
        message = f"cannot generate into {destination}: it is not a directory"
        raise UsageError(message, next_step=next_step)
    path = destination / RECORD
    if not path.is_file():
        if not any(destination.iterdir()):
            return None
        message = (
            f"cannot generate into {destination}: it holds files that are not a project of ours"
        )
        raise UsageError(message, next_step=next_step)
    record = from_json(Record, path.read_bytes(), source=str(path))
    if record.schema_version != SCHEMA_VERSION:
        message = f"cannot update {destination}: another version of ortlab generated it"
        raise UsageError(message, next_step=next_step)
    if not all(map(_is_inside, (*record.files, *record.pending))):
        message = f"cannot update {destination}: its {RECORD} names files outside it"
        raise StorageError(message, next_step=next_step)
    if record.platform is not platform:
        message = f"cannot generate into {destination}: it holds a project for {record.platform}"
        raise UsageError(message, next_step=next_step)
    return record


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


# ------------------------------------------------------------------------------ a first run


def _write_new(plan: ProjectPlan, destination: Path) -> Written:
    parent = destination.parent
    parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(parent, destination.name)
    staged = Path(tempfile.mkdtemp(prefix=f".{destination.name}.{os.getpid()}.", dir=parent))
    try:
        merged = plan.settings_format.merge(plan.settings_template, plan.settings, {})
        settings = merged.data
        contents = {**plan.files, plan.settings_path: Content.of(settings)}
        files = {path: place(content, staged / path) for path, content in contents.items()}
        record = finished_record(plan, files, settings)
        place(Content.of(record_text(record)), staged / RECORD)
        _as_new_directory(staged)
        sync_tree(staged)
        try:
            staged.rename(destination)
        except OSError as error:
            if destination.is_dir() and any(destination.iterdir()):
                message = f"cannot write the project {destination}: files appeared there meanwhile"
                raise StorageError(message, next_step="run the same command again") from error
            raise
        sync_tree(parent, recurse=False)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Written(written=tuple(sorted(contents)), kept=(), notes=())


def _as_new_directory(staged: Path) -> None:
    """Give a temporary directory the mode of any other new directory."""
    probe = staged / OWN_DIRECTORY
    staged.chmod(probe.stat().st_mode & 0o777)


def _remove_leftovers(parent: Path, name: str) -> None:
    """Remove what runs that were killed left behind."""
    pattern = re.compile(rf"\.{re.escape(name)}\.([0-9]+)\.[^.]+")
    for path in parent.iterdir():
        found = pattern.fullmatch(path.name)
        if found and not _is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _locked(destination: Path) -> Iterator[None]:
    """Hold a project against a second run."""
    descriptor = os.open(destination / OWN_DIRECTORY, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"cannot write the project {destination}: another run writes it now"
            raise StorageError(message, next_step="wait until it is done") from error
        yield
    finally:
        os.close(descriptor)
