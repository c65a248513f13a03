"""The phone's side of the ADB transport: packets, streams, flow control, checksums by version.

Source of the protocol: AOSP, `packages/modules/adb/protocol.txt`. A packet is six little-endian
32-bit words (command, two arguments, payload length, sum of the payload's bytes, complement of the
command) and the payload. A stream may have one unacknowledged packet in each direction, so whoever
acknowledges only what he consumed slows the other end down to his own speed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from ortlab.devices.virtual.android.faults import (
    CablePulled,
    Direction,
    Faults,
    NoHandshake,
    OtherState,
    PhoneHangs,
    Unauthorized,
)
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec

_HEADER: Final = struct.Struct("<6I")
_LARGEST_PAYLOAD: Final = 1 << 20
_UNCHECKED_VERSION: Final = 0x01000001
_JOINED_BYTES: Final = 16 << 10
_LAST_WORK_S: Final = 0.01
_AUTH_TOKEN, _AUTH_SIGNATURE = 1, 2


def _word(name: bytes) -> int:
    return int.from_bytes(name, "little")


CNXN: Final = _word(b"CNXN")
AUTH: Final = _word(b"AUTH")
OPEN: Final = _word(b"OPEN")
OKAY: Final = _word(b"OKAY")
CLSE: Final = _word(b"CLSE")
WRTE: Final = _word(b"WRTE")


class StreamClosedError(Exception):
    """The other end of a stream is gone."""


Service = Callable[["Stream"], Coroutine[Any, Any, None]]


class Host(Protocol):
    """What a connection asks of its phone."""

    spec: VirtualPhoneSpec
    faults: Faults

    def open_service(self, name: str) -> Service | None:
        """Return what serves a stream of this name, or None to refuse it."""
        ...

    def record(self, kind: str, text: str) -> None:
        """Note what arrived."""
        ...

    def connection_lost(self, connection: Connection, fault: CablePulled | None) -> None:
        """Take note that a connection ended."""
        ...


class Stream:
    """One byte stream of a connection, as a service sees it.

    Args:
        connection: It belongs to.
        local_id: The phone's name of it.
        remote_id: The computer's name of it.
        name: What was opened.
    """

    def __init__(self, connection: Connection, local_id: int, remote_id: int, name: str) -> None:
        self.connection = connection
        self.local_id = local_id
        self.remote_id = remote_id
        self.name = name
        self.closed = False
        self.cut = False
        self._arrived: deque[memoryview] = deque()
        self._wake: asyncio.Event = asyncio.Event()
        self._writable: asyncio.Event = asyncio.Event()
        self._writable.set()
        self._rest = memoryview(b"")
        self._passed = {Direction.TO_PHONE: 0, Direction.FROM_PHONE: 0}

    @property
    def largest_write(self) -> int:
        """Payload of one packet, in bytes."""
        return self.connection.largest_payload

    async def read_some(self, limit: int | None = None) -> memoryview:
        """Return what came next, at most ``limit`` bytes and at least one.

        Raises:
            StreamClosedError: Nothing more will come.
        """
        if not self._rest:
            while not self._arrived:
                if self.closed:
                    raise StreamClosedError
                self._wake.clear()
                await self._wake.wait()
            self._rest = self._arrived.popleft()
            self.connection.send(OKAY, self.local_id, self.remote_id)
        size = len(self._rest) if limit is None else min(limit, len(self._rest))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    async def read_exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes.

        Raises:
            StreamClosedError: Fewer will come.
        """
        parts = bytearray()
        while len(parts) < size:
            parts += await self.read_some(size - len(parts))
        return bytes(parts)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it, one packet in flight at a time.

        Raises:
            StreamClosedError: The other end is gone.
        """
        view = memoryview(data)
        while view:
            await self._writable.wait()
            if self.closed:
                raise StreamClosedError
            part, view = view[: self.largest_write], view[self.largest_write :]
            fault, size = self.pass_on(Direction.FROM_PHONE, len(part))
            self._writable.clear()
            if size:
                self.connection.send(WRTE, self.local_id, self.remote_id, part[:size])
            if fault is not None:
                self.connection.strike(fault)
                raise StreamClosedError
            await self.connection.drain()

    async def close(self) -> None:
        """End the stream once the last packet was acknowledged."""
        if not self.closed:
            await self._writable.wait()
        if not self.closed:
            self.abandon()
            self.connection.send(CLSE, self.local_id, self.remote_id)

    async def wait_closed(self) -> None:
        """Return when the other end is gone; what arrives meanwhile is kept."""
        while not self.closed:
            self._wake.clear()
            await self._wake.wait()

    def pass_on(
        self, direction: Direction, size: int
    ) -> tuple[CablePulled | PhoneHangs | None, int]:
        """Count bytes; return the fault that strikes among them, and how many pass before it."""
        before = self._passed[direction]
        self._passed[direction] += size
        kinds: tuple[type[CablePulled | PhoneHangs], ...] = (CablePulled, PhoneHangs)
        for kind in kinds:
            fault = self.connection.faults.find(kind, service=self.name)
            if (
                fault is not None
                and fault.direction is direction
                and before + size > fault.after_bytes
                and self.connection.faults.spend(fault)
            ):
                return fault, max(0, fault.after_bytes - before)
        return None, size

    def arrive(self, payload: memoryview) -> None:
        """Take a packet of the computer's."""
        self._arrived.append(payload)
        self._wake.set()

    def acknowledged(self) -> None:
        """Take note that the last packet was consumed."""
        self._writable.set()

    def abandon(self) -> None:
        """Take note that the other end is gone."""
        self.closed = True
        self.connection.forget(self)
        self._wake.set()
        self._writable.set()


