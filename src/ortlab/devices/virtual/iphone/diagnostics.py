"""Services that tell of the phone's state: diagnostics, its log, and what happened."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import (
    Stream,
    StreamClosedError,
    receive_plist,
    send_plist,
)
from ortlab.devices.virtual.power import Power

_GESTALT_GONE_FROM: Final = (17, 4)
_DESIGN_CAPACITY_MAH: Final = 3227
_FULL_CAPACITY_MAH: Final = 3100
_EMPTY_MV: Final = 3400
_FULL_MV: Final = 4300
_CYCLES: Final = 51
_KEPT_LINES: Final = 10_000
_LOOK_PERIOD_S: Final = 1.0


class DiagnosedPhone(Protocol):
    """What diagnostics needs of the phone."""

    spec: VirtualIPhoneSpec
    power: Power

    @property
    def battery_percent(self) -> int:
        """That it shows."""
        ...

    def restart(self) -> None:
        """Start anew: nothing runs, and the cable is out for a moment."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class DiagnosticsRelay:
    """`com.apple.mobile.diagnostics_relay`."""

    def __init__(self, phone: DiagnosedPhone) -> None:
        self._phone = phone

    def serve(self, stream: Stream) -> None:
        """Answer requests until one side ends it."""
        restarts = False
        with contextlib.suppress(StreamClosedError):
            while True:
                request = receive_plist(stream)
                name = str(request.get("Request"))
                self._phone.note("diagnostics", name)
                restarts = restarts or name == "Restart"
                send_plist(stream, self._answer(name, request))
                if name == "Goodbye":
                    break
        if restarts:  # the phone waits until the computer has closed
            self._phone.restart()

    def _answer(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if name in ("Goodbye", "Restart", "Sleep"):
            return {"Status": "Success"}
        if name == "IORegistry":
            entry = request.get("EntryClass") or request.get("EntryName")
            known = entry in ("IOPMPowerSource", "AppleSmartBattery")
            found = {"IORegistry": self._battery()} if known else {}
            return {"Status": "Success", "Diagnostics": found}
        if name in ("All", "GasGauge"):
            gauge = {
                "CycleCount": _CYCLES,
                "DesignCapacity": _DESIGN_CAPACITY_MAH,
                "FullChargeCapacity": _FULL_CAPACITY_MAH,
                "Status": "Success",
            }
            return {"Status": "Success", "Diagnostics": {"GasGauge": gauge}}
        if name == "MobileGestalt":
            return {"Status": "Success", "Diagnostics": {"MobileGestalt": self._gestalt(request)}}
        self._phone.note("unmodelled", f"diagnostics {name}")
        return {"Status": "UnknownRequest"}

    def _battery(self) -> dict[str, Any]:
        power, percent = self._phone.power, self._phone.battery_percent
        current_ma = 500 if power.charging else -312
        return {
            "AppleRawCurrentCapacity": _FULL_CAPACITY_MAH * percent // 100,
            "AppleRawMaxCapacity": _FULL_CAPACITY_MAH,
            "CurrentCapacity": percent,
            "CycleCount": _CYCLES,
            "DesignCapacity": _DESIGN_CAPACITY_MAH,
            "ExternalConnected": power.charging,
            "FullyCharged": percent >= 100,
            "InstantAmperage": current_ma,
            "IsCharging": power.charging and percent < 100,
            "MaxCapacity": 100,
            "Temperature": round(power.temperature_c * 100),
            "UpdateTime": int(time.time()),
            "Voltage": _EMPTY_MV + (_FULL_MV - _EMPTY_MV) * percent // 100,
        }

    def _gestalt(self, request: dict[str, Any]) -> dict[str, Any]:
        spec = self._phone.spec
        if spec.version >= _GESTALT_GONE_FROM:
            return {"Status": "MobileGestaltDeprecated"}
        known = {
            "BuildVersion": spec.build_version,
            "HWModelStr": spec.board,
            "ProductType": spec.product,
            "ProductVersion": spec.ios_version,
            "UniqueDeviceID": spec.udid,
        }
        asked = request.get("MobileGestaltKeys") or []
        return {"Status": "Success", **{key: known[key] for key in asked if key in known}}


class SystemLog:
    """The phone's log: kept for tests, and sent live by `com.apple.syslog_relay`.

    Args:
        name: Of the phone.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.lines: list[str] = []
        self._listeners: list[queue.Queue[bytes]] = []
        self._lock = threading.Lock()

    def write(self, process: str, pid: int, text: str, *, level: str = "Notice") -> None:
        """Write a line; whoever does not keep up with reading misses it."""
        stamp = time.strftime("%b %e %H:%M:%S")
        line = f"{stamp} {self._name} {process}[{pid}] <{level}>: {text}"
        with self._lock:
            self.lines.append(line)
            del self.lines[:-_KEPT_LINES]
            listeners = tuple(self._listeners)
        for listener in listeners:
            with contextlib.suppress(queue.Full):
                listener.put_nowait(line.encode() + b"\n\0")

    def serve(self, stream: Stream, gone: threading.Event) -> None:
        """Send lines as they are written.

        Args:
            stream: To the computer.
            gone: Set when the cable is pulled.
        """
        listener: queue.Queue[bytes] = queue.Queue(_KEPT_LINES)
        with self._lock:
            self._listeners.append(listener)
        try:
            self.write("syslog_relay", 98, "a computer reads along")
            while not gone.is_set():
                with contextlib.suppress(queue.Empty):
                    stream.send(listener.get(timeout=_LOOK_PERIOD_S))
        finally:
            with self._lock:
                self._listeners.remove(listener)


class NotificationCenter:
    """`com.apple.mobile.notification_proxy`: posts and observes notifications."""

    def __init__(self) -> None:
        self._observers: dict[str, list[Stream]] = {}
        self._lock = threading.Lock()

    def post(self, name: str) -> None:
        """Tell whoever observes it."""
        with self._lock:
            observers = tuple(self._observers.get(name, ()))
        for stream in observers:
            with contextlib.suppress(StreamClosedError):
                send_plist(stream, {"Command": "RelayNotification", "Name": name})

    def serve(self, stream: Stream) -> None:
        """Answer commands until one side ends it."""
        commands: dict[str, Callable[[str], None]] = {
            "ObserveNotification": lambda name: self._observe(name, stream),
            "PostNotification": self.post,
        }
        try:
            while True:
                request = receive_plist(stream)
                name = str(request.get("Command"))
                if name == "Shutdown":
                    send_plist(stream, {"Command": "ProxyDeath"})
                    return
                command = commands.get(name)
                if command is not None:
                    command(str(request.get("Name")))
        finally:
            with self._lock:
                for observers in self._observers.values():
                    if stream in observers:
                        observers.remove(stream)

    def _observe(self, name: str, stream: Stream) -> None:
        with self._lock:
            self._observers.setdefault(name, []).append(stream)
