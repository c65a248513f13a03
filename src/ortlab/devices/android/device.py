"""A phone as a device: every block is a fresh process of the benchmark app.

One block costs five round trips beside its own work: look and clear, the request, the run, the
answer, clear again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android import evidence
from ortlab.devices.android.apps import PhoneApps, open_apk
from ortlab.devices.android.asking import Words
from ortlab.devices.android.files import PhoneFiles
from ortlab.devices.android.instrumentation import InstrumentationReport
from ortlab.devices.android.jobs import Job, lay_out, make_job, pull_answer, pull_progress
from ortlab.devices.android.preflight import LEAST_FREE_BYTES, findings, warmth_of
from ortlab.devices.android.properties import PhoneFacts, PhoneStatus
from ortlab.devices.android.questions import ask_conditions, ask_facts, ask_status
from ortlab.devices.android.runs import AppRuns, problem_of
from ortlab.devices.android.settings import Settings
from ortlab.devices.answers import BadAnswerError, blames_its_files, last_stage, read_result
from ortlab.devices.journal import Journal
from ortlab.devices.readiness import CoolDown, Limits, check_ready
from ortlab.domain import Arm, BuiltApp, DeviceInfo, DeviceKind
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    OrtlabError,
    UsageError,
)
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    Death,
    DeathKind,
    RuntimeFacts,
    Stage,
)

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

_REQUEST_DEADLINE_S: Final = 30.0
_OPEN_DEADLINE_S: Final = 10.0
_RETURN_DEADLINE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidOptions:
    """What a user may decide about phones.

    Attributes:
        limits: What a phone is held to before each block.
        fixed_performance: Whether to ask for the fixed performance mode (API 30), which holds the
            clock below where it throttles; figures then are not those that users see.
    """

    limits: Limits = field(default_factory=Limits)
    fixed_performance: bool = False


class AndroidDevice:
    """Runs blocks on a phone; see :class:`ortlab.domain.Device`.

    What an earlier process changed on the phone and could not put back is put back first.

    Args:
        phone: Attached and allowed.
        app: Benchmark app; None where every arm brings its own, or only :meth:`deploy` is wanted.
        state_directory: Where it is kept what was changed on the phone.
        say: Told what is sent, waited for, and what could not be put back.
        options: What the user decided.

    Raises:
        DeviceNotReadyError: Another process uses the phone.
        DeviceError: The phone does not answer.
        StorageError: The state directory cannot be written.
    """

    def __init__(
        self,
        phone: AdbPhone,
        app: BuiltApp | None,
        state_directory: Path,
        *,
        say: Callable[[str], None] = lambda _: None,
        options: AndroidOptions | None = None,
    ) -> None:
        self._phone = phone
        self._app = app
        self._say = say
        self._options = options = options or AndroidOptions()
        self._journal = Journal(state_directory, phone.serial)
        try:
            self._settings = Settings(phone, self._journal, say)
            self._settings.restore()
            self._facts = ask_facts(phone)
        except BaseException:
            self._journal.close()
            raise
        self._files = PhoneFiles(phone, say)
        self._apps = PhoneApps(phone, self._facts, self._journal, say)
        self._runs = AppRuns(phone, self._facts.name, self._apps, self._files.describe, say)
        self._cool_down = CoolDown(
            options.limits, read=lambda: ask_status(phone)[0], warmth=warmth_of, say=say
        )
        self._runtimes: dict[str, RuntimeFacts] = {}
        self._opened_apks: dict[str, BuiltApp] = {}
        self._prepared = False
        self._hangs = False

    # -- what it is -----------------------------------------------------------------------------

    @property
    def facts(self) -> PhoneFacts:
        """What the phone says of itself."""
        return self._facts

    @cached_property
    def info(self) -> DeviceInfo:
        """The phone, and the runtime of the benchmark app.

        Raises:
            UsageError: No app was given.
            DeviceError: The phone is not ready, or the app's runtime cannot be started.
        """
        facts = self._facts
        runtime = self._runtime_of(self._own_app())
        return DeviceInfo(
            device_id=facts.serial,
            kind=DeviceKind.ANDROID,
            name=facts.name,
            os_version=facts.system,
            architecture=facts.abis[0] if facts.abis else "unknown",
            cpu=facts.cpu,
            memory_bytes=facts.memory_bytes,
            ort_version=runtime.ort_version,
            available_providers=runtime.available_providers,
            virtual=facts.virtual,
            emulator=facts.emulator,
        )

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:
        """Return ORT version and available providers of the arm's app, as it answers itself.

        Raises:
            DeviceError: The phone is not ready, or the app cannot be installed or started.
        """
        runtime = self._runtime_of(self._app_of(arm))
        return runtime.ort_version, runtime.available_providers

    def conditions(self) -> Conditions:
        """Read the phone's state; what it does not tell is None."""
        return ask_conditions(self._phone)

    # -- blocks ---------------------------------------------------------------------------------

    def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
        """Run one block in a fresh process of the app; see :class:`ortlab.domain.Device`.

        The request, the command that repeats it, and after a crash the system's log stay in
        ``request.output_directory``. A phone that is too warm is waited for.

        Raises:
            DeviceLostError: The phone went away or answers no more.
            DeviceNotReadyError: A person has to do something at it.
            DeviceError: It cannot run this block at all.
            StorageError: The output directory cannot be written.
        """
        app = self._app_of(arm)
        self._make_ready(app)
        library = request.model.custom_op_library
        if library is not None:
            library = self._apps.library_path(app, library)
        job = make_job(request, app.application_id, library, self._files.describe)
        answer = self._carry_out(job, app)
        if blames_its_files(answer) and self._files.verify(job.file_sets):
            self._say(f"note: what {self._facts.name} had kept of the block's files was damaged")
            answer = self._carry_out(job, app)
        return answer

    def deploy(self, app: BuiltApp, *, start: bool) -> None:
        """Install an app, whether it is there already or not, and open it if asked.

        Raises:
            InstallError: The phone refuses it.
            DeviceError: It cannot be opened.
        """
        self._apps.install(app)
        if not start:
            return
        name = app.application_id
        self._settings.wake(ask_status(self._phone)[0])
        done = self._phone.shell(
            *("monkey", "-p", name, "-c", "android.intent.category.LAUNCHER", "1"),
            deadline_s=_OPEN_DEADLINE_S,
        )
        said = (done.stderr + done.stdout).strip().splitlines()
        if done.exit_code != 0 or any("aborted" in line for line in said):
            message = f"cannot open {name} on {self._facts.name}: {said[-1] if said else 'refused'}"
            raise DeviceError(message, next_step="open it on the phone")

    def close(self) -> None:
        """Stop the app, put the phone's settings back, let go of it; safe to call twice.

        What cannot be put back is said, and the next command on this phone tries again.
        """
        if self._journal.closed:
            return
        try:
            if not self._hangs:
                with contextlib.suppress(DeviceError):
                    self._runs.stop_running()
            if self._settings.changed:
                with contextlib.suppress(OrtlabError):  # a cable that was pulled may be back
                    self._phone.wait(deadline_s=_RETURN_DEADLINE_S)
                self._settings.restore()
        finally:
            self._journal.close()

    # -- getting ready --------------------------------------------------------------------------

    def _own_app(self) -> BuiltApp:
        if self._app is None:
            message = f"cannot run blocks on {self._facts.name}: no benchmark app was given"
            step = "ortlab generate … --android DIR && ortlab build DIR, then bench --app DIR"
            raise UsageError(message, next_step=step)
        return self._app

    def _app_of(self, arm: Arm) -> BuiltApp:
        """Return the app that runs an arm.

        Raises:
            UsageError: None was given.
            DeviceError: The arm's own is no APK.
        """
        if arm.runtime is None:
            return self._own_app()
        if arm.runtime not in self._opened_apks:
            self._opened_apks[arm.runtime] = open_apk(Path(arm.runtime))
        return self._opened_apks[arm.runtime]

    def _make_ready(self, app: BuiltApp) -> None:
        if not self._prepared:
            self._settings.prepare(self._facts, fixed_performance=self._options.fixed_performance)
            status = ask_status(self._phone)[0]
            if status.free_bytes is not None and status.free_bytes < LEAST_FREE_BYTES:
                self._files.clean(keep=())
                status = ask_status(self._phone)[0]
            self._check(status, self._say)
            self._files.make_request_directory()
            self._prepared = True
        self._apps.ensure(app)

    def _check(self, status: PhoneStatus, say: Callable[[str], None]) -> PhoneStatus:
        """Wake the phone if needed and hold it to what blocks need."""
        if self._settings.wake(status):
            status = ask_status(self._phone)[0]
        limits = self._options.limits
        found = findings(self._facts, status, limits, needed_bytes=LEAST_FREE_BYTES, woken=True)
        check_ready(found, self._facts.name, say)
        return status

    def _runtime_of(self, app: BuiltApp) -> RuntimeFacts:
        """Ask an app once what it runs with."""
        if app.sha256 not in self._runtimes:
            self._make_ready(app)
            self._runtimes[app.sha256] = self._runs.runtime_of(app)
        return self._runtimes[app.sha256]

    # -- running --------------------------------------------------------------------------------

    def _carry_out(self, job: Job, app: BuiltApp) -> BlockResult | Death:
        self._files.ensure(job.file_sets)
        text = lay_out(job, self._phone.serial)
        stop: Words = ("am", "force-stop", job.package)
        clear: Words = ("rm", "-rf", job.remote_directory)
        before = (stop, clear, evidence.mark(job))
        status, started_at = ask_status(self._phone, before=before)
        status = self._check(status, lambda _: None)
        cooled = self._cool_down.wait(status)
        if cooled is not status:  # minutes may have passed, and the screen gone off
            self._check(cooled, lambda _: None)
        self._phone.push(text, job.remote_request, deadline_s=_REQUEST_DEADLINE_S)
        stages: list[Stage] = []
        try:
            report = self._runs.run(job, app, stages)
        except DeviceTimeoutError:
            return self._hung(job, stages, started_at)
        answer = self._answer(job, report, stages, started_at)
        self._runs.stop(job.package, ("rm", "-rf", job.remote_directory, job.remote_request))
        return answer

    def _answer(
        self, job: Job, report: InstrumentationReport, stages: list[Stage], started_at: str
    ) -> BlockResult | Death:
        block_id = job.request.block_id
        if not report.finished:
            return self._death(job, report, stages, started_at)
        pull_answer(self._phone, job)
        try:
            return read_result(job.directory, block_id)
        except BadAnswerError as error:
            kind, message = error.kind, error.message
        pull_progress(self._phone, job)
        problem = problem_of(report)
        return Death(
            kind=kind,
            message=f"{message}: {problem}" if problem else message,
            last_stage=_last(job, stages),
            output_tail=_tail(report),
        )

    def _death(
        self, job: Job, report: InstrumentationReport, stages: list[Stage], started_at: str
    ) -> Death:
        """Say why the app left no answer; the log stays in the block's directory."""
        pull_progress(self._phone, job)
        found = evidence.gather(self._phone, self._facts, job, started_at)
        cause = evidence.judge(report, found, job.package)
        return Death(
            kind=cause.kind,
            message=cause.message,
            exit_code=cause.exit_code,
            signal_name=cause.signal_name,
            last_stage=_last(job, stages),
            output_tail=_tail(report, found.crash_text),
        )

    def _hung(self, job: Job, stages: list[Stage], started_at: str) -> Death:
        """Stop an app that did not end in time.

        Raises:
            DeviceLostError: It is the phone that does not answer.
        """
        try:
            self._runs.stop(job.package)
            pull_progress(self._phone, job)
            evidence.gather(self._phone, self._facts, job, started_at)
        except DeviceTimeoutError as error:
            self._hangs = True
            message = f"cannot go on with {self._facts.name}: it is connected but answers no more"
            step = "restart the phone, then run the same command to go on"
            raise DeviceLostError(message, next_step=step) from error
        seconds = f"{job.request.deadline_s:g} s"
        return Death(
            kind=DeathKind.DEADLINE,
            message=f"the app did not end within the block's {seconds}",
            last_stage=_last(job, stages),
        )


def _last(job: Job, stages: list[Stage]) -> Stage | None:
    """Return the newest mark: the file's, which is written first, else the status line's."""
    return last_stage(job.directory) or (stages[-1] if stages else None)


_TAIL_CHARACTERS: Final = 4000


def _tail(report: InstrumentationReport, crash_text: str = "") -> str:
    said = [*report.said, report.crash or "", report.results.get("stack", ""), crash_text]
    return "\n".join(part for part in said if part)[-_TAIL_CHARACTERS:]
