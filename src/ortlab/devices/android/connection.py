"""What joins this machine with one phone: its services, and why a call on one failed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ortlab.devices.android.attached import AttachedPhone, PhoneState, is_address, not_ready
from ortlab.devices.android.channel import (
    CALL_ERRORS,
    Channel,
    Deadline,
    RefusedError,
    ServerGoneError,
)
from ortlab.devices.android.quoting import quoted
from ortlab.devices.android.sync import SyncFailedError, SyncSession
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    ToolchainError,
    UsageError,
)

_RECONNECTING_S = 5.0
_POLLING_S = 0.05
_LOOK_DEADLINE_S = 1.0
_MAXIMUM_SERVICE_BYTES = 32 << 10


class Server(Protocol):
    """What a phone needs of the adb server; its calls raise one of ``CALL_ERRORS``."""

    @property
    def address(self) -> str:
        """Where it listens."""
        ...

    def start(self, *, deadline_s: float) -> None:
        """See that it answers."""
        ...

    def connect(self, address: str, *, deadline_s: float) -> str:
        """Connect to a phone by network."""
        ...

    def ask(self, request: str, deadline: Deadline) -> str:
        """Return its answer to a question."""
        ...

    def find(self, serial: str, deadline: Deadline) -> AttachedPhone | None:
        """Return a phone as it stands now; None where it is not listed."""
        ...

    def open_service(self, serial: str, name: str, deadline: Deadline) -> Channel:
        """Open a service of a phone."""
        ...

    def await_ready(self, serial: str, deadline: Deadline) -> None:
        """Return as soon as a phone is ready."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """What is being done, in words that follow "cannot", and until when."""

    task: str
    deadline: Deadline


class PhoneConnection:
    """Opens the services of one phone; may be used from several threads.

    What goes wrong is explained: a slow phone is told from one that is gone and one that is not
    ready. Every method raises, beside what it says itself:
        DeviceLostError: The phone or the adb server went away.
        DeviceNotReadyError: The phone is there, but a person has to do something at it.
        DeviceTimeoutError: The phone is there, but the call's deadline passed.

    Args:
        server: Where it is attached.
        serial: adb's name of it.
    """

    def __init__(self, server: Server, serial: str) -> None:
        self._server = server
        self._serial = serial
        self._known_features: frozenset[str] | None = None

    def features(self, call: Call) -> frozenset[str]:
        """Return what both the phone and the adb server announce."""
        if self._known_features is None:
            try:
                phone = self._server.find(self._serial, call.deadline)
                if phone is not None and phone.state is not PhoneState.DEVICE:
                    raise not_ready(call.task, phone)
                own = self._server.ask(f"host-serial:{self._serial}:features", call.deadline)
                host = self._server.ask("host:host-features", call.deadline)
            except CALL_ERRORS as error:
                raise self._explained(error, call) from error
            self._known_features = frozenset(own.split(",")) & frozenset(host.split(","))
        return self._known_features

    @contextlib.contextmanager
    def service(self, name: str, call: Call) -> Iterator[Channel]:
        """Open a service of the phone; what goes wrong inside is explained too.

        Raises:
            UsageError: The name, which holds the command, is too long.
            DeviceError: The phone refuses.
        """
        if len(name.encode()) > _MAXIMUM_SERVICE_BYTES:
            message = f"cannot {call.task} on {self._serial}: the command is too long"
            raise UsageError(message)
        try:
            with self._server.open_service(self._serial, name, call.deadline) as channel:
                yield channel
        except CALL_ERRORS as error:
            raise self._explained(error, call) from error

    @contextlib.contextmanager
    def sync(self, call: Call) -> Iterator[SyncSession]:
        """Open the file service; what goes wrong inside is explained too.

        Raises:
            DeviceError: The phone refuses.
        """
        features = self.features(call)
        try:
            with self.service("sync:", call) as channel:
                yield SyncSession(channel, features)
        except SyncFailedError as error:
            raise self.failure(call, str(error)) from error

    def await_return(self, *, deadline_s: float) -> None:
        """Wait until the phone is there again; see :meth:`AdbPhone.wait`."""
        deadline = Deadline(deadline_s)
        phone: AttachedPhone | None = None
        problem: Exception | None = None
        while True:
            try:
                phone = self._returned(deadline)
                if phone is not None and phone.state is PhoneState.DEVICE:
                    return
                problem = None
            except (*CALL_ERRORS, ToolchainError, DeviceError) as error:
                problem = error
            try:
                time.sleep(min(_POLLING_S, deadline.remaining_s()))
            except TimeoutError:
                break
        task = "go on"
        if phone is not None and phone.state is not PhoneState.DEVICE:
            raise not_ready(task, phone)
        why = f"it did not come back within {deadline_s:g} s"
        raise self._lost(task, f"{why} ({problem})" if problem else why) from problem

    def failure(self, call: Call, reason: str) -> DeviceError:
        """Return the error for what the phone itself refused."""
        task = call.task
        reason = " ".join(reason.split())[:500] or "the phone gives no reason"
        message = f"cannot {task} on {self._serial}: {reason}"
        if re.search(r"no space left|disk quota exceeded", reason, re.IGNORECASE):
            message = f"cannot {task} on {self._serial}: the phone's storage is full ({reason})"
            step = f"make room; how much there is: adb -s {quoted(self._serial)} shell df /data"
            return DeviceNotReadyError(message, next_step=step)
        step = "run the same command again; where that does not help, restart the phone"
        return DeviceError(message, next_step=step)

    # -- inside -----------------------------------------------------------------------------------

    def _returned(self, deadline: Deadline) -> AttachedPhone | None:
        """Return the phone as it stands, after a moment's wait where it is not ready."""
        server = self._server
        try:
            phone = server.find(self._serial, deadline.within(_LOOK_DEADLINE_S))
        except (ServerGoneError, EOFError):
            self._known_features = None
            server.start(deadline_s=deadline.remaining_s())
            phone = server.find(self._serial, deadline)
        if phone is not None and phone.state is PhoneState.DEVICE:
            return phone
        if is_address(self._serial) and (phone is None or phone.state is PhoneState.OFFLINE):
            limit = deadline.within(_RECONNECTING_S)
            server.connect(self._serial, deadline_s=limit.remaining_s())
            return server.find(self._serial, limit)
        with contextlib.suppress(*CALL_ERRORS):
            server.await_ready(self._serial, deadline.within(_LOOK_DEADLINE_S))
        return phone

    def _explained(self, error: Exception, call: Call) -> DeviceError:
        """Tell a slow phone from one that is gone and one that is not ready."""
        task = call.task
        try:
            phone = self._server.find(self._serial, Deadline(_LOOK_DEADLINE_S))
        except CALL_ERRORS:
            address = self._server.address
            message = f"cannot {task} on {self._serial}: the adb server at {address} is gone"
            return DeviceLostError(message, next_step="adb start-server, then ortlab devices")
        if phone is None:
            return self._lost(task, "it is not connected")
        if phone.state is not PhoneState.DEVICE:
            refused_at_once = isinstance(error, RefusedError)
            if phone.state in (PhoneState.OFFLINE, PhoneState.CONNECTING) and not refused_at_once:
                return self._lost(task, "the connection broke and it does not answer")
            return not_ready(task, phone)
        if isinstance(error, TimeoutError):
            message = (
                f"cannot {task} on {self._serial}: not done within {call.deadline.seconds:g} s"
            )
            step = "look at the phone: it may ask something, be busy or hang; then try again"
            return DeviceTimeoutError(message, next_step=step)
        if isinstance(error, RefusedError):
            return DeviceError(f"cannot {task} on {self._serial}: {error}")
        return self._lost(task, "the connection broke")

    def _lost(self, task: str, why: str) -> DeviceLostError:
        message = f"cannot {task} on {self._serial}: {why}"
        return DeviceLostError(message, next_step="check the cable or network, then ortlab devices")
