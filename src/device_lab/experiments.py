"""One cell measured on a phone of this host: open it, plan, run what is left, say what it shows.

The store is the truth: the run directory is written anew from it, so that an experiment goes on
wherever its phone is, and a block counts once the store has acknowledged it. What a killed process
had on its own disk beyond that is measured again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_lab.inventory import Inventory
from device_lab.measuring import Recorder
from device_lab.settings import runs_directory
from device_lab.values import Cell, CellResult, JobSpec, Lease, StoredBlock
from ortlab import pipeline
from ortlab.codec import from_json, to_json
from ortlab.errors import BenchmarkError, InterruptedRunError, StorageError

if TYPE_CHECKING:
    from ortlab.bench import RunProgress
    from ortlab.domain import Block, Device, Experiment

Plan = Callable[..., "Experiment"]
"""Takes what `ortlab.pipeline.plan` takes."""

_LOOK_EVERY_S: Final = 0.25


class PhoneMeasure:
    """Measures cells on the phones of an inventory; see `device_lab.measuring.Measure`.

    Args:
        inventory: Of this host.
        plan: Plans the experiment of a cell on a device that is open.
    """

    def __init__(self, inventory: Inventory, *, plan: Plan = pipeline.plan) -> None:
        self._inventory = inventory
        self._plan = plan

    def __call__(self, lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        """Carry out the experiment of a cell, or what is left of it.

        Raises:
            OrtlabError: It cannot be carried out, or was stopped; what was stored stays.
        """
        from device_lab.results import cell_result
        from ortlab.bench import run_experiment

        with self._inventory.in_use(lease.phone_id) as device_id:
            section = replace(spec.bench_of(cell.model), device=(device_id,))
            with (
                contextlib.closing(
                    pipeline.open_for(device_id, section, say=recorder.say)
                ) as device,
                _closed_once_stopped(device, recorder),
            ):
                planned = self._plan(
                    Path(cell.model),
                    section,
                    device,
                    command=f"ortlab lab: job {spec.name}, cell {cell.cell_id}",
                    say=recorder.say,
                )
                # Planning runs the app for the first time, and some phones tell only an app.
                self._inventory.learn(lease.phone_id, device.info)
                experiment = agreed(planned, recorder)
                directory = runs_directory(cell.cell_id) / experiment.experiment_id
                restore(directory, experiment, recorder.recorded())
                run = run_experiment(
                    directory,
                    experiment,
                    device,
                    progress=lambda progress: recorder.say(_in_words(progress)),
                    should_stop=recorder.stopped,
                    on_block=lambda block: _store(block, recorder),
                )
        return cell_result(run, cell, lease.phone_id)


def agreed(planned: Experiment, recorder: Recorder) -> Experiment:
    """Return the experiment that holds for this cell and phone, with the paths of this host.

    Raises:
        BenchmarkError: It was begun with another model, runtime or system.
    """
    from ortlab.bench import experiment_key
    from ortlab.domain import Experiment

    kept = from_json(Experiment, recorder.begin(to_json(planned)), source="a stored experiment")
    if kept.experiment_id == planned.experiment_id:
        return planned
    here = replace(
        planned,
        experiment_id=kept.experiment_id,
        seed=kept.seed,
        command=kept.command,
        created_at=kept.created_at,
        rule=replace(planned.rule, floor=kept.rule.floor),
        device=replace(planned.device, device_id=kept.device.device_id),
    )
    if experiment_key(here) != experiment_key(kept):
        message = (
            f"cannot go on with {kept.experiment_id}: since it was begun, the model, the benchmark"
            f" app or the system of {planned.device.name} changed"
        )
        step = "submit the job anew under another name"
        raise BenchmarkError(message, next_step=step)
    return here


def restore(directory: Path, experiment: Experiment, blocks: Sequence[StoredBlock]) -> None:
    """Write a run directory as the store knows it; what is there already is left alone.

    Raises:
        StorageError: The disk refuses.
    """
    from ortlab.bench.run_directory import BLOCKS_FILE, EXPERIMENT_FILE

    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / EXPERIMENT_FILE, to_json(experiment, indent=1) + "\n")
        _write(directory / BLOCKS_FILE, "".join(block.line + "\n" for block in blocks))
    except OSError as error:
        message = f"cannot write into run directory {directory}: {error.strerror or error}"
        raise StorageError(message, next_step="make room, or set XDG_STATE_HOME") from error


def _write(path: Path, text: str) -> None:
    content = text.encode()
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    staged = path.with_name(path.name + ".part")
    with staged.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def _store(block: Block, recorder: Recorder) -> None:
    from ortlab.domain import Outcome

    if recorder.stopped() and block.outcome is not Outcome.OK:
        # The device was closed under it: nothing of that is the arm's doing.
        message = f"stopped measuring in block {block.block_id}"
        raise InterruptedRunError(message, next_step="ortlab lab agent")
    recorder.block(block.block_id, to_json(block))


@contextlib.contextmanager
def _closed_once_stopped(device: Device, recorder: Recorder) -> Iterator[None]:
    """End the block in flight when the attempt is to end: some take minutes."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY_S):
            if recorder.stopped():
                device.close()
                return

    watching = threading.Thread(target=watch, name="closes a device", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def _in_words(progress: RunProgress) -> str:
    if not progress.step:
        return progress.message
    rounds = f"round {progress.rounds_done} of at most {progress.last_look}"
    left = f"{progress.least_s:.0f} to {progress.most_s:.0f} s left"
    return f"{rounds}, {left}: {progress.message}"
