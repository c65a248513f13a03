"""What the driver hands to the worker, and what the worker answers; JSON files, no pydantic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ortlab.errors import (
    ModelError,
    OrtlabError,
    StorageError,
    ToolchainError,
    UsageError,
)
from ortlab.prepare.options import PrepareOptions, options_from_plain

JOB_FILE = "job.json"
FAILURE_FILE = "failure.json"
PROGRESS_FILE = "progress"
PID_FILE = "pid"
RESULT_DIRECTORY = "result"
WORK_DIRECTORY = "work"

_FAMILIES: dict[str, type[OrtlabError]] = {
    kind.__name__: kind for kind in (ModelError, UsageError, StorageError, ToolchainError)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One model to prepare.

    Attributes:
        model: The user's file, absolute.
        name: Of the prepared model.
        directory: Staging directory: the worker writes below `result` and `work`.
        destination: Where `result` will finally stand.
        options: What to make.
    """

    model: Path
    name: str
    directory: Path
    destination: Path
    options: PrepareOptions

    @property
    def result(self) -> Path:
        """Directory that becomes the prepared one."""
        return self.directory / RESULT_DIRECTORY

    @property
    def work(self) -> Path:
        """Directory of temporary files."""
        return self.directory / WORK_DIRECTORY


def write_job(job: Job) -> Path:
    """Write `job.json` into the staging directory and return its path."""
    plain = {
        "model": str(job.model),
        "name": job.name,
        "directory": str(job.directory),
        "destination": str(job.destination),
        "options": job.options.to_plain(),
    }
    path = job.directory / JOB_FILE
    path.write_text(json.dumps(plain), encoding="utf-8")
    return path


def read_job(path: Path) -> Job:
    """Read what :func:`write_job` wrote."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return Job(
        model=Path(plain["model"]),
        name=plain["name"],
        directory=Path(plain["directory"]),
        destination=Path(plain["destination"]),
        options=options_from_plain(plain["options"]),
    )


def write_failure(directory: Path, error: OrtlabError) -> None:
    """Write an error for the driver to raise; its family is kept."""
    plain = {
        "family": type(error).__name__,
        "message": error.message,
        "next_step": error.next_step,
    }
    (directory / FAILURE_FILE).write_text(json.dumps(plain), encoding="utf-8")


def read_failure(directory: Path) -> OrtlabError | None:
    """Return the error that the worker wrote, or None when it wrote none that can be read."""
    try:
        plain = json.loads((directory / FAILURE_FILE).read_text(encoding="utf-8"))
        return _FAMILIES[plain["family"]](plain["message"], next_step=plain["next_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line of the progress file.

    Attributes:
        fraction: 0 to 1.
        step: That begins or ends.
        ended: Whether it ends.
    """

    fraction: float
    step: str
    ended: bool = False


def write_mark(directory: Path, mark: Mark) -> None:
    """Append a progress mark."""
    with (directory / PROGRESS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps([round(mark.fraction, 3), mark.step, mark.ended]) + "\n")


def read_marks(directory: Path) -> tuple[Mark, ...]:
    """Return the whole marks written so far."""
    try:
        text = (directory / PROGRESS_FILE).read_text(encoding="utf-8")
    except OSError:
        return ()
    lines = text.split("\n")[:-1]
    return tuple(_parsed(line) for line in lines)


def _parsed(line: str) -> Mark:
    fraction, step, ended = json.loads(line)
    return Mark(fraction=fraction, step=step, ended=ended)


def running_steps(marks: Sequence[Mark]) -> str:
    """Return in words the steps that began and did not end: what a dead worker was doing."""
    running: list[str] = []
    for mark in marks:
        if mark.ended and mark.step in running:
            running.remove(mark.step)
        elif not mark.ended:
            running.append(mark.step)
    return " and ".join(f"'{step}'" for step in running) or "'start'"


def worker_pid(directory: Path) -> int | None:
    """Return the process id that the worker of a staging directory wrote, if it did yet."""
    try:
        return int((directory / PID_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
