"""The app service of iOS 17 and later: starts apps, lists them, and carries their output.

Beside it stands a service that opens a socket for the output of an app: it first sends the
socket's identifier, by which a launch refers to it, and closes when the process has ended.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ortlab.devices.virtual.iphone.apps import AppStore, InstalledApp
from ortlab.devices.virtual.iphone.darwin_signals import signal_here
from ortlab.devices.virtual.iphone.processes import (
    LaunchRefusedError,
    ProcessEnd,
    ProcessTable,
    RunningProcess,
)
from ortlab.devices.virtual.iphone.remote_xpc import RemoteXpc, XpcMessage
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import Stream

APP_SERVICE: Final = "com.apple.coredevice.appservice"
OUTPUT_SERVICE: Final = "com.apple.coredevice.openstdiosocket"

_FEATURE: Final = "com.apple.coredevice.feature."
_DOMAIN: Final = "com.apple.dt.CoreDeviceError"
_LAUNCH_FAILED: Final = 10002
_NO_PROCESS: Final = 10003
_BAD_REQUEST: Final = 1
_STREAMED_LISTS: Final = (26,)
_STREAM_STATUS: Final = "CoreDevice.XPCMessageKey.sideChannelStatus"


class AppServicePhone(Protocol):
    """What the app service needs of the phone."""

    spec: VirtualIPhoneSpec
    processes: ProcessTable
    apps: AppStore

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class OutputSockets:
    """The sockets for output that are open in one tunnel."""

    def __init__(self) -> None:
        self._open: dict[uuid.UUID, Stream] = {}
        self._lock = threading.Lock()

    def serve(self, stream: Stream) -> None:
        """Keep a socket open until its process ends or the computer leaves.

        Raises:
            StreamClosedError: One of both happened.
        """
        identifier = uuid.uuid4()
        with self._lock:
            self._open[identifier] = stream
        try:
            stream.send(identifier.bytes)
            while True:
                stream.receive_exactly(1)  # input, which the apps here do not read
        finally:
            with self._lock:
                self._open.pop(identifier, None)

    def find(self, identifier: object) -> Stream | None:
        """Return an open socket, or None."""
        with self._lock:
            return self._open.get(identifier) if isinstance(identifier, uuid.UUID) else None


class _RefusedError(Exception):
    """A feature is not carried out."""

    def __init__(self, code: int, text: str, **information: Any) -> None:
        super().__init__(text)
        self.payload = {
            "CoreDevice.error": {
                "code": code,
                "domain": _DOMAIN,
                "userInfo": {"NSLocalizedDescription": text, **information},
            }
        }


class AppService:
    """One connection to the app service.

    Args:
        phone: The phone.
        sockets: For output, of the same tunnel.
        connection: From the computer.
    """

    def __init__(
        self, phone: AppServicePhone, sockets: OutputSockets, connection: RemoteXpc
    ) -> None:
        self._phone = phone
        self._sockets = sockets
        self._connection = connection

    @staticmethod
    def features(spec: VirtualIPhoneSpec) -> tuple[str, ...]:
        """Return the names of what a phone offers."""
        names = ["launchapplication", "listprocesses", "sendsignaltoprocess"]
        names.append("streamapplist" if spec.version >= _STREAMED_LISTS else "listapps")
        return tuple(_FEATURE + name for name in names)

    def serve(self) -> None:
        """Answer until the computer leaves.

        Raises:
            StreamClosedError: It left.
            ProtocolError: It sent what is no message.
        """
        for message in self._connection.messages():
            payload = message.payload or {}
            feature = payload.get("CoreDevice.featureIdentifier")
            if not isinstance(feature, str):
                if payload:
                    self._phone.note("unmodelled", f"app service: {sorted(payload)}")
                continue
            self._phone.note("app service", feature.removeprefix(_FEATURE))
            try:
                self._answer(message, feature, payload)
            except _RefusedError as refused:
                self._connection.reply(message, refused.payload)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                text = f"The request could not be decoded: {type(error).__name__} {error}"
                self._connection.reply(message, _RefusedError(_BAD_REQUEST, text).payload)

    def _answer(self, message: XpcMessage, feature: str, payload: Mapping[str, Any]) -> None:
        if feature == f"{_FEATURE}streamapplist" and feature in self.features(self._phone.spec):
            self._stream_apps(message)
            return
        answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "launchapplication": self._launch,
            "listapps": lambda _: [_described(app) for app in self._phone.apps.all()],
            "listprocesses": self._list_processes,
            "sendsignaltoprocess": self._send_signal,
        }
        answer = answers.get(feature.removeprefix(_FEATURE))
        if answer is None or feature not in self.features(self._phone.spec):
            self._phone.note("unmodelled", f"app service {feature}")
            raise _RefusedError(_BAD_REQUEST, f"The feature {feature} is not supported.")
        output = answer(payload.get("CoreDevice.input") or {})
        self._connection.reply(message, {"CoreDevice.output": output})

    def _launch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        bundle_id = request["applicationSpecifier"]["bundleIdentifier"]["_0"]
        options = request["options"]
        identifiers = request.get("standardIOIdentifiers") or {}
        outputs = {identifiers.get("standardOutput"), identifiers.get("standardError")}
        found = [self._sockets.find(identifier) for identifier in outputs]
        sockets = [stream for stream in found if stream is not None]
        follower = _Follower(sockets)
        try:
            pid = self._phone.processes.launch(
                bundle_id,
                [str(argument) for argument in options["arguments"]],
                {str(k): str(v) for k, v in options["environmentVariables"].items()},
                on_output=follower.on_output if sockets else None,
                on_exit=follower.on_exit if sockets else None,
                kill_existing=bool(options.get("terminateExisting")),
                suspended=bool(options.get("startStopped")),
            )
        except LaunchRefusedError as refused:
            text = f"The application failed to launch. {refused.reason}"
            raise _RefusedError(
                _LAUNCH_FAILED,
                text,
                NSLocalizedFailureReason=refused.reason,
                NSUnderlyingError={"domain": refused.domain, "code": refused.code},
            ) from refused
        app = self._phone.apps.find(bundle_id)
        path = app.described()["Path"] if app else ""
        name = app.info.executable if app else ""
        return {"processToken": _token(pid, f"{path}/{name}")}

    def _list_processes(self, _: Mapping[str, Any]) -> dict[str, Any]:
        running = self._phone.processes.running()
        return {"processTokens": [self._running(process) for process in running]}

    def _running(self, process: RunningProcess) -> dict[str, Any]:
        app = self._phone.apps.find(process.app.bundle_id)
        path = app.described()["Path"] if app else ""
        return _token(process.pid, f"{path}/{process.app.name}")

    def _send_signal(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pid, number = int(request["process"]["processIdentifier"]), int(request["signal"])
        known = signal_here(number)
        if known is None or not self._phone.processes.signal(pid, known):
            raise _RefusedError(_NO_PROCESS, f"No process with the identifier {pid} is running.")
        return {"process": _token(pid, ""), "signal": number}

    def _stream_apps(self, message: XpcMessage) -> None:
        apps = [_described(app) for app in self._phone.apps.all()]
        pushed: dict[str, Any] = {"pushing": {"elements": apps}}
        finished: dict[str, Any] = {"finishStreaming": {}}
        for status in (pushed, finished):
            self._connection.reply(message, {_STREAM_STATUS: status})


class _Follower:
    """Writes what a process prints to its socket, as its terminal would, and closes it at the end.

    Args:
        sockets: One for both outputs, or one for each.
    """

    def __init__(self, sockets: list[Stream]) -> None:
        self._sockets = sockets

    def on_output(self, _: int, data: bytes) -> None:
        self._sockets[0].send(data.replace(b"\n", b"\r\n"))

    def on_exit(self, _: int, __: ProcessEnd) -> None:
        for stream in self._sockets:
            stream.close()


def _token(pid: int, path: str) -> dict[str, Any]:
    return {"processIdentifier": pid, "executableURL": {"relative": f"file://{path}"}}


def _described(app: InstalledApp) -> dict[str, Any]:
    return {
        "bundleIdentifier": app.info.bundle_id,
        "bundleVersion": app.info.build,
        "isAppClip": False,
        "isDeveloperApp": True,
        "isFirstParty": False,
        "isHidden": False,
        "isInternal": False,
        "isRemovable": True,
        "name": str(app.plist.get("CFBundleDisplayName", app.info.executable)),
        "version": app.info.version,
    }
