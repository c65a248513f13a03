"""The processes of a virtual iPhone: apps run as real processes of this machine.

A process has a number of the phone's own. Its home is the app's container, and what it prints on
either output is told to whoever launched it. It goes on when nobody listens any more, as apps do
when the cable is pulled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.app_runs import (
    AppProgram,
    AppRun,
    ExitListener,
    OutputListener,
    ProcessEnd,
    RunningProcess,
)
from ortlab.devices.virtual.iphone.faults import (
    AppDies,
    AppHangs,
    CrashKind,
    DeviceLocked,
    ExitUnreported,
    LaunchRefused,
    OutputLost,
)
from ortlab.devices.virtual.iphone.memory import ProcessMemory
from ortlab.devices.virtual.iphone.results import damage_results, new_results, results_of
from ortlab.devices.virtual.iphone.streams import StreamClosedError
from ortlab.devices.virtual.power import Power
from ortlab.devices.virtual.programs import start_process, suspended_at_start
from ortlab.errors import OrtlabError

__all__ = [
    "STAGE_MARK",
    "AppProgram",
    "ExitListener",
    "LaunchRefusedError",
    "OutputListener",
    "PhoneSide",
    "ProcessDeath",
    "ProcessEnd",
    "ProcessMemory",
    "ProcessTable",
    "RunningProcess",
]

STAGE_MARK: Final = b"ORTLAB stage="

_FIRST_NUMBER: Final = 400
_CHUNK_BYTES: Final = 1 << 16
_LONGEST_LINE_BYTES: Final = 1 << 16
_END_DEADLINE_S: Final = 10.0
_OPENING: Final = "FBSOpenApplicationErrorDomain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDeath:
    """A process that was ended by a crash or by the system.

    Attributes:
        process: That ended.
        kind: Why; None where it crashed by itself.
        signal: That ended it.
        memory: When it was last looked at.
        said: Its last output.
    """

    process: RunningProcess
    kind: CrashKind | None
    signal: int
    memory: ProcessMemory | None
    said: str


class LaunchRefusedError(Exception):
    """The phone does not start an app, with what an `NSError` would hold.

    Args:
        domain: Of the code.
        code: Why.
        description: What could not be done.
        reason: Why, in words.
    """

    def __init__(self, domain: str, code: int, description: str, reason: str) -> None:
        super().__init__(f"{description} {reason}")
        self.domain = domain
        self.code = code
        self.description = description
        self.reason = reason


class PhoneSide(Protocol):
    """What the process table needs of the phone."""

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    @property
    def locked(self) -> bool:
        """Whether the lock screen shows."""
        ...

    def program_of(self, bundle_id: str) -> AppProgram | None:
        """Return what to start for an installed app, or None."""
        ...

    def stage_entered(self, process: RunningProcess, stage: str) -> None:
        """Note that a program entered a stage."""
        ...

    def process_died(self, death: ProcessDeath) -> None:
        """Write what the system says of a process that died."""
        ...

    def say(self, process: str, pid: int, text: str) -> None:
        """Write a line of the system log."""
        ...


class ProcessTable:
    """Starts, watches and ends the processes of one phone; safe to use from several threads.

    Args:
        phone: Whose they are.
        power: That they heat.
    """

    def __init__(self, phone: PhoneSide, power: Power) -> None:
        self._phone = phone
        self._power = power
        self._runs: dict[int, AppRun] = {}
        self._next_number = _FIRST_NUMBER
        self._lock = threading.Lock()
        # Linux ends guarded programs with the thread that started them: this one outlives all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="virtual iPhone launchd")

    def launch(
        self,
        bundle_id: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        on_output: OutputListener | None = None,
        on_exit: ExitListener | None = None,
        kill_existing: bool = True,
        suspended: bool = False,
    ) -> int:
        """Start an app and return the number of its process.

        Args:
            bundle_id: Of an installed app.
            arguments: Of its program.
            environment: Beside what the phone sets.
            on_output: Told what it prints, on a thread of the process.
            on_exit: Told how it ended, on that thread.
            kill_existing: End the app first if it runs. Else an app that runs is not started
                again: its number is returned, and nobody is told of it anew.
            suspended: Whether it waits for :data:`signal.SIGCONT` before its first instruction.

        Raises:
            LaunchRefusedError: It cannot be started.
        """
        app = self._check(bundle_id)
        running = self.pid_of(bundle_id)
        if running is not None:
            if not kill_existing:
                return running
            self._end_and_wait(running)
        command = (*app.command, *arguments)
        faults = self._phone.faults
        run = self._starter.submit(
            self._start,
            app,
            command,
            dict(environment or {}),
            suspended=suspended,
        ).result()
        run.on_output = None if faults.take(OutputLost) else on_output
        run.on_exit = None if faults.take(ExitUnreported) else on_exit
        self._power.program_started()
        self._phone.say("SpringBoard", 63, f"launched {bundle_id} with pid {run.view.pid}")
        threading.Thread(target=self._follow, args=(run,), daemon=True).start()
        return run.view.pid

    def signal(self, pid: int, number: int) -> bool:
        """Send a signal to a process of the phone; return whether it is there."""
        run = self._runs.get(pid)
        if run is None:
            return False
        if number in (signal.SIGKILL, signal.SIGTERM):
            run.ended_by_request = True
        return run.send(number)

    def running(self) -> tuple[RunningProcess, ...]:
        """Return what runs now."""
        with self._lock:
            return tuple(run.view for run in self._runs.values())

    def find(self, pid: int) -> RunningProcess | None:
        """Return a process that runs now, or None."""
        run = self._runs.get(pid)
        return run.view if run else None

    def pid_of(self, bundle_id: str) -> int | None:
        """Return the process of an app, or None."""
        return next((p.pid for p in self.running() if p.app.bundle_id == bundle_id), None)

    def memory(self, pid: int) -> ProcessMemory | None:
        """Return the memory of a process, or None where it does not run."""
        run = self._runs.get(pid)
        return run.look_at_memory() if run else None

    def end(self, bundle_id: str) -> None:
        """End an app as its user does, and wait for its end."""
        pid = self.pid_of(bundle_id)
        if pid is not None:
            self._end_and_wait(pid)

    def stop_all(self) -> None:
        """End every process and wait for each end; nothing can be started after it."""
        for process in self.running():
            self._end_and_wait(process.pid)
        self._starter.shutdown(wait=True)

    # -------------------------------------------------------------------------- inside

    def _check(self, bundle_id: str) -> AppProgram:
        description = f"Request to launch {bundle_id} failed."
        app = self._phone.program_of(bundle_id)
        if app is None:
            reason = (
                f'Application info provider (FBSApplicationLibrary) returned nil for "{bundle_id}"'
            )
            raise LaunchRefusedError(_OPENING, 4, description, reason)
        if self._phone.faults.take(DeviceLocked) or self._phone.locked:
            words = (
                f"Unable to launch {bundle_id} because the device was not, or could not be, "
                "unlocked."
            )
            raise LaunchRefusedError(_OPENING, 7, description, _denied("Locked", words))
        refused = self._phone.faults.take(LaunchRefused)
        if refused is not None:
            reason = _denied(refused.reason, refused.explanation)
            raise LaunchRefusedError(_OPENING, refused.code, description, reason)
        return app

    def _start(
        self,
        app: AppProgram,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        suspended: bool,
    ) -> AppRun:
        (app.container / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"TMPDIR": str(app.container / "tmp"), "CFFIXED_USER_HOME": str(app.container)}
        began_at_s = time.time()
        before = results_of(app.container)
        try:
            process = start_process(
                suspended_at_start(command) if suspended else command,
                directory=app.container,
                output=subprocess.PIPE,
                environment={**own, **environment},
            )
        except OrtlabError as error:
            description = f"Request to launch {app.bundle_id} failed."
            raise LaunchRefusedError(_OPENING, 1, description, error.message) from error
        if suspended:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with self._lock:
            number, self._next_number = self._next_number, self._next_number + 1
            view = RunningProcess(
                pid=number, app=app, started_at_s=began_at_s, host_pid=process.pid
            )
            run = AppRun(view, process, before)
            self._runs[number] = run
        return run

    def _follow(self, run: AppRun) -> None:
        """Pass on what a process prints until it has ended; then tell how."""
        assert run.process.stdout is not None
        reader = threading.Thread(target=self._read, args=(run,), daemon=True)
        reader.start()
        code = run.process.wait()
        run.leave_nothing()  # what it started itself would keep its output open
        reader.join(_END_DEADLINE_S)
        run.process.stdout.close()
        end = self._account(run, code)
        with self._lock:
            self._runs.pop(run.view.pid, None)
        self._power.program_ended()
        run.over.set()
        if run.on_exit is not None:
            with contextlib.suppress(StreamClosedError):
                run.on_exit(run.view.pid, end)

    def _account(self, run: AppRun, code: int) -> ProcessEnd:
        """Return how a process ended; write of it where the system does."""
        view = run.view
        if run.ended_by is None and code >= 0:
            damage_results(view.app.container, run.results_before, self._phone.faults)
            self._phone.say("SpringBoard", 63, f"{view.app.name}[{view.pid}] exited: {code}")
            return ProcessEnd(exit_code=code)
        number = -code
        if run.ended_by is not None:
            number = _SIGNALS[run.ended_by]
            for path in new_results(view.app.container, run.results_before):
                path.unlink(missing_ok=True)  # the program may have been faster than the fault
        self._phone.say("SpringBoard", 63, f"{view.app.name}[{view.pid}] ended: signal {number}")
        if run.ended_by is not None or not run.ended_by_request:
            said = run.said.decode(errors="replace")
            kind = run.ended_by
            if kind is None and number == signal.SIGKILL:
                kind = CrashKind.JETSAM  # the kernel of this machine had no memory left
            self._phone.process_died(
                ProcessDeath(process=view, kind=kind, signal=number, memory=run.memory, said=said)
            )
        return ProcessEnd(signal=number)

    def _read(self, run: AppRun) -> None:
        assert run.process.stdout is not None
        number = run.process.stdout.fileno()
        line = bytearray()
        while True:
            try:
                data = os.read(number, _CHUNK_BYTES)
            except OSError:
                return
            if not data:
                return
            run.keep(data)
            line += data
            *whole, rest = line.split(b"\n")
            line = bytearray(rest[-_LONGEST_LINE_BYTES:])
            for text in whole:
                self._note_line(run, bytes(text))
            if run.on_output is not None:
                try:
                    run.on_output(run.view.pid, data)
                except StreamClosedError:
                    run.on_output = None

    def _note_line(self, run: AppRun, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._phone.say(run.view.app.name, run.view.pid, text)
        if not line.startswith(STAGE_MARK):
            return
        stage = text.removeprefix(STAGE_MARK.decode()).strip()
        faults = self._phone.faults
        dies = None if run.ended_by else faults.take(AppDies, stage=stage)
        if dies is not None:
            run.look_at_memory()
            run.ended_by = dies.crash
            run.send(_SIGNALS[dies.crash])
        elif faults.take(AppHangs, stage=stage):
            run.send(signal.SIGSTOP)
        self._phone.stage_entered(run.view, stage)

    def _end_and_wait(self, pid: int) -> None:
        run = self._runs.get(pid)
        if run is not None:
            run.ended_by_request = True
            run.send(signal.SIGKILL)
            run.over.wait(_END_DEADLINE_S)


_SIGNALS: Final = {
    CrashKind.BAD_ACCESS: signal.SIGSEGV,
    CrashKind.ABORT: signal.SIGABRT,
    CrashKind.JETSAM: signal.SIGKILL,
    CrashKind.THERMAL: signal.SIGKILL,
}


def _denied(reason: str, explanation: str) -> str:
    return (
        "The request was denied by service delegate (SBMainWorkspace) for reason: "
        f'{reason} ("{explanation}").'
    )
