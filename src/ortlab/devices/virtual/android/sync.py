"""The file service ``sync:`` in both its versions.

Source: AOSP, `packages/modules/adb/SYNC.TXT` and `file_sync_protocol.h`. Requests are a four-letter
name, a little-endian length and a path. A SEND carries the mode as decimal text after the last
comma; a SND2 in a second message with flags, of which only "no compression" is known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
import stat
import struct
from collections.abc import Callable
from typing import Final, NoReturn

from ortlab.devices.virtual.android.filesystem import FileState, FileSystem, FileWriter
from ortlab.devices.virtual.android.transport import Stream, StreamClosedError

_LARGEST_PATH: Final = 1024
_LARGEST_CHUNK: Final = 64 << 10
_COMPRESSION_FLAGS: Final = 0x7
_SHELL_USER: Final = 2000
_STAT_V2: Final = struct.Struct("<IQQIIIIQqqq")
_NUMBER: Final = struct.Struct("<I")


class _BrokenProtocolError(Exception):
    pass


class SyncService:
    """Serves one ``sync:`` stream.

    Args:
        files: The phone's.
        keeps_partial: Asked when the stream ended within a file; whether what came stays.
    """

    def __init__(
        self, files: FileSystem, stream: Stream, keeps_partial: Callable[[], bool]
    ) -> None:
        self._files = files
        self._stream = stream
        self._keeps_partial = keeps_partial

    async def serve(self) -> None:
        """Answer requests until the computer quits."""
        answers = {
            b"STAT": self._stat_v1,
            b"STA2": self._stat_v2,
            b"LST2": self._stat_v2,
            b"LIST": self._list,
            b"LIS2": self._list,
            b"SEND": self._receive,
            b"SND2": self._receive,
            b"RECV": self._send,
            b"RCV2": self._send,
        }
        while True:
            name, size = struct.unpack("<4sI", await self._stream.read_exactly(8))
            if name == b"QUIT":
                return
            if size > _LARGEST_PATH:
                await self._fail("path too long")
                return
            path = (await self._stream.read_exactly(size)).decode("utf-8", "surrogateescape")
            answer = answers.get(name)
            if answer is None:
                await self._fail(f"unknown command {name.decode('latin-1')}")
                return
            try:
                await answer(name, path)
            except _BrokenProtocolError as error:
                await self._fail(str(error))
                return

    async def _fail(self, message: str) -> None:
        text = message.encode("utf-8", "replace")
        await self._stream.write(b"FAIL" + _NUMBER.pack(len(text)) + text)

    # -------------------------------------------------------------------------- stat, list

    def _state(self, path: str) -> FileState:
        return self._files.state(path)

    async def _stat_v1(self, name: bytes, path: str) -> None:
        try:
            state = self._state(path)
            fields = (state.mode, state.size_bytes & 0xFFFFFFFF, state.modified_s & 0xFFFFFFFF)
        except OSError:
            fields = (0, 0, 0)
        await self._stream.write(name + struct.pack("<III", *fields))

    async def _stat_v2(self, name: bytes, path: str) -> None:
        await self._stream.write(name + self._packed(path))

    def _packed(self, path: str) -> bytes:
        try:
            state = self._state(path)
        except OSError as error:
            return _STAT_V2.pack(error.errno or errno.EIO, *([0] * 10))
        times = (state.modified_s,) * 3
        owner = (_SHELL_USER, _SHELL_USER)
        identity = (1, state.inode, state.mode, state.links)
        return _STAT_V2.pack(0, *identity, *owner, state.size_bytes, *times)

    async def _list(self, name: bytes, path: str) -> None:
        old = name == b"LIST"
        try:
            names = self._files.names(path)
        except OSError:
            names = ()
        answer = bytearray()
        for entry in names:
            raw = os.fsencode(entry)
            place = f"{path.rstrip('/')}/{entry}"
            if old:
                state = self._state(place)
                fields = (state.mode, state.size_bytes & 0xFFFFFFFF, state.modified_s, len(raw))
                answer += b"DENT" + struct.pack("<IIII", *fields) + raw
            else:
                answer += b"DNT2" + self._packed(place) + _NUMBER.pack(len(raw)) + raw
        end = 16 if old else _STAT_V2.size + _NUMBER.size
        await self._stream.write(answer + b"DONE" + bytes(end))

    # -------------------------------------------------------------------------- files

    async def _receive(self, name: bytes, path: str) -> None:
        """Receive a file; it is written in place and removed where that fails, as by adbd."""
        path, mode = await self._destination(name, path)
        try:
            self._files.check_writable(path)
            writer = self._open(path, mode)
        except OSError as error:
            await self._refuse(f"couldn't create file: {error.strerror}")
        try:
            with writer:
                await self._receive_content(path, writer)
        except (StreamClosedError, asyncio.CancelledError):
            if not self._keeps_partial():
                self._remove(path)
            raise
        except OSError as error:
            self._remove(path)
            await self._refuse(f"write failed: {error.strerror}")

    async def _destination(self, name: bytes, path: str) -> tuple[str, int]:
        if name == b"SND2":
            setup, mode, flags = struct.unpack("<4sII", await self._stream.read_exactly(12))
            if setup != name or flags & _COMPRESSION_FLAGS:
                message = "compression is not known here"
                raise _BrokenProtocolError(message)
            return path, mode
        path, _, digits = path.rpartition(",")
        if not digits.isdigit():
            message = "missing , in ID_SEND"
            raise _BrokenProtocolError(message)
        return path, int(digits)

    def _open(self, path: str, mode: int) -> FileWriter:
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if self._files.is_directory(path):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        parent = posixpath.dirname(path)
        if not self._files.is_directory(parent):
            self._files.make_directory(parent, mode=0o775, parents=True)
        if self._files.exists(path):
            self._files.remove(path)
        writer = self._files.open_for_writing(path)
        # As adbd: the owner's bits count for the group, too.
        self._files.change_mode(path, mode & 0o777 | (mode >> 3) & 0o070)
        return writer

    async def _receive_content(self, path: str, writer: FileWriter) -> None:
        while True:
            kind, size = struct.unpack("<4sI", await self._stream.read_exactly(8))
            if kind == b"DONE":  # it carries the time of the file
                break
            if kind != b"DATA" or size > _LARGEST_CHUNK:
                message = "invalid data message"
                raise _BrokenProtocolError(message)
            while size:
                part = await self._stream.read_some(size)
                size -= len(part)
                writer.write(part)
        os.utime(self._files.host_path(path), (size, size))
        await self._stream.write(b"OKAY" + bytes(4))

    async def _refuse(self, problem: str) -> NoReturn:
        """Tell a problem at once, read what is still under way, and end the session."""
        await self._fail(problem)
        while True:
            kind, size = struct.unpack("<4sI", await self._stream.read_exactly(8))
            if kind != b"DATA" or size > _LARGEST_CHUNK:
                raise StreamClosedError
            await self._stream.read_exactly(size)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            self._files.remove(path)

    async def _send(self, name: bytes, path: str) -> None:
        """Send a file."""
        if name == b"RCV2":
            setup, flags = struct.unpack("<4sI", await self._stream.read_exactly(8))
            if setup != name or flags & _COMPRESSION_FLAGS:
                message = "compression is not known here"
                raise _BrokenProtocolError(message)
        try:
            self._files.check_readable(path)
            place = self._files.host_path(path)
            if place.is_dir():
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            file = place.open("rb")
        except OSError as error:
            await self._fail(f"open failed: {error.strerror}")
            return
        with file:
            chunks = max(1, self._stream.largest_write // (_LARGEST_CHUNK + 8))
            while block := file.read(chunks * _LARGEST_CHUNK):
                await self._stream.write(_framed(block))
        await self._stream.write(b"DONE" + bytes(4))


def _framed(block: bytes) -> bytes:
    """Return a block as messages of at most 64 KiB."""
    parts: list[bytes | memoryview] = []
    for start in range(0, len(block), _LARGEST_CHUNK):
        part = memoryview(block)[start : start + _LARGEST_CHUNK]
        parts += [b"DATA" + _NUMBER.pack(len(part)), part]
    return b"".join(parts)
