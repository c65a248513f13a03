"""One lease carried out: the lease is renewed, blocks are stored as they come, and it is ended.

Whatever a phone does becomes an outcome with its reason. What measures is passed in; on phones
that is `device_lab.experiments.PhoneMeasure`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from device_lab.values import (
    Cell,
    CellResult,
    JobSpec,
    Lease,
    LeaseOverError,
    Outcome,
    StoredBlock,
)
from ortlab.errors import (
    DeviceError,
    InstallError,
    InterruptedRunError,
    OrtlabError,
    StorageError,
)

if TYPE_CHECKING:
    from device_lab.store import LabStore

Answer = TypeVar("Answer")
Clock = Callable[[], datetime]
Say = Callable[[str], None]

LEASE_S: Final = 120.0
_STORE_PATIENCE_S: Final = 60.0
_RENEWALS_A_LEASE: Final = 4
_LOG: Final = logging.getLogger(__name__)


class Recorder(Protocol):
    """Takes what one experiment of a lease yields."""

    def begin(self, experiment_json: str) -> str:
        """Store the experiment and return the text that holds: that of the first attempt.

        Raises:
            StorageError: The lease is over, or the store does not answer.
        """
        ...

    def recorded(self) -> tuple[StoredBlock, ...]:
        """Return the blocks that this cell has on this phone already."""
        ...

    def block(self, block_id: str, line: str) -> None:
        """Store a block; returns after its commit.

        Raises:
            StorageError: The lease is over, or the store does not answer.
        """
        ...

    def stopped(self) -> bool:
        """Whether to end now: the lease is over, the job cancelled, or the agent is to end."""
        ...

    def say(self, text: str) -> None:
        """Tell people where the work stands."""
        ...


Measure = Callable[[Lease, Cell, JobSpec, Recorder], CellResult]
"""Carries one experiment out; raises `OrtlabError` where it cannot, or was stopped."""


def carry_out(
    store: LabStore,
    lease: Lease,
    measure: Measure,
    *,
    clock: Clock,
    lease_s: float = LEASE_S,
    stop: threading.Event | None = None,
    say: Say = lambda _: None,
) -> Outcome:
    """Measure a leased cell and end its lease; never raises for what a phone or a store does.

    Args:
        store: Of the lab.
        lease: As claimed; it is renewed in the background.
        measure: Carries the experiment out.
        clock: Aware and in UTC.
        lease_s: How long each renewal lasts.
        stop: Set when the agent is to end: the cell then goes back.
        say: Told where the work stands; called from several threads.

    Returns:
        How the attempt ended. With EXPIRED and CANCELLED the store had ended it before us.
    """
    attempt = _Attempt(store, lease, clock=clock, lease_s=lease_s, stop=stop, say=say)
    with attempt.renewed():
        end = attempt.carried_out(measure)
    return attempt.ended(end)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    outcome: Outcome
    reason: str | None = None
    result: CellResult | None = None
    blames_phone: bool = False


class _Attempt:
    """The recorder of one lease."""

    def __init__(
        self,
        store: LabStore,
        lease: Lease,
        *,
        clock: Clock,
        lease_s: float,
        stop: threading.Event | None,
        say: Say,
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._lease_s = lease_s
        self._stop = stop or threading.Event()
        self._say = say
        self._over: LeaseOverError | None = None
        self._ended = threading.Event()

    # -- what `measure` sees --------------------------------------------------------------------

    def begin(self, experiment_json: str) -> str:
        return self._patiently(
            lambda: self._store.begin_experiment(self._lease, experiment_json, self._clock())
        )

    def recorded(self) -> tuple[StoredBlock, ...]:
        cell_id, phone_id = self._lease.cell_id, self._lease.phone_id
        return self._patiently(lambda: tuple(self._store.blocks(cell_id, phone_id)))

    def block(self, block_id: str, line: str) -> None:
        self._patiently(
            lambda: self._store.record_block(self._lease, block_id, line, self._clock())
        )

    def stopped(self) -> bool:
        return self._over is not None or self._stop.is_set()

    def say(self, text: str) -> None:
        self._say(text)

    # -- from claim to end ----------------------------------------------------------------------

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease in the background."""
        renewing = threading.Thread(
            target=self._renew, name=f"renews {self._lease.cell_id}", daemon=True
        )
        renewing.start()
        try:
            yield
        finally:
            self._ended.set()
            renewing.join()

    def carried_out(self, measure: Measure) -> _End:
        """Measure, and turn whatever is raised into an outcome with its reason."""
        lease = self._lease
        try:
            cell = self._patiently(lambda: self._store.cell(lease.cell_id))
            spec = self._patiently(lambda: self._store.job(cell.job_id)).spec
            return _End(outcome=Outcome.DONE, result=measure(lease, cell, spec, self))
        except LeaseOverError as error:
            self._over = self._over or error
            return _End(outcome=error.reason, reason=error.message)
        except InterruptedRunError as error:
            return _End(outcome=Outcome.RELEASED, reason=error.message)
        except Exception as error:
            if self.stopped():  # a device that is closed amid a block may answer anything
                return _End(outcome=Outcome.RELEASED, reason="the agent ended")
            return self._failed(error)

    def _failed(self, error: Exception) -> _End:
        if not isinstance(error, OrtlabError):
            _LOG.error("%s on %s", self._lease.cell_id, self._lease.phone_id, exc_info=error)
            reason = f"this is a bug of ours: {type(error).__name__}: {error}"
            return _End(outcome=Outcome.FAILED, reason=reason)
        # A job without an app, or with one that no phone takes, fails on every phone there is.
        blames_phone = isinstance(error, DeviceError) and not isinstance(error, InstallError)
        return _End(outcome=Outcome.FAILED, reason=_in_words(error), blames_phone=blames_phone)

    def ended(self, end: _End) -> Outcome:
        """Tell the store; a lease that is over already has ended as the store says."""
        if self._over is not None:
            end = _End(outcome=self._over.reason, reason=self._over.message)
            if end.outcome is not Outcome.CANCELLED:  # a cancelled job's phone waits for our word
                return end.outcome
        try:
            return self._patiently(lambda: self._finish(end), even_stopped=True)
        except LeaseOverError as error:
            return error.reason
        except StorageError as error:
            # The lease runs out by itself, and the blocks that were acknowledged are kept.
            self._say(f"cannot end the lease of {self._lease.cell_id}: {error.message}")
            return Outcome.EXPIRED

    def _finish(self, end: _End) -> Outcome:
        return self._store.finish(
            self._lease,
            end.outcome,
            self._clock(),
            reason=end.reason,
            result=end.result,
            blames_phone=end.blames_phone,
        )

    def _patiently(self, ask: Callable[[], Answer], *, even_stopped: bool = False) -> Answer:
        """Ask the store again while it does not answer: databases are restarted, too."""
        started, pause_s = time.monotonic(), 0.1
        while True:
            try:
                return ask()
            except LeaseOverError:
                raise
            except StorageError:
                late = time.monotonic() - started > _STORE_PATIENCE_S
                if late or (self.stopped() and not even_stopped):
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_s / _RENEWALS_A_LEASE):
            try:
                self._lease = self._store.renew(
                    self._lease, self._clock(), duration_s=self._lease_s
                )
            except LeaseOverError as error:
                self._over = error
                return
            except StorageError as error:
                self._say(f"cannot renew the lease of {self._lease.cell_id}: {error.message}")
                if self._clock() >= self._lease.expires_at:
                    # Somebody else may hold the phone and the cell from now on.
                    self._over = LeaseOverError(error.message, reason=Outcome.EXPIRED)
                    return


def _in_words(error: OrtlabError) -> str:
    return f"{error.message}; next: {error.next_step}" if error.next_step else error.message