class Connection(asyncio.BufferedProtocol):
    """One adb server that hangs on the phone.

    Args:
        host: The phone.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.largest_payload = 4096
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)
        self._transport: asyncio.Transport | None = None
        self._header = bytearray(_HEADER.size)
        self._payload: bytearray | None = None
        self._filled = 0
        self._packet = (0, 0, 0)
        self._checked = True
        self._hung = False
        self._online = False
        self.cable_fault: CablePulled | None = None
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def faults(self) -> Faults:
        """The phone's, as they are now."""
        return self._host.faults

    # -------------------------------------------------------------------------- bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=8 << 20)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        del exc
        for task in self._tasks:
            task.cancel()
        for stream in list(self._streams.values()):
            stream.abandon()
        self._drained.set()
        self._host.connection_lost(self, self.cable_fault)

    def pause_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._drained.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go: the packet being received, without a copy."""
        del sizehint
        return memoryview(self._payload or self._header)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of received bytes and act on a packet that is whole."""
        self._filled += nbytes
        if self._filled < len(self._payload or self._header):
            return
        self._filled = 0
        if self._payload is not None:
            payload, self._payload = memoryview(self._payload), None
            self._receive(*self._packet, payload)
            return
        command, first, second, size, _, magic = _HEADER.unpack(self._header)
        if magic != command ^ 0xFFFFFFFF or size > _LARGEST_PAYLOAD:
            self.abort()
        elif size:
            self._packet, self._payload = (command, first, second), bytearray(size)
        else:
            self._receive(command, first, second, memoryview(b""))

    def send(
        self, command: int, first: int, second: int, payload: bytes | memoryview = b""
    ) -> None:
        """Send one packet, unless the connection is gone."""
        if self._transport is None or self._transport.is_closing() or self._hung:
            return
        checksum = _byte_sum(payload) if self._checked and payload else 0
        header = _HEADER.pack(command, first, second, len(payload), checksum, command ^ 0xFFFFFFFF)
        if len(payload) <= _JOINED_BYTES:
            self._transport.write(header + payload)
        else:
            self._transport.write(header)
            self._transport.write(payload)

    async def drain(self) -> None:
        """Wait until the system has taken most of what was sent."""
        await self._drained.wait()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def strike(self, fault: CablePulled | PhoneHangs) -> None:
        """Let a fault of the cable act."""
        self._host.record("fault", type(fault).__name__)
        if isinstance(fault, CablePulled):
            self.cable_fault = fault
            if self._transport is not None:
                self._transport.close()  # what was sent before still arrives
        elif self._transport is not None:
            self._hung = True
            self._transport.pause_reading()

    def forget(self, stream: Stream) -> None:
        """Let go of a stream that ended."""
        self._streams.pop(stream.local_id, None)

    # -------------------------------------------------------------------------- packets

    def _receive(self, command: int, first: int, second: int, payload: memoryview) -> None:
        if self._hung:
            return
        if command == CNXN:
            self._greet(first, second)
        elif command == AUTH:
            # A public key would make a phone ask its owner, who does not look.
            if first == _AUTH_SIGNATURE:
                self.send(AUTH, _AUTH_TOKEN, 0, os.urandom(20))
        elif not self._online:
            self.abort()  # nobody may ask anything before the phone has greeted
        elif command == OPEN:
            self._open(first, bytes(payload).rstrip(b"\0").decode("utf-8", "surrogateescape"))
        elif command == WRTE:
            stream = self._streams.get(second)
            if stream is None:
                self.send(CLSE, 0, first)
            else:
                self._arrive(stream, payload)
        elif command in (OKAY, CLSE):
            stream = self._streams.get(second)
            if stream is not None:
                stream.acknowledged() if command == OKAY else stream.abandon()

    def _arrive(self, stream: Stream, payload: memoryview) -> None:
        if stream.cut:
            return
        fault, size = stream.pass_on(Direction.TO_PHONE, len(payload))
        if size:
            stream.arrive(payload[:size])
        if fault is not None:
            # What passed is still worked on, as a phone would; nothing passes after it.
            stream.cut = True
            asyncio.get_running_loop().call_later(_LAST_WORK_S, self.strike, fault)

    def _greet(self, version: int, largest_payload: int) -> None:
        spec = self._host.spec
        self.largest_payload = min(largest_payload, spec.largest_payload_bytes)
        self._checked = min(version, spec.protocol_version) < _UNCHECKED_VERSION
        if self.faults.take(NoHandshake):
            return
        if self.faults.take(Unauthorized):
            self.send(AUTH, _AUTH_TOKEN, 0, os.urandom(20))
            return
        self._online = True
        other = self.faults.take(OtherState)
        banner = spec.banner(other.state if other else "device")
        self.send(CNXN, spec.protocol_version, spec.largest_payload_bytes, banner)

    def _open(self, remote_id: int, name: str) -> None:
        self._host.record("open", name)
        service = self._host.open_service(name)
        if service is None:
            self.send(CLSE, 0, remote_id)
            return
        stream = Stream(self, next(self._ids), remote_id, name)
        fault, _ = stream.pass_on(Direction.TO_PHONE, 0)
        if fault is not None:
            self.strike(fault)
            return
        self._streams[stream.local_id] = stream
        self.send(OKAY, stream.local_id, remote_id)
        task = asyncio.get_running_loop().create_task(_serve(self._host, service, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _serve(host: Host, service: Service, stream: Stream) -> None:
    try:
        await service(stream)
    except StreamClosedError:
        pass
    except asyncio.CancelledError:
        return
    except Exception as error:  # an error of the phone's own must show in tests
        host.record("bug", f"{stream.name}: {error!r}")
    await stream.close()


def _byte_sum(payload: bytes | memoryview) -> int:
    """Return the sum of all bytes, as packets before version 0x01000001 carry it."""
    if len(payload) < 4096:
        return sum(payload)
    import numpy as np

    return int(np.frombuffer(payload, np.uint8).sum(dtype=np.uint64)) & 0xFFFFFFFF
