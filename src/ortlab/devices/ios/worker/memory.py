"""Memory of processes as the phone's own monitor counts it, a cross-check from outside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from ortlab.devices.ios.worker.control import plain
from ortlab.devices.ios.worker.phone import LOOK_S

_SAMPLE_MS: Final = 50
_PROCESS: Final = ["pid", "physFootprint"]
_SYSTEM: Final = ["physMemSize"]


@contextlib.asynccontextmanager
async def footprints(dvt: Any, *, wanted: bool) -> AsyncIterator[dict[int, int]]:
    """Keep the largest footprint in bytes of each process that is seen inside.

    The monitor runs before the body begins, so that an app that is started there is seen from its
    first moment: opening the monitor takes longer than a short block. A phone may not tell.

    Args:
        dvt: Instruments.
        wanted: Whether to look at all.
    """
    largest: dict[int, int] = {}
    if not wanted:
        yield largest
        return
    telling = asyncio.Event()
    watch = asyncio.create_task(_watch(dvt, largest, telling))
    first = asyncio.create_task(telling.wait())
    try:
        await asyncio.wait({watch, first}, timeout=LOOK_S, return_when="FIRST_COMPLETED")
        largest.clear()  # a number may be given anew to what is started now
        yield largest
    finally:
        first.cancel()
        watch.cancel()
        await asyncio.wait({watch}, timeout=LOOK_S)


async def _watch(dvt: Any, largest: dict[int, int], telling: asyncio.Event) -> None:
    from pymobiledevice3.services.dvt.instruments.sysmontap import Sysmontap

    with contextlib.suppress(Exception):  # without the monitor a block is as good
        async with Sysmontap(dvt, _PROCESS, _SYSTEM, interval_ms=_SAMPLE_MS) as tap:
            async for processes in tap.iter_processes():
                for process in processes:
                    number = plain(process["pid"]) or 0
                    size = plain(process["physFootprint"]) or 0
                    largest[number] = max(size, largest.get(number, 0))
                telling.set()
