"""The one way to start a program: argument list, total deadline, log; a recorded twin for tests.

A program runs in a process group of its own, so that a deadline ends it with all its children.
Output goes to files, never to pipes, so that a grandchild that keeps a pipe open cannot outlive
the deadline.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ortlab.errors import ToolchainError

logger = logging.getLogger(__name__)

_KEPT_OUTPUT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to start.

    Attributes:
        arguments: The program and its arguments; never joined into a shell line.
        deadline_s: Total time allowed, start to exit.
        working_directory: Where it runs; the caller's if None.
        environment: Variables added to the caller's environment.
        memory_limit_bytes: Limit of the address space, or None.
        file_size_limit_bytes: Limit of any file it writes, or None.
        input_text: What it reads on standard input; nothing if None.
    """

    arguments: tuple[str, ...]
    deadline_s: float
    working_directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    file_size_limit_bytes: int | None = None
    input_text: str | None = None

    def line(self) -> str:
        """Return the command as a person would type it."""
        return shlex.join(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What became of a program.

    Attributes:
        command: What was started.
        exit_code: Its exit code, or None when a signal ended it.
        signal_name: The signal that ended it, such as ``SIGSEGV``, or None.
        timed_out: Whether the deadline ended it.
        stdout: What it printed, at most the last mebibyte.
        stderr: Likewise.
        duration_s: From start to exit.
        peak_rss_bytes: Largest resident set of the program, or None where unknown.
    """

    command: Command
    exit_code: int | None
    signal_name: str | None
    timed_out: bool
    stdout: str
    stderr: str
    duration_s: float
    peak_rss_bytes: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


class Processes(Protocol):
    """Something that runs programs."""

    def run(self, command: Command) -> Completed:
        """Run a program to its end.

        Raises:
            ToolchainError: The program does not exist or may not be executed.
        """
        ...


class SystemProcesses:
    """Runs programs on this machine."""

    def run(self, command: Command) -> Completed:
        """Run a program to its end, or to its deadline; see :class:`Processes`."""
        logger.debug("run: %s", command.line())
        with (
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            tempfile.TemporaryFile() as stdin,
        ):
            if command.input_text is not None:
                stdin.write(command.input_text.encode())
                stdin.seek(0)
            started = time.monotonic()
            try:
                child = subprocess.Popen(
                    command.arguments,
                    cwd=command.working_directory,
                    env={**os.environ, **command.environment},
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                message = f"cannot start {command.arguments[0]}: {error.strerror or error}"
                raise ToolchainError(message, next_step="ortlab doctor") from error
            _limit(child.pid, command)
            try:
                timed_out, status, usage = _wait(child, started + command.deadline_s)
            finally:
                _end_group(child.pid)
            completed = Completed(
                command=command,
                exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                signal_name=_signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None,
                timed_out=timed_out,
                stdout=_tail(stdout.fileno()),
                stderr=_tail(stderr.fileno()),
                duration_s=time.monotonic() - started,
                peak_rss_bytes=usage.ru_maxrss * 1024,
            )
        logger.debug("ended after %.2f s: %s", completed.duration_s, completed.exit_code)
        return completed


@dataclass(slots=True)
class RecordedProcesses:
    """Answers from recorded completions, in order; the twin of :class:`SystemProcesses`.

    Attributes:
        recordings: Pairs of a test on the arguments and the completion to answer with.
        commands: What was asked, in order.
    """

    recordings: Sequence[tuple[Callable[[tuple[str, ...]], bool], Completed]]
    commands: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> Completed:
        """Answer with the first recording whose test accepts the arguments."""
        self.commands.append(command)
        for accepts, completed in self.recordings:
            if accepts(command.arguments):
                return completed
        message = f"cannot start {command.arguments[0]}: nothing was recorded for {command.line()}"
        raise ToolchainError(message)


def _limit(pid: int, command: Command) -> None:
    """Set the limits from outside: a function run between fork and exec is unsafe with threads."""
    if not hasattr(resource, "prlimit"):  # macOS
        return
    with contextlib.suppress(ProcessLookupError):
        if command.memory_limit_bytes is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (command.memory_limit_bytes,) * 2)
        if command.file_size_limit_bytes is not None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (command.file_size_limit_bytes,) * 2)


def _wait(
    child: subprocess.Popen[bytes], deadline: float
) -> tuple[bool, int, resource.struct_rusage]:
    """Wait with a short poll that grows to 20 ms; kill the group at the deadline."""
    pause_s, timed_out = 0.001, False
    while True:
        pid, status, usage = os.wait4(child.pid, 0 if timed_out else os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return timed_out, status, usage
        if time.monotonic() >= deadline:
            timed_out = True
            _end_group(child.pid)
            continue
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
        pause_s = min(pause_s * 1.5, 0.02)


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, _KEPT_OUTPUT_BYTES, max(0, size - _KEPT_OUTPUT_BYTES))
    return data.decode(errors="replace")
