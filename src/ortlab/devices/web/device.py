"""A browser of this machine as a device: every block is a fresh browser with a fresh profile.

The page does everything through the server of this process, so that a block is the same in any
browser; Playwright only starts the browser and tells when it, or its page, is gone.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from ortlab.devices.answers import BadAnswerError, last_stage, read_result
from ortlab.devices.web.browsers import Chromium, end_browser, make_profile, processes_of
from ortlab.devices.web.client import BrowserClient, BrowserProblemError
from ortlab.devices.web.ended import TAIL_CHARACTERS, death_of, late
from ortlab.devices.web.hello import Hello, browser_name, read_hello
from ortlab.devices.web.load import LoadMeter
from ortlab.devices.web.mail import BatchMail, BlockMail, Signal, SignalKind, lay_out
from ortlab.devices.web.server import PageServer
from ortlab.domain import Arm, Device, DeviceInfo, DeviceKind
from ortlab.errors import DeviceError, OrtlabError
from ortlab.process import Processes
from ortlab.wire import BlockRequest, BlockResult, Conditions, Death, FailureKind, Stage

DEVICE_ID: Final = "web:chromium"
ARCHITECTURE: Final = "wasm32"
"""What the runtime in a page was compiled for, whatever the machine."""
GRACE_S: Final = 5.0
"""Beyond a block's deadline, for the page to notice it and answer by itself."""

