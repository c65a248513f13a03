"""The phone's files: a directory of this machine that nothing on the phone can leave.

Paths are the phone's, absolute and POSIX. They are normalised before use, symbolic links are never
followed, and what the shell user of a phone may not write is refused as it would be there.
"""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ortlab.devices.virtual.android.faults import Faults, StorageFull, WrongContent

_ALIASES: Final = (
    ("/sdcard", "/storage/emulated/0"),
    ("/mnt/sdcard", "/storage/emulated/0"),
    ("/storage/self/primary", "/storage/emulated/0"),
    ("/data/user/0", "/data/data"),
)
_WRITABLE: Final = ("/data/local/tmp", "/storage/emulated/0", "/dev/null")
_READ_ONLY: Final = ("/system", "/vendor", "/product", "/proc", "/sys")
_HIDDEN: Final = ("/data/data", "/data/app", "/data/tombstones", "/data/anr", "/data/system")
_FORBIDDEN: Final = ("/sys/class/thermal", "/proc/kmsg")
_DIRECTORIES: Final = (
    *("/data/local/tmp", "/data/data", "/data/app", "/data/system", "/data/tombstones"),
    *("/storage/emulated/0/Android/media", "/storage/emulated/0/Download", "/system/bin"),
    *("/vendor", "/proc", "/sys/class/thermal", "/dev"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What `stat` tells of a file.

    Attributes:
        mode: Type and permission bits.
        size_bytes: Of its content.
        modified_s: Seconds since 1970.
        inode: Its number.
        links: Hard links to it.
    """

    mode: int
    size_bytes: int
    modified_s: int
    inode: int
    links: int


@dataclass(slots=True)
class FileSystem:
    """A phone's files.

    Args:
        root: Directory of this machine that holds them.
        capacity_bytes: Of `/data` and `/sdcard` together.
        faults: Those that concern files.
    """

    root: Path
    capacity_bytes: int
    faults: Faults
    _writers: int = field(default=0, init=False)
    _budget: int = field(default=0, init=False)

    def __post_init__(self) -> None:  # noqa: D105
        self.root = self.root.resolve()
        for directory in _DIRECTORIES:
            (self.root / directory[1:]).mkdir(parents=True, exist_ok=True)

    # -------------------------------------------------------------------------- paths

    def host_path(self, path: str) -> Path:
        """Return where a path of the phone lies on this machine.

        Raises:
            OSError: It leads through a symbolic link, or no file name can be so.
        """
        path = normalise(path)
        if "\0" in path:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        place = self.root
        for part in path[1:].split("/") if path != "/" else ():
            place = place / part
            if place.is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return place

    def phone_path(self, place: Path) -> str:
        """Return the phone's name of a path of this machine."""
        return "/" + place.relative_to(self.root).as_posix()

    def check_readable(self, path: str) -> None:
        """Refuse what the shell user may not read.

        Raises:
            PermissionError: He may not.
        """
        if _below(normalise(path), (*_HIDDEN, *_FORBIDDEN)) and not path.endswith(".apk"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def check_writable(self, path: str) -> None:
        """Refuse what the shell user may not write.

        Raises:
            OSError: He may not.
        """
        path = normalise(path)
        if _below(path, _READ_ONLY) or not _below(path, ("/data", "/storage", "/dev")):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if not _below(path, _WRITABLE):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # -------------------------------------------------------------------------- reading

    def state(self, path: str) -> FileState:
        """Return what `stat` tells.

        Raises:
            OSError: There is no such file.
        """
        found = self.host_path(path).lstat()
        return FileState(
            mode=found.st_mode,
            size_bytes=found.st_size,
            modified_s=int(found.st_mtime),
            inode=found.st_ino,
            links=found.st_nlink,
        )

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory of this name."""
        try:
            return self.host_path(path).is_dir()
        except OSError:
            return False

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory of this name."""
        try:
            return self.host_path(path).exists()
        except OSError:
            return False

    def names(self, path: str) -> tuple[str, ...]:
        """Return what is in a directory, sorted.

        Raises:
            OSError: There is no such directory, or the shell user may not list it.
        """
        self.check_readable(path)
        return tuple(sorted(place.name for place in self.host_path(path).iterdir()))

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            OSError: It cannot be read.
        """
        self.check_readable(path)
        return self.host_path(path).read_bytes()

    def readable_by_apps(self, path: str) -> bool:
        """Whether an app may open a file that the shell user made: bits for others, all the way."""
        place = self.host_path(path)
        if not _below(normalise(path), ("/data/local/tmp",)):
            return True
        if not place.exists():
            return False
        if not place.stat().st_mode & stat.S_IROTH:
            return False
        stop = self.root / "data/local/tmp"
        parents = [p for p in place.parents if p.is_relative_to(stop) and p != stop]
        return all(parent.stat().st_mode & stat.S_IXOTH for parent in parents)

    # -------------------------------------------------------------------------- writing

    def make_directory(self, path: str, *, mode: int = 0o755, parents: bool = False) -> None:
        """Make a directory.

        Raises:
            OSError: It cannot be made.
        """
        self.check_writable(path)
        place = self.host_path(path)
        if parents:
            missing = [p for p in (place, *place.parents) if not p.exists()]
            for directory in reversed(missing):
                directory.mkdir()
                directory.chmod(mode | 0o700)
            if not place.is_dir():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            return
        place.mkdir()
        place.chmod(mode | 0o700)

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it.

        Raises:
            OSError: It cannot be removed.
        """
        self.check_writable(path)
        place = self.host_path(path)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()

    def move(self, source: str, destination: str) -> None:
        """Rename a file or directory.

        Raises:
            OSError: It cannot be renamed.
        """
        self.check_writable(source)
        self.check_writable(destination)
        self.host_path(source).replace(self.host_path(destination))

    def change_mode(self, path: str, mode: int) -> None:
        """Set permission bits; this machine's user keeps access.

        Raises:
            OSError: There is no such file.
        """
        self.check_writable(path)
        place = self.host_path(path)
        place.chmod(mode | (0o700 if place.is_dir() else 0o600))

    def write(self, path: str, content: bytes, *, append: bool = False) -> None:
        """Write a whole file as the shell user.

        Raises:
            OSError: It cannot be written.
        """
        self.check_writable(path)
        with self.open_for_writing(path, append=append) as file:
            file.write(content)

    def open_for_writing(self, path: str, *, append: bool = False) -> FileWriter:
        """Open a file for writing within the quota; who may write is checked by the caller.

        Raises:
            OSError: It cannot be opened.
        """
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
        descriptor = os.open(self.host_path(path), flags | os.O_NOFOLLOW, 0o644)
        if not self._writers:
            self._budget = self.capacity_bytes - self.used_bytes()
        self._writers += 1
        return FileWriter(self, descriptor, path)

    def used_bytes(self) -> int:
        """Return what pushed files, installed apps and results take."""
        total = 0
        for top in ("data", "storage"):
            for directory, _, names in os.walk(self.root / top):
                for name in names:
                    try:
                        total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118
                    except OSError:  # removed meanwhile
                        continue
        return total

    def free_bytes(self) -> int:
        """Return what is left."""
        return max(0, self.capacity_bytes - self.used_bytes())

    def walk(self, path: str) -> Iterator[str]:
        """Yield a path and all below it, directories first."""
        yield normalise(path)
        if self.is_directory(path):
            for name in self.names(path):
                yield from self.walk(posixpath.join(path, name))

    def spend(self, size: int) -> None:
        """Take room for bytes about to be written.

        Raises:
            OSError: There is none left.
        """
        if size > self._budget:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._budget -= size

    def writer_closed(self) -> None:
        """Take note that a writer is done."""
        self._writers -= 1


class FileWriter:
    """A file being written; a context manager.

    Args:
        files: It belongs to.
        descriptor: Open for writing.
        path: The phone's name of it.
    """

    def __init__(self, files: FileSystem, descriptor: int, path: str) -> None:
        self._files = files
        self._descriptor = descriptor
        self._written = 0
        self._full = files.faults.find(StorageFull, path=path)
        self._wrong = files.faults.find(WrongContent, path=path)

    def __enter__(self) -> FileWriter:  # noqa: D105
        return self

    def __exit__(self, *_: object) -> None:  # noqa: D105
        self.close()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: The phone's storage is full, by its quota or by a fault, or this machine's.
        """
        full = self._full
        if full is not None and self._written + len(data) > full.after_bytes:
            if self._files.faults.spend(full):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._full = None
        self._files.spend(len(data))
        if self._wrong is not None and data and self._files.faults.spend(self._wrong):
            data = bytes([data[0] ^ 0xFF]) + bytes(data[1:])
            self._wrong = None
        self._written += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._files.writer_closed()


def normalise(path: str) -> str:
    """Return the one name of a path: absolute, without ``..``, links of the system resolved."""
    path = posixpath.normpath("/" + path)
    path = "/" + path.lstrip("/")
    for alias, target in _ALIASES:
        if path == alias or path.startswith(alias + "/"):
            return target + path[len(alias) :]
    return path


def _below(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)
