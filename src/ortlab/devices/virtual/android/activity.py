"""The phone's activity manager: starts the benchmark as a real process and tells how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ortlab.devices.virtual.android.block_requests import AppError, RequestTranslator
from ortlab.devices.virtual.android.faults import AppDies, CrashKind, Damage, Faults, ResultDamaged
from ortlab.devices.virtual.android.filesystem import FileSystem
from ortlab.devices.virtual.android.log import PhoneLog
from ortlab.devices.virtual.android.packages import BENCH_INSTRUMENTATION, InstalledPackage
from ortlab.devices.virtual.power import Power, ThermalStatus, thermal_threshold_c
from ortlab.devices.virtual.programs import BenchmarkProgram, start_program
from ortlab.errors import OrtlabError

_LOOK_PERIOD_S: Final = 0.02
_KEPT_OUTPUT: Final = 16_384
_ILLEGAL_STATE: Final = "java.lang.IllegalStateException"
_RUNTIME: Final = "java.lang.RuntimeException"
_UNSATISFIED_LINK: Final = "java.lang.UnsatisfiedLinkError"
_SYSTEM_PROCESS: Final = 1000
_HEAT_ABOVE_LIMIT_C: Final = 1.0

StatusListener = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentationEnd:
    """How an instrumentation ended.

    Attributes:
        results: Key to value of its result.
        code: -1 when it finished by itself, 0 when its process died.
    """

    results: Mapping[str, str]
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRecord:
    """What the system remembers of a process that ended.

    Attributes:
        application_id: Of its app.
        process: Its number.
        user: Of its app.
        reason: Number and name, as `ApplicationExitInfo` has them.
        status: Exit code or signal.
        description: In words.
        time_s: Seconds since 1970.
    """

    application_id: str
    process: int
    user: int
    reason: tuple[int, str]
    status: int
    description: str
    time_s: float


@dataclass(slots=True)
class _Run:
    """A process of an app."""

    app: InstalledPackage
    process: subprocess.Popen[bytes]
    output: Path
    directory: Path | None
    ended_by: CrashKind | None = None
    stopped: bool = False
    stages: list[str] = field(default_factory=list)


class ActivityManager:
    """Runs apps.

    Args:
        files: The phone's.
        power: That running apps heat.
        log: Of the phone.
        program: The benchmark.
        faults: Those that concern running apps.
        directory: Of this machine, outside the phone's files.
    """

    def __init__(
        self,
        *,
        files: FileSystem,
        power: Power,
        log: PhoneLog,
        program: BenchmarkProgram,
        faults: Faults,
        directory: Path,
    ) -> None:
        self._files = files
        self._power = power
        self._log = log
        self._program = program
        self.faults = faults
        self._directory = directory
        self._requests = RequestTranslator(files, log, directory)
        self._runs: dict[str, _Run] = {}
        self._tasks: set[asyncio.Task[InstrumentationEnd]] = set()
        self.exits: list[ExitRecord] = []
        self.foreground: str | None = None

    # -------------------------------------------------------------------------- processes

    def process_of(self, application_id: str) -> int | None:
        """Return the number of an app's process, the same on this machine, or None."""
        run = self._runs.get(application_id)
        return run.process.pid if run else None

    def processes(self) -> dict[int, str]:
        """Return the processes that run now and their apps."""
        return {run.process.pid: name for name, run in self._runs.items()}

    def stop(self, application_id: str) -> None:
        """End an app's process, as `am force-stop`."""
        run = self._runs.get(application_id)
        if run is not None:
            run.stopped = True
            _end(run.process)

    def stop_all(self) -> None:
        """End every process and wait for each end."""
        for run in list(self._runs.values()):
            run.stopped = True
            _end(run.process)
            run.process.wait()

    # -------------------------------------------------------------------------- instrumentation

    def begin(
        self, app: InstalledPackage, extras: Mapping[str, str], on_status: StatusListener
    ) -> asyncio.Future[InstrumentationEnd]:
        """Run the benchmark instrumentation of an app; it goes on when nobody waits any more.

        Args:
            app: Installed.
            extras: ``request`` with the path of a block request, or ``probe`` with ``true``.
            on_status: Called at each progress mark of the program.
        """

        task = asyncio.get_running_loop().create_task(self._instrument(app, extras, on_status))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return asyncio.shield(task)

    async def _instrument(
        self, app: InstalledPackage, extras: Mapping[str, str], on_status: StatusListener
    ) -> InstrumentationEnd:
        name = app.package.application_id
        if name in self._runs:
            self.stop(name)
            await self._gone(name)
        try:
            if extras.get("probe") == "true":
                return await self._probe(app)
            request_path = extras.get("request", "")
            return await self._run_request(app, request_path, on_status)
        except AppError as error:
            return self._threw(app, _SYSTEM_PROCESS, error.kind, error.text)

    async def _gone(self, name: str) -> None:
        while name in self._runs:
            await asyncio.sleep(_LOOK_PERIOD_S / 4)

    async def _probe(self, app: InstalledPackage) -> InstrumentationEnd:
        with tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            run = self._start(app, "--probe", Path(scratch), None)
            await self._follow(run, None)
            said = run.output.read_text(encoding="utf-8", errors="replace")
            if run.process.returncode != 0:
                return self._died(run, said)
            try:
                facts = json.loads(said.splitlines()[-1])["runtime"]
            except (IndexError, KeyError, TypeError, ValueError):
                raise AppError(_ILLEGAL_STATE, said[-500:]) from None
            return _finished({"runtime": facts})

    async def _run_request(
        self, app: InstalledPackage, request_path: str, on_status: StatusListener
    ) -> InstrumentationEnd:
        request = self._requests.read(request_path)
        with tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            translated, output = self._requests.translate(app, request_path, request)
            path = Path(scratch) / "request.json"
            path.write_text(json.dumps(translated), encoding="utf-8")
            run = self._start(app, str(path), Path(scratch), output)
            await self._follow(run, on_status)
            said = run.output.read_text(encoding="utf-8", errors="replace")[-_KEPT_OUTPUT:]
            if run.ended_by is not None:  # the program may have been faster than our look
                (output / "result.json").unlink(missing_ok=True)
            if run.process.returncode != 0 or run.ended_by is not None:
                return self._died(run, said)
        self._damage(output)
        block = request.get("block_id") or request.get("batch_id")
        answer = {"block_id": block, "result": f"{self._files.phone_path(output)}/result.json"}
        return _finished(answer)

    def _start(
        self, app: InstalledPackage, question: str, scratch: Path, directory: Path | None
    ) -> _Run:
        output = scratch / "output.txt"
        with output.open("wb") as file:
            try:
                process = start_program(
                    self._program,
                    question,
                    directory=scratch,
                    output=file,
                    environment={"ORTLAB_END_WITH_PARENT": "1"},
                )
            except OrtlabError as error:
                raise AppError(_UNSATISFIED_LINK, error.message) from error
        name = app.package.application_id
        run = _Run(app=app, process=process, output=output, directory=directory)
        self._runs[name] = run
        self.foreground = name
        self._power.program_started()
        start = (
            f"Start proc {process.pid}:{name}/u0a{app.user - 10000} for added application {name}"
        )
        self._log.write("I", "ActivityManager", start, buffer="system")
        told = f"virtual phone: the benchmark is the {self._program.language} program"
        self._log.write("I", "ortlab", told, process=process.pid)
        return run

    async def _follow(self, run: _Run, on_status: StatusListener | None) -> None:
        """Tell progress until the process has ended."""
        name = run.app.package.application_id
        try:
            while True:
                ended = run.process.poll() is not None
                for stage in self._new_stages(run):
                    self._strike(run, stage)
                    if on_status is not None and run.ended_by is None:
                        on_status({"stage": stage})
                if ended:
                    return
                await asyncio.sleep(_LOOK_PERIOD_S)
        finally:
            if run.process.poll() is None:
                _end(run.process)
                run.process.wait()
            self._runs.pop(name, None)
            self.foreground = None
            self._power.program_ended()

    def _new_stages(self, run: _Run) -> list[str]:
        if run.directory is None:
            return []
        try:
            text = (run.directory / "progress").read_text(errors="replace")
        except OSError:
            return []
        whole = text.split("\n")[:-1]
        new = whole[len(run.stages) :]
        run.stages += new
        return new

    def _strike(self, run: _Run, stage: str) -> None:
        """Let a fault of the script end the process at this stage."""
        fault = None if run.ended_by else self.faults.take(AppDies, stage=stage)
        if fault is None:
            return
        run.ended_by = fault.crash
        native = fault.crash is CrashKind.NATIVE
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGSEGV if native else signal.SIGKILL)
        if fault.crash is CrashKind.THERMAL:
            limit = thermal_threshold_c(ThermalStatus.CRITICAL)
            self._power.set_state(temperature_c=limit + _HEAT_ABOVE_LIMIT_C)

    def _damage(self, directory: Path) -> None:
        """Let a fault of the script damage the result."""
        path = directory / "result.json"
        fault = self.faults.take(ResultDamaged) if path.exists() else None
        if fault is None:
            return
        content = path.read_bytes()
        if fault.damage is Damage.MISSING:
            path.unlink()
        elif fault.damage is Damage.TRUNCATED:
            path.write_bytes(content[: len(content) // 2])
        else:
            path.write_bytes(bytes(byte ^ 0x55 for byte in content))

    # -------------------------------------------------------------------------- ends

    def _died(self, run: _Run, said: str) -> InstrumentationEnd:
        """Write what the system says of a process that died, and return how it ended."""
        code = run.process.returncode
        pid, name = run.process.pid, run.app.package.application_id
        if run.stopped:
            self._remember(run, (10, "USER_REQUESTED"), 0, "stop by the shell user")
            return InstrumentationEnd(results={"shortMsg": "Process crashed."}, code=0)
        kind = run.ended_by
        if kind is None and code == -signal.SIGKILL:
            kind = CrashKind.OUT_OF_MEMORY  # as the kernel of this machine does
        if kind is CrashKind.OUT_OF_MEMORY:
            text = f"Kill '{name}' ({pid}), uid {run.app.user}, oom_score_adj 0 to free memory"
            self._log.write("I", "lowmemorykiller", text, buffer="system")
            self._remember(run, (3, "LOW_MEMORY"), signal.SIGKILL, "killed by lmkd")
            return self._process_died(run)
        if kind is CrashKind.THERMAL:
            text = f"thermal shutdown: status CRITICAL, killing {name} ({pid})"
            self._log.write("W", "ThermalManagerService", text, buffer="system")
            self._remember(run, (13, "OTHER"), signal.SIGKILL, "thermal")
            return self._process_died(run)
        if kind is CrashKind.JAVA:
            text = "ended by the fault script"
            return self._threw(run.app, pid, _ILLEGAL_STATE, text)
        if code < 0:
            return self._crashed_natively(run, -code, said)
        text = said.strip() or f"the benchmark ended with exit code {code}"
        return self._threw(run.app, pid, _RUNTIME, text)

    def _process_died(self, run: _Run) -> InstrumentationEnd:
        text = f"Process {run.app.package.application_id} (pid {run.process.pid}) has died: fg  TOP"
        self._log.write("I", "ActivityManager", text, buffer="system")
        return InstrumentationEnd(results={"shortMsg": "Process crashed."}, code=0)

    def _threw(
        self, app: InstalledPackage, process: int, kind: str, text: str
    ) -> InstrumentationEnd:
        name = app.package.application_id
        lines = [
            f"FATAL EXCEPTION: Instr: {BENCH_INSTRUMENTATION}",
            f"Process: {name}, PID: {process}",
            f"{kind}: {text}",
            f"\tat {BENCH_INSTRUMENTATION}.onStart(BenchInstrumentation.kt)",
        ]
        log = "\n".join(lines)
        self._log.write("E", "AndroidRuntime", log, process=process, buffer="crash")
        self._append_exit(app, process, (4, "CRASH"), 0, "crash")
        return InstrumentationEnd(results={"shortMsg": kind, "longMsg": f"{kind}: {text}"}, code=0)

    def _crashed_natively(self, run: _Run, number: int, said: str) -> InstrumentationEnd:
        pid, name = run.process.pid, run.app.package.application_id
        signal_name = signal.Signals(number).name
        words = signal.strsignal(number) or signal_name
        head = f"signal {number} ({signal_name}), code 0 (SI_USER), fault addr --------"
        where = f"in tid {pid}, pid {pid} ({name})"
        fatal = f"Fatal signal {number} ({signal_name}), code 0 (SI_USER) {where}"
        tombstone = [
            "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***",
            "Build fingerprint: 'ortlab/virtual/virtual'",
            f"pid: {pid}, tid: {pid}, name: bench  >>> {name} <<<",
            f"uid: {run.app.user}",
            head,
            *(f"    {line}" for line in said.splitlines()[-40:]),
        ]
        self._log.write("F", "libc", fatal, process=pid, buffer="crash")
        self._log.write("F", "DEBUG", "\n".join(tombstone), process=pid, buffer="crash")
        place = self._files.root / "data/tombstones/tombstone_00"
        place.write_text("\n".join(tombstone) + "\n", encoding="utf-8")
        self._remember(run, (5, "CRASH_NATIVE"), number, "crash")
        return InstrumentationEnd(
            results={"shortMsg": "Native crash", "longMsg": f"Native crash: {words}"}, code=0
        )

    def _remember(self, run: _Run, reason: tuple[int, str], status: int, description: str) -> None:
        self._append_exit(run.app, run.process.pid, reason, status, description)

    def _append_exit(
        self,
        app: InstalledPackage,
        process: int,
        reason: tuple[int, str],
        status: int,
        description: str,
    ) -> None:
        record = ExitRecord(
            application_id=app.package.application_id,
            process=process,
            user=app.user,
            reason=reason,
            status=int(status),
            description=description,
            time_s=time.time(),
        )
        self.exits.insert(0, record)


def _finished(answer: Mapping[str, object]) -> InstrumentationEnd:
    return InstrumentationEnd(results={"ortlab": json.dumps(answer)}, code=-1)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