_PAGE: Final = "/bench.html"
_SETTLE_S: Final = 0.5
_CLOSE_S: Final = 4.0
_GONE: Final = frozenset(
    {SignalKind.CRASHED, SignalKind.PAGE_CLOSED, SignalKind.BROWSER_ENDED},
)
_NOISE: Final = ("dbus/", "<launch", "<launched>", "<gracefully", "[vaapi")
"""Lines of the browser's log that say nothing of a block."""
_REBUILD: Final = "build the app again; without --app, ortlab builds the page itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """How blocks are run in a browser.

    Attributes:
        is_isolated: Whether the page is served cross-origin isolated; a host that forgets the two
            headers does not.
        start_s: Longest time for the browser to start, and for the page to ask for its block.
    """

    is_isolated: bool = True
    start_s: float = 60.0


class WebDevice:
    """Runs blocks in a browser of this machine; see :class:`ortlab.domain.Device`.

    Args:
        chromium: The browser.
        page: Directory of the built bench page.
        processes: Lists the browser's processes.
        host: This machine, which tells its processor, memory and state.
        options: How blocks are run.

    Raises:
        ToolchainError: Playwright is not installed.
        DeviceError: Nothing can listen on the loopback address.
    """

    def __init__(
        self,
        chromium: Chromium,
        page: Path,
        *,
        processes: Processes,
        host: Device,
        options: WebOptions | None = None,
    ) -> None:
        self._chromium = chromium
        self._processes = processes
        self._host = host
        self._options = options or WebOptions()
        self._home = Path(tempfile.mkdtemp(prefix="ortlab-web-"))
        self._log = self._home / "browser.log"
        self._said: deque[str] = deque(maxlen=50)
        self._signals: queue.Queue[Signal] | None = None
        self._version = ""
        self._log_start = 0
        try:
            self._client = BrowserClient(self._log, self._on_event)
            self._server = PageServer(page, is_isolated=self._options.is_isolated)
        except OrtlabError:
            shutil.rmtree(self._home, ignore_errors=True)
            raise

    @cached_property
    def info(self) -> DeviceInfo:
        """The browser, the machine under it and what runs in the page.

        Raises:
            DeviceError: The browser does not start, or its page does not answer.
        """
        hello, machine = self._hello, self._host.info
        version = self._version or browser_name(hello.browser.user_agent).rpartition(" ")[2]
        added = " ".join(self._chromium.extra_arguments)
        name = f"Chromium {version}, headless, on {machine.name}" + (f", {added}" if added else "")
        return DeviceInfo(
            device_id=DEVICE_ID,
            kind=DeviceKind.WEB,
            name=name,
            os_version=f"{machine.os_version}, {machine.architecture}",
            architecture=ARCHITECTURE,
            cpu=machine.cpu,
            memory_bytes=machine.memory_bytes,
            ort_version=hello.runtime.ort_version,
            available_providers=hello.runtime.available_providers,
            absent_providers=hello.absent_providers,
        )

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and available providers of the page.

        Raises:
            DeviceError: The arm wants a runtime of its own.
        """
        if arm.runtime is not None:
            message = f"cannot run arm {arm.arm_id!r} in a browser: the page has one runtime"
            raise DeviceError(message, next_step="build an app with the other release")
        return self.info.ort_version, self.info.available_providers

    def conditions(self) -> Conditions:
        """Read the machine's state.

        Raises:
            DeviceError: The machine does not answer.
        """
        return self._host.conditions()

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh browser; see :class:`ortlab.domain.Device`.

        Raises:
            DeviceError: The browser does not start, or the page's own files cannot be used.
            StorageError: The output directory cannot be written.
        """
        self.runtime_of(arm)
        mail = lay_out(request)
        before = self._host.conditions()
        with self._opened(mail) as (profile, meter):
            answer = self._wait(mail, request)
            if isinstance(answer, Death):
                return answer
            ours = (*processes_of(profile, self._processes), *self._client.processes())
            busy = meter.busy_fraction(ours)
        after = replace(before, busy_fraction=busy)
        return replace(
            answer,
            conditions_before=_filled(answer.conditions_before, before),
            conditions_after=_filled(answer.conditions_after, after),
        )

    def driver_processes(self) -> tuple[int, ...]:
        """Return the processes that drive the browser, where they run."""
        return self._client.processes()

    def close(self) -> None:
        """End what drives the browser, and the server; safe to call twice."""
        self._client.close()
        self._server.close()
        shutil.rmtree(self._home, ignore_errors=True)

    # -- inside ---------------------------------------------------------------------------------

    @cached_property
    def _hello(self) -> Hello:
        batch = BatchMail()
        with self._opened(batch):
            deadline = time.monotonic() + self._options.start_s
            while True:
                with contextlib.suppress(queue.Empty):
                    return read_hello(batch.hellos.get(timeout=0.2))
                gone = self._signals is not None and not self._signals.empty()
                if gone or time.monotonic() > deadline:
                    said = "; ".join(self._said) or "it says nothing"
                    message = f"cannot run blocks in Chromium: its page did not start ({said})"
                    raise DeviceError(message, next_step=_REBUILD)

    @contextlib.contextmanager
    def _opened(self, mail: BlockMail | BatchMail) -> Iterator[tuple[Path, LoadMeter]]:
        """Have a fresh browser load the page for a block or a batch; end it afterwards.

        Raises:
            DeviceError: It does not start.
        """
        query = "block" if isinstance(mail, BlockMail) else "batch"
        signals = mail.signals if isinstance(mail, BlockMail) else queue.Queue[Signal]()
        self._said.clear()
        self._server.add(mail)
        self._signals = signals
        profile = make_profile()
        meter = LoadMeter(self._client.processes())
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        try:
            self._open(f"{_PAGE}?{query}={mail.path}", profile)
            yield profile, meter
        finally:
            self._signals = None
            self._server.remove(mail)
            # Nothing of a fresh profile is worth an orderly end, and a hung page would delay it.
            end_browser(profile, self._processes)
            with contextlib.suppress(OrtlabError, BrowserProblemError):
                self._client.ask("close", deadline_s=_CLOSE_S)

    def _open(self, path: str, profile: Path) -> None:
        try:
            self._version = self._client.ask(
                "open",
                deadline_s=self._options.start_s,
                url=self._server.url(path),
                profile=str(profile),
                executable=self._chromium.executable,
                arguments=list(self._chromium.arguments),
                sandbox=self._chromium.sandbox,
            )["version"]
        except BrowserProblemError as error:
            if self._signals is not None and not self._signals.empty():
                return  # it started and is gone again; who waits for it looks at why
            first = (str(error).strip().splitlines() or ["no reason told"])[0]
            message = f"cannot start {self._chromium.executable}: {first}"
            raise DeviceError(message, next_step="ortlab doctor") from error

    def _wait(self, mail: BlockMail, request: BlockRequest) -> BlockResult | Death:
        """Wait for the result, or for the end of the page."""
        deadline = time.monotonic() + request.deadline_s + GRACE_S
        seen: list[Signal] = []
        while not any(item.kind is SignalKind.RESULT for item in seen):
            until = deadline
            if any(item.kind in _GONE for item in seen):
                until = min(deadline, time.monotonic() + _SETTLE_S)
            try:
                seen.append(mail.signals.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                return self._without_result(seen, mail, request.deadline_s)
        try:
            result = read_result(mail.directory, request.block_id)
        except BadAnswerError as error:
            tail = self._output()[-TAIL_CHARACTERS:]
            stage = last_stage(mail.directory)
            return Death(kind=error.kind, message=error.message, last_stage=stage, output_tail=tail)
        _check_started(result)
        return result

    def _without_result(self, seen: list[Signal], mail: BlockMail, deadline_s: float) -> Death:
        if any(item.kind in _GONE for item in seen):
            return death_of(seen, mail.directory, self._output(), name="Chromium")
        return late(mail.directory, self._output(), deadline_s)

    def _output(self) -> str:
        """Return what the browser and its page printed since it was started."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(self._log_start)
            printed = log.read(1 << 20).decode("utf-8", "replace").splitlines()
            told = [line for line in printed if not any(word in line for word in _NOISE)]
            return "\n".join([*told, *self._said])
        return "\n".join(self._said)

    def _on_event(self, kind: str, words: str) -> None:
        """Take what the client tells, in its thread."""
        signals = self._signals
        if kind in ("console", "page error"):
            self._said.append(words)
            return
        if signals is None:
            return
        if kind in ("crashed", "crash reason"):
            signals.put(Signal(kind=SignalKind.CRASHED, words=words))
        elif kind == "page closed":
            signals.put(Signal(kind=SignalKind.PAGE_CLOSED))
        elif kind == "browser ended":
            signals.put(Signal(kind=SignalKind.BROWSER_ENDED))


def _filled(told: Conditions | None, machine: Conditions) -> Conditions:
    """Return the machine's state with what only the page knows.

    A browser on a machine without a battery says that it is full, so it is not asked for that.
    """
    return replace(machine, foreground=told.foreground if told is not None else None)


def _check_started(result: BlockResult) -> None:
    """Hold a page that could not even start its runtime to be a broken page, not a slow model.

    Raises:
        DeviceError: It could not.
    """
    failure = result.failure
    if failure is None or (failure.stage, failure.kind) != (
        Stage.START,
        FailureKind.RUNTIME_ERROR,
    ):
        return
    message = f"cannot run blocks: the page could not start ONNX Runtime: {failure.message}"
    raise DeviceError(message, next_step=_REBUILD)
