"""RemoteXPC: XPC messages over HTTP/2, as services inside a tunnel speak it.

A message has 24 bytes before its payload: magic, flags, size of the payload, number. Of HTTP/2
(RFC 9113) there are only frames: requests travel on stream 1, answers on stream 3, and no headers
are ever filled in.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Final

from ortlab.devices.virtual.iphone.streams import ProtocolError, Stream
from ortlab.devices.virtual.iphone.xpc_objects import decode_payload, encode_payload

ROOT_STREAM: Final = 1
REPLY_STREAM: Final = 3

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME: Final = struct.Struct("!IBI")
_FRAME_HEADER_BYTES: Final = 9
_LARGEST_FRAME_BYTES: Final = 16_384
_STREAM_MASK: Final = 0x7FFFFFFF
_ACKNOWLEDGED: Final = 1
_END_HEADERS: Final = 4
_SETTING: Final = struct.Struct("!HI")
_MOST_STREAMS_SETTING: Final = 3
_WINDOW_SETTING: Final = 4
_MOST_STREAMS: Final = 100
_WINDOW_BYTES: Final = 1 << 20
_WRAPPER: Final = struct.Struct("<IIQQ")
_WRAPPER_MAGIC: Final = 0x29B00B92
_LARGEST_MESSAGE_BYTES: Final = 16 << 20


class XpcFlag(IntFlag):
    """Of a message."""

    ALWAYS = 0x1
    DATA = 0x100
    WANTS_REPLY = 0x10000
    REPLY = 0x20000
    OPENS_REPLIES = 0x400000


class _Frame(IntEnum):
    DATA = 0
    HEADERS = 1
    RESET = 3
    SETTINGS = 4
    PING = 6
    GO_AWAY = 7
    WINDOW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class XpcMessage:
    """A message.

    Attributes:
        flags: What it is for.
        number: By which an answer refers to it.
        payload: A dictionary, or None where there is none.
    """

    flags: int
    number: int = 0
    payload: Mapping[str, Any] | None = None


def encode_message(message: XpcMessage) -> bytes:
    """Return a message as it is sent.

    Raises:
        XpcError: Its payload holds what XPC does not know.
    """
    payload = b"" if message.payload is None else encode_payload(message.payload)
    return _WRAPPER.pack(_WRAPPER_MAGIC, message.flags, len(payload), message.number) + payload


class MessageBuffer:
    """Puts messages together from the data of one stream of HTTP/2."""

    def __init__(self) -> None:
        self._held = bytearray()

    def add(self, data: bytes) -> Iterator[XpcMessage]:
        """Yield the messages that some data completes.

        Raises:
            ProtocolError: It is no message.
        """
        self._held += data
        while len(self._held) >= _WRAPPER.size:
            magic, flags, size, number = _WRAPPER.unpack_from(self._held)
            if magic != _WRAPPER_MAGIC or size > _LARGEST_MESSAGE_BYTES:
                message = "a message that is none of RemoteXPC"
                raise ProtocolError(message)
            end = _WRAPPER.size + size
            if len(self._held) < end:
                return
            payload = bytes(self._held[_WRAPPER.size : end])
            del self._held[:end]
            value = decode_payload(payload) if payload else None
            if value is not None and not isinstance(value, dict):
                message = "a message of RemoteXPC that holds no dictionary"
                raise ProtocolError(message)
            yield XpcMessage(flags=flags, number=number, payload=value)


class RemoteXpc:
    """The phone's end of a connection; sending is safe from several threads.

    The windows of HTTP/2 limit the computer alone: what the phone says is far smaller.

    Args:
        stream: That carries it.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._buffers: dict[int, MessageBuffer] = {}
        self._opened: set[int] = set()

    def messages(self) -> Iterator[XpcMessage]:
        """Yield what arrives.

        Raises:
            StreamClosedError: The computer left.
            ProtocolError: It sent what is no message.
        """
        if self._stream.receive_exactly(len(_PREFACE)) != _PREFACE:
            message = "a connection that does not begin as HTTP/2"
            raise ProtocolError(message)
        settings = _SETTING.pack(_MOST_STREAMS_SETTING, _MOST_STREAMS)
        settings += _SETTING.pack(_WINDOW_SETTING, _WINDOW_BYTES)
        opening = _frame(_Frame.SETTINGS, 0, 0, settings) + _window(0, _WINDOW_BYTES)
        self._stream.send(opening)
        while True:
            kind, flags, number, body = self._receive_frame()
            if kind == _Frame.GO_AWAY:
                return
            if kind == _Frame.SETTINGS and not flags & _ACKNOWLEDGED:
                self._stream.send(_frame(_Frame.SETTINGS, _ACKNOWLEDGED, 0))
            elif kind == _Frame.PING and not flags & _ACKNOWLEDGED:
                self._stream.send(_frame(_Frame.PING, _ACKNOWLEDGED, 0, body))
            elif kind == _Frame.RESET:
                self._buffers.pop(number, None)
            elif kind == _Frame.DATA and body:
                self._stream.send(_window(0, len(body)) + _window(number, len(body)))
                yield from self._buffer(number).add(body)

    def send(self, payload: Mapping[str, Any], *, number: int = 0) -> None:
        """Send a message that is no answer.

        Raises:
            StreamClosedError: The computer left.
            XpcError: It holds what XPC does not know.
        """
        flags = XpcFlag.ALWAYS | XpcFlag.DATA
        self._send(ROOT_STREAM, XpcMessage(flags=flags, number=number, payload=payload))

    def reply(self, message: XpcMessage, payload: Mapping[str, Any]) -> None:
        """Answer a message.

        Raises:
            StreamClosedError: The computer left.
            XpcError: It holds what XPC does not know.
        """
        flags = XpcFlag.ALWAYS | XpcFlag.DATA | XpcFlag.REPLY
        self._send(REPLY_STREAM, XpcMessage(flags=flags, number=message.number, payload=payload))

    def _send(self, number: int, message: XpcMessage) -> None:
        content = encode_message(message)
        with self._lock:
            frames = []
            if number not in self._opened:
                self._opened.add(number)
                frames.append(_frame(_Frame.HEADERS, _END_HEADERS, number))
            for start in range(0, len(content), _LARGEST_FRAME_BYTES):
                piece = content[start : start + _LARGEST_FRAME_BYTES]
                frames.append(_frame(_Frame.DATA, 0, number, piece))
            self._stream.send(b"".join(frames))

    def _receive_frame(self) -> tuple[int, int, int, bytes]:
        header = self._stream.receive_exactly(_FRAME_HEADER_BYTES)
        size_and_kind, flags, number = _FRAME.unpack(header)
        size, kind = size_and_kind >> 8, size_and_kind & 0xFF
        if size > _LARGEST_FRAME_BYTES:
            message = f"a frame of {size} bytes"
            raise ProtocolError(message)
        return kind, flags, number & _STREAM_MASK, self._stream.receive_exactly(size)

    def _buffer(self, number: int) -> MessageBuffer:
        if number not in self._buffers and len(self._buffers) >= _MOST_STREAMS:
            message = "more streams than were allowed"
            raise ProtocolError(message)
        return self._buffers.setdefault(number, MessageBuffer())


def _frame(kind: _Frame, flags: int, number: int, body: bytes = b"") -> bytes:
    return _FRAME.pack(len(body) << 8 | kind, flags, number) + body


def _window(number: int, size: int) -> bytes:
    return _frame(_Frame.WINDOW, 0, number, struct.pack("!I", size))
