"""The agent of a host in a lab of several: a Dask worker that offers the host's phones.

The inventory tells the store and Dask which phones are here. A task of Dask leases its cell in the
store and measures; the thread it runs on outlives the connection, so that the scheduler may go
away and come back while a phone measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from device_lab.agent import holder_of
from device_lab.cluster.connection import (
    Address,
    check_certificates,
    check_exposure,
    dask_settings,
    own_host,
    parse_address,
)
from device_lab.cluster.tasks import phone_resource
from device_lab.cluster.threads import on_thread
from device_lab.measuring import Clock, Measure, Say
from device_lab.planning import ReadinessLimits
from device_lab.store import LabStore
from device_lab.values import LabPhone
from ortlab.errors import OrtlabError

if TYPE_CHECKING:
    from device_lab.cluster.worker import PhoneTasks, PhoneWorker

logger = logging.getLogger(__name__)

Look = Callable[[datetime], Sequence[LabPhone]]

_CONNECT_DEADLINE_S = 20.0
_PROBE_DEADLINE_S = 3.0
_AGAIN_S = 0.5
_CALL_DEADLINE_S = 10.0
_LOOK_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """How an agent takes part.

    Attributes:
        scheduler: ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
        host_id: Of this machine, in the lab.
        without_tls: Whether a scheduler beyond loopback may do without TLS.
        look_every_s: Time between two looks at the phones.
        lease_s: How long a lease lasts unless renewed.
        end_deadline_s: Total time for the blocks in flight once asked to end.
        threads: Most phones that measure at once.
        limits: When a phone is ready.
    """

    scheduler: str
    host_id: str
    without_tls: bool = False
    look_every_s: float = 5.0
    lease_s: float = 120.0
    end_deadline_s: float = 60.0
    threads: int = 1024
    limits: ReadinessLimits = field(default_factory=ReadinessLimits)


def run_agent(
    store: LabStore,
    options: AgentOptions,
    *,
    look: Look,
    measure: Measure,
    clock: Clock,
    say: Say = lambda _: None,
    on_connect: Callable[[str], object] = lambda _address: None,
) -> None:
    """Run until SIGTERM or Ctrl-C; the scheduler may come, go and come back.

    Args:
        store: The lab's.
        options: Which scheduler, how often to look.
        look: Returns the phones of this host.
        measure: Carries one experiment out.
        clock: Tells the time.
        say: Told where the work stands; called from several threads.
        on_connect: Called with the scheduler's address each time it is reached.

    Raises:
        UsageError: The address or the TLS settings cannot be used.
    """
    address = parse_address(options.scheduler, role="worker")
    check_exposure(address, without_tls=options.without_tls)
    with dask_settings():
        from device_lab.cluster.worker import PhoneTasks

        tasks = PhoneTasks(
            store,
            measure,
            holder=holder_of(options.host_id, os.getpid()),
            clock=clock,
            lease_s=options.lease_s,
            limits=options.limits,
            say=say,
        )
        agent = _Agent(store, options, address, look, tasks, clock, on_connect)
        asyncio.run(agent.serve())


class _Agent:
    """Keeps the store and Dask told of the phones, and a worker connected."""

    def __init__(
        self,
        store: LabStore,
        options: AgentOptions,
        address: Address,
        look: Look,
        tasks: PhoneTasks,
        clock: Clock,
        on_connect: Callable[[str], object],
    ) -> None:
        self._store = store
        self._options = options
        self._address = address
        self._look = look
        self._tasks = tasks
        self._clock = clock
        self._on_connect = on_connect
        self._security = check_certificates(address, role="worker")
        self._host = own_host(address)
        self._resources: dict[str, float] = {}
        self._worker: PhoneWorker | None = None

    async def serve(self) -> None:
        """Work until a signal, then end what runs."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        work = [
            asyncio.create_task(self._keep_looking()),
            asyncio.create_task(self._stay_connected()),
        ]
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()  # it only ends by an error of ours
        finally:
            stopped.cancel()
            await self._end(work)

    async def _end(self, work: Sequence[asyncio.Task[None]]) -> None:
        for task in work:
            task.cancel()
        deadline_s = self._options.end_deadline_s
        ended = await on_thread(
            lambda: self._tasks.end(deadline_s), deadline_s=deadline_s + 5.0, name="end"
        )
        if not ended:
            logger.warning("a block did not end within %g s; its lease will expire", deadline_s)
        await asyncio.wait(work, timeout=_CALL_DEADLINE_S)
        await self._close_worker()

    async def _keep_looking(self) -> None:
        trouble: str | None = None
        while True:
            told: str | None = None
            try:
                phones = await on_thread(
                    self._look_and_tell, deadline_s=_LOOK_DEADLINE_S, name="inventory"
                )
                await self._offer(phones)
            except OrtlabError as error:
                told = error.message
            except TimeoutError:
                told = f"looking for phones took longer than {_LOOK_DEADLINE_S:g} s"
            if told != trouble:
                logger.warning("%s", told or "phones and store answer again")
            trouble = told
            await asyncio.sleep(self._options.look_every_s)

    def _look_and_tell(self) -> Sequence[LabPhone]:
        phones = self._look(self._clock())
        self._store.see_phones(
            self._options.host_id, phones, self._clock(), limits=self._options.limits
        )
        return phones

    async def _offer(self, phones: Sequence[LabPhone]) -> None:
        """Let Dask's resources follow the phones; one that left counts 0, for none is removed."""
        here = {phone_resource(phone.phone_id): 1.0 for phone in phones}
        self._resources = dict.fromkeys(self._resources, 0.0) | here
        worker = self._worker
        if worker is None:
            return
        changed = {
            name: count
            for name, count in self._resources.items()
            if worker.state.total_resources.get(name, 0.0) != count
        }
        if changed:
            # Without the scheduler it fails, and the next worker registers with all of them.
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(worker.set_resources(**changed), _CALL_DEADLINE_S)

    async def _stay_connected(self) -> None:
        reachable = True
        while True:
            try:
                worker = await self._connect()
            except (OSError, TimeoutError, RuntimeError) as error:
                if reachable:
                    logger.warning(
                        "cannot reach the scheduler at %s: %s", self._address, _root_of(error)
                    )
                reachable = False
                await asyncio.sleep(_AGAIN_S)
                continue
            reachable = True
            self._worker = worker
            self._on_connect(str(self._address))
            await worker.finished()  # type: ignore[no-untyped-call]
            self._worker = None
            logger.warning("the scheduler at %s is gone; connecting again", self._address)
            await asyncio.sleep(_AGAIN_S)

    async def _connect(self) -> PhoneWorker:
        """Register with the scheduler.

        Raises:
            OSError: It cannot be reached.
            TimeoutError: It did not answer in time.
            RuntimeError: It refuses.
        """
        from distributed import comm

        from device_lab.cluster.worker import PhoneWorker

        # A worker tries on in silence; this tells why it fails.
        arguments = self._security.get_connection_args("worker")
        dask_comm: Any = comm
        connect = dask_comm.connect
        probe = await connect(str(self._address), timeout=_PROBE_DEADLINE_S, **arguments)
        await probe.close()
        worker = PhoneWorker(
            str(self._address),
            host=self._host,
            protocol=self._address.protocol,
            security=self._security,
            dashboard_address="127.0.0.1:0",
            nthreads=self._options.threads,
            memory_limit=0,  # Dask would pause or end us for what other programs use
            resources=dict(self._resources),
            plugins=(self._tasks,),
            death_timeout=_CONNECT_DEADLINE_S,
        )
        try:
            await worker
        except BaseException:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(worker.close(), _CALL_DEADLINE_S)
            raise
        return worker

    async def _close_worker(self) -> None:
        if self._worker is not None:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._worker.close(reason="asked to end"), _CALL_DEADLINE_S)


def _root_of(error: BaseException) -> str:
    """Return the words of the first of a chain of errors, which says why."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error) or type(error).__name__
