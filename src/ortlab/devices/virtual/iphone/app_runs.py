"""One process of an app, and what is known of it while it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.devices.virtual.iphone.faults import CrashKind
from ortlab.devices.virtual.iphone.memory import ProcessMemory, memory_of_group
from ortlab.devices.virtual.iphone.results import Marks

_KEPT_OUTPUT_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AppProgram:
    """What is started for an app.

    Attributes:
        bundle_id: Of the app.
        name: Of its program, as the system calls the process.
        command: Program and first arguments on this machine.
        container: The app's home on this machine.
        version: Of the app, as people see it.
    """

    bundle_id: str
    name: str
    command: tuple[str, ...]
    container: Path
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended: one of the two is None.

    Attributes:
        exit_code: That it returned.
        signal: That ended it, a number as on Linux and iOS alike for those used here.
    """

    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """A process that runs now.

    Attributes:
        pid: On the phone.
        app: It runs.
        started_at_s: Seconds since 1970.
        host_pid: On this machine.
    """

    pid: int
    app: AppProgram
    started_at_s: float
    host_pid: int


OutputListener = Callable[[int, bytes], None]
"""Told the process and what it printed, in order and as it came; not cut at lines or characters."""

ExitListener = Callable[[int, ProcessEnd], None]
"""Told the process and its end, once, after all output."""


class AppRun:
    """A process and what is known of it.

    Args:
        view: What others may know.
        process: Of this machine, leader of a group of its own.
        results_before: In its container when it was started.
    """

    def __init__(
        self, view: RunningProcess, process: subprocess.Popen[bytes], results_before: Marks
    ) -> None:
        self.view = view
        self.process = process
        self.results_before = results_before
        self.on_output: OutputListener | None = None
        self.on_exit: ExitListener | None = None
        self.ended_by: CrashKind | None = None
        self.ended_by_request = False
        self.memory: ProcessMemory | None = None
        self.said = b""
        self.over = threading.Event()

    def send(self, number: int) -> bool:
        """Send a signal to the process and those that it started; return whether it is there."""
        if self.process.poll() is not None:
            return False
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, OSError):
            return False
        return True

    def leave_nothing(self) -> None:
        """End what the process started and left behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def keep(self, data: bytes) -> None:
        """Keep the last of what it prints."""
        self.said = (self.said + data)[-_KEPT_OUTPUT_BYTES:]

    def look_at_memory(self) -> ProcessMemory | None:
        """Return its memory now, or what it was when it was last looked at."""
        self.memory = memory_of_group(self.process.pid) or self.memory
        return self.memory
