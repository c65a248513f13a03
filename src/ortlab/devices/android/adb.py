"""Phones over adb: shell, files and apps, every call with a total deadline.

The only importer of adbutils, which speaks to the adb server; what it would do without a deadline
or by starting programs of its own is replaced here: connections never start a server by
themselves, and every socket ends at the call's deadline. Objects may be used from several threads.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from ortlab.devices.android import adb_program
from ortlab.devices.android.attached import (
    AttachedPhone,
    PhoneState,
    describe_attached,
    is_address,
    not_ready,
    parse_phones,
)
from ortlab.devices.android.channel import (
    Channel,
    Deadline,
    DeadlineSocket,
    RefusedError,
    ServerGoneError,
)
from ortlab.devices.android.phone import AdbPhone
from ortlab.devices.android.quoting import Raw
from ortlab.devices.android.shell import ShellResult
from ortlab.devices.android.sync import RemoteFile
from ortlab.errors import DeviceNotReadyError, DeviceTimeoutError, ToolchainError, UsageError
from ortlab.process import Processes, SystemProcesses

__all__ = [
    "AdbPhone",
    "AdbServer",
    "AttachedPhone",
    "PhoneState",
    "Raw",
    "RemoteFile",
    "ShellResult",
    "describe_attached",
]

OLDEST_SERVER_VERSION: Final = 36
"""The first adb server that knows what a phone's shell and package manager can do."""

_START_DEADLINE_S = 30.0
_SERVER_DEADLINE_S = 5.0
_SETTLING_S = 1.0
_PAUSE_S = 0.02
_PASSING = (PhoneState.CONNECTING, PhoneState.AUTHORIZING, PhoneState.OFFLINE)


