"""One program of a build: its output kept and told line by line, its failure explained."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ortlab.build.failures import BuildFailure
from ortlab.errors import ToolchainError
from ortlab.process import Command, Processes

_FOLLOW_PERIOD_S: Final = 0.2
_LARGEST_LOG_BYTES: Final = 1 << 20


def run_step(
    command: Command,
    *,
    what: str,
    tell: Callable[[str], None],
    explain: Callable[[str], BuildFailure],
    processes: Processes,
) -> None:
    """Run a program to its end.

    Args:
        command: With a file for its output.
        what: What cannot be done if it fails, such as ``cannot build bench of reader``.
        tell: Told each line while it runs; called from a thread of its own.
        explain: Says why it failed, from all that it printed.
        processes: How programs are started.

    Raises:
        ToolchainError: It failed or was not done in time; the log is named.
        StorageError: The log cannot be written.
    """
    log = command.output_path
    assert log is not None
    with _following(log, tell):
        completed = processes.run(command)
    if completed.timed_out:
        message = f"{what}: it was not done after {command.deadline_s:.0f} s"
        step = "build again with a longer --deadline-s; what was fetched is kept"
        raise ToolchainError(message, next_step=step, log_path=log)
    if not completed.succeeded:
        failure = explain(_end_of(log))
        step = failure.next_step or "look at the log"
        message = f"{what}: {failure.cause}"
        raise ToolchainError(message, next_step=step, log_path=log)


@contextlib.contextmanager
def _following(log: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Tell each line of a file that grows, while something else is done."""
    log.unlink(missing_ok=True)
    done = threading.Event()
    follower = threading.Thread(target=_follow, args=(log, tell, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _follow(log: Path, tell: Callable[[str], None], done: threading.Event) -> None:
    at, rest = 0, b""
    while True:
        last = done.wait(_FOLLOW_PERIOD_S)
        with contextlib.suppress(OSError), log.open("rb") as file:
            file.seek(at)
            data = file.read()
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                tell(line.decode(errors="replace").rstrip("\r"))
        if last:
            return


def _end_of(log: Path) -> str:
    """Return the end of the log, where failures stand."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LARGEST_LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
