"""What we changed on a phone and what we installed on it, on this machine's disk.

A change is written here, and forced to disk, before it is made, so that the next command can undo
it though the one before was killed. One process uses a phone at a time; the system lets go of a
dead one's lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ortlab import codec
from ortlab.errors import DeviceNotReadyError, StorageError

ANDROID: Final = "android"
IOS: Final = "ios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that is not as we found it.

    Attributes:
        setting: Its name, as ``settings.py`` knows it.
        before: What it was.
        ours: What we made it.
    """

    setting: str
    before: str
    ours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledApp:
    """An app that we installed.

    Attributes:
        sha256: Over its files.
        version_code: As the phone said after the install, where it does.
        last_update_time: Likewise; another one means that somebody else installed since.
        place: Where the phone keeps it, where it tells; another one means the same.
    """

    sha256: str
    version_code: int | None = None
    last_update_time: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is kept of one phone.

    Attributes:
        serial: Of the phone.
        changes: In the order in which they were made.
        installed: By application id.
    """

    serial: str
    changes: tuple[Change, ...] = ()
    installed: Mapping[str, InstalledApp] = field(default_factory=dict)


class Journal:
    """The record of one phone, held by this process until it is closed.

    Args:
        state_directory: Where ortlab keeps its state.
        serial: Of the phone.
        platform: Whose phones are kept together.

    Raises:
        DeviceNotReadyError: Another process uses the phone.
        StorageError: The record cannot be read or written.
    """

    def __init__(self, state_directory: Path, serial: str, *, platform: str = ANDROID) -> None:
        self.path = _path(state_directory, serial, platform)
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._lock, serial)
            self.record = self._read(serial)
        except BaseException:
            os.close(self._lock)
            raise

    def add(self, change: Change) -> None:
        """Write down a change that is about to be made."""
        self._write(replace(self.record, changes=(*self.record.changes, change)))

    def remove(self, change: Change) -> None:
        """Write down that a change was undone, or never made."""
        left = tuple(item for item in self.record.changes if item != change)
        self._write(replace(self.record, changes=left))

    def set_installed(self, application_id: str, app: InstalledApp | None) -> None:
        """Write down what is installed under an id; None when nothing of ours is."""
        others = {key: item for key, item in self.record.installed.items() if key != application_id}
        installed = others if app is None else {**others, application_id: app}
        self._write(replace(self.record, installed=installed))

    @property
    def closed(self) -> bool:
        """Whether it was let go."""
        return self._lock < 0

    def close(self) -> None:
        """Let go of the phone; safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self, serial: str) -> Record:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return Record(serial=serial)
        except OSError as error:
            message = f"cannot read {self.path}: {error.strerror}"
            raise StorageError(message) from error
        try:
            return codec.from_json(Record, text, source=str(self.path))
        except StorageError as error:
            step = f"look at the phone's settings yourself, then delete {self.path}"
            raise StorageError(error.message, next_step=step) from error

    def _write(self, record: Record) -> None:
        staged = self.path.with_suffix(".part")
        with _told(self.path):
            with staged.open("wb") as stream:
                stream.write(codec.to_json(record, indent=2).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(self.path)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        self.record = record


def changes_left(state_directory: Path, serial: str) -> tuple[str, ...]:
    """Return the settings of a phone that are not as they were found; nothing is locked."""
    try:
        text = _path(state_directory, serial).read_bytes()
        record = codec.from_json(Record, text, source=serial)
    except (OSError, StorageError):
        return ()
    return tuple(change.setting for change in record.changes)


def _path(state_directory: Path, serial: str, platform: str = ANDROID) -> Path:
    return state_directory / platform / f"{quote(serial, safe='')}.json"


def _lock(descriptor: int, serial: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        message = f"cannot use {serial}: another ortlab command is using this phone"
        raise DeviceNotReadyError(message, next_step="wait until it has ended") from error


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(message, next_step="make room, or set XDG_STATE_HOME") from error
