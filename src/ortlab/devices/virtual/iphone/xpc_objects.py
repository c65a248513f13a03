"""XPC objects as RemoteXPC writes them: tagged, little endian, padded to four bytes.

Messages hold one dictionary after a magic number and a version.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from ortlab.devices.virtual.iphone.streams import ProtocolError

_MAGIC: Final = 0x42133742
_VERSION: Final = 5
_PAYLOAD: Final = struct.Struct("<II")
_WORD: Final = struct.Struct("<I")
_SIGNED: Final = struct.Struct("<q")
_UNSIGNED: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")
_ALIGNMENT: Final = 4
_UUID_BYTES: Final = 16
_DEEPEST: Final = 64


class XpcError(ProtocolError):
    """Bytes that are no XPC object, or a value that none can hold."""


class _Tag(IntEnum):
    NULL = 0x1000
    BOOL = 0x2000
    SIGNED = 0x3000
    UNSIGNED = 0x4000
    DOUBLE = 0x5000
    DATE = 0x7000
    DATA = 0x8000
    STRING = 0x9000
    UUID = 0xA000
    ARRAY = 0xE000
    DICTIONARY = 0xF000


class Unsigned(int):
    """A number that is sent as an unsigned integer of 64 bits; plain ones are signed."""

    __slots__ = ()


class Nanoseconds(int):
    """A date: nanoseconds since 1970."""

    __slots__ = ()


def encode_payload(value: Mapping[str, Any]) -> bytes:
    """Return a dictionary as the payload of a message.

    Raises:
        XpcError: It holds what XPC does not know, or is nested too deeply.
    """
    return _PAYLOAD.pack(_MAGIC, _VERSION) + encode_object(value)


def decode_payload(content: bytes) -> Any:
    """Return the object in the payload of a message.

    Raises:
        XpcError: It is damaged.
    """
    if len(content) < _PAYLOAD.size or _PAYLOAD.unpack_from(content) != (_MAGIC, _VERSION):
        message = "a message whose payload is no XPC object"
        raise XpcError(message)
    return decode_object(content[_PAYLOAD.size :])


def encode_object(value: object, depth: int = 0) -> bytes:
    """Return an object as it is written.

    None, bool, int of 64 bits, :class:`Unsigned`, :class:`Nanoseconds`, float, bytes, str without
    NUL, UUID, sequences, and mappings with such texts as keys.

    Raises:
        XpcError: It is or holds something else, or is nested too deeply.
    """
    if depth > _DEEPEST:
        message = "an object that is nested too deeply for XPC"
        raise XpcError(message)
    try:
        return _encode(value, depth + 1)
    except (struct.error, UnicodeEncodeError) as error:
        message = f"a value that XPC cannot hold: {error}"
        raise XpcError(message) from error


def _encode(value: object, depth: int) -> bytes:
    match value:
        case None:
            return _WORD.pack(_Tag.NULL)
        case bool():
            return _WORD.pack(_Tag.BOOL) + _WORD.pack(value)
        case Unsigned():
            return _WORD.pack(_Tag.UNSIGNED) + _UNSIGNED.pack(value)
        case Nanoseconds():
            return _WORD.pack(_Tag.DATE) + _SIGNED.pack(value)
        case int():
            return _WORD.pack(_Tag.SIGNED) + _SIGNED.pack(value)
        case float():
            return _WORD.pack(_Tag.DOUBLE) + _DOUBLE.pack(value)
        case uuid.UUID():
            return _WORD.pack(_Tag.UUID) + value.bytes
        case bytes():
            return _WORD.pack(_Tag.DATA) + _WORD.pack(len(value)) + _padded(value)
        case str():
            text = _terminated(value)
            return _WORD.pack(_Tag.STRING) + _WORD.pack(len(text)) + _padded(text)
        case Mapping():
            entries = [
                _padded(_terminated(key)) + encode_object(item, depth)
                for key, item in value.items()
            ]
            return _container(_Tag.DICTIONARY, entries)
        case Sequence():
            return _container(_Tag.ARRAY, [encode_object(item, depth) for item in value])
    message = f"XPC cannot hold a {type(value).__name__}"
    raise XpcError(message)


def _container(tag: _Tag, entries: Sequence[bytes]) -> bytes:
    body = _WORD.pack(len(entries)) + b"".join(entries)
    return _WORD.pack(tag) + _WORD.pack(len(body)) + body


def _terminated(text: object) -> bytes:
    if not isinstance(text, str) or "\0" in text:
        message = f"XPC cannot hold {text!r} as a text"
        raise XpcError(message)
    return text.encode() + b"\0"


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)


def decode_object(content: bytes) -> Any:
    """Return the object that is written in some bytes, and nothing after it.

    Raises:
        XpcError: They hold something else.
    """
    reader = _Reader(content)
    value = reader.value(0)
    if reader.position != len(content):
        message = "an XPC object with something after it"
        raise XpcError(message)
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._end = len(content)
        self.position = 0

    def value(self, depth: int) -> Any:
        tag = self._word()
        if depth > _DEEPEST:
            message = "an XPC object that is nested too deeply"
            raise XpcError(message)
        plain: dict[int, Callable[[], Any]] = {
            _Tag.NULL: lambda: None,
            _Tag.BOOL: lambda: bool(self._word()),
            _Tag.SIGNED: lambda: _SIGNED.unpack(self._take(_SIGNED.size))[0],
            _Tag.UNSIGNED: lambda: Unsigned(_UNSIGNED.unpack(self._take(_UNSIGNED.size))[0]),
            _Tag.DATE: lambda: Nanoseconds(_SIGNED.unpack(self._take(_SIGNED.size))[0]),
            _Tag.DOUBLE: lambda: _DOUBLE.unpack(self._take(_DOUBLE.size))[0],
            _Tag.UUID: lambda: uuid.UUID(bytes=self._take(_UUID_BYTES)),
            _Tag.DATA: lambda: self._take_padded(self._word()),
            _Tag.STRING: lambda: _text(self._take_padded(self._word())),
        }
        if tag in plain:
            return plain[tag]()
        if tag not in (_Tag.ARRAY, _Tag.DICTIONARY):
            message = f"an XPC object of the unknown kind {tag:#x}"
            raise XpcError(message)
        return self._container(tag, depth)

    def _container(self, tag: int, depth: int) -> Any:
        size = self._word()
        end, outer = self.position + size, self._end
        if end > outer:
            message = "an XPC object that ends too early"
            raise XpcError(message)
        self._end = end
        count = self._word()
        value: Any
        if tag == _Tag.ARRAY:
            value = [self.value(depth + 1) for _ in range(count)]
        else:
            value = {}
            for _ in range(count):
                key = self._key()
                value[key] = self.value(depth + 1)
        if self.position != end:
            message = "an XPC container that is longer than its content"
            raise XpcError(message)
        self._end = outer
        return value

    def _key(self) -> str:
        end = self._content.find(b"\0", self.position, self._end)
        if end < 0:
            message = "an XPC dictionary with a key that does not end"
            raise XpcError(message)
        return _text(self._take_padded(end + 1 - self.position))

    def _word(self) -> int:
        return int(_WORD.unpack(self._take(_WORD.size))[0])

    def _take_padded(self, size: int) -> bytes:
        return self._take(size + -size % _ALIGNMENT)[:size]

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > self._end:
            message = "an XPC object that ends too early"
            raise XpcError(message)
        taken = self._content[self.position : end]
        self.position = end
        return taken


def _text(content: bytes) -> str:
    text, end, _ = content.partition(b"\0")
    if not end:
        message = "an XPC text that does not end"
        raise XpcError(message)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        message = f"an XPC text that is none: {error}"
        raise XpcError(message) from error
