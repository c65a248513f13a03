"""What a phone knows of an app's death, kept beside the block as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.asking import Words
from ortlab.devices.android.crash import (
    Cause,
    ExitInfo,
    cause_of_death,
    of_processes,
    read_exit_infos,
    relevant_log,
    tombstone,
)
from ortlab.devices.android.instrumentation import InstrumentationReport
from ortlab.devices.android.jobs import Job
from ortlab.devices.android.properties import PhoneFacts
from ortlab.devices.android.quoting import Raw
from ortlab.errors import DeviceError, DeviceLostError, DeviceTimeoutError, StorageError

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

LOG_FILE: Final = "logcat.txt"
TOMBSTONE_FILE: Final = "tombstone.txt"
EXIT_INFO_FILE: Final = "exit-info.txt"

_TAG: Final = "ortlab"
_EXIT_INFO_API_LEVEL: Final = 30
_DEADLINE_S: Final = 20.0
_TIME: Final = re.compile(r"\d{4}-(\d\d-\d\d \d\d:\d\d:\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found.

    Attributes:
        log: Lines of the system's log that concern the app.
        crash_text: Tombstone of a native crash, or empty.
        exits: Since the block's start, newest first.
    """

    log: str = ""
    crash_text: str = ""
    exits: tuple[ExitInfo, ...] = ()


def mark(job: Job) -> Words:
    """Return the command that marks a block's beginning in the phone's log.

    The phone tells its time in whole seconds, and within one of them another process of the app
    may have died before.
    """
    return ("log", "-t", _TAG, _mark_text(job))


def _mark_text(job: Job) -> str:
    return f"begin {job.request.block_id}"


def _after_mark(text: str, job: Job) -> str:
    """Return what a log tells after a block's mark; all of it where the mark is missing."""
    wanted = re.compile(rf"\b{_TAG}\s*: {re.escape(_mark_text(job))}\s*$")
    lines = text.splitlines()
    for index in range(len(lines) - 1, -1, -1):
        if wanted.search(lines[index]):
            return "\n".join(lines[index + 1 :])
    return text


def gather(phone: AdbPhone, facts: PhoneFacts, job: Job, started_at: str) -> Evidence:
    """Collect what the phone knows since a block's start and keep it in its directory.

    Args:
        phone: To ask.
        facts: Of the phone.
        job: The block.
        started_at: The phone's time then, such as ``2026-01-31 10:20:30``.

    Raises:
        DeviceLostError: The phone is gone.
        DeviceTimeoutError: It does not answer.
        StorageError: The directory cannot be written.
    """
    buffers = (word for name in ("main", "system", "crash", "events") for word in ("-b", name))
    match = _TIME.fullmatch(started_at)
    since = ("-T", f"{match[1]}.000") if match else ()
    text = _said(phone, "logcat", "-d", "-v", "threadtime", *buffers, *since)
    log = relevant_log(_after_mark(text, job), job.package)
    stone = tombstone(log, job.package)
    exits: tuple[ExitInfo, ...] = ()
    exit_text = ""
    if facts.api_level >= _EXIT_INFO_API_LEVEL:
        exit_text = _said(phone, "dumpsys", "activity", "exit-info", job.package)
        recent = tuple(info for info in read_exit_infos(exit_text) if info.timestamp >= started_at)
        exits = of_processes(recent, log, job.package)
    for name, content in (
        (LOG_FILE, log),
        (TOMBSTONE_FILE, stone),
        (EXIT_INFO_FILE, exit_text if exits else ""),
    ):
        _keep(job, name, content)
    return Evidence(log=log, crash_text=stone or _exception(log), exits=exits)


def judge(report: InstrumentationReport, found: Evidence, package: str) -> Cause:
    """Return why the app ended."""
    return cause_of_death(report, log=found.log, exits=found.exits, package=package)


def _exception(log: str) -> str:
    """Return the lines in which the system tells of a Java exception."""
    lines = (line.partition(" AndroidRuntime: ")[2] for line in log.splitlines())
    return "\n".join(line for line in lines if line)


def _said(phone: AdbPhone, *command: str | Raw) -> str:
    """Return what a command prints; nothing where the phone refuses it."""
    try:
        return phone.shell(*command, deadline_s=_DEADLINE_S).stdout
    except (DeviceLostError, DeviceTimeoutError):
        raise
    except DeviceError:
        return ""


def _keep(job: Job, name: str, content: str) -> None:
    if not content:
        return
    try:
        (job.directory / name).write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot keep the phone's log in {job.directory}: {error.strerror}"
        raise StorageError(message) from error
