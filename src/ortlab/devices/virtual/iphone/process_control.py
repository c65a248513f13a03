"""Process control of Instruments: starts apps, passes on their output, tells their end."""

from __future__ import annotations

import codecs
import signal
import threading
import time
from typing import Any, Final

from ortlab.devices.virtual.iphone.darwin_signals import number_on_iphone, signal_here
from ortlab.devices.virtual.iphone.instrument_services import (
    CallRefusedError,
    Teller,
    UnknownSelectorError,
)
from ortlab.devices.virtual.iphone.keyed_archive import ArchivedError
from ortlab.devices.virtual.iphone.processes import LaunchRefusedError, ProcessEnd, ProcessTable

_DOMAIN: Final = "com.apple.dt.deviceprocesscontrolservice"
_LAUNCH_FAILED: Final = 2
_LAUNCH: Final = (
    "launchSuspendedProcessWithDevicePath:bundleIdentifier:environment:arguments:options:"
)


class ProcessControl:
    """The service behind one channel.

    Args:
        processes: Of the phone.
        teller: Of the channel.
    """

    def __init__(self, processes: ProcessTable, teller: Teller) -> None:
        self._processes = processes
        self._teller = teller
        self._observed: set[int] = set()
        self._closed = threading.Event()

    def call(self, selector: str, arguments: tuple[Any, ...]) -> Any:
        """See :class:`ortlab.devices.virtual.iphone.instrument_services.InstrumentService`."""
        processes = self._processes
        match selector, arguments:
            case str() as name, (_, str(bundle), environment, values, options) if name == _LAUNCH:
                return self._launch(bundle, environment, values, options)
            case "startObservingPid:", (int(pid),):
                self._observed.add(pid)
            case "stopObservingPid:", (int(pid),):
                self._observed.discard(pid)
            case "sendSignal:toPid:", (int(number), int(pid)):
                self._signal(pid, signal_here(number))
            case "killPid:", (int(pid),):
                self._signal(pid, signal.SIGKILL)
            case "suspendPid:", (int(pid),):
                self._signal(pid, signal.SIGSTOP)
            case "resumePid:", (int(pid),):
                self._signal(pid, signal.SIGCONT)
            case "processIdentifierForBundleIdentifier:", (str(bundle),):
                return processes.pid_of(bundle) or 0
            case "requestDisableMemoryLimitsForPid:" | "isPidDebuggable:", (int(pid),):
                return processes.find(pid) is not None
            case _:
                raise UnknownSelectorError
        return None

    def close(self) -> None:
        """See :class:`ortlab.devices.virtual.iphone.instrument_services.InstrumentService`."""
        self._closed.set()
        self._observed.clear()

    def _launch(self, bundle_id: str, environment: Any, arguments: Any, options: Any) -> int:
        chosen = options if isinstance(options, dict) else {}
        follower = _Follower(self._teller, self._closed, self._observed)
        try:
            return self._processes.launch(
                bundle_id,
                [str(argument) for argument in arguments or ()],
                {str(name): str(value) for name, value in (environment or {}).items()},
                on_output=follower.on_output,
                on_exit=follower.on_exit,
                kill_existing=bool(chosen.get("KillExisting")),
                suspended=bool(chosen.get("StartSuspendedKey")),
            )
        except LaunchRefusedError as refused:
            raise CallRefusedError(_launch_error(refused)) from refused
        except (AttributeError, TypeError) as error:
            raise UnknownSelectorError from error

    def _signal(self, pid: int, number: int | None) -> None:
        if number is None or not self._processes.signal(pid, number):
            text = f"No such process: {pid}"
            raise CallRefusedError(
                ArchivedError(
                    domain="NSPOSIXErrorDomain",
                    code=3,
                    information={"NSLocalizedDescription": text},
                )
            )


class _Follower:
    """Tells what a process prints, cut between characters, and how it ended."""

    def __init__(self, teller: Teller, closed: threading.Event, observed: set[int]) -> None:
        self._teller = teller
        self._closed = closed
        self._observed = observed
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def on_output(self, pid: int, data: bytes) -> None:
        self._tell(pid, self._decoder.decode(data))

    def on_exit(self, pid: int, end: ProcessEnd) -> None:
        self._tell(pid, self._decoder.decode(b"", final=True))
        if pid in self._observed:
            self._observed.discard(pid)
            self._teller.invoke(
                "processWithPID:terminatedWithExitCode:orCrashingSignal:",
                pid,
                end.exit_code,
                None if end.signal is None else number_on_iphone(end.signal),
            )

    def _tell(self, pid: int, text: str) -> None:
        if text and not self._closed.is_set():
            self._teller.invoke("outputReceived:fromProcess:atTime:", text, pid, int(time.time()))


def _launch_error(refused: LaunchRefusedError) -> ArchivedError:
    told = {
        "NSLocalizedDescription": refused.description,
        "NSLocalizedFailureReason": refused.reason,
    }
    cause = ArchivedError(domain=refused.domain, code=refused.code, information=told)
    return ArchivedError(
        domain=_DOMAIN, code=_LAUNCH_FAILED, information={**told, "NSUnderlyingError": cause}
    )
