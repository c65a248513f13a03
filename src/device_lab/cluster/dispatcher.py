"""Gives open cells to free phones, one Dask task a cell; what is true stands in the store.

All that is kept here is which tasks Dask holds, and that may be lost: a dispatcher that starts
anew finds open cells and free phones in the store, and a task that runs meanwhile holds a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from device_lab.cluster.threads import on_thread
from device_lab.planning import ReadinessLimits, assign
from device_lab.store import LabStore
from device_lab.values import PhoneState
from ortlab.errors import OrtlabError

logger = logging.getLogger(__name__)

# Tasks end in swarms; one look serves them all.
_GATHER_S = 0.05
# How long a task may be with Dask while the store still calls its cell open.
_CLAIM_DEADLINE_S = 30.0
_LOOK_DEADLINE_S = 120.0
# What keeps a phone from starting passes: it cools down, it charges.
_FREE = (PhoneState.AVAILABLE, PhoneState.BLOCKED)


class Carrier(Protocol):
    """What carries tasks to phones."""

    def phones(self) -> frozenset[str]:
        """Return the phones that a task can reach now."""
        ...

    def carried(self) -> Mapping[str, str]:
        """Return the cells that are with it, each with its phone."""
        ...

    def carry(self, cell_id: str, phone_id: str) -> None:
        """Take a cell to a phone."""
        ...

    def drop(self, cell_id: str) -> None:
        """Forget a cell; nothing happens if it is gone already."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What the store showed: what to start, and what is open although it is with the carrier."""

    given: Mapping[str, str]
    unclaimed: frozenset[str]


class Dispatcher:
    """Looks at the store every so often, or when woken, and hands out what is open.

    Args:
        store: What is true.
        carrier: What takes a cell to a phone.
        clock: Tells the time.
        limits: When a phone is ready.
        look_every_s: Longest time between two looks.
    """

    def __init__(
        self,
        store: LabStore,
        carrier: Carrier,
        *,
        clock: Callable[[], datetime],
        limits: ReadinessLimits | None = None,
        look_every_s: float = 1.0,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._clock = clock
        self._limits = limits or ReadinessLimits()
        self._look_every_s = look_every_s
        self._woken = asyncio.Event()
        self._open_since: dict[str, datetime] = {}
        self._trouble: str | None = None

    def wake(self) -> None:
        """Look again soon."""
        self._woken.set()

    async def run(self) -> None:
        """Go on until cancelled; a store that cannot be reached is asked again."""
        while True:
            self._woken.clear()
            await self._look_and_carry()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._look_every_s)
            await asyncio.sleep(_GATHER_S)

    async def _look_and_carry(self) -> None:
        now = self._clock()
        reachable, carried = self._carrier.phones(), dict(self._carrier.carried())
        for cell_id, phone_id in carried.items():
            if phone_id not in reachable:
                self._carrier.drop(cell_id)
        try:
            look = await on_thread(
                lambda: self._look(now, reachable, carried),
                deadline_s=_LOOK_DEADLINE_S,
                name="dispatcher",
            )
        except OrtlabError as error:
            self._tell(error.message)
            return
        except TimeoutError:
            self._tell(f"the store did not answer within {_LOOK_DEADLINE_S:g} s")
            return
        self._tell(None)
        for cell_id in self._overdue(look.unclaimed, now):
            self._carrier.drop(cell_id)
        for cell_id, phone_id in look.given.items():
            self._carrier.carry(cell_id, phone_id)

    def _look(self, now: datetime, reachable: frozenset[str], carried: Mapping[str, str]) -> _Look:
        self._store.expire(now, limits=self._limits)
        free = [
            known.phone
            for known in self._store.phones()
            if known.state in _FREE and known.phone.phone_id in reachable
        ]
        if not free:
            return _Look(given={}, unclaimed=frozenset())
        cells = self._store.open_cells()
        busy = set(carried.values())
        return _Look(
            given=assign(
                [phone for phone in free if phone.phone_id not in busy],
                [cell for cell in cells if cell.cell_id not in carried],
                now,
                self._limits,
            ),
            unclaimed=frozenset(cell.cell_id for cell in cells) & carried.keys(),
        )

    def _overdue(self, unclaimed: frozenset[str], now: datetime) -> list[str]:
        """Return the cells whose tasks should have leased them long ago."""
        self._open_since = {cell: self._open_since.get(cell, now) for cell in unclaimed}
        return [
            cell_id
            for cell_id, since in self._open_since.items()
            if (now - since).total_seconds() > _CLAIM_DEADLINE_S
        ]

    def _tell(self, trouble: str | None) -> None:
        """Log the first of a row of the same troubles, and their end."""
        if trouble != self._trouble:
            logger.warning("%s", trouble or "the store answers again")
        self._trouble = trouble
