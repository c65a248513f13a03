"""Files of this machine that travel: errors of this disk are told apart from those of the phone."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ortlab.errors import StorageError

_HASHED_AT_ONCE_BYTES = 1 << 20


class LocalFile:
    """An open file whose failures are :class:`StorageError`.

    Args:
        path: For the message.
        file: Open.
        size_bytes: When it was opened.
    """

    def __init__(self, path: Path, file: BinaryIO, size_bytes: int = 0) -> None:
        self.size_bytes = size_bytes
        self._path = path
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer and return how much of it; 0 at the end."""
        try:
            size: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return size

    def write(self, data: bytes, /) -> None:
        """Write all of it."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self._path, error) from error


@contextlib.contextmanager
def opened(source: Path | bytes) -> Iterator[LocalFile]:
    """Give a file or bytes to read.

    Raises:
        StorageError: The file cannot be read.
    """
    if isinstance(source, bytes):
        yield LocalFile(Path("bytes"), io.BytesIO(source), len(source))
        return
    size = size_bytes(source)
    try:
        file = source.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(source, error) from error
    with file:
        yield LocalFile(source, file, size)


def checksum(source: Path | bytes, algorithm: str) -> str:
    """Return the checksum of a file or bytes, in hexadecimal digits.

    Args:
        source: Read from its start.
        algorithm: As hashlib names it.

    Raises:
        StorageError: The file cannot be read.
    """
    found = hashlib.new(algorithm, usedforsecurity=False)
    if isinstance(source, bytes):
        found.update(source)
        return found.hexdigest()
    buffer = memoryview(bytearray(_HASHED_AT_ONCE_BYTES))
    with opened(source) as file:
        while size := file.readinto(buffer):
            found.update(buffer[:size])
    return found.hexdigest()


def size_bytes(path: Path) -> int:
    """Return the size of a regular file.

    Raises:
        StorageError: There is none, or it cannot be looked at.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(state.st_mode):
        message = f"cannot read {path}: it is no file"
        raise StorageError(message)
    return state.st_size


@contextlib.contextmanager
def staged(destination: Path) -> Iterator[LocalFile]:
    """Give a file to write that takes its name when all went well, and is gone otherwise.

    Raises:
        StorageError: It cannot be written.
    """
    part = destination.with_name(f".{secrets.token_hex(8)}.part")
    try:
        file = part.open("xb")
    except OSError as error:
        raise _unwritable(destination, error) from error
    try:
        with file:
            yield LocalFile(destination, file)
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(destination, error) from error
        try:
            part.replace(destination)
        except OSError as error:
            raise _unwritable(destination, error) from error
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot read {path}: {error.strerror or error}")


def _unwritable(path: Path, error: OSError) -> StorageError:
    message = f"cannot write {path}: {error.strerror or error}"
    return StorageError(message, next_step="make room, or choose another directory")
