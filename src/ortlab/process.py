"""The one way to start a program: argument list, total deadline, log; a recorded twin for tests.

A program runs in a session and process group of its own, so that its end, a deadline or Ctrl-C
ends it with all its children; only a child that makes itself a session of its own (a daemon, such
as adb's server) stays. Output goes to files, never to pipes, so that a grandchild that keeps a
pipe open cannot outlive the deadline.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ortlab.errors import StorageError, ToolchainError

logger = logging.getLogger(__name__)

_KEPT_OUTPUT_BYTES = 1 << 20
_SPILLED_OUTPUT_BYTES = 64 << 20
_SPILL_PERIOD_S = 0.1


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
        output_path: File that receives all it prints, in order, and that is kept; what it held is
            gone. ``Completed.stdout`` then holds both streams.
    """

    arguments: tuple[str, ...]
    deadline_s: float
    working_directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    file_size_limit_bytes: int | None = None
    input_text: str | None = None
    output_path: Path | None = None

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
        stdout: What it printed, at most the last mebibyte; what is no UTF-8 is replaced.
        stderr: Likewise.
        duration_s: From start to exit.
        peak_rss_bytes: Largest resident set of the program, or None where unknown. An upper
            bound: Linux counts the starter's own, at that moment, as the program's.
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
            ToolchainError: The program does not exist, may not be executed, or cannot be given
                these arguments.
            StorageError: There is no room for what it reads and prints.
        """
        ...


class SystemProcesses:
    """Runs programs on this machine."""

    def run(self, command: Command, *, on_start: Callable[[], object] = lambda: None) -> Completed:
        """Run a program to its end, or to its deadline; see :class:`Processes`.

        Args:
            command: What to start.
            on_start: Called as soon as it runs.
        """
        logger.debug("run: %s", command.line())
        with contextlib.ExitStack() as files:
            stdin = _temporary_file(files, (command.input_text or "").encode())
            stdout, stderr = _output_files(files, command.output_path)
            started = time.monotonic()
            child = _start(command, stdin, stdout, stderr)
            try:
                on_start()
                _limit(child.pid, command)  # no harm where it was started with them
                ended = _wait(child, started + command.deadline_s, {stdout, stderr})
            finally:
                _end_group(child.pid)
                child.wait()
            completed = Completed(
                command=command,
                exit_code=child.returncode if child.returncode >= 0 else None,
                signal_name=_signal_name(-child.returncode) if child.returncode < 0 else None,
                timed_out=ended.timed_out,
                stdout=_tail(stdout),
                stderr=_tail(stderr) if stderr != stdout else "",
                duration_s=time.monotonic() - started,
                peak_rss_bytes=ended.peak_rss_bytes,
            )
        end = completed.signal_name or f"exit code {completed.exit_code}"
        logger.debug("ended after %.2f s: %s", completed.duration_s, end)
        return completed


@dataclass(slots=True)
class RecordedProcesses:
    """Answers from recorded completions; the twin of :class:`SystemProcesses`.

    Attributes:
        recordings: Pairs of a test on the arguments and the completion to answer with; the first
            whose test accepts answers, as often as it is asked. A program that no recording
            knows does not exist.
        commands: What was asked, in order.
    """

    recordings: Sequence[tuple[Callable[[tuple[str, ...]], bool], Completed]]
    commands: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> Completed:
        """Answer with the first recording whose test accepts the arguments."""
        self.commands.append(command)
        for accepts, completed in self.recordings:
            if accepts(command.arguments):
                if command.output_path is not None:
                    command.output_path.write_text(completed.stdout + completed.stderr)
                return replace(completed, command=command)
        message = f"cannot start {command.arguments[0]}: nothing was recorded for {command.line()}"
        raise ToolchainError(message)


def _temporary_file(files: contextlib.ExitStack, content: bytes = b"") -> int:
    """Return the descriptor of a nameless file that holds ``content``, read from its start."""
    try:
        file = files.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        file.seek(0)
    except OSError as error:
        message = f"cannot write a temporary file: {error.strerror or error}"
        raise StorageError(message, next_step="make room, or set TMPDIR") from error
    return file.fileno()


def _output_files(files: contextlib.ExitStack, path: Path | None) -> tuple[int, int]:
    """Return the descriptors that standard output and standard error go to."""
    if path is None:
        return _temporary_file(files), _temporary_file(files)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        both = files.enter_context(path.open("w+b", buffering=0)).fileno()
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(message) from error
    return both, both


def _start(command: Command, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    program = command.arguments[0]
    try:
        return subprocess.Popen(
            _limited(command),
            cwd=command.working_directory,
            env={**os.environ, **command.environment},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except ValueError as error:  # a NUL, or text that no file name can carry
        message = f"cannot start {program}: it cannot be given {command.line()!r} ({error})"
        raise ToolchainError(message) from error
    except OSError as error:
        directory = command.working_directory
        if directory is not None and not directory.is_dir():
            message = f"cannot start {program} in {directory}: there is no such directory"
            raise ToolchainError(message) from error
        message = f"cannot start {program}: {error.strerror or error}"
        raise ToolchainError(message, next_step="ortlab doctor") from error


def _limits(command: Command) -> dict[str, int]:
    """Return the limits as the `prlimit` program names them; a stricter one of ours stays."""
    wanted = {
        "as": (resource.RLIMIT_AS, command.memory_limit_bytes),
        "fsize": (resource.RLIMIT_FSIZE, command.file_size_limit_bytes),
    }
    limits = {}
    for name, (kind, limit) in wanted.items():
        _, ours = resource.getrlimit(kind)
        if limit is not None and (ours == resource.RLIM_INFINITY or limit < ours):
            limits[name] = limit
    return limits


def _limited(command: Command) -> tuple[str, ...]:
    """Return what to start so that the limits hold from the program's first moment.

    A function run between fork and exec is unsafe with threads, and limits set from outside come
    late on a busy machine; `prlimit` of util-linux sets its own and becomes the program.
    """
    limits = _limits(command)
    tool = shutil.which("prlimit") if limits else None
    if tool is None or shutil.which(command.arguments[0]) is None:
        return command.arguments
    return (tool, *(f"--{name}={size}:{size}" for name, size in limits.items()), *command.arguments)


def _limit(pid: int, command: Command) -> None:
    """Set the limits from outside, where there is no `prlimit` program."""
    if not hasattr(resource, "prlimit"):  # macOS
        return
    kinds = {"as": resource.RLIMIT_AS, "fsize": resource.RLIMIT_FSIZE}
    with contextlib.suppress(ProcessLookupError):
        for name, limit in _limits(command).items():
            resource.prlimit(pid, kinds[name], (limit, limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    timed_out: bool
    peak_rss_bytes: int | None


def _wait(child: subprocess.Popen[bytes], deadline: float, output: set[int]) -> _Ended:
    """Wait for the end and kill the group at the deadline; look after the output meanwhile."""
    timed_out = False
    with _Sleeper(child.pid) as sleeper:
        while True:
            pid, status, usage = os.wait4(child.pid, 0 if timed_out else os.WNOHANG)
            if pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                unit = 1 if sys.platform == "darwin" else 1024
                return _Ended(timed_out=timed_out, peak_rss_bytes=usage.ru_maxrss * unit)
            if time.monotonic() >= deadline:
                timed_out = True
                _end_group(child.pid)
                continue
            for descriptor in output:
                _spill(descriptor)
            sleeper.sleep(max(0.0, deadline - time.monotonic()))


class _Sleeper:
    """Sleeps until a child ends or a moment has passed.

    Linux tells the end through a descriptor; elsewhere it is a poll that grows to 20 ms.
    """

    def __init__(self, pid: int) -> None:
        self._pause_s = 0.001
        self._descriptor = -1
        with contextlib.suppress(AttributeError, OSError):  # macOS, Linux before 5.3
            self._descriptor = os.pidfd_open(pid)
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLIN)

    def __enter__(self) -> _Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def sleep(self, longest_s: float) -> None:
        if self._descriptor >= 0:
            self._poll.poll(1000 * min(_SPILL_PERIOD_S, longest_s))
            return
        time.sleep(min(self._pause_s, longest_s))
        self._pause_s = min(self._pause_s * 1.5, 0.02)


def _spill(descriptor: int) -> None:
    """Give back the disk behind all but the tail of an output that grew large.

    The program writes on at its own offset, so what is cut off becomes a hole.
    """
    state = os.fstat(descriptor)
    if state.st_blocks * 512 < _SPILLED_OUTPUT_BYTES:
        return
    tail_start = state.st_size - _KEPT_OUTPUT_BYTES
    tail = os.pread(descriptor, _KEPT_OUTPUT_BYTES, tail_start)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, tail, tail_start)


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
