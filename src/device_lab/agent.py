"""The executor of one host: it keeps the store told of the phones and measures cell after cell.

The store is the truth. The agent may be killed at any moment: the next one gives back what it
held, and each cell goes on from its last stored block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from device_lab.measuring import LEASE_S, Clock, Measure, Say, carry_out
from device_lab.planning import ReadinessLimits
from device_lab.values import LabPhone, Lease, LeaseOverError, Outcome
from ortlab.errors import OrtlabError, StorageError

if TYPE_CHECKING:
    from device_lab.store import LabStore

Look = Callable[[datetime], Sequence[LabPhone]]

_END_S: Final = 120.0
_END_LOOK_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """How an agent works.

    Attributes:
        host_id: Of this machine, in the lab.
        limits: When a phone may start an experiment.
        look_every_s: Between two looks at the phones.
        ask_every_s: Between two questions for work while nothing happens.
        lease_s: How long a lease lasts unless renewed.
        until_done: Whether to end once no cell waits or runs in the whole lab.
    """

    host_id: str
    limits: ReadinessLimits = field(default_factory=ReadinessLimits)
    look_every_s: float = 5.0
    ask_every_s: float = 1.0
    lease_s: float = LEASE_S
    until_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """What an agent did: outcomes of its attempts, counted."""

    outcomes: dict[Outcome, int]


def holder_of(host_id: str, process_id: int) -> str:
    """Return the name under which a process of a host holds leases."""
    return f"{host_id}:{process_id}"


def give_back(store: LabStore, host_id: str, now: datetime) -> tuple[Lease, ...]:
    """End the leases that an agent of this host left when it was killed, and return them.

    To be called by the only agent of the host, before it claims anything: the cells are open
    again at once, and none of it counts as a failure.

    Raises:
        StorageError: The store does not answer.
    """
    left = [
        lease for lease in store.overview(now).leases if lease.holder.rpartition(":")[0] == host_id
    ]
    ended = []
    for lease in left:
        try:
            store.finish(lease, Outcome.RELEASED, now, reason="the agent that held it was killed")
        except LeaseOverError:  # it expired; the store counts it as its rules say
            continue
        ended.append(lease)
    return tuple(ended)


class Agent:
    """Runs the phones of one host, one thread each while it measures.

    Args:
        store: The lab's.
        options: How to work.
        holder: Who holds the leases, see `holder_of`.
        look: Returns the phones of this host.
        measure: Carries one experiment out.
        clock: Tells the time.
        say: Told where the work stands; called from several threads.
    """

    def __init__(
        self,
        store: LabStore,
        options: AgentOptions,
        *,
        holder: str,
        look: Look,
        measure: Measure,
        clock: Clock,
        say: Say = lambda _: None,
    ) -> None:
        self._store = store
        self._options = options
        self._holder = holder
        self._look = look
        self._measure = measure
        self._clock = clock
        self._say = say
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._looks = 0
        self._phones: tuple[LabPhone, ...] = ()
        self._measuring: dict[str, threading.Thread] = {}
        self._not_before: dict[str, int] = {}
        self._outcomes: dict[Outcome, int] = {}
        self._trouble: dict[str, str] = {}
        self._told_waiting = False

    def stop(self) -> None:
        """End soon: blocks in flight are cut off, their cells go back; safe in a signal handler."""
        self._stop.set()

    def run(self) -> AgentReport:
        """Work until `stop`, or until all is done where that was asked for.

        Raises:
            KeyboardInterrupt: As it came; every cell went back before.
        """
        looking = threading.Thread(target=self._keep_looking, name="inventory", daemon=True)
        looking.start()
        try:
            self._keep_claiming()
        finally:
            self._stop.set()
            with self._changed:
                self._changed.notify_all()
                threads = list(self._measuring.values())
            for thread in threads:
                thread.join(_END_S)
            looking.join(_END_LOOK_S)  # it only looks, and may be at a phone that hangs
        return AgentReport(outcomes=dict(self._outcomes))

    # -- phones ---------------------------------------------------------------------------------

    def _keep_looking(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                number = self._looks + 1
            self._try("phones", self._look_once)
            with self._changed:
                self._looks = number
                self._changed.notify_all()
            self._stop.wait(self._options.look_every_s)

    def _look_once(self) -> None:
        phones = tuple(self._look(self._clock()))
        now, limits = self._clock(), self._options.limits
        self._store.see_phones(self._options.host_id, phones, now, limits=limits)
        self._tell_changes(phones)
        with self._changed:
            self._phones = phones
        for lease in self._store.expire(now, limits=limits):
            self._say(f"the lease of {lease.cell_id} on {lease.phone_id} ran out")

    def _tell_changes(self, phones: Sequence[LabPhone]) -> None:
        before = {phone.phone_id: phone for phone in self._phones}
        here = {phone.phone_id: phone for phone in phones}
        for name in here.keys() - before.keys():
            self._say(f"{name}: {here[name].info.name} is here")
        for name in before.keys() - here.keys():
            self._say(f"{name}: {before[name].info.name} left")
        for name, phone in here.items():
            if phone.blocked and (name not in before or before[name].blocked != phone.blocked):
                self._say(f"{name}: cannot measure: {phone.blocked}")

    # -- work -----------------------------------------------------------------------------------

    def _keep_claiming(self) -> None:
        with self._changed:
            while not self._looks and not self._stop.is_set():
                self._changed.wait(0.5)
        while not self._stop.is_set():
            self._try("work", self._claim_all)
            if self._options.until_done and self._try("work", self._is_done):
                return
            with self._changed:
                self._changed.wait(self._options.ask_every_s)

    def _claim_all(self) -> bool:
        with self._changed:
            free = [
                phone.phone_id
                for phone in self._phones
                if phone.phone_id not in self._measuring
                and phone.blocked is None
                and self._looks >= self._not_before.get(phone.phone_id, 0)
            ]
        # A busy host need not read a long queue every second.
        waiting = len(self._store.open_cells()) if free or not self._measuring else 0
        if waiting:
            for phone_id in free:
                if self._stop.is_set():
                    break
                self._claim(phone_id)
        self._tell_waiting(waiting)
        return True

    def _tell_waiting(self, waiting: int) -> None:
        """Say once that cells wait and none of the phones here may take one."""
        if not waiting or self._measuring:
            self._told_waiting = False
        elif not self._told_waiting:
            self._told_waiting = True
            self._say(f"cells wait for a phone that may take them ({waiting}): ortlab lab status")

    def _claim(self, phone_id: str) -> None:
        lease = self._store.claim(
            self._holder,
            phone_id,
            self._clock(),
            duration_s=self._options.lease_s,
            limits=self._options.limits,
        )
        if lease is None:  # nothing that waits fits it; asking again costs the store a transaction
            with self._changed:
                self._not_before[phone_id] = self._looks + 1
            return
        thread = threading.Thread(
            target=self._carry_out, args=(lease,), name=f"measures {phone_id}", daemon=True
        )
        with self._changed:
            self._measuring[phone_id] = thread
        thread.start()

    def _carry_out(self, lease: Lease) -> None:
        phone_id = lease.phone_id
        self._say(f"{phone_id}: takes {lease.cell_id}")
        outcome = Outcome.EXPIRED
        try:
            outcome = carry_out(
                self._store,
                lease,
                self._measure,
                clock=self._clock,
                lease_s=self._options.lease_s,
                stop=self._stop,
                say=lambda text: self._say(f"{phone_id}: {text}"),
            )
            self._say(f"{phone_id}: {lease.cell_id} {outcome}{self._why(lease, outcome)}")
        finally:
            with self._changed:
                del self._measuring[phone_id]
                self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
                if outcome is not Outcome.DONE:
                    # The look that runs now may have begun before the cable was pulled.
                    self._not_before[phone_id] = self._looks + 2
                self._changed.notify_all()

    def _why(self, lease: Lease, outcome: Outcome) -> str:
        if outcome not in (Outcome.FAILED, Outcome.CANCELLED):
            return ""
        try:
            if outcome is Outcome.CANCELLED:
                reason = self._store.cell(lease.cell_id).reason
            else:
                newest = self._store.attempts(cell_id=lease.cell_id, limit=1)
                reason = newest[0].reason if newest else None
        except StorageError:
            return ""
        return f": {reason}" if reason else ""

    def _is_done(self) -> bool:
        if self._measuring or self._store.open_cells():
            return False
        return not self._store.overview(self._clock()).leases

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        """Do work that may fail for a while, and say so once each time."""
        try:
            answer = work()
        except OrtlabError as error:
            if self._trouble.get(what) != error.message:
                self._trouble[what] = error.message
                self._say(f"trouble with {what}, trying again: {error.message}")
            return False
        if self._trouble.pop(what, None):
            self._say(f"{what}: all is well again")
        return bool(answer)
