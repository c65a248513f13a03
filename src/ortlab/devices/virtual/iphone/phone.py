"""A virtual iPhone: its parts, put together, and what a test may do to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.afc import FileConduit
from ortlab.devices.virtual.iphone.apps import AppStore
from ortlab.devices.virtual.iphone.crash_reports import CrashReports
from ortlab.devices.virtual.iphone.diagnostics import (
    NotificationCenter,
    SystemLog,
)
from ortlab.devices.virtual.iphone.faults import (
    CablePulledAtStage,
    CrashKind,
    DeveloperModeOff,
    DeviceLocked,
    ImageMissing,
    LowBattery,
    SlowPhone,
)
from ortlab.devices.virtual.iphone.lockdown import (
    LOCKDOWN,
    LOCKDOWN_PORT,
    TLS_DEADLINE_S,
    LockdownSession,
)
from ortlab.devices.virtual.iphone.pairing import PairingStore
from ortlab.devices.virtual.iphone.ports import Ports
from ortlab.devices.virtual.iphone.processes import (
    AppProgram,
    ProcessDeath,
    ProcessTable,
    RunningProcess,
)
from ortlab.devices.virtual.iphone.properties import property_values
from ortlab.devices.virtual.iphone.runner_bundles import launcher_command
from ortlab.devices.virtual.iphone.service_table import service_table
from ortlab.devices.virtual.iphone.services import WatchedStream
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.storage import Storage
from ortlab.devices.virtual.iphone.streams import (
    ProtocolError,
    SocketStream,
    Stream,
    StreamClosedError,
)
from ortlab.devices.virtual.iphone.usbmux import VirtualUsbmux
from ortlab.devices.virtual.power import Power, ThermalStatus, thermal_threshold_c
from ortlab.devices.virtual.programs import BenchmarkProgram
from ortlab.errors import DeviceError, StorageError

_HEAT_ABOVE_LIMIT_C: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Something that reached the phone, or befell it.

    Attributes:
        kind: Such as ``lockdown`` or ``installation`` for what was asked, ``service`` for one that
            was opened, ``fault`` for one that acted, ``unmodelled`` for what is not known here,
            ``bug`` for an error of the phone's own.
        text: What.
    """

    kind: str
    text: str


