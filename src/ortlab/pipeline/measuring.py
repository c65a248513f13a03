"""Planning and running experiments, on several devices at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.config import BenchSection
from ortlab.errors import InterruptedRunError, OrtlabError
from ortlab.pipeline.apps import app_for
from ortlab.pipeline.models import Say, prepared_at
from ortlab.pipeline.places import cache_directory, state_directory
from ortlab.pipeline.reporting import index, report
from ortlab.settings import arm_options

if TYPE_CHECKING:
    from ortlab.analysis import NoiseFloor
    from ortlab.bench import ArmSource, RunProgress
    from ortlab.domain import Analysis, Device, Experiment, Run
    from ortlab.report import ReportFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run with what follows from it.

    Attributes:
        run: What was recorded.
        analysis: What it says.
        report: Files written.
        found: Whether the run was finished before and only found again.
    """

    run: Run
    analysis: Analysis
    report: ReportFiles
    found: bool


HOST = "host"


def open_for(device_id: str, section: BenchSection, *, say: Say) -> Device:
    """Open a device with what the section says of apps.

    Raises:
        UsageError: There is no such device, or no app for its platform was given.
        DeviceError: It is not ready.
        ToolchainError: The app cannot be read, or its signature would be refused.
    """
    from ortlab.bench import parse_providers
    from ortlab.devices import open_device

    app = app_for(device_id, section.apps) if device_id != HOST else None
    return open_device(
        device_id,
        app=app,
        state_directory=state_directory(),
        cache_directory=cache_directory(),
        providers={item.name for text in section.ep for item in parse_providers(text)},
        say=say,
        by_hand=section.by_hand,
    )


def _source(text: str, *, say: Say) -> ArmSource:
    """Open what ``--against`` names: a prepared model, or a release of ONNX Runtime."""
    from ortlab.bench import ArmSource
    from ortlab.devices import interpreter_with, names_release
    from ortlab.process import SystemProcesses

    if names_release(text):
        cache = cache_directory() / "runtimes"
        python = interpreter_with(text, cache, processes=SystemProcesses(), say=say)
        return ArmSource(runtime=str(python))
    prepared, path = prepared_at(Path(text))
    return ArmSource(prepared=prepared, path=path)


def plan(
    path: Path, section: BenchSection, device: Device, *, command: str, say: Say
) -> Experiment:
    """Cross the arms and plan their experiment; nothing is run.

    Raises:
        UsageError: A combination is impossible, each with the reason.
        ModelError: The prepared model is damaged, or a variant that was asked for is not usable.
    """
    from ortlab.analysis import load_floor, parse_limit
    from ortlab.bench import PlanOptions, cross, plan_experiment
    from ortlab.domain import BlockCounts

    prepared, directory = prepared_at(path)
    against = [_source(text, say=say) for text in section.against]
    crossed = cross(prepared, directory, arm_options(section, against), device)
    for sentence in (*crossed.left_out, *crossed.notes):
        say(f"note: {sentence}")
    floor = load_floor(state_directory(), device.info.device_id)
    options = PlanOptions(
        baseline=section.baseline,
        min_rounds=section.min_rounds,
        max_rounds=section.max_rounds,
        block_s=section.block_s,
        equivalence_margin=parse_limit(section.equivalence_margin),
        floor=floor.effect if floor else None,
        counts=BlockCounts(memory=section.memory_blocks, cold_start=section.cold_start_blocks),
        seed=section.seed,
        command=command,
    )
    return plan_experiment(crossed.arms, prepared, directory, device.info, options)


def expected_s(experiment: Experiment) -> tuple[float, float]:
    """Return the seconds an experiment takes if its first look decides, and if only its last."""
    from ortlab.bench import NextBlock, next_block, progress_of

    step = next_block(experiment, ())
    assert isinstance(step, NextBlock)
    progress = progress_of(experiment, (), step, "")
    return progress.least_s, progress.most_s


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchAnswer:
    """What came of measuring on one device or several.

    Attributes:
        measured: In the order of the devices, those that failed left out.
        failures: Device id to what went wrong there; the runs so far are kept.
        index: Page over all of them, where there were several devices.
    """

    measured: tuple[Measured, ...]
    failures: Mapping[str, OrtlabError]
    index: Path | None = None


def bench(
    path: Path,
    section: BenchSection,
    *,
    new: bool = False,
    formats: Sequence[str] = (),
    command: str,
    say: Say,
) -> BenchAnswer:
    """Measure on every device of the section and write the reports.

    This machine is measured alone, phones at once. The same experiment is resumed when it is
    unfinished, and found when it is finished, unless ``new`` asks for another. With one device
    its error is raised; with several, one that fails does not stop the others.

    Raises:
        UsageError: An arm is impossible, or a word means nothing.
        DeviceError: The device is not ready or was lost.
        StorageError: The run cannot be recorded.
        InterruptedRunError: The user stopped it; what was recorded stays.
    """
    task = _Task(
        path=path,
        section=section,
        root=Path(section.output).absolute(),
        new=new,
        formats=tuple(formats),
        command=command,
    )
    if len(section.device) == 1:
        return BenchAnswer(measured=(task.run(section.device[0], say),), failures={})
    return _bench_several(task, section.device, say)