class AdbServer:
    """One adb server, on this machine or another.

    Args:
        host: Where it listens; from ``ADB_SERVER_SOCKET`` (``tcp:host:port``) or
            ``ANDROID_ADB_SERVER_ADDRESS`` if None, else this machine.
        port: Likewise, from ``ANDROID_ADB_SERVER_PORT``, else 5037.
        adb: The adb program that starts a server; looked for if None.
        processes: How programs are started.

    Raises:
        UsageError: The environment names an address that cannot be one.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        adb: Path | None = None,
        processes: Processes | None = None,
    ) -> None:
        known = adb_program.server_address()
        self.host = host or known[0]
        self.port = port or known[1]
        self._adb = adb
        self._processes = processes or SystemProcesses()
        self._starting = threading.Lock()

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is one of this machine, which may be started here."""
        return adb_program.is_loopback(self.host)

    def start(self, *, deadline_s: float = _START_DEADLINE_S) -> None:
        """See that a server answers; start one where none does and it belongs on this machine.

        Args:
            deadline_s: Total time.

        Raises:
            ToolchainError: adb is missing or does not start, the server is too old, or a remote
                one does not answer.
        """
        deadline = Deadline(deadline_s)
        with self._starting:
            try:
                return self._check_version(deadline)
            except ServerGoneError as error:
                if not self.is_local:
                    task = "use phones"
                    raise self._unreachable(task) from error
            said = adb_program.start_server(
                self._adb or adb_program.find(), self.port, self._processes, deadline
            )
            try:
                self._check_version(deadline)
            except ServerGoneError as error:
                message = f"cannot start an adb server at {self.address}: {said or 'no answer'}"
                raise ToolchainError(message, next_step="adb start-server") from error

    def phones(self) -> tuple[AttachedPhone, ...]:
        """Return the phones that the server sees, in any state.

        Raises:
            ToolchainError: No adb server answers.
        """
        try:
            return self._list(Deadline(_SERVER_DEADLINE_S))
        except (ServerGoneError, RefusedError, EOFError, OSError) as error:
            task = "list phones"
            raise self._unreachable(task) from error

    def connect(self, address: str, *, deadline_s: float) -> str:
        """Connect to a phone by network (wireless debugging) and return its serial.

        Args:
            address: ``host``, ``host:port`` or ``[IPv6]:port``; without a port, 5555.
            deadline_s: Total time.

        Raises:
            UsageError: It is no address.
            ToolchainError: No adb server answers.
            DeviceNotReadyError: The phone does not answer there, or has to allow this computer.
            DeviceTimeoutError: It did neither in time.
        """
        wanted = _full_address(address)
        deadline = Deadline(deadline_s)
        try:
            said, phone = self._connect(wanted, deadline)
            while "already" in said and (phone is None or phone.state is PhoneState.OFFLINE):
                self.disconnect(wanted)  # what is left of an earlier connection
                time.sleep(min(_PAUSE_S, deadline.remaining_s()))
                said, phone = self._connect(wanted, deadline)
        except TimeoutError as error:
            message = f"cannot connect to {wanted}: no answer within {deadline_s:g} s"
            raise DeviceTimeoutError(message, next_step=_WIRELESS) from error
        except (ServerGoneError, EOFError, OSError) as error:
            task = f"connect to {wanted}"
            raise self._unreachable(task) from error
        except RefusedError as error:
            said, phone = str(error), None
        if phone is not None and phone.state is PhoneState.DEVICE:
            return phone.serial
        if phone is not None and phone.state is not PhoneState.OFFLINE:
            task = f"use {wanted}"
            raise not_ready(task, phone)
        self.disconnect(wanted)  # else it would be listed as offline for ever
        message = f"cannot connect to {wanted}: {said}"
        raise DeviceNotReadyError(message, next_step=_WIRELESS)

    def disconnect(self, address: str) -> None:
        """Let go of a phone that was connected by network; nothing happens where none was.

        Raises:
            ToolchainError: No adb server answers.
        """
        try:
            self.ask(f"host:disconnect:{_full_address(address)}", Deadline(_SERVER_DEADLINE_S))
        except RefusedError:
            return
        except (ServerGoneError, EOFError, OSError) as error:
            task = f"disconnect {address}"
            raise self._unreachable(task) from error

    def phone(self, serial: str) -> AdbPhone:
        """Return the phone of this serial, whether it is there or not."""
        return AdbPhone(self, serial)

    def ask(self, request: str, deadline: Deadline) -> str:
        """Return its answer to a question; raises one of ``CALL_ERRORS``."""
        with _translated(), self._client(deadline).make_connection() as connection:
            connection.send_command(request)
            connection.check_okay()
            answer: str = connection.read_string_block()
            return answer

    def open_service(self, serial: str, name: str, deadline: Deadline) -> Channel:
        """Open a service of a phone; raises one of ``CALL_ERRORS``."""
        with _translated():
            connection = self._client(deadline).device(serial).open_transport()
            try:
                connection.send_command(name)
                connection.check_okay()
            except BaseException:
                connection.close()
                raise
            return Channel(connection.conn, connection.close)

    def await_ready(self, serial: str, deadline: Deadline) -> None:
        """Return as soon as a phone is ready; raises one of ``CALL_ERRORS``."""
        with _translated():
            self._client(deadline).wait_for(serial, timeout=deadline.remaining_s())

    def _client(self, deadline: Deadline) -> Any:
        return _client_class()(self.host, self.port, deadline)

    def _list(self, deadline: Deadline) -> tuple[AttachedPhone, ...]:
        return parse_phones(self.ask("host:devices-l", deadline))

    def find(self, serial: str, deadline: Deadline) -> AttachedPhone | None:
        """Return a phone as it stands now, or None; raises one of ``CALL_ERRORS``."""
        return next((phone for phone in self._list(deadline) if phone.serial == serial), None)

    def _connect(self, wanted: str, deadline: Deadline) -> tuple[str, AttachedPhone | None]:
        """Connect, and return what the server said and the phone once it is past connecting."""
        said = self.ask(f"host:connect:{wanted}", deadline)
        match = re.match(r"(?:already )?connected to (\S+)", said)
        serial = match[1] if match else wanted
        patience = deadline.within(_SETTLING_S)
        while True:
            phone = self.find(serial, deadline)
            if match is None or phone is None or phone.state not in _PASSING:
                return said, phone
            try:
                time.sleep(min(_PAUSE_S, patience.remaining_s()))
            except TimeoutError:
                return said, phone

    def _check_version(self, deadline: Deadline) -> None:
        """See that a server answers that can do what is needed.

        Raises:
            ToolchainError: Another program answers, or a server that is too old or hangs.
        """
        try:
            said = self.ask("host:version", deadline.within(_SERVER_DEADLINE_S))
            version = int(said, 16)
        except TimeoutError as error:
            message = f"cannot use the adb server at {self.address}: it does not answer"
            raise ToolchainError(message, next_step="adb kill-server") from error
        except (RefusedError, EOFError, OSError, ValueError) as error:
            message = f"cannot use what answers at {self.address}: it is no adb server"
            raise ToolchainError(
                message, next_step="set ANDROID_ADB_SERVER_PORT to a free port"
            ) from error
        if version < OLDEST_SERVER_VERSION:
            message = (
                f"cannot use the adb server at {self.address}: its version 1.0.{version} is older "
                f"than 1.0.{OLDEST_SERVER_VERSION}"
            )
            raise ToolchainError(message, next_step="adb kill-server, then install a newer adb")

    def _unreachable(self, task: str) -> ToolchainError:
        message = f"cannot {task}: no adb server answers at {self.address}"
        step = "adb start-server" if self.is_local else f"start it there: {_REMOTE_START}"
        return ToolchainError(message, next_step=step)


