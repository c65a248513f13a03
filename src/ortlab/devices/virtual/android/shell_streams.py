"""What commands read from and write to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from ortlab.devices.virtual.android.filesystem import FileWriter

_LONGEST_PIPE: Final = 64


class Source(Protocol):
    """What a command reads."""

    async def read(self, limit: int) -> bytes:
        """Return at most ``limit`` bytes; nothing at the end."""
        ...


Sink = Callable[[bytes], Awaitable[None]]


class Nothing:
    """A source that is at its end."""

    async def read(self, limit: int) -> bytes:
        """Return nothing."""
        del limit
        return b""


@dataclass(slots=True)
class Bytes:
    """A source of bytes that are there already."""

    content: bytes

    async def read(self, limit: int) -> bytes:
        """Return the next bytes."""
        part, self.content = self.content[:limit], self.content[limit:]
        return part


async def nowhere(data: bytes) -> None:
    """Take bytes and forget them."""
    del data


class Pipe:
    """Bytes from one command to the next."""

    def __init__(self) -> None:
        self._parts: asyncio.Queue[bytes] = asyncio.Queue(_LONGEST_PIPE)
        self._rest = b""
        self._closed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Pass bytes on; waits while too many are under way."""
        if data:
            await self._parts.put(data)

    async def read(self, limit: int) -> bytes:
        """Return the next bytes; nothing at the end."""
        while not self._rest:
            if not self._parts.empty():
                self._rest = self._parts.get_nowait()
            elif self._closed.is_set():
                return b""
            else:
                await self._either()
        part, self._rest = self._rest[:limit], self._rest[limit:]
        return part

    def close(self) -> None:
        """Say that nothing more comes."""
        self._closed.set()

    async def _either(self) -> None:
        """Wait for bytes or the end."""
        getting = asyncio.ensure_future(self._parts.get())
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({getting, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            if not getting.cancel() and not getting.cancelled():
                self._rest = getting.result()


def to_file(writer: FileWriter) -> Sink:
    """Return what writes to a file."""

    async def write(data: bytes) -> None:
        writer.write(data)

    return write