def _bench_several(task: _Task, device_ids: Sequence[str], say: Say) -> BenchAnswer:
    from ortlab.devices import runs_here

    measured: dict[str, Measured] = {}
    failures: dict[str, OrtlabError] = {}

    def one(device_id: str) -> None:
        try:
            measured[device_id] = task.run(device_id, lambda text: say(f"{device_id}: {text}"))
        except InterruptedRunError:
            raise
        except OrtlabError as error:
            failures[device_id] = error

    wanted = tuple(dict.fromkeys(device_ids))
    for device_id in wanted:
        if runs_here(device_id):
            one(device_id)
    phones = [device_id for device_id in wanted if not runs_here(device_id)]
    with ThreadPoolExecutor(len(phones) or 1) as pool:
        futures = [pool.submit(one, device_id) for device_id in phones]
        try:
            for future in futures:
                future.result()
        except BaseException:
            task.stop()
            raise
    answered = tuple(measured[name] for name in wanted if name in measured)
    failed = {name: failures[name] for name in wanted if name in failures}
    page = None
    if answered:
        found = [(item.run, item.analysis, item.report) for item in answered]
        page = index(found, failed, task.root)
    return BenchAnswer(measured=answered, failures=failed, index=page)


@dataclass(slots=True, kw_only=True)
class _Task:
    """One measurement, to be made on any number of devices at once."""

    path: Path
    section: BenchSection
    root: Path
    new: bool
    formats: tuple[str, ...]
    command: str
    _stopped: threading.Event = field(default_factory=threading.Event)
    _open: list[Device] = field(default_factory=list)

    def run(self, device_id: str, say: Say) -> Measured:
        """Measure on one device."""
        with closing(open_for(device_id, self.section, say=say)) as device:
            self._open.append(device)
            experiment = plan(self.path, self.section, device, command=self.command, say=say)
            return self._measure(experiment, device, say)

    def stop(self) -> None:
        """Let no further block start, and end those that run."""
        self._stopped.set()
        for device in self._open:
            device.close()

    def _measure(self, experiment: Experiment, device: Device, say: Say) -> Measured:
        from ortlab.analysis import analyze
        from ortlab.bench import find_run, is_finished, load_run

        existing = None if self.new else find_run(self.root, experiment)
        directory = existing or self.root / experiment.experiment_id
        found = existing is not None and is_finished(load_run(existing))
        if existing is not None and not found:
            say(f"going on with {existing}")
        run = _run_blocks(directory, experiment, device, say, self._stopped.is_set)
        analysis = analyze(run)
        files = report(run, analysis, directory / "report", self.formats)
        return Measured(run=run, analysis=analysis, report=files, found=found)


def _run_blocks(
    directory: Path,
    experiment: Experiment,
    device: Device,
    say: Say,
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    from ortlab.bench import run_experiment

    def tell(progress: RunProgress) -> None:
        left = f"{progress.least_s:.0f} to {progress.most_s:.0f} s left"
        rounds = f"round {progress.rounds_done} of at most {progress.last_look}"
        say(f"{rounds}, {left}: {progress.message}" if progress.step else progress.message)

    return run_experiment(directory, experiment, device, progress=tell, should_stop=should_stop)


def calibrate(
    path: Path,
    *,
    device_id: str,
    apps: Sequence[str] = (),
    experiments: int,
    rounds: int,
    block_s: float,
    output: Path,
    say: Say,
) -> NoiseFloor:
    """Measure a device's A/A noise floor and store it.

    Each A/A experiment is a run of its own under ``output``; what was finished is not run again.

    Raises:
        UsageError: Too few experiments or rounds, or no prepared model.
        BenchmarkError: Too many blocks failed.
    """
    from ortlab.analysis import calibration_floor, calibration_plan, save_floor
    from ortlab.bench import find_run
    from ortlab.domain import BlockCounts

    section = BenchSection(style=("onnx",), block_s=block_s, seed=0, app=tuple(apps))
    runs = []
    with closing(open_for(device_id, section, say=say)) as device:
        single = plan(path, section, device, command="ortlab calibrate", say=say)
        layout = calibration_plan(single.arms[0], experiments=experiments, rounds=rounds)
        for number in range(layout.experiments):
            experiment = replace(
                single,
                arms=layout.arms,
                baseline=layout.arms[0].arm_id,
                rule=layout.rule,
                seed=number,
                counts=BlockCounts(memory=0, cold_start=0),
            )
            root = output / f"calibration-{device.info.kind}" / f"{number:03d}"
            existing = find_run(root, experiment)
            directory = existing or root / experiment.experiment_id
            say(f"A/A experiment {number + 1} of {layout.experiments}")
            runs.append(_run_blocks(directory, experiment, device, say))
    floor = calibration_floor(runs, rounds=rounds)
    save_floor(state_directory(), floor)
    return floor
