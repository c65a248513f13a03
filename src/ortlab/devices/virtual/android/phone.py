"""A virtual Android phone on loopback, for real adb.

The phone is a thread with an event loop. All its parts run there; what other threads may call says
so.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from ortlab.devices.virtual.android.activity import ActivityManager
from ortlab.devices.virtual.android.activity_commands import ActivityCommands
from ortlab.devices.virtual.android.faults import CablePulled, Faults, SlowPhone
from ortlab.devices.virtual.android.file_commands import FileCommands
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.log import PhoneLog
from ortlab.devices.virtual.android.package_commands import PackageCommands
from ortlab.devices.virtual.android.packages import InstalledPackage, PackageManager
from ortlab.devices.virtual.android.services import CommandTable, ServiceTable
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec
from ortlab.devices.virtual.android.state import PhoneState, proc_files
from ortlab.devices.virtual.android.system_commands import SystemCommands
from ortlab.devices.virtual.android.text_commands import TextCommands
from ortlab.devices.virtual.android.transport import Connection, Service, Stream
from ortlab.devices.virtual.power import Power
from ortlab.devices.virtual.programs import BenchmarkProgram
from ortlab.errors import DeviceError, StorageError

_LOOPBACK: Final = "127.0.0.1"
_STOP_DEADLINE_S: Final = 20.0
_BUFFER_BYTES: Final = 4 << 20

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Something that reached the phone, or befell it.

    Attributes:
        kind: ``open`` for a service adb opened, ``fault`` for one that acted, ``unmodelled`` for a
            command that is not known here, ``bug`` for an error of the phone's own.
        text: What.
    """

    kind: str
    text: str


