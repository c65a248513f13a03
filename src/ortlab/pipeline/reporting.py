"""Reports of recorded runs, and the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.errors import OrtlabError, StorageError
from ortlab.settings import choices

if TYPE_CHECKING:
    from ortlab.analysis import GateResult
    from ortlab.domain import Analysis, PreparedModel, Run
    from ortlab.report import ReportFiles


def report(run: Run, analysis: Analysis, directory: Path, formats: Sequence[str]) -> ReportFiles:
    """Write the report of a run.

    Raises:
        UsageError: A format is not known.
        StorageError: The directory cannot be written.
    """
    from ortlab.prepare import load_prepared
    from ortlab.report import ALL_FORMATS, ReportFormat, write_report

    chosen = frozenset(choices(ReportFormat, formats, "format")) or ALL_FORMATS
    prepared: PreparedModel | None
    try:
        prepared = load_prepared(Path(run.experiment.prepared_path))
    except OrtlabError:  # moved, changed or deleted since: the report does without it
        prepared = None
    return write_report(run, analysis, prepared, directory, formats=chosen)


def index(
    measured: Sequence[tuple[Run, Analysis, ReportFiles]],
    failures: Mapping[str, OrtlabError],
    directory: Path,
) -> Path:
    """Write one page over runs that were measured together, with links to their reports.

    Args:
        measured: One a device.
        failures: Device id to what went wrong there.
        directory: Of the runs.

    Raises:
        StorageError: The directory cannot be written.
    """
    from ortlab.report import IndexEntry, write_index

    entries = [
        IndexEntry(run=run, analysis=analysis, report=files) for run, analysis, files in measured
    ]
    return write_index(entries, tuple(failures.items()), directory)


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
