"""Contents of files before they are written, and writing them so that they last."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.errors import StorageError

_CHUNK_BYTES: Final = 1 << 20
_SYNC_THREADS: Final = 8
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file is to hold.

    Attributes:
        data: Its bytes, or None where they are those of ``source``.
        source: File to copy, or None.
        sha256: Of the bytes, where known.
        executable: Whether it may be run.
    """

    data: bytes | None = None
    source: Path | None = None
    sha256: str = ""
    executable: bool = False

    @staticmethod
    def of(data: bytes, *, executable: bool = False) -> Content:
        """Return a content of bytes."""
        sha256 = hashlib.sha256(data).hexdigest()
        return Content(data=data, sha256=sha256, executable=executable)

    @staticmethod
    def at(source: Path, *, sha256: str = "") -> Content:
        """Return the content of a file, which stays where it is until it is written."""
        return Content(source=source, sha256=sha256)


def digest_of(content: Content) -> str:
    """Return the sha256 of a content, reading its file where it is not known.

    Raises:
        OSError: The file cannot be read.
    """
    if content.sha256:
        return content.sha256
    assert content.source is not None
    with content.source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(content: Content, target: Path) -> str:
    """Write a content to a place where nothing is yet.

    Returns:
        The sha256 of what was written.

    Raises:
        OSError: The disk refuses.
        StorageError: The file that is copied is no longer what it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        if content.data is not None:
            out.write(content.data)
            digest.update(content.data)
        else:
            assert content.source is not None
            with content.source.open("rb") as source:
                while chunk := source.read(_CHUNK_BYTES):
                    out.write(chunk)
                    digest.update(chunk)
    if content.executable:
        mode = target.stat().st_mode
        target.chmod(mode | (mode & 0o444) >> 2)  # whoever may read it may run it
    written = digest.hexdigest()
    if content.sha256 and written != content.sha256:
        message = f"cannot copy {content.source}: it was changed meanwhile"
        raise StorageError(message, next_step="prepare the model again")
    return written


def sync_tree(directory: Path, *, recurse: bool = True) -> None:
    """Have a directory, and all below it, written to the disk.

    Raises:
        OSError: The disk refuses.
    """
    paths = [directory]
    if recurse:
        paths = [Path(root, name) for root, _, files in os.walk(directory) for name in ("", *files)]
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    if path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange(first: Path, second: Path) -> None:
    """Exchange two directories, in one step where the system can.

    Where it cannot, there is a moment in which the second is missing; see :func:`recover`.

    Raises:
        OSError: The disk refuses.
    """
    if _exchanged(first, second):
        return
    aside = _aside(first)
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


def recover(first: Path, second: Path) -> None:
    """Put the second directory back if an exchange was killed when it was missing.

    Raises:
        OSError: The disk refuses.
    """
    if _aside(first).is_dir() and not second.exists():
        _aside(first).rename(second)


def _aside(first: Path) -> Path:
    return first.with_name(first.name + ".old")


def _exchanged(first: Path, second: Path) -> bool:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def storage_error(error: OSError, what: str) -> StorageError:
    """Turn an operating system's refusal into an error of the storage family."""
    step = "give a directory that can be written to"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space and run the same command again"
    return StorageError(f"{what}: {error.strerror or error}", next_step=step)
