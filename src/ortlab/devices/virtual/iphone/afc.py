"""Apple File Conduit: files of one directory of the phone, by packets.

A packet is 40 bytes (``CFA6LPAA``, the length of all, the length without trailing data, a number,
the operation; little endian, 64 bits each) and its arguments. Every request gets one answer.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.faults import StorageFull
from ortlab.devices.virtual.iphone.storage import Storage
from ortlab.devices.virtual.iphone.streams import ProtocolError, Stream

MAGIC: Final = b"CFA6LPAA"

_HEADER: Final = struct.Struct("<8sQQQQ")
_LARGEST_PACKET_BYTES: Final = 64 << 20
_LARGEST_READ_BYTES: Final = 64 << 20
_BLOCK_BYTES: Final = 4096


class Operation(IntEnum):
    """What a packet asks for, or that it answers."""

    STATUS = 0x01
    DATA = 0x02
    READ_DIRECTORY = 0x03
    TRUNCATE = 0x07
    REMOVE_PATH = 0x08
    MAKE_DIRECTORY = 0x09
    FILE_INFO = 0x0A
    DEVICE_INFO = 0x0B
    OPEN = 0x0D
    OPEN_RESULT = 0x0E
    READ = 0x0F
    WRITE = 0x10
    SEEK = 0x11
    TELL = 0x12
    TELL_RESULT = 0x13
    CLOSE = 0x14
    SET_SIZE = 0x15
    SET_CONNECTION_OPTIONS = 0x17
    RENAME = 0x18
    SET_FILE_BLOCK_SIZE = 0x19
    SET_SOCKET_BLOCK_SIZE = 0x1A
    LOCK = 0x1B
    MAKE_LINK = 0x1C
    SET_MODIFICATION_TIME = 0x1E
    REMOVE_TREE = 0x22


class Status(IntEnum):
    """How an operation ended."""

    SUCCESS = 0
    INVALID_ARGUMENT = 7
    NOT_FOUND = 8
    IS_DIRECTORY = 9
    PERMISSION_DENIED = 10
    NOT_SUPPORTED = 15
    EXISTS = 16
    NO_SPACE = 18
    IO_ERROR = 20
    DIRECTORY_NOT_EMPTY = 33


_OPEN_MODES: Final = {1: "rb", 2: "r+b", 3: "wb", 4: "w+b", 5: "ab", 6: "a+b"}
_CREATES: Final = 2
_SYMBOLIC_LINK: Final = 2
_STATUS_OF_ERRNO: Final = {
    errno.ENOENT: Status.NOT_FOUND,
    errno.EACCES: Status.PERMISSION_DENIED,
    errno.EPERM: Status.PERMISSION_DENIED,
    errno.EISDIR: Status.IS_DIRECTORY,
    errno.ENOTDIR: Status.IS_DIRECTORY,
    errno.EEXIST: Status.EXISTS,
    errno.ENOSPC: Status.NO_SPACE,
    errno.ENOTEMPTY: Status.DIRECTORY_NOT_EMPTY,
    errno.EINVAL: Status.INVALID_ARGUMENT,
    errno.EBADF: Status.INVALID_ARGUMENT,
}


@dataclass(slots=True)
class _OpenFile:
    file: io.FileIO
    path: str
    fault: StorageFull | None
    written: int = 0


class FileConduit:
    """Serves one connection.

    Args:
        root: Directory of this machine that the other side sees as ``/``.
        storage: Of the phone.
        faults: Those that concern writing.
        model: Of the phone, as it tells.
        only: Name in the root beside which nothing can be reached, or None.
    """

    def __init__(
        self,
        root: Path,
        *,
        storage: Storage,
        faults: Callable[[], Faults],
        model: str,
        only: str | None = None,
    ) -> None:
        self._root = root.resolve()
        self._storage = storage
        self._faults = faults
        self._model = model
        self._only = only
        self._files: dict[int, _OpenFile] = {}
        self._next_handle = 1
        self._operations: dict[int, Callable[[memoryview], tuple[Operation, bytes]]] = {
            Operation.READ_DIRECTORY: self._read_directory,
            Operation.TRUNCATE: self._truncate,
            Operation.REMOVE_PATH: self._remove_path,
            Operation.MAKE_DIRECTORY: self._make_directory,
            Operation.FILE_INFO: self._file_info,
            Operation.DEVICE_INFO: self._device_info,
            Operation.OPEN: self._open,
            Operation.READ: self._read,
            Operation.WRITE: self._write,
            Operation.SEEK: self._seek,
            Operation.TELL: self._tell,
            Operation.CLOSE: self._close,
            Operation.SET_SIZE: self._set_size,
            Operation.RENAME: self._rename,
            Operation.MAKE_LINK: self._make_link,
            Operation.SET_MODIFICATION_TIME: self._set_modification_time,
            Operation.REMOVE_TREE: self._remove_tree,
            Operation.SET_CONNECTION_OPTIONS: _accept,
            Operation.SET_FILE_BLOCK_SIZE: _accept,
            Operation.SET_SOCKET_BLOCK_SIZE: _accept,
            Operation.LOCK: _accept,
        }

    def serve(self, stream: Stream) -> None:
        """Answer requests until the other side closes.

        Raises:
            StreamClosedError: It closed.
            ProtocolError: It sent something else.
        """
        try:
            while True:
                magic, size, _, number, operation = _HEADER.unpack(
                    stream.receive_exactly(_HEADER.size)
                )
                if magic != MAGIC or not _HEADER.size <= size <= _LARGEST_PACKET_BYTES:
                    message = "no packet of AFC"
                    raise ProtocolError(message)
                body = stream.receive_exactly(size - _HEADER.size)
                answer, data = self._answer(operation, memoryview(body))
                length = _HEADER.size + len(data)
                stream.send(_HEADER.pack(MAGIC, length, length, number, answer) + data)
        finally:
            for opened in self._files.values():
                opened.file.close()

    def _answer(self, operation: int, body: memoryview) -> tuple[Operation, bytes]:
        handle = self._operations.get(operation)
        if handle is None:
            return _status(Status.NOT_SUPPORTED)
        try:
            return handle(body)
        except OSError as error:
            return _status(_STATUS_OF_ERRNO.get(error.errno or 0, Status.IO_ERROR))
        except (KeyError, struct.error, ValueError):
            return _status(Status.INVALID_ARGUMENT)

    # -------------------------------------------------------------------------- paths

    def _path(self, name: bytes) -> Path:
        """Return the file of this machine that a path of the other side means.

        Raises:
            PermissionError: It is outside of what the other side may see.
        """
        inside = os.path.normpath("/" + os.fsdecode(name.rstrip(b"\0")).lstrip("/"))
        path = self._root / inside.lstrip("/")
        real = path.parent.resolve() if inside != "/" else self._root
        allowed = self._root if self._only is None else self._root / self._only
        reached = real / path.name if inside != "/" else real
        within = reached == allowed or allowed in reached.parents
        if path.is_symlink() and not path.resolve().is_relative_to(allowed):
            within = False
        if not within and not (self._only is not None and inside == "/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return path

    def _entry(self, name: bytes) -> Path:
        """Return a path as :meth:`_path` does, but never the directory that is shown itself."""
        path = self._path(name)
        if path == self._root:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return path

    def _read_directory(self, body: memoryview) -> tuple[Operation, bytes]:
        path = self._path(bytes(body))
        names = os.listdir(path)  # noqa: PTH208
        if self._only is not None and path == self._root:
            names = [name for name in names if name == self._only]
        listed = [".", "..", *sorted(names)]
        return Operation.DATA, b"".join(os.fsencode(name) + b"\0" for name in listed)

    def _file_info(self, body: memoryview) -> tuple[Operation, bytes]:
        path = self._path(bytes(body))
        found = path.lstat()
        kind = "S_IFREG"
        if stat.S_ISDIR(found.st_mode):
            kind = "S_IFDIR"
        elif stat.S_ISLNK(found.st_mode):
            kind = "S_IFLNK"
        facts: dict[str, object] = {
            "st_size": found.st_size,
            "st_blocks": found.st_blocks,
            "st_nlink": found.st_nlink,
            "st_ifmt": kind,
            "st_mtime": found.st_mtime_ns,
            "st_birthtime": found.st_ctime_ns,
        }
        if kind == "S_IFLNK":
            facts["LinkTarget"] = path.readlink()
        return Operation.DATA, _pairs(facts)

    def _device_info(self, _: memoryview) -> tuple[Operation, bytes]:
        facts = {
            "Model": self._model,
            "FSTotalBytes": self._storage.capacity_bytes,
            "FSFreeBytes": self._storage.free_bytes,
            "FSBlockSize": _BLOCK_BYTES,
        }
        return Operation.DATA, _pairs(facts)

    def _make_directory(self, body: memoryview) -> tuple[Operation, bytes]:
        self._path(bytes(body)).mkdir(parents=True, exist_ok=True)
        return _DONE

    def _remove_path(self, body: memoryview) -> tuple[Operation, bytes]:
        path = self._entry(bytes(body))
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        return _DONE

    def _remove_tree(self, body: memoryview) -> tuple[Operation, bytes]:
        path = self._entry(bytes(body))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        return _DONE

    def _rename(self, body: memoryview) -> tuple[Operation, bytes]:
        source, target = _texts(body, 2)
        self._entry(source).replace(self._entry(target))
        return _DONE

    def _make_link(self, body: memoryview) -> tuple[Operation, bytes]:
        (kind,) = struct.unpack_from("<Q", body)
        target, link = _texts(body[8:], 2)
        place = self._entry(link)
        if kind != _SYMBOLIC_LINK:
            place.hardlink_to(self._path(target))
        elif target.startswith(b"/") or b".." in target.split(b"/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            place.symlink_to(os.fsdecode(target))
        return _DONE

    def _set_modification_time(self, body: memoryview) -> tuple[Operation, bytes]:
        (moment_ns,) = struct.unpack_from("<Q", body)
        os.utime(self._path(bytes(body[8:])), ns=(moment_ns, moment_ns))
        return _DONE

    def _truncate(self, body: memoryview) -> tuple[Operation, bytes]:
        (size,) = struct.unpack_from("<Q", body)
        os.truncate(self._path(bytes(body[8:])), size)
        return _DONE

    # -------------------------------------------------------------------------- open files

    def _open(self, body: memoryview) -> tuple[Operation, bytes]:
        (mode,) = struct.unpack_from("<Q", body)
        name = bytes(body[8:])
        path = self._path(name)
        if path.is_dir():
            return _status(Status.IS_DIRECTORY)
        if mode == _CREATES and not path.exists():
            path.touch()
        # Unbuffered: an app of the phone sees at once what was written.
        file = io.FileIO(path, _OPEN_MODES[mode].replace("b", ""))
        told = os.fsdecode(name.rstrip(b"\0"))
        fault = self._faults().find(StorageFull, path=told) if mode > 1 else None
        handle, self._next_handle = self._next_handle, self._next_handle + 1
        self._files[handle] = _OpenFile(file, told, fault)
        return Operation.OPEN_RESULT, struct.pack("<Q", handle)

    def _read(self, body: memoryview) -> tuple[Operation, bytes]:
        handle, size = struct.unpack("<QQ", body[:16])
        data = self._files[handle].file.read(min(size, _LARGEST_READ_BYTES))
        return Operation.DATA, data or b""

    def _write(self, body: memoryview) -> tuple[Operation, bytes]:
        (handle,) = struct.unpack_from("<Q", body)
        opened, data = self._files[handle], body[8:]
        fault = opened.fault
        if fault is not None and opened.written + len(data) > fault.after_bytes:
            if self._faults().spend(fault):
                return _status(Status.NO_SPACE)
            opened.fault = None
        if not self._storage.reserve(len(data)):
            return _status(Status.NO_SPACE)
        while data:
            count = opened.file.write(data)
            opened.written += count
            data = data[count:]
        return _DONE

    def _seek(self, body: memoryview) -> tuple[Operation, bytes]:
        handle, whence, offset = struct.unpack("<QQq", body[:24])
        self._files[handle].file.seek(offset, whence)
        return _DONE

    def _tell(self, body: memoryview) -> tuple[Operation, bytes]:
        (handle,) = struct.unpack_from("<Q", body)
        return Operation.TELL_RESULT, struct.pack("<Q", self._files[handle].file.tell())

    def _set_size(self, body: memoryview) -> tuple[Operation, bytes]:
        handle, size = struct.unpack("<QQ", body[:16])
        self._files[handle].file.truncate(size)
        return _DONE

    def _close(self, body: memoryview) -> tuple[Operation, bytes]:
        (handle,) = struct.unpack_from("<Q", body)
        self._files.pop(handle).file.close()
        return _DONE


def _status(status: Status) -> tuple[Operation, bytes]:
    return Operation.STATUS, struct.pack("<Q", status)


_DONE: Final = _status(Status.SUCCESS)


def _accept(_: memoryview) -> tuple[Operation, bytes]:
    return _DONE


def _pairs(facts: Mapping[str, object]) -> bytes:
    return b"".join(f"{name}\0{value}\0".encode() for name, value in facts.items())


def _texts(body: memoryview, count: int) -> list[bytes]:
    texts = re.split(b"\0", bytes(body))[:count]
    if len(texts) < count:
        message = "too few texts"
        raise ValueError(message)
    return texts
