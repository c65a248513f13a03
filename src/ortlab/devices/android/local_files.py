"""Files of this machine that travel: errors of this disk are told apart from those of the phone."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ortlab.errors import StorageError


class LocalFile:
    """An open file whose failures are :class:`StorageError`.

    Args:
        path: For the message.
        file: Open.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer and return how much of it; 0 at the end."""
        try:
            return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
        except OSError as error:
            message = f"cannot read {self._path}: {error.strerror or error}"
            raise StorageError(message) from error

    def write(self, data: bytes, /) -> None:
        """Write all of it."""
        try:
            self._file.write(data)
        except OSError as error:
            raise _unwritable(self._path, error) from error


@contextlib.contextmanager
def opened(source: Path | bytes) -> Iterator[tuple[LocalFile, int]]:
    """Give a file or bytes to read, with the size.

    Raises:
        StorageError: The file cannot be read.
    """
    if isinstance(source, bytes):
        yield LocalFile(Path("bytes"), io.BytesIO(source)), len(source)
        return
    try:
        file = source.open("rb", buffering=0)
        size = os.fstat(file.fileno()).st_size
    except OSError as error:
        message = f"cannot read {source}: {error.strerror or error}"
        raise StorageError(message) from error
    with file:
        yield LocalFile(source, file), size


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


def _unwritable(path: Path, error: OSError) -> StorageError:
    message = f"cannot write {path}: {error.strerror or error}"
    return StorageError(message, next_step="make room, or choose another directory")
