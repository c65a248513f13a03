"""A bounded reader of FlatBuffers tables.

Every position is checked against the buffer and every step is counted, so that a damaged or
hostile file ends in :class:`MalformedError` after work in proportion to its size: the accessors
that flatc generates follow offsets wherever they lead.

Source: FlatBuffers internals, https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

MAX_BUFFER_BYTES: Final = (1 << 31) - 1  # positions are 32-bit
_MAX_STEPS: Final = 4_000_000  # a node takes about 150
_UINT16 = struct.Struct("<H")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")


class MalformedError(Exception):
    """The bytes are not what their format says; the message tells where."""


class FlatBuffer:
    """A buffer with a budget of steps and of bytes read out of it.

    Args:
        data: The whole buffer.

    Raises:
        MalformedError: It is too short or too long to be one.
    """

    def __init__(self, data: memoryview) -> None:
        if not 8 <= len(data) <= MAX_BUFFER_BYTES:
            message = f"{len(data)} bytes are too few or too many"
            raise MalformedError(message)
        self.data: Final = data
        self._steps_left = min(len(data), _MAX_STEPS) + 1000
        self._bytes_left = 2 * len(data)
        self._strings: dict[int, str] = {}

    def root(self, identifier: bytes) -> Table:
        """Return the root table of a buffer whose file identifier is ``identifier``."""
        if bytes(self.data[4:8]) != identifier:
            message = f"the file identifier is {bytes(self.data[4:8])!r}, not {identifier!r}"
            raise MalformedError(message)
        return Table(self, self.follow(0))

    def spend(self, steps: int) -> None:
        """Count steps; sound files need less than one in four bytes."""
        self._steps_left -= steps
        if self._steps_left < 0:
            message = "it refers to more tables than a file of its size can hold"
            raise MalformedError(message)

    def unpack(self, layout: struct.Struct, position: int) -> Any:
        """Return the one value of ``layout`` at ``position``."""
        if position < 0:
            message = "an offset points before its start"
            raise MalformedError(message)
        try:
            return layout.unpack_from(self.data, position)[0]
        except struct.error as error:
            message = "an offset points behind its end"
            raise MalformedError(message) from error

    def follow(self, position: int) -> int:
        """Return the position that the offset at ``position`` refers to."""
        self.spend(1)
        return position + int(self.unpack(_UINT32, position))

    def vector(self, position: int, item_bytes: int) -> tuple[int, int]:
        """Return the position of the first item and the length of the vector at ``position``."""
        length = int(self.unpack(_UINT32, position))
        start = position + 4
        if start + length * item_bytes > len(self.data):
            message = f"a vector of {length} items points behind its end"
            raise MalformedError(message)
        return start, length

    def view(self, position: int) -> memoryview:
        """Return the bytes of the byte vector at ``position`` without copying them."""
        start, length = self.vector(position, 1)
        self._bytes_left -= length
        if self._bytes_left < 0:
            message = "its vectors overlap"
            raise MalformedError(message)
        return self.data[start : start + length]

    def string(self, position: int) -> str:
        """Return the string at ``position``; shared strings are decoded once."""
        known = self._strings.get(position)
        if known is None:
            known = bytes(self.view(position)).decode(errors="backslashreplace")
            self._strings[position] = known
        return known


class Table:
    """A table; fields are named by their number in the schema and may be absent."""

    __slots__ = ("_buffer", "_position", "_size", "_slots")

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        buffer.spend(1)
        self._buffer = buffer
        self._position = position
        self._slots = position - buffer.unpack(_INT32, position)
        self._size = buffer.unpack(_UINT16, self._slots)
        if self._size < 4 or self._slots + self._size > len(buffer.data):
            message = "a table has no layout"
            raise MalformedError(message)

    def _field(self, number: int) -> int | None:
        """Return the position of a field, or None where it is absent."""
        self._buffer.spend(1)
        at = 4 + 2 * number
        if at + 2 > self._size:
            return None
        offset = self._buffer.unpack(_UINT16, self._slots + at)
        return self._position + int(offset) if offset else None

    def number(self, number: int, layout: struct.Struct, default: Any = 0) -> Any:
        """Return a scalar field."""
        position = self._field(number)
        return default if position is None else self._buffer.unpack(layout, position)

    def table(self, number: int) -> Table | None:
        """Return a table field."""
        position = self._field(number)
        return None if position is None else Table(self._buffer, self._buffer.follow(position))

    def string(self, number: int) -> str | None:
        """Return a string field; bytes that are not UTF-8 stand as ``\\xNN``."""
        position = self._field(number)
        return None if position is None else self._buffer.string(self._buffer.follow(position))

    def view(self, number: int) -> memoryview | None:
        """Return a byte-vector field without copying it."""
        position = self._field(number)
        return None if position is None else self._buffer.view(self._buffer.follow(position))

    def _items(self, number: int, item_bytes: int) -> tuple[int, int]:
        position = self._field(number)
        if position is None:
            return 0, 0
        return self._buffer.vector(self._buffer.follow(position), item_bytes)

    def tables(self, number: int) -> Iterator[Table]:
        """Yield the tables of a vector field."""
        start, length = self._items(number, 4)
        for position in range(start, start + 4 * length, 4):
            yield Table(self._buffer, self._buffer.follow(position))

    def strings(self, number: int) -> tuple[str, ...]:
        """Return the strings of a vector field."""
        start, length = self._items(number, 4)
        buffer = self._buffer
        return tuple(
            buffer.string(buffer.follow(position))
            for position in range(start, start + 4 * length, 4)
        )

    def numbers(self, number: int, code: str) -> tuple[Any, ...]:
        """Return the scalars or structs of a vector field, flat, by a ``struct`` code each."""
        item = struct.Struct("<" + code)
        start, length = self._items(number, item.size)
        self._buffer.spend(length)
        if not length:
            return ()
        return struct.unpack_from("<" + code * length, self._buffer.data, start)
