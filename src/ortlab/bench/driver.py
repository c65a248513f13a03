"""The loop: ask what is next, run it on the device, record it; resumable at every block.

Whatever a runner does (segfault, hang, garbage, an answer for another block) becomes a row and
the experiment goes on. What ends the loop early is the user, the disk, or a device that is gone;
the same command then goes on from what is recorded.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ortlab.bench.answers import Asked, block_of
from ortlab.bench.progress import RunProgress, progress_of
from ortlab.bench.request import build_request
from ortlab.bench.run_directory import (
    EXPERIMENT_FILE,
    RunDirectory,
    experiment_key,
    load_run,
)
from ortlab.domain import Block, Device, Experiment, Run
from ortlab.errors import BenchmarkError, DeviceError, InterruptedRunError
from ortlab.schedule import Done, NextBlock, next_block
from ortlab.wire import Death, DeathKind


def run_experiment(
    directory: Path,
    experiment: Experiment,
    device: Device,
    *,
    progress: Callable[[RunProgress], None],
    should_stop: Callable[[], bool],
    on_block: Callable[[Block], None] = lambda _: None,
) -> Run:
    """Carry out an experiment, or what is left of it, and return the finished run.

    Args:
        directory: Of the run; created if missing. One that holds the same experiment is gone on
            with, under its own seed and id.
        experiment: What to run.
        device: Where.
        progress: Told before each block and once at the end.
        should_stop: Asked before each block.
        on_block: Given each block once it is on disk and before the next one is planned. What it
            raises ends the run; the block stays on record.

    Raises:
        InterruptedRunError: ``should_stop`` said so, or Ctrl-C; what was measured is on disk.
        DeviceError: The device was lost or cannot run blocks.
        BenchmarkError: A runtime is not the one this run began with.
        StorageError: The disk refuses, another process writes here, or the directory holds
            another experiment.
    """
    if (finished := _finished_run(directory, experiment)) is not None:
        blocks = finished.blocks
        progress(progress_of(finished.experiment, blocks, None, "the run is finished"))
        return finished
    with RunDirectory(directory, experiment) as record:
        driver = _Driver(record, device)
        try:
            driver.run(progress, should_stop, on_block)
        except KeyboardInterrupt as error:
            raise _interrupted(record) from error
        return record.run


def is_finished(run: Run) -> bool:
    """Whether nothing is left to run."""
    return isinstance(next_block(run.experiment, run.blocks), Done)


def _finished_run(directory: Path, experiment: Experiment) -> Run | None:
    """Return the run if it is finished: it can then be read where nothing may be written."""
    if not (directory / EXPERIMENT_FILE).is_file():
        return None
    run = load_run(directory)
    same = experiment_key(run.experiment) == experiment_key(experiment)
    return run if same and is_finished(run) else None


def _interrupted(record: RunDirectory) -> InterruptedRunError:
    run = record.run
    message = (
        f"stopped measuring: {len(run.blocks)} blocks of {run.experiment.experiment_id} are on"
        f" record in {run.directory}"
    )
    return InterruptedRunError(message, next_step="run the same command again to go on from there")


class _Driver:
    """One process's work on a run."""

    def __init__(self, record: RunDirectory, device: Device) -> None:
        self.record = record
        self.device = device
        self.session_id = secrets.token_hex(4)
        self.versions = {arm.arm_id: device.runtime_of(arm)[0] for arm in record.experiment.arms}
        self._check_runtimes()

    def run(
        self,
        progress: Callable[[RunProgress], None],
        should_stop: Callable[[], bool],
        on_block: Callable[[Block], None],
    ) -> None:
        experiment = self.record.experiment
        while isinstance(step := self._next(), NextBlock):
            if should_stop():
                raise _interrupted(self.record)
            message = _describe(step, experiment)
            progress(progress_of(experiment, self.record.run.blocks, step, message))
            on_block(self._run_block(step))
        progress(progress_of(experiment, self.record.run.blocks, None, step.reason))

    def _next(self) -> NextBlock | Done:
        return next_block(self.record.experiment, self.record.run.blocks)

    def _run_block(self, step: NextBlock) -> Block:
        directory = self.record.begin(step.block_id, self.session_id)
        try:
            block = self._answered(step, directory)
            self.record.record(block, directory)
        except BaseException:
            self.record.abandon(directory)
            raise
        return block

    def _answered(self, step: NextBlock, directory: Path) -> Block:
        experiment = self.record.experiment
        arm = experiment.arm(step.arm_id)
        request = build_request(step, experiment, self.versions[step.arm_id], directory)
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        started = time.monotonic()
        answer = self.device.run_block(request, arm)
        duration_s = time.monotonic() - started
        if isinstance(answer, Death) and answer.kind is DeathKind.DEVICE_LOST:
            message = f"lost {self.device.info.name} in block {step.block_id}: {answer.message}"
            step_back = "connect it again, then run the same command to go on"
            raise DeviceError(message, next_step=step_back)
        asked = Asked(
            step=step,
            experiment=experiment,
            directory=directory,
            kept_path=self.record.kept_path(step.block_id),
        )
        return replace(
            block_of(asked, answer),
            session_id=self.session_id,
            started_at=started_at,
            duration_s=duration_s,
        )

    def _check_runtimes(self) -> None:
        """Refuse to go on with another runtime: two versions would be pooled in one arm."""
        for block in self.record.run.blocks:
            runtime = block.result.runtime if block.result else None
            now = self.versions[block.arm_id]
            if runtime is not None and runtime.ort_version != now:
                message = (
                    f"cannot go on with {self.record.directory}: {block.arm_id} was measured with"
                    f" ORT {runtime.ort_version}, and now it is {now}"
                )
                raise BenchmarkError(message, next_step="start another run with --new")


def _describe(step: NextBlock, experiment: Experiment) -> str:
    label = experiment.arm(step.arm_id).label
    purpose = step.purpose.replace("_", " ")
    again = f", attempt {step.attempt + 1}" if step.attempt else ""
    return f"{purpose} {step.round_index + 1}{again}: {label}"
