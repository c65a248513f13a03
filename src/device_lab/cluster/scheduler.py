"""A Dask scheduler with the dispatcher in the same process, until a signal ends both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from device_lab.cluster.connection import (
    Address,
    check_certificates,
    check_exposure,
    dask_settings,
    parse_address,
)
from device_lab.cluster.dispatcher import Dispatcher
from device_lab.cluster.tasks import measure_cell, phone_of, phone_resource
from device_lab.planning import ReadinessLimits
from device_lab.store import LabStore
from ortlab.errors import UsageError

if TYPE_CHECKING:
    from distributed import Scheduler

logger = logging.getLogger(__name__)

_START_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOptions:
    """How a scheduler is reached and works.

    Attributes:
        listen: ``HOST:PORT``, or with ``tcp://`` or ``tls://``; port 0 takes a free one.
        dashboard: Address of Dask's own pages, such as 127.0.0.1:8787; None for none.
        without_tls: Whether a port beyond loopback may do without TLS.
        look_every_s: Longest time between two looks at the store.
        limits: When a phone is ready.
    """

    listen: str = "127.0.0.1:8786"
    dashboard: str | None = None
    without_tls: bool = False
    look_every_s: float = 1.0
    limits: ReadinessLimits = field(default_factory=ReadinessLimits)


def run_scheduler(
    store: LabStore,
    options: SchedulerOptions,
    *,
    clock: Callable[[], datetime],
    on_start: Callable[[str], object] = lambda _address: None,
) -> None:
    """Run until SIGTERM or Ctrl-C.

    Args:
        store: The lab's.
        options: Where to listen, how often to look.
        clock: Tells the time.
        on_start: Called with the address once agents may connect.

    Raises:
        UsageError: It may or can not listen there.
    """
    address = parse_address(options.listen, role="scheduler")
    check_exposure(address, without_tls=options.without_tls)
    with dask_settings(dashboard=options.dashboard is not None):
        asyncio.run(_serve(store, address, options, clock, on_start))


async def _serve(
    store: LabStore,
    address: Address,
    options: SchedulerOptions,
    clock: Callable[[], datetime],
    on_start: Callable[[str], object],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _running(address, options.dashboard) as (scheduler, client):
        carrier = DaskCarrier(scheduler, client)
        dispatcher = Dispatcher(
            store,
            carrier,
            clock=clock,
            limits=options.limits,
            look_every_s=options.look_every_s,
        )
        carrier.when_something_ends(dispatcher.wake)
        on_start(str(scheduler.address))
        work = asyncio.create_task(dispatcher.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if work.done():
            work.result()  # it only ends by an error of ours
        work.cancel()


@contextlib.asynccontextmanager
async def _running(address: Address, dashboard: str | None) -> AsyncIterator[tuple[Scheduler, Any]]:
    """Run a scheduler and a client of it that needs no connection."""
    import distributed
    from distributed import Scheduler

    make_client: Any = distributed.Client
    settings = check_certificates(address, role="scheduler")
    where: dict[str, Any] = {
        "protocol": [address.protocol, "inproc"],
        "host": [address.host, None],
        "port": [address.port, None],
    }
    try:
        scheduler = await asyncio.wait_for(
            Scheduler(
                **where,
                security=settings,
                dashboard=dashboard is not None,
                dashboard_address=dashboard or "127.0.0.1:0",
            ),
            _START_DEADLINE_S,
        )
    except (OSError, TimeoutError, RuntimeError) as error:  # Dask wraps most in the last
        message = f"cannot listen on {address}: {error.__cause__ or error}"
        raise UsageError(message, next_step="choose another port with --listen") from error
    try:
        inside = scheduler.listeners[-1].contact_address
        async with make_client(inside, asynchronous=True, set_as_default=False) as client:
            yield scheduler, client
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(scheduler.close(reason="asked to end"), _STOP_DEADLINE_S)


class DaskCarrier:
    """Carries cells as tasks of Dask; nothing that a task returns is looked at.

    Args:
        scheduler: In this process.
        client: Of that scheduler.
    """

    def __init__(self, scheduler: Scheduler, client: Any) -> None:
        self._scheduler = scheduler
        self._client = client
        self._tasks: dict[str, tuple[str, Any]] = {}
        self._wake: Callable[[], None] = lambda: None

    def when_something_ends(self, wake: Callable[[], None]) -> None:
        """Call something whenever a task is over."""
        self._wake = wake

    def phones(self) -> frozenset[str]:
        """Return the phones of the workers that are connected."""
        offered = self._scheduler.resources.items()
        named = ((phone_of(name), workers) for name, workers in offered)
        return frozenset(phone for phone, workers in named if phone and any(workers.values()))

    def carried(self) -> Mapping[str, str]:
        """Return the cells that Dask holds a task for, each with its phone."""
        return {cell_id: phone_id for cell_id, (phone_id, _) in self._tasks.items()}

    def carry(self, cell_id: str, phone_id: str) -> None:
        """Submit the task of a cell to whichever worker has the phone."""
        future = self._client.submit(
            measure_cell,
            cell_id,
            phone_id,
            key=f"{cell_id}@{uuid.uuid4().hex}",
            resources={phone_resource(phone_id): 1},
            pure=False,
            retries=0,
        )
        self._tasks[cell_id] = (phone_id, future)
        loop = asyncio.get_running_loop()
        # Dask calls back on a thread of its own.
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._ended, cell_id, done))

    def drop(self, cell_id: str) -> None:
        """Cancel the task of a cell."""
        _, future = self._tasks.pop(cell_id, (None, None))
        if future is not None:
            logger.info("the task of the cell %s reaches its phone no more", cell_id)
            future.release()

    def _ended(self, cell_id: str, done: Any) -> None:
        # A later task of the same cell may have taken the place.
        if self._tasks.get(cell_id, (None, None))[1] is done:
            del self._tasks[cell_id]
        done.release()
        self._wake()
