"""Starting the benchmark app on a phone: its instrumentation, else its activity."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ortlab import codec
from ortlab.devices.android.activity import run_activity, runtime_by_activity
from ortlab.devices.android.apps import PhoneApps
from ortlab.devices.android.asking import Words, joined
from ortlab.devices.android.instrumentation import InstrumentationReader, InstrumentationReport
from ortlab.devices.android.jobs import INSTRUMENTATION, Job
from ortlab.devices.file_sets import FileSet
from ortlab.domain import BuiltApp
from ortlab.errors import DeviceError, OrtlabError
from ortlab.wire import RuntimeFacts, Stage

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

GRACE_S: Final = 8.0
"""Beyond a block's deadline: an app takes seconds to start on a slow phone."""

_PROBE_DEADLINE_S: Final = 60.0
_STOP_DEADLINE_S: Final = 10.0
_ANSWER_KEY: Final = "ortlab"


class _RefusedError(DeviceError):
    """A phone does not start an app's instrumentation."""


class AppRuns:
    """Starts an app in a fresh process; remembers which of them a phone does not instrument.

    Args:
        phone: To ask.
        name: Of the phone.
        apps: Install the app anew where the phone does not find it.
        describe: Hashes files.
        say: Told when an activity is started instead of an instrumentation.
    """

    def __init__(
        self,
        phone: AdbPhone,
        name: str,
        apps: PhoneApps,
        describe: Callable[..., FileSet],
        say: Callable[[str], None],
    ) -> None:
        self._phone = phone
        self._name = name
        self._apps = apps
        self._describe = describe
        self._say = say
        self._without_instrumentation: set[str] = set()
        self._running: str | None = None

    def run(self, job: Job, app: BuiltApp, stages: list[Stage]) -> InstrumentationReport:
        """Run a job whose request is on the phone, to its end.

        Args:
            job: The block.
            app: That runs it, installed.
            stages: Gets what the app tells on the way.

        Raises:
            DeviceTimeoutError: It does not end.
            DeviceError: The phone does not start it.
        """
        deadline_s = job.request.deadline_s + GRACE_S
        if app.sha256 not in self._without_instrumentation:
            try:
                return self._instrument(job.command(), app, deadline_s=deadline_s, stages=stages)
            except _RefusedError as error:
                self._refused(error, app)
        self._running = app.application_id
        return run_activity(self._phone, job, deadline_s=deadline_s)

    def runtime_of(self, app: BuiltApp) -> RuntimeFacts:
        """Ask an installed app what it runs with.

        Raises:
            DeviceError: It does not answer.
        """
        component = f"{app.application_id}/{INSTRUMENTATION}"
        command = ("am", "instrument", "-w", "-r", "-e", "probe", "true", component)
        try:
            report = self._instrument(command, app, deadline_s=_PROBE_DEADLINE_S)
            return _runtime_facts(report, app, self._name)
        except _RefusedError as error:
            self._refused(error, app)
            return runtime_by_activity(self._phone, app.application_id, self._describe)

    def stop(self, package: str, *then: Words) -> None:
        """Stop an app, and run further commands in the same round trip."""
        stop: Words = ("am", "force-stop", package)
        self._phone.shell(*joined((stop, *then)), deadline_s=_STOP_DEADLINE_S)
        self._running = None

    def stop_running(self) -> None:
        """Stop the app that was started last, unless it was stopped."""
        if self._running is not None:
            self.stop(self._running)

    def _refused(self, error: _RefusedError, app: BuiltApp) -> None:
        self._say(f"note: {error.message}; its activity is started instead")
        self._without_instrumentation.add(app.sha256)

    def _instrument(
        self,
        command: Words,
        app: BuiltApp,
        *,
        deadline_s: float,
        stages: list[Stage] | None = None,
    ) -> InstrumentationReport:
        """Run an instrumentation to its end; install the app anew where it is not found.

        Raises:
            DeviceTimeoutError: It does not end.
            _RefusedError: The phone cannot start it.
        """

        def note(key: str, value: str) -> None:
            with contextlib.suppress(ValueError):
                if key == "stage" and stages is not None:
                    stages.append(Stage(value.strip()))

        refused: str | None = None
        for attempt in range(2):
            reader = InstrumentationReader(note)
            self._running = app.application_id
            done = self._phone.shell(*command, deadline_s=deadline_s, on_output=reader.feed)
            report = _with_words(reader.end(), done.stderr)
            refused = report.start_error
            if refused is None and report.said_nothing and done.exit_code != 0:
                refused = report.said[-1] if report.said else f"exit code {done.exit_code}"
            if refused is None:
                return report
            if attempt == 0:
                self._apps.install(app)
        message = f"cannot start {app.application_id} on {self._name}: {refused}"
        raise _RefusedError(message)


def problem_of(report: InstrumentationReport) -> str:
    """Return why the app could not answer, as far as it tells."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        answer: Any = json.loads(report.results[_ANSWER_KEY])
        return str(answer["problem"] or "")
    return ""


def _with_words(report: InstrumentationReport, stderr: str) -> InstrumentationReport:
    lines = tuple(line for line in stderr.splitlines() if line.strip())
    return replace(report, said=(*report.said, *lines[-50:]))


def _runtime_facts(report: InstrumentationReport, app: BuiltApp, phone: str) -> RuntimeFacts:
    """Read what an app answered about its runtime.

    Raises:
        DeviceError: It did not.
    """
    try:
        answer: Any = json.loads(report.results[_ANSWER_KEY])
        return codec.from_json(RuntimeFacts, json.dumps(answer["runtime"]), source="the runtime")
    except (KeyError, TypeError, ValueError, OrtlabError) as error:
        why = report.crash or report.aborted or (report.said[-1] if report.said else str(error))
        message = f"cannot tell what {app.application_id} on {phone} runs: {why.splitlines()[0]}"
        step = "build the benchmark app again (ortlab build), or look at adb logcat -d"
        raise DeviceError(message, next_step=step) from error
