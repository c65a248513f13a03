"""usbmuxd on loopback: lists virtual iPhones and connects to their ports.

A message is 16 bytes (length of all, version 1, kind 8, a tag; little endian, 32 bits each) and a
property list as XML.
"""

from __future__ import annotations

import contextlib
import plistlib
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.streams import (
    ProtocolError,
    SocketStream,
    StreamClosedError,
    parse_plist,
)
from ortlab.errors import DeviceError

_LOOPBACK: Final = "127.0.0.1"
_HEADER: Final = struct.Struct("<IIII")
_PLIST_VERSION: Final = 1
_PLIST_KIND: Final = 8
_RESULT_KIND: Final = 1
_LARGEST_MESSAGE_BYTES: Final = 16 << 20
_FIRST_LOCATION: Final = 0x14100000
_PRODUCT_ID: Final = 0x12A8
_USB_BITS_PER_S: Final = 480_000_000
_BUFFER_BYTES: Final = 4 << 20


class ResultNumber(IntEnum):
    """What usbmuxd answers a request that has no other answer."""

    OK = 0
    BAD_COMMAND = 1
    BAD_DEVICE = 2
    CONNECTION_REFUSED = 3
    BAD_VERSION = 6


class PluggedPhone(Protocol):
    """A phone as usbmuxd knows it."""

    @property
    def udid(self) -> str:
        """Of the phone."""
        ...

    def serve_port(self, port: int, stream: SocketStream) -> Callable[[], None] | None:
        """Return what serves a connection to a port until its end, or None if nobody listens."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MuxRequest:
    """A request that arrived.

    Attributes:
        program: That sent it, as it says.
        kind: Such as ``ListDevices``.
        values: Others of its values.
    """

    program: str
    kind: str
    values: Mapping[str, Any]


class VirtualUsbmux:
    """Answers as usbmuxd does; a context manager, or `start` and `stop`.

    Phones are added and removed by what they do when they are plugged in and unplugged.
    """

    def __init__(self) -> None:
        self.requests: list[MuxRequest] = []
        self.pair_records: dict[str, bytes] = {}
        self._phones: dict[int, PluggedPhone] = {}
        self._next_number = 1
        self._buid = str(uuid.uuid4()).upper()
        self._listeners: list[_Client] = []
        self._clients: set[_Client] = set()
        self._server: socket.socket | None = None
        self._port = 0
        self._lock = threading.RLock()

    @property
    def address(self) -> str:
        """For ``USBMUXD_SOCKET_ADDRESS``."""
        return f"{_LOOPBACK}:{self._port}"

    @property
    def phones(self) -> tuple[PluggedPhone, ...]:
        """That are plugged in now."""
        with self._lock:
            return tuple(self._phones.values())

    def start(self) -> VirtualUsbmux:
        """Listen.

        Raises:
            DeviceError: It cannot listen on loopback.
        """
        try:
            self._server = socket.create_server((_LOOPBACK, self._port))
        except OSError as error:
            message = f"cannot start usbmuxd for virtual iPhones: {error.strerror}"
            raise DeviceError(message) from error
        self._port = self._server.getsockname()[1]
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._server.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Listen no more and end every connection; it can be started again on the same port."""
        server, self._server = self._server, None
        if server is None:
            return
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        server.close()
        with self._lock:
            clients = tuple(self._clients)
        for client in clients:
            client.stream.close()

    def __enter__(self) -> VirtualUsbmux:  # noqa: D105
        return self.start()

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def add(self, phone: PluggedPhone) -> None:
        """Plug a phone in, under a new number; one that is in stays as it is."""
        with self._lock:
            if phone in self._phones.values():
                return
            number, self._next_number = self._next_number, self._next_number + 1
            self._phones[number] = phone
            self._tell(_attached(number, phone))

    def remove(self, phone: PluggedPhone) -> None:
        """Pull a phone's cable: it is not listed and its connections end."""
        with self._lock:
            for number, known in list(self._phones.items()):
                if known is phone:
                    del self._phones[number]
                    self._tell({"MessageType": "Detached", "DeviceID": number})
            concerned = [client for client in self._clients if client.phone is phone]
        for client in concerned:
            client.stream.close()

    # -------------------------------------------------------------------------- connections

    def _tell(self, message: Mapping[str, Any]) -> None:
        for client in tuple(self._listeners):
            try:
                client.send(message, 0)
            except StreamClosedError:
                self._listeners.remove(client)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _Client(SocketStream(connection))
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: _Client) -> None:
        try:
            serve_port = None
            while serve_port is None:
                serve_port = self._answer(client)
            serve_port()
        except (StreamClosedError, ProtocolError):
            pass
        finally:
            client.stream.close()
            with self._lock:
                self._clients.discard(client)
                if client in self._listeners:
                    self._listeners.remove(client)

    def _answer(self, client: _Client) -> Callable[[], None] | None:
        """Answer one request; return what serves the phone's port when it is such a connection."""
        size, _, kind, tag = _HEADER.unpack(client.stream.receive_exactly(_HEADER.size))
        if not _HEADER.size <= size <= _LARGEST_MESSAGE_BYTES:
            message = f"a message of {size} bytes"
            raise ProtocolError(message)
        body = client.stream.receive_exactly(size - _HEADER.size)
        if kind != _PLIST_KIND:  # the binary protocol of old
            answer = struct.pack("<IIIII", 20, 0, _RESULT_KIND, tag, ResultNumber.BAD_VERSION)
            client.stream.send(answer)
            return None
        request = parse_plist(body)
        name = str(request.get("MessageType"))
        self._record(name, request)
        if name == "Connect":
            return self._connect(client, request, tag)
        if name == "Listen":
            with self._lock:
                client.result(ResultNumber.OK, tag)
                for number, phone in self._phones.items():
                    client.send(_attached(number, phone), 0)
                self._listeners.append(client)
            return None
        reply = self._reply(name, request)
        if isinstance(reply, ResultNumber):
            client.result(reply, tag)
        else:
            client.send(reply, tag)
        return None

    def _reply(self, name: str, request: Mapping[str, Any]) -> dict[str, Any] | ResultNumber:
        identifier = str(request.get("PairRecordID"))
        if name == "ReadBUID":
            return {"BUID": self._buid}
        if name == "ListDevices":
            with self._lock:
                listed = [_attached(n, phone) for n, phone in self._phones.items()]
            return {"DeviceList": listed}
        if name == "ReadPairRecord":
            record = self.pair_records.get(identifier)
            return ResultNumber.BAD_DEVICE if record is None else {"PairRecordData": record}
        if name == "SavePairRecord" and isinstance(request.get("PairRecordData"), bytes):
            self.pair_records[identifier] = request["PairRecordData"]
            return ResultNumber.OK
        if name == "DeletePairRecord":
            self.pair_records.pop(identifier, None)
            return ResultNumber.OK
        return ResultNumber.BAD_COMMAND

    def _connect(
        self, client: _Client, request: Mapping[str, Any], tag: int
    ) -> Callable[[], None] | None:
        with self._lock:
            phone = self._phones.get(request.get("DeviceID", 0))
            client.phone = phone
        if phone is None:
            client.result(ResultNumber.BAD_DEVICE, tag)
            return None
        port = socket.ntohs(int(request.get("PortNumber", 0)) & 0xFFFF)
        serve = phone.serve_port(port, client.stream)
        if serve is None:
            client.result(ResultNumber.CONNECTION_REFUSED, tag)
            return None
        client.result(ResultNumber.OK, tag)
        return serve

    def _record(self, name: str, request: Mapping[str, Any]) -> None:
        kept = ("DeviceID", "PortNumber", "PairRecordID")
        values = {key: request[key] for key in kept if key in request}
        program = str(request.get("ProgName", ""))
        self.requests.append(MuxRequest(program=program, kind=name, values=values))


class _Client:
    """A connection of a program."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.phone: PluggedPhone | None = None

    def send(self, message: Mapping[str, Any], tag: int) -> None:
        content = plistlib.dumps(dict(message))
        size = _HEADER.size + len(content)
        self.stream.send(_HEADER.pack(size, _PLIST_VERSION, _PLIST_KIND, tag) + content)

    def result(self, number: ResultNumber, tag: int) -> None:
        self.send({"MessageType": "Result", "Number": int(number)}, tag)


def _attached(number: int, phone: PluggedPhone) -> dict[str, Any]:
    return {
        "MessageType": "Attached",
        "DeviceID": number,
        "Properties": {
            "ConnectionSpeed": _USB_BITS_PER_S,
            "ConnectionType": "USB",
            "DeviceID": number,
            "LocationID": _FIRST_LOCATION + number,
            "ProductID": _PRODUCT_ID,
            "SerialNumber": phone.udid,
            "UDID": phone.udid,
        },
    }
