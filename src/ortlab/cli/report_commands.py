"""What `prepare`, `inspect`, `bench`, `report` and `gate` do: call `pipeline`, then show it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ortlab import pipeline
from ortlab.cli import render, tables
from ortlab.cli.options import listed
from ortlab.config import BenchSection, ModelSection, PrepareSection
from ortlab.errors import (
    GateFailedError,
    GateInconclusiveError,
    ModelError,
    OrtlabError,
    UsageError,
)
from ortlab.settings import prepare_options


def command_line() -> str:
    """Return the command that repeats this one."""
    return shlex.join(["ortlab", *(word for word in sys.argv[1:] if word != "--new")])


# ---------------------------------------------------------------------------- prepare, inspect


def prepare(*, models: Sequence[Path], output: Path, as_json: bool, **options: Any) -> int:
    """Prepare models; the exit code is that of the first error."""
    from ortlab.prepare import parse_dims, parse_input_shapes

    model = ModelSection(
        path=str(models[0]),
        input_shapes=dict(parse_input_shapes(options["input_shape"] or ())),
        dims=dict(parse_dims(options["dim"] or ())),
        **{
            name: str(options[name]) if options[name] is not None else None
            for name in ("inputs", "reference", "calibration", "custom_op_library")
        },
    )
    lists: dict[str, Any] = {
        name: listed(options[name]) for name in ("style", "target", "precision") if options[name]
    }
    section = PrepareSection(
        **lists,
        nnapi_stop_ops=listed(options["nnapi_stop_op"]),
        **{
            name: options[name]
            for name in (
                *("level", "type_reduction", "save_optimized_onnx", "min_sqnr_db"),
                *(
                    "min_top1_agreement",
                    "allow_failures",
                    "allow_parity_failure",
                    "parity",
                    "configs",
                ),
                *("predictions", "seed", "deadline_s"),
            )
        },
    )
    with render.Progress() as progress:
        summary = pipeline.prepare(
            models,
            output,
            prepare_options(model, section),
            jobs=options["jobs"],
            stop_on_failure=options["fail_fast"],
            say=progress.update,
        )
    if as_json:
        render.show_json({"models": [_prepared(result) for result in summary.results]})
    else:
        _show_summary(summary.results)
    return summary.error.exit_code if summary.error else 0


def _prepared(result: Any) -> dict[str, Any]:
    return {
        "source": str(result.source),
        "name": result.name,
        "directory": str(result.directory) if result.directory else None,
        "cached": result.cached,
        "duration_s": round(result.duration_s, 3),
        "error": _error(result.error) if result.error else None,
        "prepared": result.prepared,
    }


def _error(error: OrtlabError) -> dict[str, Any]:
    return {
        "family": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "next_step": error.next_step,
    }


def _show_summary(results: Sequence[Any]) -> None:
    for result in results:
        if result.prepared is not None:
            tables.show_prepared(result.prepared)
            found = " (unchanged since last time)" if result.cached else ""
            render.say(f"prepared in {result.directory}{found}")
        if result.error is not None:
            render.show_error(result.error, as_json=False)
    failed = sum(result.error is not None for result in results)
    if len(results) > 1:
        render.say(f"{len(results) - failed} of {len(results)} models prepared without an error")


def inspect(*, file: Path, package: Path | None, releases: Sequence[str], as_json: bool) -> int:
    """Tell what is in a file; with a package, whether the package can run the model."""
    if package is not None:
        return _check_package(file, package, as_json=as_json)
    if file.is_dir():
        prepared, _ = pipeline.prepared_at(file)
        if as_json:
            render.show_json(prepared)
        else:
            tables.show_prepared(prepared)
            tables.show_prepared_details(prepared)
        return 0
    from ortlab.prepare import inspect_file

    found = inspect_file(file, releases=tuple(releases))
    if as_json:
        render.show_json(found)
    else:
        tables.show_inspection(found)
    return 0


def _check_package(file: Path, package: Path, *, as_json: bool) -> int:
    checked = pipeline.check_package(file, package)
    if as_json:
        render.show_json(checked)
    else:
        operators = [missing.sentence for missing in checked.missing_operators]
        for sentence in (*operators, *(missing.sentence for missing in checked.missing_types)):
            render.say(f"missing: {sentence}")
        for sentence in checked.notes:
            render.say(f"note: {sentence}")
        usable = ", ".join(checked.usable) or "no variant"
        render.say(f"the package runs {usable} of {checked.model_name}")
    return 0 if checked.passed else ModelError.exit_code


# ---------------------------------------------------------------------------- bench, report, gate


def bench(*, prepared: Path, output: Path, as_json: bool, **options: Any) -> int:
    """Measure, analyze and report."""
    lists: dict[str, Any] = {
        name: listed(options[name])
        for name in ("style", "load", "precision", "target", "replay", "level", "against")
    }
    section = BenchSection(
        output=str(output),
        device=listed(options["device"]) or ("host",),
        ep=tuple(options["ep"] or ()),
        config=tuple(options["config"] or ()),
        threads=tuple(_whole(word) for word in listed(options["threads"])),
        **{
            name: options[name]
            for name in (
                *("baseline", "min_rounds", "max_rounds", "block_s", "seed"),
                *("equivalence_margin", "memory_blocks", "cold_start_blocks", "by_hand"),
            )
        },
        app=tuple(options["app_"] or ()),
        **lists,
    )
    if options["dry_run"]:
        return _dry_run(prepared, section, as_json=as_json)
    with render.Progress() as progress:
        answer = pipeline.bench(
            prepared, section, new=options["new"], command=command_line(), say=progress.update
        )
    if as_json:
        render.show_json(answered(answer))
    else:
        show_answer(answer)
    return code_of(answer)


def _whole(word: str) -> int:
    if not word.isdigit() or not 1 <= int(word) <= 1024:
        message = f"cannot use --threads {word!r}: it is a number of threads, 1 or more"
        raise UsageError(message)
    return int(word)


def _dry_run(prepared: Path, section: BenchSection, *, as_json: bool) -> int:
    from contextlib import closing

    experiments = []
    for device_id in section.device:
        with closing(pipeline.open_for(device_id, section, say=render.note)) as device:
            experiments.append(
                pipeline.plan(prepared, section, device, command=command_line(), say=render.note)
            )
    if as_json:
        render.show_json({"experiments": experiments})
        return 0
    for experiment in experiments:
        tables.show_arms(experiment)
        looks = ", ".join(str(look) for look in experiment.rule.looks)
        render.say(f"looks at the data after {looks} rounds")
        least_s, most_s = pipeline.expected_s(experiment)
        render.say(f"takes about {least_s / 60:.1f} to {most_s / 60:.1f} minutes")
    return 0


def show_answer(answer: pipeline.BenchAnswer) -> None:
    """Print what was measured, and which devices failed."""
    for item in answer.measured:
        tables.show_analysis(item.analysis, item.run.experiment.device)
        if item.found:
            render.say("this experiment was finished before; --new starts another")
        render.say(f"run:    {item.run.directory}")
        render.say(f"report: {item.report.html or item.report.directory}")
    if answer.index is not None:
        render.say(f"together: {answer.index}")
    for device_id, error in answer.failures.items():
        render.say(f"{device_id}:")
        render.show_error(error, as_json=False)


def answered(answer: pipeline.BenchAnswer) -> dict[str, Any]:
    """Return what was measured for JSON."""
    return {
        "runs": [_measured(item) for item in answer.measured],
        "failures": {name: _error(error) for name, error in answer.failures.items()},
        "index": str(answer.index) if answer.index else None,
    }


def code_of(answer: pipeline.BenchAnswer) -> int:
    """Return the exit code: that of the first device that failed."""
    return next((error.exit_code for error in answer.failures.values()), 0)


def _measured(item: pipeline.Measured) -> dict[str, Any]:
    return {
        "directory": str(item.run.directory),
        "device": item.run.experiment.device.device_id,
        "virtual": item.run.experiment.device.virtual,
        "found": item.found,
        "analysis": item.analysis,
        "report": {"html": str(item.report.html) if item.report.html else None},
    }


def report(
    *, runs: Sequence[Path], output: Path | None, formats: Sequence[str], as_json: bool
) -> int:
    """Write reports of recorded runs."""
    written = []
    for directory in runs:
        run, analysis = pipeline.load_measured(directory)
        target = directory / "report" if output is None else output
        if output is not None and len(runs) > 1:
            target = output / run.experiment.experiment_id
        written.append(pipeline.report(run, analysis, target, formats))
    if as_json:
        render.show_json({"reports": [[str(path) for path in item.paths] for item in written]})
        return 0
    for item in written:
        for path in item.paths:
            render.say(str(path))
    return 0


def gate(
    *,
    runs: Sequence[Path],
    max_slowdown: str,
    arms: Sequence[str],
    base: Sequence[Path],
    control: str | None,
    junit: Path | None,
    as_json: bool,
) -> int:
    """Hold runs to a limit; the exit code says how it ended."""
    from ortlab.analysis import GateStatus

    result = pipeline.gate(runs, max_slowdown, arms=arms, base=base, control=control)
    if junit is not None:
        pipeline.write_junit(result, junit)
    if as_json:
        render.show_json(result)
    else:
        for row in result.rows:
            render.say(f"{row.status}: {row.sentence}")
        render.say(result.sentence)
    return {
        GateStatus.PASS: 0,
        GateStatus.FAIL: GateFailedError.exit_code,
        GateStatus.INCONCLUSIVE: GateInconclusiveError.exit_code,
        GateStatus.REFUSED: GateInconclusiveError.exit_code,
    }[result.status]
