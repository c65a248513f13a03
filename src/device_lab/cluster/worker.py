"""The part of the agent that Dask calls. Imports `distributed`, so it is itself imported late."""

from __future__ import annotations

import threading
from typing import Any

from distributed import Worker, WorkerPlugin

from device_lab.cluster.tasks import PLUGIN_NAME
from device_lab.measuring import Clock, Measure, Say, carry_out
from device_lab.planning import ReadinessLimits
from device_lab.store import LabStore
from ortlab.errors import OrtlabError

_CLOSE_DEADLINE_S = 5.0


class PhoneTasks(WorkerPlugin):
    """Leases a task's cell in the store and has it measured.

    Outlives the worker it is plugged into: threads that measure go on while a new worker connects.

    Args:
        store: The lab's.
        measure: Carries one experiment out.
        holder: Who holds the leases: this process.
        clock: Tells the time.
        lease_s: How long a lease lasts unless renewed.
        limits: When a phone is ready.
        say: Told where the work stands; called from several threads.
    """

    name = PLUGIN_NAME

    def __init__(
        self,
        store: LabStore,
        measure: Measure,
        *,
        holder: str,
        clock: Clock,
        lease_s: float,
        limits: ReadinessLimits,
        say: Say,
    ) -> None:
        self._store = store
        self._measure = measure
        self._holder = holder
        self._clock = clock
        self._lease_s = lease_s
        self._limits = limits
        self._say = say
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._running = 0

    def setup(self, worker: Worker) -> None:
        """Nothing to set up: what is needed was passed in."""

    def measure_cell(self, cell_id: str, phone_id: str) -> None:
        """Measure a cell on a phone unless another holds either; its end is in the store."""
        with self._changed:
            if self._stop.is_set():
                return
            self._running += 1
        try:
            lease = self._store.claim(
                self._holder,
                phone_id,
                self._clock(),
                cell_id=cell_id,
                duration_s=self._lease_s,
                limits=self._limits,
            )
            if lease is not None:
                carry_out(
                    self._store,
                    lease,
                    self._measure,
                    clock=self._clock,
                    lease_s=self._lease_s,
                    stop=self._stop,
                    say=self._say,
                )
        except OrtlabError as error:
            self._say(f"cannot lease the cell {cell_id}: {error.message}")
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def end(self, deadline_s: float) -> bool:
        """End after the blocks in flight; return whether that was in time."""
        with self._changed:
            self._stop.set()
            return self._changed.wait_for(lambda: self._running == 0, deadline_s)


class PhoneWorker(Worker):
    """A Dask worker that closes without waiting for the threads that measure.

    Dask ends a worker whose scheduler is gone. The phones need not care: their leases are held in
    the store, and the threads end by themselves.
    """

    async def close(self, *arguments: Any, **options: Any) -> Any:
        """Close the worker's connections."""
        options.setdefault("timeout", _CLOSE_DEADLINE_S)
        options["executor_wait"] = False
        return await super().close(*arguments, **options)
