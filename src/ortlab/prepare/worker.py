"""Prepare one model: ``python -m ortlab.prepare.worker JOB.json``, in a process of its own.

ORT and onnx see the user's file only here, so a crash or a hang of theirs is an error message of
the driver's. What the worker can tell itself it writes to `failure.json`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from ortlab.errors import ModelError, OrtlabError
from ortlab.prepare.job import (
    PID_FILE,
    Job,
    read_job,
    read_marks,
    running_steps,
    write_failure,
    write_mark,
)
from ortlab.prepare.memory import limit_memory
from ortlab.prepare.reader import Reader
from ortlab.prepare.source import one_line
from ortlab.prepare.staging import storage_error
from ortlab.prepare.warm import WAIT_S, is_gone

EXIT_FAILED = 1

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.002
_COLLECT_EVERY = 100_000


def main(arguments: list[str]) -> int:
    """Run one job; return the exit code of the process."""
    (path,) = arguments
    gc.set_threshold(_COLLECT_EVERY)  # parsing makes many objects and no cycles
    parent = os.getppid()
    _die_with_parent()
    limit_memory(None)
    _load_tools()
    reader = _fork_reader()
    job = _receive(Path(path), parent)
    if job is None:
        return 0
    (job.directory / PID_FILE).write_text(str(os.getpid()), encoding="ascii")
    limit_memory(job.options.memory_limit_bytes)
    _end_after(job.options.deadline_s)
    try:
        _prepare(job, reader)
    except OrtlabError as error:
        write_failure(job.directory, error)
        return EXIT_FAILED
    return 0


def _receive(path: Path, parent: int) -> Job | None:
    """Return the job; one that is still to come is waited for."""
    if not path.exists():
        _end_after(WAIT_S)
        while not path.exists():
            if is_gone(parent):
                return None
            time.sleep(_POLL_S)
    job = read_job(path)
    os.chdir(job.directory)
    os.environ["TMPDIR"] = tempfile.tempdir = str(job.directory)
    return job


def _load_tools() -> None:
    import onnx
    import onnxruntime

    from ortlab.prepare import describe, steps

    assert all((onnx, onnxruntime, describe, steps))


def _fork_reader() -> Reader | None:
    """Fork the reader now, while this is the only thread; without it all works, only slower."""
    if sys.platform != "linux" or len(list(Path("/proc/self/task").iterdir())) != 1:
        return None
    try:
        return Reader(_die_with_parent)
    except OSError:
        return None


def _end_after(seconds: float) -> None:
    """Have the system end this process, also when it is deep in native code."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _prepare(job: Job, reader: Reader | None) -> None:
    from ortlab.prepare.steps import prepare_one

    try:
        prepare_one(job, lambda mark: write_mark(job.directory, mark), reader)
    except MemoryError as error:
        message = f"cannot prepare {job.model}: {_step(job)}: there is not enough memory"
        raise ModelError(message, next_step="use a machine with more memory") from error
    except OSError as error:
        raise storage_error(error, f"cannot prepare {job.model}: {_step(job)}") from error
    except RecursionError as error:
        message = f"cannot prepare {job.model}: {_step(job)}: its graphs are nested too deep"
        raise ModelError(message) from error
    except OrtlabError as error:
        if str(job.model) not in error.message:
            error.message = f"cannot prepare {job.model}: {error.message}"
        raise
    except Exception as error:
        # A broken file can make onnx, numpy and our own code stumble in any way.
        said = f"{type(error).__name__}: {one_line(str(error))}"
        message = f"cannot prepare {job.model}: {_step(job)} failed: {said}"
        if os.environ.get("ORTLAB_DEBUG"):
            raise
        raise ModelError(message, next_step=f"ortlab inspect {job.model}") from error


def _step(job: Job) -> str:
    return f"step {running_steps(read_marks(job.directory))}"


def _die_with_parent() -> None:
    """Ask Linux to end this process with the driver; elsewhere it runs to its deadline."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is in files; tearing ORT down would take as long as a conversion
