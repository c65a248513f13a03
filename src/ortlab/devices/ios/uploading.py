"""Sending a file to an iPhone without waiting for each answer before the next part is sent."""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO, Final

_PART_BYTES: Final = 1 << 20
_IN_FLIGHT: Final = 2
"""Parts: one is written by the phone while the next is read and encrypted here."""


async def upload(files: Any, source: BinaryIO, handle: int) -> int:
    """Write all of a file to an open file of a phone; return how many bytes that were.

    Parts reach the phone in order, since its file service answers one after another.

    Args:
        files: The phone's file service.
        source: To send, from where it stands.
        handle: Of the file on the phone.

    Raises:
        Exception: The first that a part met; nothing is sent after it.
    """
    waiting: list[asyncio.Task[None]] = []
    sent = 0
    try:
        while part := await asyncio.to_thread(source.read, _PART_BYTES):
            waiting.append(asyncio.create_task(files.fwrite(handle, part)))
            sent += len(part)
            if len(waiting) >= _IN_FLIGHT:
                await waiting.pop(0)
        while waiting:
            await waiting.pop(0)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return sent
