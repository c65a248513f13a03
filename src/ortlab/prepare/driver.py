"""Prepare models: one worker process for each, a few at once, and a summary.

Light until a worker runs: it is compared with ORT's own converter, whole process against whole
process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from ortlab.domain import PreparedModel
from ortlab.errors import ModelError, OrtlabError, StorageError, ToolchainError, UsageError
from ortlab.prepare.cache import is_unchanged
from ortlab.prepare.job import (
    Job,
    Mark,
    read_failure,
    read_marks,
    running_steps,
    worker_pid,
    write_job,
)
from ortlab.prepare.manifest import read_manifest, warm_codec
from ortlab.prepare.options import (
    ModelResult,
    PrepareOptions,
    PrepareProgress,
    PrepareSummary,
)
from ortlab.prepare.staging import (
    check_destination,
    publish,
    staged,
    storage_error,
    unique_names,
)
from ortlab.prepare.warm import WORKER_ENVIRONMENT, take, worker_arguments
from ortlab.process import Command, Completed, Processes, SystemProcesses

Progress = Callable[[PrepareProgress], None]

_POLL_S = 0.05
_OPTIMIZED_SUFFIX = ".optimized.onnx"
_DISK_REFUSED = ("No space left on device", "Disk quota exceeded", "File too large")
_OUT_OF_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")


def prepare_models(
    models: Sequence[Path],
    output: Path,
    options: PrepareOptions,
    *,
    jobs: int = 2,
    stop_on_failure: bool = False,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> PrepareSummary:
    """Prepare models, each into a directory of its name below ``output``.

    A preparation that would come out the same is found and kept. One bad model does not stop the
    others.

    Args:
        models: `.onnx` files, or directories that are searched for them.
        output: Directory of the prepared models.
        options: What to make.
        jobs: Models at once.
        stop_on_failure: Start no further model after the first that failed.
        progress: Told where each model stands, in the calling thread.
        processes: Runs the workers.

    Returns:
        What became of each model, in order; errors are in it and not raised.

    Raises:
        UsageError: There is no model, or ``jobs`` is below 1.
        StorageError: A directory of models cannot be read.
    """
    if jobs < 1:
        message = f"cannot prepare {jobs} models at once: give at least 1"
        raise UsageError(message)
    sources = find_models(models, output)
    names = unique_names(sources)
    tasks = [
        _Task(source=source, name=name, output=output, options=options)
        for source, name in zip(sources, names, strict=True)
    ]
    batch = _Batch(
        tasks=tasks,
        processes=processes or SystemProcesses(),
        progress=progress or (lambda _: None),
        stop_on_failure=stop_on_failure,
    )
    return PrepareSummary(results=batch.run(jobs))


def find_models(models: Sequence[Path], output: Path) -> tuple[Path, ...]:
    """Return the model files that paths mean: files as they are, directories searched.

    As ORT's converter does, every `.onnx` below a directory counts but `*.optimized.onnx`;
    prepared directories, hidden ones and ``output`` are left out.

    Raises:
        UsageError: Nothing is given, or a directory holds no model.
    """
    found: list[Path] = []
    for path in models:
        if path.is_dir():
            inside = list(_search(path, output.absolute()))
            if not inside:
                message = f"cannot prepare {path}: there is no .onnx file in it"
                raise UsageError(message)
            found += inside
        else:
            found.append(path)
    if not found:
        message = "cannot prepare nothing: name at least one .onnx file"
        raise UsageError(message)
    unique = {path.absolute(): path for path in reversed(found)}
    return tuple(path for path in dict.fromkeys(found) if unique[path.absolute()] is path)


def _search(directory: Path, output: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(directory):
        here = Path(root)
        kept = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (here / name).absolute() != output
            and not (here / name / "manifest.json").is_file()
        )
        folders[:] = kept
        for name in sorted(files):
            lower = name.lower()
            if lower.endswith(".onnx") and not lower.endswith(_OPTIMIZED_SUFFIX):
                yield here / name


@dataclass(slots=True)
class _Task:
    """One model on its way; ``staging`` is known while its worker runs."""

    source: Path
    name: str
    output: Path
    options: PrepareOptions
    staging: Path | None = None
    marks_seen: int = 0

    @property
    def destination(self) -> Path:
        return self.output / self.name


@dataclass(slots=True)
class _Batch:
    """All models of one call, and the threads that wait for their workers."""

    tasks: Sequence[_Task]
    processes: Processes
    progress: Progress
    stop_on_failure: bool
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, jobs: int) -> tuple[ModelResult, ...]:
        with ThreadPoolExecutor(max_workers=min(jobs, len(self.tasks))) as pool:
            futures = {pool.submit(self._one, task): task for task in self.tasks}
            try:
                self._follow(futures)
            except BaseException:
                self.stopped.set()
                self._end_workers()
                raise
        return tuple(future.result() for future in futures)

    def _follow(self, futures: dict[Future[ModelResult], _Task]) -> None:
        """Pass progress on until all are done."""
        pending = set(futures)
        warmed = False
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            for future in pending:
                self._tell_marks(futures[future])
            for future in done:
                self._tell_end(future.result())
            if not warmed and any(task.staging for task in self.tasks):
                warm_codec()  # while the worker works, not after it
                warmed = True

    def _tell_marks(self, task: _Task) -> None:
        if task.staging is None:
            return
        marks = read_marks(task.staging)
        for mark in marks[task.marks_seen :]:
            if mark.ended:
                continue
            self.progress(
                PrepareProgress(
                    model=task.name, step=mark.step, fraction=mark.fraction, message=mark.step
                )
            )
        task.marks_seen = len(marks)

    def _tell_end(self, result: ModelResult) -> None:
        if result.error is not None:
            step, message = "failed", result.error.message
        elif result.cached:
            step, message = "cached", f"unchanged, found in {result.directory}"
        else:
            step, message = "done", f"prepared in {result.directory}"
        self.progress(PrepareProgress(model=result.name, step=step, fraction=1.0, message=message))

    def _end_workers(self) -> None:
        """End the workers by the ids they wrote: each leads a process group of its own."""
        for task in self.tasks:
            pid = worker_pid(task.staging) if task.staging else None
            if pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)

    def _one(self, task: _Task) -> ModelResult:
        started = time.monotonic()
        prepared: PreparedModel | None = None
        error: OrtlabError | None = None
        cached = False
        try:
            if self.stopped.is_set():
                message = f"{task.source} was not prepared: another model failed before it"
                raise ModelError(message, next_step="leave out --fail-fast")
            prepared, cached = self._prepare(task)
            error = _parity_error(task, prepared)
        except OrtlabError as failure:
            error = failure
        if error is not None and self.stop_on_failure:
            self.stopped.set()
        return ModelResult(
            source=task.source,
            name=task.name,
            directory=task.destination if prepared is not None else None,
            prepared=prepared,
            error=error,
            cached=cached,
            duration_s=time.monotonic() - started,
        )

    def _run(self, job: Job, path: Path) -> Completed:
        """Run the worker, one that waits already if there is one."""
        waiting = take() if isinstance(self.processes, SystemProcesses) else None
        if waiting is None:
            return self.processes.run(_command(job, path))
        try:
            return waiting.run(path)
        except OSError as error:
            raise storage_error(error, f"cannot hand {job.model} to its worker") from error

    def _prepare(self, task: _Task) -> tuple[PreparedModel, bool]:
        _check_source(task.source)
        check_destination(task.destination, task.name)
        if is_unchanged(task.destination, task.source, task.options, task.name):
            return read_manifest(task.destination), True
        with staged(task.output, task.name) as staging:
            job = Job(
                model=task.source.absolute(),
                name=task.name,
                directory=staging.absolute(),
                destination=task.destination.absolute(),
                options=task.options,
            )
            try:
                path = write_job(job)
            except OSError as error:
                raise storage_error(error, f"cannot write to {task.output}") from error
            task.staging = staging
            completed = self._run(job, path)
            task.staging = None
            if not completed.succeeded or not (job.result / "manifest.json").is_file():
                raise read_failure(staging) or _death(task, completed, read_marks(staging))
            shutil.rmtree(job.work, ignore_errors=True)
            prepared = read_manifest(job.result)
            publish(job.result, task.destination)
        return prepared, False


def _check_source(source: Path) -> None:
    if not source.exists():
        message = f"cannot prepare {source}: there is no such file"
        raise UsageError(message, next_step="ortlab prepare MODEL.onnx")
    if not source.is_file():
        message = f"cannot prepare {source}: it is not a regular file"
        raise UsageError(message)


def _command(job: Job, path: Path) -> Command:
    return Command(
        arguments=worker_arguments(path),
        deadline_s=job.options.deadline_s,
        working_directory=job.directory,
        environment={**WORKER_ENVIRONMENT, "TMPDIR": str(job.directory)},
    )


def _death(task: _Task, completed: Completed, marks: Sequence[Mark]) -> OrtlabError:
    """Say how a worker ended that left no word of its own."""
    where = f"cannot prepare {task.source}: step {running_steps(marks)}"
    inspect = f"ortlab inspect {task.source}"
    if completed.timed_out or completed.signal_name == "SIGALRM":
        message = f"{where} was not finished after {task.options.deadline_s:g} s"
        return ModelError(message, next_step="give more time with --deadline-s")
    if any(sign in completed.stderr for sign in _OUT_OF_MEMORY):
        message = f"{where} ran out of memory"
        return ModelError(message, next_step=inspect)
    if any(sign in completed.stderr for sign in _DISK_REFUSED):
        message = f"{where} could not write to {task.output}: the disk is full"
        return StorageError(message, next_step="make room, or choose another --output")
    if completed.signal_name is not None:
        message = f"{where} crashed ({completed.signal_name}) in onnx or onnxruntime"
        return ModelError(message, next_step=inspect)
    last = completed.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    message = f"{where} ended with exit code {completed.exit_code}: {last[0][:300]}"
    if not marks:
        return ToolchainError(message, next_step="ortlab doctor")
    return ModelError(message, next_step=inspect)


def _parity_error(task: _Task, prepared: PreparedModel) -> ModelError | None:
    """Return the error of variants out of tolerance, unless the user allowed them."""
    failed = [
        variant
        for variant in prepared.variants
        if variant.parity.status == "failed" and not variant.parity.allowed
    ]
    if not failed:
        return None
    first = failed[0]
    message = (
        f"{', '.join(v.variant_id for v in failed)} of {task.source} out of tolerance"
        f" ({first.parity.rule}): {first.parity.reason}"
    )
    return ModelError(
        message, next_step="--allow-parity-failure accepts it; such a variant is never timed"
    )
