"""Files to and from a phone: adbd's file service.

Source of the protocol: AOSP `packages/modules/adb/file_sync_protocol.h` and `SYNC.TXT`. Requests
are a name of four letters, a length and a path; data travel in pieces of at most 64 KiB. The
second generation (``STA2``, ``SND2``) tells sizes beyond 4 GiB, error numbers, and takes the mode
apart from the path.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ortlab.devices.android.channel import Buffer, Channel

CHUNK_BYTES: Final = 64 << 10
"""Largest piece of data that adbd takes."""

Progress = Callable[[int, int], None]
"""Gets the bytes done and the bytes in all."""


class Source(Protocol):
    """Where bytes come from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer and return how much of it; 0 at the end."""
        ...


class Target(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""
        ...


_HEADER = struct.Struct("<4sI")
_STAT_1 = struct.Struct("<III")
_STAT_2 = struct.Struct("<IQQIIIIQqqq")
_SEND_2 = struct.Struct("<4sII")
_PROGRESS_BYTES = 1 << 20
_PACKETS_AT_ONCE = 16
_MAXIMUM_REASON_BYTES = 1 << 16
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_SIZE_MODULUS_OF_STAT_1 = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """What a phone says of a file.

    Attributes:
        path: On the phone.
        mode: Type and permissions as in ``st_mode``.
        size_bytes: Modulo 4 GiB on phones before Android 8.
        modified_s: Seconds since 1970.
    """

    path: str
    mode: int
    size_bytes: int
    modified_s: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)


class SyncFailedError(Exception):
    """The phone refused a file request; the text is the phone's own reason."""


class SyncSession:
    """One connection to the file service.

    Every method raises TimeoutError at the deadline, EOFError or OSError when the connection ends,
    and :class:`SyncFailedError` when the phone refuses.

    Args:
        channel: Open on the service ``sync:``.
        features: What the phone announces.
    """

    def __init__(self, channel: Channel, features: Collection[str]) -> None:
        self._channel = channel
        self._sized_stat = "stat_v2" in features
        self._split_send = "sendrecv_v2" in features

    def stat(self, path: str) -> RemoteFile | None:
        """Return what the phone says of a path; None where there is nothing."""
        name = b"STA2" if self._sized_stat else b"STAT"
        self._request(name, path)
        answer = self._channel.read_exactly(4)
        if answer == b"FAIL":
            raise SyncFailedError(self._reason())
        if answer != name:
            raise EOFError(_unexpected(answer))
        if not self._sized_stat:
            mode, size, modified = _STAT_1.unpack(self._channel.read_exactly(_STAT_1.size))
            if not mode:
                return None
            return RemoteFile(path=path, mode=mode, size_bytes=size, modified_s=modified)
        fields = _STAT_2.unpack(self._channel.read_exactly(_STAT_2.size))
        error, mode, size, modified = fields[0], fields[3], fields[7], fields[9]
        if error in _ABSENT:
            return None
        if error:
            raise SyncFailedError(os.strerror(error))
        return RemoteFile(path=path, mode=mode, size_bytes=size, modified_s=modified)

    def send(
        self, path: str, source: Source, size: int, *, mode: int, progress: Progress | None
    ) -> int:
        """Write a file on the phone, with the directories above it, and return its size.

        Args:
            path: On the phone; what was there is replaced.
            source: Read to its end.
            size: Expected; for the progress only.
            mode: Permissions. Phones widen them: what the owner may, all may.
            progress: Told about once a mebibyte.
        """
        mode |= stat.S_IFREG
        if self._split_send:
            self._request(b"SND2", path)
            self._channel.send(_SEND_2.pack(b"SND2", mode, 0))
        else:
            self._request(b"SEND", f"{path},{mode}")
        sent = _Counted(progress, size)
        if self._channel.send_until_answer(_data_packets(source, sent)):
            self._channel.send(_HEADER.pack(b"DONE", int(time.time())))
        answer, length = _HEADER.unpack(self._channel.read_exactly(_HEADER.size))
        if answer == b"FAIL":
            raise SyncFailedError(self._reason(length))
        if answer != b"OKAY":
            raise EOFError(_unexpected(answer))
        sent.finish()
        return sent.bytes_done

    def receive(
        self, path: str, target: Target, size: int, *, progress: Progress | None = None
    ) -> int:
        """Read a file of the phone and return its size.

        Args:
            path: On the phone.
            target: Gets the content.
            size: Expected; for the progress only.
            progress: Told about once a mebibyte.
        """
        self._request(b"RECV", path)
        received = _Counted(progress, size)
        while True:
            answer, length = _HEADER.unpack(self._channel.read_exactly(_HEADER.size))
            if answer == b"DATA" and length <= CHUNK_BYTES:
                target.write(self._channel.read_exactly(length))
                received.add(length)
            elif answer == b"DONE":
                received.finish()
                return received.bytes_done
            elif answer == b"FAIL":
                raise SyncFailedError(self._reason(length))
            else:
                raise EOFError(_unexpected(answer))

    def same_size(self, there: RemoteFile, size: int) -> bool:
        """Whether a file has this size, as far as this phone can tell."""
        return there.size_bytes == (size if self._sized_stat else size % _SIZE_MODULUS_OF_STAT_1)

    def _request(self, name: bytes, path: str) -> None:
        encoded = path.encode()
        self._channel.send(_HEADER.pack(name, len(encoded)) + encoded)

    def _reason(self, length: int | None = None) -> str:
        if length is None:
            (length,) = struct.unpack("<I", self._channel.read_exactly(4))
        reason = self._channel.read_exactly(min(length, _MAXIMUM_REASON_BYTES))
        return reason.decode(errors="replace")


class _Counted:
    """Counts bytes and tells of them, not too often."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.bytes_done = 0
        self._told = 0
        self._progress = progress
        self._total = total

    def add(self, size: int) -> None:
        self.bytes_done += size
        if self.bytes_done - self._told >= _PROGRESS_BYTES:
            self._tell()

    def finish(self) -> None:
        if self._told < self.bytes_done or not self.bytes_done:
            self._tell()

    def _tell(self) -> None:
        self._told = self.bytes_done
        if self._progress is not None:
            self._progress(self.bytes_done, max(self._total, self.bytes_done))


def _data_packets(source: Source, sent: _Counted) -> Iterator[Buffer]:
    """Yield the source as packets, many at a time; they are gone when the next are asked for."""
    packet_bytes = _HEADER.size + CHUNK_BYTES
    packets = memoryview(bytearray(_PACKETS_AT_ONCE * packet_bytes))
    while True:
        filled = taken = 0
        for start in range(0, len(packets), packet_bytes):
            size = source.readinto(packets[start + _HEADER.size : start + packet_bytes])
            if not size:
                break
            _HEADER.pack_into(packets, start, b"DATA", size)
            taken += size
            filled = start + _HEADER.size + size
            if size < CHUNK_BYTES:  # what follows has no place behind a short one
                break
        if not filled:
            return
        yield packets[:filled]
        sent.add(taken)


def _unexpected(answer: bytes) -> str:
    return f"the phone's file service answered {answer!r}"