_REMOTE_START = "adb -a nodaemon server start"
_WIRELESS = (
    "check that the phone is awake, in the same network, and that Developer options, Wireless "
    "debugging shows this address and port; the first time, pair it there: adb pair HOST:PORT"
)


def _full_address(address: str) -> str:
    """Return ``host:port`` for an address that may lack its port or its brackets."""
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    full = address if is_address(address) else f"{address}:5555"
    if not is_address(full) or not full.isascii() or not 0 < int(full.rpartition(":")[2]) < 1 << 16:
        message = f"cannot connect to {address!r}: it is no address such as 192.168.1.20:5555"
        raise UsageError(message)
    return full


@cache
def _client_class() -> Any:
    """Return adbutils' client with connections that keep a deadline and start no server."""
    from adbutils import AdbClient, AdbConnection

    class Connection(AdbConnection):  # type: ignore[misc]
        def __init__(self, host: str, port: int, deadline: Deadline) -> None:
            self._address = (host, port)
            self._deadline = deadline
            super().__init__(host, port)

        def _safe_connect(self) -> DeadlineSocket:
            try:
                plain = socket.create_connection(self._address, self._deadline.remaining_s())
            except TimeoutError:
                raise
            except OSError as error:
                raise ServerGoneError(str(error)) from error
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return DeadlineSocket(plain, self._deadline)

        def close(self) -> None:
            if not self.closed:
                self.conn.close()  # adbutils' own would pause for 10 ms

    class Client(AdbClient):  # type: ignore[misc]
        def __init__(self, host: str, port: int, deadline: Deadline) -> None:
            super().__init__(host, port)
            self._deadline = deadline

        def make_connection(self, timeout: float | None = None) -> Connection:
            del timeout  # one of adbutils' starts anew with each byte
            return Connection(self.host, self.port, self._deadline)

    return Client


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn adbutils' errors into the few that are told apart here."""
    from adbutils import AdbError
    from adbutils.errors import AdbTimeout

    try:
        yield
    except AdbTimeout as error:
        raise TimeoutError(str(error)) from error
    except AdbError as error:
        reason = str(error)
        if reason in {"", "closed", "connection closed"} or reason.startswith("Unknown data"):
            raise EOFError(reason) from error
        raise RefusedError(reason) from error
    except ValueError as error:  # a length that is no number
        raise EOFError(str(error)) from error
