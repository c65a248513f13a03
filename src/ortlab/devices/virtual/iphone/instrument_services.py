"""What Instruments can ask of a phone: its processes, their memory, its apps."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.apps import AppStore
from ortlab.devices.virtual.iphone.keyed_archive import ArchivedError, TapMessage
from ortlab.devices.virtual.iphone.processes import ProcessTable, RunningProcess
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import StreamClosedError

_LAUNCHD: Final = 1
_PROCESS_ATTRIBUTES: Final = (
    "pid",
    "ppid",
    "name",
    "physFootprint",
    "memAnon",
    "memResidentSize",
    "memVirtualSize",
)
_SYSTEM_ATTRIBUTES: Final = ("physMemSize",)
_USUAL_PERIOD_MS: Final = 500
_SHORTEST_PERIOD_MS: Final = 10
_LONGEST_PERIOD_MS: Final = 60_000


class UnknownSelectorError(Exception):
    """A service does not know what is called, or not with such arguments."""


class CallRefusedError(Exception):
    """A service knows what is called but does not do it.

    Args:
        error: That the caller gets.
    """

    def __init__(self, error: ArchivedError) -> None:
        super().__init__(error.information.get("NSLocalizedDescription"))
        self.error = error


class InstrumentService(Protocol):
    """A service behind one channel."""

    def call(self, selector: str, arguments: tuple[Any, ...]) -> Any:
        """Return the result of a call, None where there is none.

        Raises:
            UnknownSelectorError: It does not know this call.
            CallRefusedError: It does not do it.
            StreamClosedError: The computer is gone.
        """
        ...

    def close(self) -> None:
        """Tell nothing any more."""
        ...


class Teller(Protocol):
    """Tells the computer something without being asked, on the channel of a service."""

    def invoke(self, selector: str, *arguments: Any) -> None:
        """Call something there.

        Raises:
            StreamClosedError: The computer is gone.
        """
        ...

    def tell(self, content: Any) -> None:
        """Send an object.

        Raises:
            StreamClosedError: The computer is gone.
        """
        ...


class DeviceInformation:
    """Processes by name and number, and what a monitor may be asked for.

    Args:
        processes: Of the phone.
        spec: Of the phone.
    """

    def __init__(self, processes: ProcessTable, spec: VirtualIPhoneSpec) -> None:
        self._processes = processes
        self._spec = spec

    def call(self, selector: str, arguments: tuple[Any, ...]) -> Any:
        """See :class:`InstrumentService`."""
        match selector, arguments:
            case "runningProcesses", ():
                return [_described(process) for process in self._processes.running()]
            case "isRunningPid:", (int(pid),):
                return self._processes.find(pid) is not None
            case "execnameForPid:", (int(pid),):
                process = self._processes.find(pid)
                return process.app.name if process else ""
            case "sysmonProcessAttributes", ():
                return list(_PROCESS_ATTRIBUTES)
            case "sysmonSystemAttributes", ():
                return list(_SYSTEM_ATTRIBUTES)
            case "hardwareInformation", ():
                return {"hwCPUtype": 0x0100000C, "hwPhysMem": self._spec.memory_bytes}
            case "systemInformation", ():
                return {
                    "_deviceDisplayName": self._spec.name,
                    "_productType": self._spec.product,
                    "_productVersion": self._spec.ios_version,
                    "_osVersion": self._spec.build_version,
                }
        raise UnknownSelectorError

    def close(self) -> None:
        """See :class:`InstrumentService`."""


def _described(process: RunningProcess) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "name": process.app.name,
        "realAppName": process.app.name,
        "bundleIdentifier": process.app.bundle_id,
        "isApplication": True,
        "startDate": datetime.fromtimestamp(process.started_at_s, UTC),
    }


class InstalledApplications:
    """The apps on the phone.

    Args:
        apps: Of the phone.
    """

    def __init__(self, apps: AppStore) -> None:
        self._apps = apps

    def call(self, selector: str, arguments: tuple[Any, ...]) -> Any:
        """See :class:`InstrumentService`."""
        match selector, arguments:
            case "installedApplicationsMatching:registerUpdateToken:", (_, _):
                return [
                    {
                        "CFBundleIdentifier": app.info.bundle_id,
                        "DisplayName": app.plist.get("CFBundleDisplayName", app.info.executable),
                        "ExecutableName": app.info.executable,
                        "BundlePath": app.described()["Path"],
                        "Version": app.info.version,
                        "Type": "User",
                    }
                    for app in self._apps.all()
                ]
        raise UnknownSelectorError

    def close(self) -> None:
        """See :class:`InstrumentService`."""


class SystemMonitor:
    """Samples the memory of all processes until it is stopped.

    Args:
        processes: Of the phone.
        spec: Of the phone.
        teller: Of the channel.
    """

    def __init__(self, processes: ProcessTable, spec: VirtualIPhoneSpec, teller: Teller) -> None:
        self._processes = processes
        self._spec = spec
        self._teller = teller
        self._configuration: Mapping[str, Any] = {}
        self._stopped = threading.Event()

    def call(self, selector: str, arguments: tuple[Any, ...]) -> Any:
        """See :class:`InstrumentService`."""
        match selector, arguments:
            case "setConfig:", (dict() as configuration,):
                self._configuration = configuration
            case "start", ():
                self.close()
                self._stopped = threading.Event()
                sampling = (self._configuration, self._stopped)
                threading.Thread(target=self._sample, args=sampling, daemon=True).start()
            case "stop", ():
                self.close()
            case _:
                raise UnknownSelectorError
        return None

    def close(self) -> None:
        """See :class:`InstrumentService`."""
        self._stopped.set()

    def _sample(self, configuration: Mapping[str, Any], stopped: threading.Event) -> None:
        asked = configuration.get("ur")
        period_ms = asked if isinstance(asked, int) else _USUAL_PERIOD_MS
        period_ms = max(_SHORTEST_PERIOD_MS, min(period_ms, _LONGEST_PERIOD_MS))
        process_names = _names(configuration.get("procAttrs"))
        system_names = _names(configuration.get("sysAttrs"))
        system = {"physMemSize": self._spec.memory_bytes}
        with contextlib.suppress(StreamClosedError):
            self._teller.tell(TapMessage(content={"k": 0}, kind="DTTapHeartbeatMessage"))
            while not stopped.is_set():
                rows = [
                    {"System": [system.get(name) for name in system_names]},
                    {"Processes": self._rows(process_names)},
                ]
                self._teller.tell(TapMessage(content=rows))
                stopped.wait(period_ms / 1000)

    def _rows(self, names: list[str]) -> dict[int, list[Any]]:
        rows = {}
        for process in self._processes.running():
            memory = self._processes.memory(process.pid)
            if memory is None:
                continue
            values = {
                "pid": process.pid,
                "ppid": _LAUNCHD,
                "name": process.app.name,
                "physFootprint": memory.footprint,
                "memAnon": memory.footprint,
                "memResidentSize": memory.resident,
                "memVirtualSize": memory.virtual,
            }
            rows[process.pid] = [values.get(name) for name in names]
        return rows


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []
