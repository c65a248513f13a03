"""Blocks where a phone refuses instrumentation: the app's activity, watched from outside.

Every look at the app costs the phone a little, so instrumentation, which tells its end by itself,
comes first.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.asking import Words, answers, questions
from ortlab.devices.android.files import FILES
from ortlab.devices.android.instrumentation import SUCCESS_CODE, InstrumentationReport
from ortlab.devices.android.jobs import ACTIVITY, Job, lay_out, make_job, pull_answer
from ortlab.devices.answers import RESULT, BadAnswerError, read_result
from ortlab.devices.file_sets import FileSet
from ortlab.errors import DeviceError, DeviceTimeoutError
from ortlab.wire import (
    BlockRequest,
    ModelReference,
    ProviderRequest,
    Purpose,
    RuntimeFacts,
    SessionSettings,
)

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

_START_DEADLINE_S: Final = 30.0
_QUESTION_DEADLINE_S: Final = 15.0
_PUSH_DEADLINE_S: Final = 30.0
_PROBE_DEADLINE_S: Final = 60.0
_POLL_S: Final = 1.0
_LOOKS_WITHOUT_PROCESS: Final = 3


def run_activity(phone: AdbPhone, job: Job, *, deadline_s: float) -> InstrumentationReport:
    """Run a block whose request is on the phone, to its end.

    Args:
        phone: To ask.
        job: The block.
        deadline_s: Total time.

    Returns:
        What an instrumentation would have reported.

    Raises:
        DeviceTimeoutError: It does not end.
        DeviceError: The phone does not start it.
    """
    end = time.monotonic() + deadline_s
    component = f"{job.package}/{ACTIVITY}"
    started = phone.shell(
        *("am", "start", "-W", "-S", "-n", component, "--es", "request", job.remote_request),
        deadline_s=_START_DEADLINE_S,
    )
    said = (started.stdout + started.stderr).strip()
    if started.exit_code != 0 or "Error" in said:
        why = said.splitlines()[-1] if said else f"exit code {started.exit_code}"
        message = f"cannot start {component} on {phone.serial}: {why}"
        raise DeviceError(message, next_step=f"adb -s {phone.serial} logcat -d")
    looks: dict[str, Words] = {
        "process": ("pidof", job.package),
        "result": ("ls", f"{job.remote_directory}/{RESULT}"),
    }
    without = 0
    while without < _LOOKS_WITHOUT_PROCESS:
        # The process is looked for first: one that ends in between has left its result.
        done = phone.shell(*questions(looks), deadline_s=_QUESTION_DEADLINE_S)
        found = answers(looks, done.stdout)
        if f"{job.remote_directory}/{RESULT}" in found["result"].splitlines():
            return InstrumentationReport(code=SUCCESS_CODE)
        without = 0 if found["process"].strip() else without + 1
        if time.monotonic() >= end:
            message = f"cannot wait for {job.package}: it did not end within {deadline_s:g} s"
            raise DeviceTimeoutError(message)
        time.sleep(_POLL_S)
    return InstrumentationReport(code=0, results={"shortMsg": "Process crashed."})


def runtime_by_activity(
    phone: AdbPhone, package: str, describe: Callable[..., FileSet]
) -> RuntimeFacts:
    """Return what an app runs with, from its answer to a block without a model.

    Raises:
        DeviceError: It does not answer.
    """
    with tempfile.TemporaryDirectory() as name:
        request = BlockRequest(
            block_id="probe",
            purpose=Purpose.COLD_START,
            model=ModelReference(path=f"{FILES}/none", sha256="0" * 64),
            session=SessionSettings(),
            providers=(ProviderRequest(name="CPUExecutionProvider"),),
            inputs=(),
            output_directory=name,
        )
        job = make_job(request, package, None, describe)
        phone.push(lay_out(job, phone.serial), job.remote_request, deadline_s=_PUSH_DEADLINE_S)
        run_activity(phone, job, deadline_s=_PROBE_DEADLINE_S)
        pull_answer(phone, job)
        try:
            runtime = read_result(Path(name), request.block_id).runtime
        except BadAnswerError as error:
            message = f"cannot tell what {package} on {phone.serial} runs: {error.message}"
            raise DeviceError(message, next_step="look at adb logcat -d") from error
    if runtime is None:
        message = f"cannot tell what {package} on {phone.serial} runs: its runtime did not start"
        raise DeviceError(message, next_step="look at adb logcat -d")
    return runtime
