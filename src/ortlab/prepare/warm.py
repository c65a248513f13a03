"""A worker that loads its tools while the command line is still being read.

Loading numpy, onnx and onnxruntime takes as long as converting a small model. `start` is called
first thing by the command line; the first model that `prepare_models` takes up then finds a worker
that only waits for its job. It ends by itself when no job comes or this process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortlab.process import Completed

WORKER_ENVIRONMENT: Mapping[str, str] = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc: keep what a session frees for the next one, in whichever thread it runs; giving it
    # back to the system costs half the time of a conversion.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
}
WAIT_S = 60.0

_LONGEST_JOB_S = 7 * 86400.0  # the worker ends itself at its job's own deadline
_JOB = "job.json"

_waiting: list[WarmWorker] = []


class WarmWorker:
    """One worker that waits for a job file to appear."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ortlab-warm-"))
        self._completed: Completed | None = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()  # our own imports would hold it up

    def _run(self) -> None:
        from ortlab.process import Command, SystemProcesses

        try:
            self._completed = SystemProcesses().run(
                Command(
                    arguments=worker_arguments(self._directory / _JOB),
                    deadline_s=_LONGEST_JOB_S,
                    working_directory=self._directory,
                    environment=WORKER_ENVIRONMENT,
                ),
                on_start=self._started.set,
            )
        except Exception as error:  # raised again where somebody waits for it
            self._error = error
        finally:
            self._started.set()

    def run(self, job: Path) -> Completed:
        """Hand a job file over and wait for the worker's end.

        Raises:
            OrtlabError: The worker could not be started.
            OSError: The job cannot be handed over.
        """
        try:
            staged = self._directory / "job.part"
            shutil.copyfile(job, staged)
            staged.rename(self._directory / _JOB)
            self._thread.join()
        finally:
            self.forget()
        if self._error is not None:
            raise self._error
        assert self._completed is not None
        return self._completed

    @property
    def alive(self) -> bool:
        """Whether it still waits."""
        return self._thread.is_alive()

    def forget(self) -> None:
        """Remove the directory it waits at."""
        shutil.rmtree(self._directory, ignore_errors=True)


def worker_arguments(job: Path) -> tuple[str, ...]:
    """Return how a worker is started: ``-P`` keeps the user's directory out of its imports."""
    return (sys.executable, "-P", "-m", "ortlab.prepare.worker", str(job))


def start_for(arguments: Sequence[str]) -> None:
    """Start a worker if a command line is one that will need it.

    Args:
        arguments: Without the program's name. Where the output directory is there already, the
            model is likely to be found unchanged.
    """
    if list(arguments[:1]) != ["prepare"] or {"-h", "--help"} & set(arguments):
        return
    named = [b for a, b in pairwise(arguments) if a in ("-o", "--output")]
    named += [a.partition("=")[2] for a in arguments if a.startswith("--output=")]
    if not Path([*named, "prepared"][0]).exists():
        start()


def start() -> None:
    """Start a worker for the first model to come; without effect where that fails."""
    with contextlib.suppress(OSError):
        worker = WarmWorker()
        _waiting.append(worker)
        atexit.register(worker.forget)


def take() -> WarmWorker | None:
    """Return the worker that waits, once; None when there is none."""
    while _waiting:
        worker = _waiting.pop()
        if worker.alive:
            return worker
        worker.forget()
    return None


def is_gone(parent: int) -> bool:
    """Whether the process that started this one has ended."""
    return os.getppid() != parent