class VirtualIPhone:
    """A phone that programs reach through a virtual usbmuxd; a context manager.

    Args:
        spec: The phone.
        program: What runs in place of an app's program that is no script.
        faults: What goes wrong.
        directory: Of this machine, for its files; one of its own that is removed with it if None.
        mux: Into which it is plugged when it starts.
    """

    def __init__(
        self,
        spec: VirtualIPhoneSpec | None = None,
        *,
        program: BenchmarkProgram,
        faults: Faults | None = None,
        directory: Path | None = None,
        mux: VirtualUsbmux | None = None,
    ) -> None:
        self.spec = spec or VirtualIPhoneSpec()
        self.faults = faults or Faults()
        self.requests: list[Arrival] = []
        self._program = program
        self._given_directory = directory
        self._directory: Path | None = None
        self._mux = mux
        self.name = self.spec.name
        self._developer_mode = self.spec.developer_mode
        self._image_mounted = self.spec.image_mounted
        self.trusting = self.spec.paired
        self.screen_locked = self.spec.locked
        self._ports = Ports()
        self._pulled = threading.Event()
        self._running = False

    # -------------------------------------------------------------------------- for tests

    @property
    def udid(self) -> str:
        """Of the phone."""
        return self.spec.udid

    @property
    def unmodelled(self) -> tuple[str, ...]:
        """What arrived and is not known here, and errors of the phone's own."""
        return tuple(r.text for r in tuple(self.requests) if r.kind in ("unmodelled", "bug"))

    @property
    def process_numbers(self) -> tuple[int, ...]:
        """Of the programs that run on this machine for the phone now."""
        return tuple(process.host_pid for process in self.processes.running())

    def start(self) -> VirtualIPhone:
        """Switch the phone on and plug it in.

        Raises:
            StorageError: Its directory cannot be made.
        """
        try:
            own = self._given_directory or tempfile.mkdtemp(prefix="ortlab-virtual-iphone-")
            self._directory = Path(own).resolve()
            self._assemble(self._directory)
        except OSError as error:
            self._remove_directory()
            message = f"cannot make a virtual iPhone: {error.strerror or error}"
            raise StorageError(message, next_step="make room, or set TMPDIR") from error
        self._running = True
        self.plug()
        return self

    def stop(self) -> None:
        """Pull the cable, end what runs, and remove the phone's files; safe to call twice."""
        if not self._running:
            return
        self._running = False
        self.unplug()
        self.processes.stop_all()
        self._remove_directory()

    def __enter__(self) -> VirtualIPhone:  # noqa: D105
        return self.start()

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def plug(self, mux: VirtualUsbmux | None = None) -> None:
        """Plug the cable in, into another computer if one is given."""
        self._mux = mux or self._mux
        if self._mux is not None and self._running:
            self._pulled = threading.Event()
            self.power.set_state(charging=self.spec.charging)
            self._mux.add(self)

    def unplug(self) -> None:
        """Pull the cable: every connection ends, charging stops; what runs goes on."""
        if self._mux is not None:
            self._mux.remove(self)
        self._ports.clear()
        self._pulled.set()
        self.power.set_state(charging=False)

    def open_by_hand(self, bundle_id: str) -> int:
        """Start an app as its user does, by touching it; return its process.

        Raises:
            LaunchRefusedError: It cannot be started.
        """
        return self.processes.launch(bundle_id, kill_existing=False)

    def restart(self) -> None:
        """Start anew: nothing runs, no image is mounted, the cable is out for a moment."""
        self.note("restart", "")
        self.unplug()
        for process in self.processes.running():
            self.processes.end(process.app.bundle_id)
        self._image_mounted = False
        self.plug()

    # -------------------------------------------------------------------------- its state

    @property
    def locked(self) -> bool:
        """Whether the lock screen shows."""
        return self.screen_locked or self.faults.find(DeviceLocked) is not None

    @property
    def developer_mode(self) -> bool:
        """Whether Developer Mode is on; there is none before iOS 16."""
        return self._developer_mode and self.faults.find(DeveloperModeOff) is None

    @property
    def image_mounted(self) -> bool:
        """Whether the developer disk image is mounted."""
        return self._image_mounted and self.faults.find(ImageMissing) is None

    @property
    def developer_ready(self) -> bool:
        """Whether the services for developers exist."""
        return self.image_mounted and (self.developer_mode or self.spec.version[0] < 16)

    @property
    def battery_percent(self) -> int:
        """That it shows."""
        low = self.faults.find(LowBattery)
        return low.percent if low else int(self.power.percent)

    @property
    def pulled(self) -> threading.Event:
        """Set when the cable that is in now is pulled."""
        return self._pulled

    def mount_image(self, *, mounted: bool) -> None:
        """Mount or unmount the developer disk image."""
        self._image_mounted = mounted

    def switch_developer_mode(self, *, on: bool) -> None:
        """Switch Developer Mode, as its owner does in the settings."""
        self._developer_mode = on

    def values(self, domain: str) -> Mapping[str, Any] | None:
        """Return lockdown's properties of a domain, or None; the empty name is the default one."""
        return property_values(self, domain)

    def set_value(self, domain: str, key: str, value: object) -> None:
        """Change a property; only the phone's name can be."""
        if not domain and key == "DeviceName":
            self.name = str(value)

    # -------------------------------------------------------------------------- connections

    def serve_port(self, port: int, stream: SocketStream) -> Callable[[], None] | None:
        """See :class:`ortlab.devices.virtual.iphone.usbmux.PluggedPhone`."""
        if port == LOCKDOWN_PORT:
            return lambda: self.serve(LOCKDOWN, stream)
        opened = self._ports.take(port)
        if opened is None:
            return None
        name, host_id = opened

        def serve() -> None:
            service = self.services[name]
            secured: SocketStream = stream
            if service.under_tls:
                secured = stream.under_tls(self.pairings.tls(host_id), deadline_s=TLS_DEADLINE_S)
            self.serve(name, secured)

        return serve

    def open_port(self, name: str, host_id: str) -> int:
        """Return a new port on which a service answers one connection of a computer."""
        return self._ports.give(name, host_id)

    def serve(
        self, name: str, stream: Stream, handler: Callable[[Stream], None] | None = None
    ) -> None:
        """Serve a connection until its end; the fault script has its say on the way.

        Args:
            name: Of the service, as lockdown or the tunnel know it.
            stream: From the computer; it is closed at the end.
            handler: That serves it; the one of the service table if None.
        """
        self.note("service", name)
        try:
            watched = WatchedStream(stream, name, self)
            slow = self.faults.take(SlowPhone, service=name)
            if slow is not None:
                time.sleep(slow.delay_s)
            if handler is not None:
                handler(watched)
            elif name == LOCKDOWN:
                LockdownSession(self, watched, trusted=False).serve()
            else:
                self.services[name].handler(watched)
        except StreamClosedError:
            pass
        except ProtocolError as error:
            self.note("unmodelled", f"{name}: {error}")
        except Exception as error:
            if self._running:  # else its files are gone already
                self.note("bug", f"{name}: {type(error).__name__}: {error}")
        finally:
            stream.close()

    def serve_trusted_lockdown(self, stream: Stream) -> None:
        """Serve lockdown to a computer that came through a tunnel; only inside :meth:`serve`."""
        assert isinstance(stream, WatchedStream)
        LockdownSession(self, stream, trusted=True).serve()

    def pull(self, *, stays_out: bool) -> None:
        """Pull the cable because a fault says so; see :class:`CablePulled`."""
        self.unplug()
        if not stays_out:
            self.plug()

    # -------------------------------------------------------------------------- processes

    def program_of(self, bundle_id: str) -> AppProgram | None:
        """Return what to start for an installed app, or None."""
        app = self.apps.find(bundle_id)
        if app is None:
            return None
        command: tuple[str, ...] = (str(app.bundle / app.info.executable),)
        if not app.info.script:  # built for other processors: the phone runs its own program
            command = launcher_command(self._program, app.bundle.parent)
        return AppProgram(
            bundle_id=bundle_id,
            name=app.info.executable,
            command=command,
            container=app.container,
            version=app.info.version,
        )

    def stage_entered(self, process: RunningProcess, stage: str) -> None:
        """See :class:`ortlab.devices.virtual.iphone.processes.PhoneSide`."""
        self.note("stage", f"{process.app.bundle_id} {stage}")
        fault = self.faults.take(CablePulledAtStage, stage=stage)
        if fault is not None:
            self.note("fault", f"cable pulled at {stage}")
            self.pull(stays_out=fault.stays_out)

    def process_died(self, death: ProcessDeath) -> None:
        """See :class:`ortlab.devices.virtual.iphone.processes.PhoneSide`."""
        if death.kind is CrashKind.THERMAL:
            limit = thermal_threshold_c(ThermalStatus.CRITICAL)
            self.power.set_state(temperature_c=limit + _HEAT_ABOVE_LIMIT_C)
        if death.kind is CrashKind.JETSAM:
            text = (
                f"memorystatus: killing_specific_process pid {death.process.pid} "
                f"[{death.process.app.name}] (per-process-limit)"
            )
            self.say("kernel", 0, text)
        path = self.reports.write(death)
        self.say("ReportCrash", 99, f"Saved report to {path.name}")

    def say(self, process: str, pid: int, text: str) -> None:
        """Write a line of the system log."""
        self.log.write(process, pid, text)

    def post(self, notification: str) -> None:
        """Tell whoever observes it."""
        self.notifications.post(notification)

    # -------------------------------------------------------------------------- files

    def media_path(self, name: str) -> Path | None:
        """Return the file of this machine behind a path that AFC shows, or None if outside."""
        inside = os.path.normpath("/" + name.lstrip("/"))
        path = (self._media / inside.lstrip("/")).resolve()
        return path if path.is_relative_to(self._media) else None

    def serve_files(self, stream: Stream, root: Path, only: str | None) -> None:
        """Serve AFC on a directory of this machine."""
        FileConduit(
            root,
            storage=self.storage,
            faults=lambda: self.faults,
            model=self.spec.product,
            only=only,
        ).serve(stream)

    def note(self, kind: str, text: str) -> None:
        """Record what arrived."""
        self.requests.append(Arrival(kind=kind, text=text))

    # -------------------------------------------------------------------------- inside

    def _assemble(self, directory: Path) -> None:
        """Make the phone's parts and what lies on its disk."""
        spec = self.spec
        self._media = directory / "Media"
        for name in ("Media/PublicStaging", "Media/Downloads", "Bundle", "Data"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        try:
            self.pairings = PairingStore()
        except ImportError as error:
            message = "cannot play an iPhone: the package cryptography is not installed"
            raise DeviceError(message, next_step="install ortlab with the extra ios") from error
        self.power = Power(
            spec.heat,
            temperature_c=spec.battery_temperature_c,
            percent=spec.battery_percent,
            charging=spec.charging,
        )
        self.storage = Storage(directory, spec.storage_bytes)
        self.log = SystemLog(spec.name)
        self.notifications = NotificationCenter()
        self.reports = CrashReports(directory / "CrashReports", spec)
        self.apps = AppStore(directory, spec=spec, storage=self.storage, faults=lambda: self.faults)
        self.processes = ProcessTable(self, self.power)
        self.services = service_table(self, self._media)
        self.say("kernel", 0, "this is a virtual iPhone")

    def _remove_directory(self) -> None:
        if self._given_directory is None and self._directory is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._directory, ignore_errors=True)