class VirtualAndroidPhone:
    """A phone that adb connects to; a context manager, or `start` and `stop`.

    Args:
        spec: The phone.
        program: The benchmark that its instrumentation runs.
        faults: What goes wrong.
        directory: Of this machine, for its files; one of its own that is removed with it if None.
    """

    def __init__(
        self,
        spec: VirtualPhoneSpec | None = None,
        *,
        program: BenchmarkProgram,
        faults: Faults | None = None,
        directory: Path | None = None,
    ) -> None:
        self.spec = spec or VirtualPhoneSpec()
        self._program = program
        self._faults = faults or Faults()
        self._given_directory = directory
        self._directory: Path | None = None
        self.requests: list[Arrival] = []
        self._connections: set[Connection] = set()
        self._plugged = True
        self._port = 0
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()

    # -------------------------------------------------------------------------- any thread

    @property
    def address(self) -> str:
        """For ``adb connect``."""
        return f"{_LOOPBACK}:{self._port}"

    @property
    def serial(self) -> str:
        """As adb lists it."""
        return self.address

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be replaced at any time."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        if self._thread is not None:
            self.files.faults = self.packages.faults = faults
            self.activities.faults = self.state.faults = faults

    @property
    def unmodelled(self) -> tuple[str, ...]:
        """Commands that arrived and are not known here, and errors of the phone's own."""
        return tuple(r.text for r in tuple(self.requests) if r.kind in ("unmodelled", "bug"))

    @property
    def opened(self) -> tuple[str, ...]:
        """Services that adb opened, in order."""
        return tuple(r.text for r in tuple(self.requests) if r.kind == "open")

    @property
    def process_numbers(self) -> tuple[int, ...]:
        """Of the programs that run on this machine for the phone now."""
        return tuple(self.activities.processes())

    def start(self) -> VirtualAndroidPhone:
        """Switch the phone on and plug it in.

        Raises:
            StorageError: Its directory cannot be made.
            DeviceError: It cannot listen on loopback.
        """
        try:
            own = self._given_directory or tempfile.mkdtemp(prefix="ortlab-virtual-phone-")
            self._directory = Path(own).resolve()
            self._assemble(self._directory)
        except OSError as error:
            self._remove_directory()
            message = f"cannot make a virtual phone: {error.strerror or error}"
            raise StorageError(message, next_step="make room, or set TMPDIR") from error
        self._thread = threading.Thread(
            target=self._live, name=f"virtual phone {self.spec.model}", daemon=True
        )
        self._thread.start()
        try:
            self._ask(self._listen)
        except OSError as error:
            self.stop()
            message = f"cannot start a virtual phone on {_LOOPBACK}: {error.strerror}"
            raise DeviceError(message) from error
        return self

    def stop(self) -> None:
        """Pull the cable, end what runs, and remove the phone's files; safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        ending = asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop)
        with contextlib.suppress(TimeoutError):
            ending.result(_STOP_DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(_STOP_DEADLINE_S)
        self._remove_directory()

    def __enter__(self) -> VirtualAndroidPhone:  # noqa: D105
        return self.start()

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _remove_directory(self) -> None:
        if self._given_directory is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def plug(self) -> None:
        """Plug the cable in; adb finds the phone at its next attempt."""
        self._plugged = True
        self.power.set_state(charging=self.spec.charging)

    def unplug(self) -> None:
        """Pull the cable: every connection ends, new ones are refused, charging stops."""
        if self._thread is not None:
            self._ask(self._pull_cable)

    def preinstall(self, *files: Path) -> InstalledPackage:
        """Have an app installed already.

        Raises:
            InstallRefusedError: The package manager does not take it.
        """

        return self.call(lambda: self.packages.preinstall(*files))

    def call(self, function: Callable[[], Result]) -> Result:
        """Run a function on the phone's thread and return what it returns."""

        async def run() -> Result:
            return function()

        return self._ask(run)

    def _ask(self, question: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        future: Future[Result] = asyncio.run_coroutine_threadsafe(question(), self._loop)
        return future.result(_STOP_DEADLINE_S)

    # -------------------------------------------------------------------------- the phone's thread

    def record(self, kind: str, text: str) -> None:
        """Note what arrived."""
        self.requests.append(Arrival(kind=kind, text=text))

    def open_service(self, name: str) -> Service | None:
        """See :class:`ortlab.devices.virtual.android.transport.Host`."""
        service = self._services.open(name)
        if service is None:
            return None
        slow = self._faults.take(SlowPhone, service=name)
        return _delayed(service, slow.delay_s) if slow is not None else service

    def connection_lost(self, connection: Connection, fault: CablePulled | None) -> None:
        """See :class:`ortlab.devices.virtual.android.transport.Host`."""
        self._connections.discard(connection)
        if fault is not None and fault.stays_out:
            self._plugged = False
            self.power.set_state(charging=False)

    def _assemble(self, directory: Path) -> None:
        """Make the phone's parts and what lies on its disk."""
        directory.mkdir(parents=True, exist_ok=True)
        spec, faults = self.spec, self._faults
        self.files = FileSystem(directory / "root", spec.storage_bytes, faults)
        for path, text in proc_files(spec).items():
            place = self.files.host_path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        self.log = PhoneLog()
        self.power = Power(
            spec.heat,
            temperature_c=spec.battery_temperature_c,
            percent=spec.battery_percent,
            charging=spec.charging,
        )
        unmodelled = self._note_unmodelled
        self.state = PhoneState(spec, faults, unmodelled)
        self.packages = PackageManager(self.files, spec, faults)
        scratch = directory / "scratch"
        scratch.mkdir(exist_ok=True)
        self.activities = ActivityManager(
            files=self.files,
            power=self.power,
            log=self.log,
            program=self._program,
            faults=faults,
            directory=scratch,
        )
        self._commands = CommandTable(self.files, lambda: self._faults, unmodelled)
        self._commands.commands.update(FileCommands(self.files).table())
        self._commands.commands.update(TextCommands(self.files).table())
        package_commands = PackageCommands(self.packages, self.files, self.activities)
        system = SystemCommands(
            state=self.state,
            power=self.power,
            log=self.log,
            packages=self.packages,
            activities=self.activities,
            package_commands=package_commands,
            activity_commands=ActivityCommands(self.activities, self.packages),
        )
        self._commands.commands.update(system.table())
        self._services = ServiceTable(
            self.files, self._commands, frozenset(spec.features), _keeps_partial
        )
        self.log.write("I", "ortlab", "this is a virtual phone", buffer="main")

    def _note_unmodelled(self, text: str) -> None:
        self.record("unmodelled", text)

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self) -> None:
        listener = socket.create_server((_LOOPBACK, 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._port = listener.getsockname()[1]
        self._server = await self._loop.create_server(self._connect, sock=listener)

    def _connect(self) -> asyncio.BaseProtocol:
        if not self._plugged:
            return _Refused()
        connection = Connection(self)
        self._connections.add(connection)
        return connection

    async def _pull_cable(self) -> None:
        self._plugged = False
        self.power.set_state(charging=False)
        for connection in tuple(self._connections):
            connection.abort()

    async def _shut_down(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._pull_cable()
        self.activities.stop_all()
        await asyncio.sleep(0)
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()


class _Refused(asyncio.Protocol):
    """Nobody is there: the cable is out."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _delayed(service: Service, delay_s: float) -> Service:
    async def serve(stream: Stream) -> None:
        await asyncio.sleep(delay_s)
        await service(stream)

    return serve


def _keeps_partial(stream: Stream) -> bool:
    fault = stream.connection.cable_fault
    return fault is not None and fault.keeps_partial_file
