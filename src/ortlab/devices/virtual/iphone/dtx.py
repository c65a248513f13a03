"""DTX: the messages between Instruments and a phone.

A message travels in one or more fragments. Each has a header of 32 bytes: magic, size of the
header, index and count of the fragment, bytes that follow, identifier of the message, its place in
the conversation (0 asks, 1 answers), channel, and whether an answer is expected. The first of
several fragments carries nothing but the size of all. The message itself begins with 16 bytes:
its kind, and the sizes of its arguments and of both parts; then come the arguments, as a list of
tagged values, and the payload, a keyed archive.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from ortlab.devices.virtual.iphone.keyed_archive import archive, unarchive
from ortlab.devices.virtual.iphone.streams import ProtocolError, Stream

_MAGIC: Final = 0x1F3D5B79
_HEADER: Final = struct.Struct("<IIHHIIIiI")
_LARGEST_HEADER_BYTES: Final = 4096
_MESSAGE: Final = struct.Struct("<BBBBIII")
_EXPECTS_REPLY: Final = 1
_LARGEST_MESSAGE_BYTES: Final = 64 << 20
_LARGEST_FRAGMENT_BYTES: Final = 128 << 10
_MOST_UNFINISHED: Final = 100
_FIRST_IDENTIFIER: Final = 1 << 16

_ARGUMENTS: Final = struct.Struct("<IIQ")
_ARGUMENTS_KIND: Final = 0x1F0
_TAG_MASK: Final = 0xFF
_TAG: Final = struct.Struct("<I")
_NUMBERS: Final = {3: struct.Struct("<i"), 6: struct.Struct("<q"), 9: struct.Struct("<d")}
_STRING_TAG: Final = 1
_ARCHIVE_TAG: Final = 2
_INTEGER_TAG: Final = 6
_INTEGER_32_TAG: Final = 3
_NULL_TAG: Final = 10


class DtxError(ProtocolError):
    """What is no message of DTX."""


class Kind(IntEnum):
    """What a message is for."""

    OK = 0
    DATA = 1
    DISPATCH = 2
    OBJECT = 3
    ERROR = 4
    BARRIER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DtxMessage:
    """A message.

    Attributes:
        kind: What it is for.
        channel: Its channel's code; negative where the side that did not open it speaks first.
        identifier: Of the conversation.
        conversation: 0 for its first message, 1 for the answer.
        expects_reply: Whether the sender waits for an answer.
        payload: The selector that is called, the object that is told, or None.
        arguments: Of the call.
    """

    kind: Kind
    channel: int
    identifier: int = 0
    conversation: int = 0
    expects_reply: bool = False
    payload: Any = None
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Integer32:
    """An argument that is sent as 32 bits, not as an archived number."""

    value: int


@dataclass(frozen=True, slots=True)
class Integer64:
    """An argument that is sent as 64 bits, not as an archived number."""

    value: int


def encode_arguments(arguments: Sequence[object]) -> bytes:
    """Return the arguments of a call as they are sent.

    Raises:
        ProtocolError: One cannot be archived.
    """
    if not arguments:
        return b""
    parts: list[bytes] = []
    for argument in arguments:
        parts.append(_TAG.pack(_NULL_TAG))  # they have places, not names
        if isinstance(argument, Integer32):
            parts.append(_TAG.pack(_INTEGER_32_TAG) + _NUMBERS[3].pack(argument.value))
        elif isinstance(argument, Integer64):
            parts.append(_TAG.pack(_INTEGER_TAG) + _NUMBERS[6].pack(argument.value))
        else:
            content = b"" if argument is None else archive(argument)
            parts.append(struct.pack("<II", _ARCHIVE_TAG, len(content)) + content)
    body = b"".join(parts)
    return _ARGUMENTS.pack(_ARGUMENTS_KIND, 0, len(body)) + body


def decode_arguments(content: bytes) -> tuple[Any, ...]:
    """Return the arguments of a call; numbers of all kinds become int or float.

    Raises:
        ProtocolError: They are damaged.
    """
    if not content:
        return ()
    if len(content) < _ARGUMENTS.size:
        message = f"arguments of {len(content)} bytes"
        raise DtxError(message)
    kind, _, size = _ARGUMENTS.unpack_from(content)
    if kind & _TAG_MASK != _ARGUMENTS_KIND & _TAG_MASK or size != len(content) - _ARGUMENTS.size:
        message = "arguments that are no dictionary of their size"
        raise DtxError(message)
    reader = _ArgumentReader(content, _ARGUMENTS.size)
    found: list[Any] = []
    while reader.more:
        reader.value()  # the key: arguments have none
        found.append(reader.value())
    return tuple(found)


class _ArgumentReader:
    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position

    @property
    def more(self) -> bool:
        return self._position < len(self._content)

    def value(self) -> Any:
        (tag,) = _TAG.unpack(self._take(_TAG.size))
        tag &= _TAG_MASK
        if tag == _NULL_TAG:
            return None
        if tag in _NUMBERS:
            number = _NUMBERS[tag]
            return number.unpack(self._take(number.size))[0]
        if tag not in (_STRING_TAG, _ARCHIVE_TAG):
            message = f"an argument of the unknown kind {tag}"
            raise DtxError(message)
        (size,) = _TAG.unpack(self._take(_TAG.size))
        content = self._take(size)
        if tag == _ARCHIVE_TAG:
            return unarchive(content) if content else None
        return content.decode(errors="replace")

    def _take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._content):
            message = "arguments that end too early"
            raise DtxError(message)
        taken = self._content[self._position : end]
        self._position = end
        return taken


def encode_body(message: DtxMessage) -> bytes:
    """Return a message without the headers of fragments.

    Raises:
        ProtocolError: Something in it cannot be archived.
    """
    arguments = encode_arguments(message.arguments)
    payload = b"" if message.payload is None else archive(message.payload)
    total = len(arguments) + len(payload)
    return _MESSAGE.pack(message.kind, 0, 0, 0, len(arguments), total, 0) + arguments + payload


def decode_body(
    body: bytes, *, channel: int, identifier: int, conversation: int, expects_reply: bool
) -> DtxMessage:
    """Return a message from what its fragments carried.

    Raises:
        ProtocolError: It is damaged.
    """
    if len(body) < _MESSAGE.size:
        message = f"a message of {len(body)} bytes"
        raise DtxError(message)
    number, _, _, _, arguments_size, total, _ = _MESSAGE.unpack_from(body)
    content = body[_MESSAGE.size :]
    if total != len(content) or arguments_size > total:
        message = "a message whose sizes contradict each other"
        raise DtxError(message)
    try:
        kind = Kind(number)
    except ValueError as error:
        message = f"a message of the unknown kind {number}"
        raise DtxError(message) from error
    payload: Any = content[arguments_size:]
    if kind is not Kind.DATA:
        payload = unarchive(payload) if payload else None
    return DtxMessage(
        kind=kind,
        channel=channel,
        identifier=identifier,
        conversation=conversation,
        expects_reply=expects_reply,
        payload=payload,
        arguments=decode_arguments(content[:arguments_size]),
    )


class DtxConnection:
    """Messages over a stream; sending is safe from several threads.

    Args:
        stream: That carries them.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unfinished: dict[int, _Unfinished] = {}
        self._lock = threading.Lock()
        self._next_identifier = _FIRST_IDENTIFIER

    def receive(self) -> DtxMessage:
        """Return the next whole message.

        Raises:
            StreamClosedError: The other side is gone.
            ProtocolError: It sent what is no message.
        """
        while True:
            fields = _HEADER.unpack(self._stream.receive_exactly(_HEADER.size))
            magic, header_size, index, count, size, identifier, conversation, channel, flags = (
                fields
            )
            if magic != _MAGIC or not _HEADER.size <= header_size <= _LARGEST_HEADER_BYTES:
                message = "a fragment without its header"
                raise DtxError(message)
            if index >= count or size > _LARGEST_MESSAGE_BYTES:
                message = f"fragment {index} of {count} with {size} bytes"
                raise DtxError(message)
            self._stream.receive_exactly(header_size - _HEADER.size)
            body = self._body(index, count, size, identifier)
            if body is not None:
                return decode_body(
                    body,
                    channel=channel,
                    identifier=identifier,
                    conversation=conversation,
                    expects_reply=bool(flags & _EXPECTS_REPLY),
                )

    def _body(self, index: int, count: int, size: int, identifier: int) -> bytes | None:
        """Return a message that a fragment completes, or None."""
        if count == 1:
            return self._stream.receive_exactly(size)
        if index == 0:
            if identifier in self._unfinished or len(self._unfinished) >= _MOST_UNFINISHED:
                message = "more fragmented messages than can be kept"
                raise DtxError(message)
            self._unfinished[identifier] = _Unfinished(size, count - 1)
            return None
        unfinished = self._unfinished.get(identifier)
        if unfinished is None:
            message = f"fragment {index} of a message that has not begun"
            raise DtxError(message)
        unfinished.add(index, self._stream.receive_exactly(size))
        if not unfinished.complete:
            return None
        del self._unfinished[identifier]
        return unfinished.joined()

    def send(self, message: DtxMessage) -> None:
        """Send a message; one that begins a conversation and has no identifier is given one.

        Raises:
            StreamClosedError: The other side is gone.
            ProtocolError: It cannot be archived.
        """
        body = encode_body(message)
        with self._lock:
            identifier = message.identifier
            if not identifier:
                identifier, self._next_identifier = self._next_identifier, self._next_identifier + 1
            self._stream.send(b"".join(fragments(body, message, identifier)))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def fragments(
    body: bytes, message: DtxMessage, identifier: int, limit: int = _LARGEST_FRAGMENT_BYTES
) -> list[bytes]:
    """Return the fragments of a message with their headers.

    Args:
        body: Of the message.
        message: Whose other values they carry.
        identifier: Of the conversation.
        limit: Most bytes of one fragment.
    """

    def header(index: int, count: int, size: int) -> bytes:
        return _HEADER.pack(
            _MAGIC,
            _HEADER.size,
            index,
            count,
            size,
            identifier,
            message.conversation,
            message.channel,
            _EXPECTS_REPLY if message.expects_reply else 0,
        )

    if len(body) <= limit:
        return [header(0, 1, len(body)), body]
    pieces = [body[start : start + limit] for start in range(0, len(body), limit)]
    count = len(pieces) + 1
    sent = [header(0, count, len(body))]
    for index, piece in enumerate(pieces, 1):
        sent += (header(index, count, len(piece)), piece)
    return sent


class _Unfinished:
    """A message whose fragments are still coming, in whatever order."""

    def __init__(self, size: int, count: int) -> None:
        self._size = size
        self._count = count
        self._pieces: dict[int, bytes] = {}
        self._held = 0

    def add(self, index: int, piece: bytes) -> None:
        self._held += len(piece)
        if index in self._pieces or self._held > self._size or not piece:
            message = "fragments that are no message together"
            raise DtxError(message)
        self._pieces[index] = piece

    @property
    def complete(self) -> bool:
        return len(self._pieces) == self._count

    def joined(self) -> bytes:
        if self._held != self._size:
            message = "a message that is shorter than was said"
            raise DtxError(message)
        return b"".join(piece for _, piece in sorted(self._pieces.items()))
