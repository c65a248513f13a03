"""The story: prepare → bench → analyze → report, and the gate.

Each function is a step a user can also take alone; `run_config` takes them all.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.config import BenchSection, Config, ModelSection, PrepareSection
from ortlab.errors import StorageError, ToolchainError
from ortlab.settings import arm_options, choices, prepare_options

if TYPE_CHECKING:
    from ortlab.analysis import GateResult, NoiseFloor
    from ortlab.bench import ArmSource, RunProgress
    from ortlab.doctor import Finding
    from ortlab.domain import (
        Analysis,
        Device,
        DeviceInfo,
        Experiment,
        PreparedModel,
        Run,
    )
    from ortlab.prepare import PackageCheck, PrepareOptions, PrepareProgress, PrepareSummary
    from ortlab.report import ReportFiles

Say = Callable[[str], None]

DEMO_MODEL = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
DEMO_PACKAGE = "rapidocr_onnxruntime"
DEMO_SHAPES: dict[str, tuple[int, ...]] = {"x": (1, 3, 48, 192)}
DEMO_ROUNDS = (8, 12)
DEMO_BLOCK_S = 1.0  # five minutes even where every round is disturbed and repeated


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


# ---------------------------------------------------------------------------- prepare


def prepare(
    models: Sequence[Path],
    output: Path,
    options: PrepareOptions,
    *,
    jobs: int = 2,
    stop_on_failure: bool = False,
    say: Say,
) -> PrepareSummary:
    """Prepare models into ``output``, one directory a model; see `ortlab.prepare`."""
    from ortlab.prepare import prepare_models
    from ortlab.process import SystemProcesses

    def tell(progress: PrepareProgress) -> None:
        share = "" if progress.fraction is None else f" {progress.fraction:4.0%}"
        say(f"{progress.model}:{share} {progress.message}")

    return prepare_models(
        models,
        output,
        options,
        jobs=jobs,
        stop_on_failure=stop_on_failure,
        progress=tell,
        processes=SystemProcesses(),
    )


def check_package(path: Path, config: Path) -> PackageCheck:
    """Compare a prepared model with the operator config of a package.

    Raises:
        UsageError: There is no prepared model, or the config means nothing.
        ModelError: A file of the prepared model is missing or was changed.
    """
    from ortlab import prepare

    prepared, directory = prepared_at(path)
    return prepare.check_package(prepared, directory, config)


# ---------------------------------------------------------------------------- bench


def prepared_at(path: Path) -> tuple[PreparedModel, Path]:
    """Return the prepared model at ``path``, with its directory; its hashes are verified.

    Raises:
        UsageError: There is none, or several.
        ModelError: A file of it is missing or was changed.
    """
    from ortlab.prepare import find_prepared, load_prepared

    directory = find_prepared(path)
    return load_prepared(directory), directory


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


def bench(
    path: Path,
    section: BenchSection,
    *,
    new: bool = False,
    formats: Sequence[str] = (),
    command: str,
    say: Say,
) -> tuple[Measured, ...]:
    """Measure on every device of the section, one after the other, and write the reports.

    The same experiment is resumed when it is unfinished, and found when it is finished, unless
    ``new`` asks for another.

    Raises:
        UsageError: An arm is impossible, or a word means nothing.
        DeviceError: A device is not ready or was lost.
        StorageError: The run cannot be recorded.
        InterruptedRunError: The user stopped it; what was recorded stays.
    """
    from ortlab.devices import open_device

    measured = []
    root = Path(section.output).absolute()
    for device_id in section.device:
        with closing(open_device(device_id)) as device:
            experiment = plan(path, section, device, command=command, say=say)
            measured.append(_measure(experiment, device, root, new, formats, say))
    return tuple(measured)


def _measure(
    experiment: Experiment,
    device: Device,
    root: Path,
    new: bool,  # noqa: FBT001 - private, from one place
    formats: Sequence[str],
    say: Say,
) -> Measured:
    from ortlab.analysis import analyze
    from ortlab.bench import find_run, is_finished, load_run

    existing = None if new else find_run(root, experiment)
    directory = existing or root / experiment.experiment_id
    found = existing is not None and is_finished(load_run(existing))
    if existing is not None and not found:
        say(f"going on with {existing}")
    run = _run_blocks(directory, experiment, device, say)
    analysis = analyze(run)
    files = report(run, analysis, directory / "report", formats)
    return Measured(run=run, analysis=analysis, report=files, found=found)


def _run_blocks(directory: Path, experiment: Experiment, device: Device, say: Say) -> Run:
    from ortlab.bench import run_experiment

    def tell(progress: RunProgress) -> None:
        left = f"{progress.least_s:.0f} to {progress.most_s:.0f} s left"
        rounds = f"round {progress.rounds_done} of at most {progress.last_look}"
        say(f"{rounds}, {left}: {progress.message}" if progress.step else progress.message)

    return run_experiment(directory, experiment, device, progress=tell, should_stop=lambda: False)


# ---------------------------------------------------------------------------- report and gate


def report(run: Run, analysis: Analysis, directory: Path, formats: Sequence[str]) -> ReportFiles:
    """Write the report of a run.

    Raises:
        UsageError: A format is not known.
        StorageError: The directory cannot be written.
    """
    from ortlab.errors import OrtlabError
    from ortlab.prepare import load_prepared
    from ortlab.report import ALL_FORMATS, ReportFormat, write_report

    chosen = frozenset(choices(ReportFormat, formats, "format")) or ALL_FORMATS
    prepared: PreparedModel | None
    try:
        prepared = load_prepared(Path(run.experiment.prepared_path))
    except OrtlabError:  # moved, changed or deleted since: the report does without it
        prepared = None
    return write_report(run, analysis, prepared, directory, formats=chosen)


def load_measured(directory: Path) -> tuple[Run, Analysis]:
    """Read a run and analyze it.

    Raises:
        UsageError: There is no run in the directory.
        StorageError: The run is damaged.
    """
    from ortlab.analysis import analyze
    from ortlab.bench import load_run

    run = load_run(directory)
    return run, analyze(run)


def gate(
    runs: Sequence[Path],
    max_slowdown: str,
    *,
    arms: Sequence[str] = (),
    base: Sequence[Path] = (),
    control: str | None = None,
) -> GateResult:
    """Hold runs to a slowdown limit; see `ortlab.analysis.gate`."""
    from ortlab import analysis
    from ortlab.bench import load_run

    return analysis.gate(
        [load_run(path) for path in runs],
        max_slowdown=analysis.parse_limit(max_slowdown),
        base=[load_run(path) for path in base],
        control=control,
        arms=arms,
    )


def write_junit(result: GateResult, path: Path) -> None:
    """Write a gate's rows as JUnit XML.

    Raises:
        StorageError: The file cannot be written.
    """
    from ortlab.analysis import GateStatus
    from ortlab.report import JUnitRow, JUnitStatus, junit

    states = {
        GateStatus.PASS: JUnitStatus.PASSED,
        GateStatus.FAIL: JUnitStatus.FAILED,
        GateStatus.INCONCLUSIVE: JUnitStatus.ERROR,
        GateStatus.REFUSED: JUnitStatus.ERROR,
    }
    rows = [
        JUnitRow(
            name=f"{row.arm_id} against {row.base}",
            status=states[row.status],
            message=row.sentence,
        )
        for row in result.rows
    ] or [JUnitRow(name="gate", status=states[result.status], message=result.sentence)]
    try:
        path.write_text(junit("ortlab gate", rows), encoding="utf-8")
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise StorageError(message) from error


# ---------------------------------------------------------------------------- devices


def calibrate(
    path: Path,
    *,
    device_id: str,
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
    from ortlab.devices import open_device
    from ortlab.domain import BlockCounts

    section = BenchSection(style=("onnx",), block_s=block_s, seed=0)
    runs = []
    with closing(open_device(device_id)) as device:
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


def devices() -> tuple[DeviceInfo, ...]:
    """Return the devices that are attached and ready."""
    from ortlab.devices import device_ids, open_device

    found = []
    for device_id in device_ids():
        with closing(open_device(device_id)) as device:
            found.append(device.info)
    return tuple(found)


def doctor() -> tuple[Finding, ...]:
    """Return what is there, what is missing, and what installs it."""
    from ortlab.devices import open_device
    from ortlab.doctor import examine
    from ortlab.errors import DeviceError

    try:
        with closing(open_device("host")) as device:
            conditions = device.conditions()
    except DeviceError:
        conditions = None
    return examine(conditions, Path.cwd())


# ---------------------------------------------------------------------------- everything


def run_config(
    config: Config, base: Path, *, new: bool = False, command: str, say: Say
) -> tuple[tuple[Measured, ...], GateResult | None]:
    """Prepare, measure, report and gate as a configuration says.

    Args:
        config: What to do.
        base: Directory that its relative paths start from.
        new: Start another run although a finished one exists.
        command: The command that repeats it.
        say: Told where the work stands.

    Raises:
        OrtlabError: Of the step that failed; the steps before it are kept.
    """

    from ortlab.devices import names_release

    def absolute(text: str | None) -> str | None:
        return None if text is None else str(base / text)

    model = replace(
        config.model,
        path=str(base / config.model.path),
        inputs=absolute(config.model.inputs),
        reference=absolute(config.model.reference),
        calibration=absolute(config.model.calibration),
        custom_op_library=absolute(config.model.custom_op_library),
    )
    output = base / config.prepare.output
    summary = prepare([Path(model.path)], output, prepare_options(model, config.prepare), say=say)
    if summary.error:
        raise summary.error
    (result,) = summary.results
    assert result.directory is not None
    section = replace(
        config.bench,
        output=str(base / config.bench.output),
        against=tuple(
            text if names_release(text) else str(base / text) for text in config.bench.against
        ),
    )
    measured = bench(
        result.directory,
        section,
        new=new,
        formats=config.report.format,
        command=command,
        say=say,
    )
    if config.gate is None:
        return measured, None
    return measured, gate([item.run.directory for item in measured], config.gate.max_slowdown)


def demo_config(output: Path) -> Config:
    """Return the configuration of the demo.

    Raises:
        ToolchainError: The package that carries the model is not installed.
    """
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    models = [path for place in places for path in Path(place).rglob(DEMO_MODEL)]
    if not models:
        message = f"cannot run the demo: the package {DEMO_PACKAGE} with its model is missing"
        raise ToolchainError(message, next_step=f"pip install --no-deps {DEMO_PACKAGE}")
    first, last = DEMO_ROUNDS
    return Config(
        model=ModelSection(path=str(models[0]), input_shapes=DEMO_SHAPES),
        prepare=PrepareSection(output=str(output.absolute() / "prepared")),
        bench=BenchSection(
            output=str(output.absolute() / "runs"),
            min_rounds=first,
            max_rounds=last,
            block_s=DEMO_BLOCK_S,
            threads=(1,),  # two threads on two cores meet whatever else runs there
            seed=0,
        ),
    )


def cache_directory() -> Path:
    """Return where things that can be made again are kept."""
    return _home("XDG_CACHE_HOME", ".cache")


def state_directory() -> Path:
    """Return where measured noise floors are kept."""
    return _home("XDG_STATE_HOME", ".local/state")


def _home(variable: str, default: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / default) / "ortlab"
