"""Which files a report has, and how they get to the disk: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.domain import Analysis, PreparedModel, Run
from ortlab.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

    from ortlab.report.frames import BlockSamples


class ReportFormat(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    MARKDOWN = "markdown"
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    BENCHMARK = "benchmark"


ALL_FORMATS = frozenset(ReportFormat)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Files that were written; None or empty for formats that were not asked for.

    Attributes:
        directory: They lie in; their names are fixed.
        html: The report for people.
        markdown: For pull requests.
        json: Experiment and analysis, for machines.
        benchmark: For github-action-benchmark, tool ``customSmallerIsBetter``.
        csv: Samples, blocks, memory, operators.
        parquet: Likewise.
    """

    directory: Path
    html: Path | None = None
    markdown: Path | None = None
    json: Path | None = None
    benchmark: Path | None = None
    csv: tuple[Path, ...] = ()
    parquet: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        single = (self.html, self.markdown, self.json, self.benchmark)
        return (*(path for path in single if path), *self.csv, *self.parquet)


def write_report(
    run: Run,
    analysis: Analysis,
    prepared: PreparedModel | None,
    directory: Path,
    *,
    formats: frozenset[ReportFormat] = ALL_FORMATS,
) -> ReportFiles:
    """Write the report of a run.

    Args:
        run: Finished or not.
        analysis: Of that run.
        prepared: The model that was run, for compatibility, sizes and predictions; or None.
        directory: Made if missing; files of an earlier report in it are replaced one by one.
        formats: Those to write.

    Raises:
        StorageError: The directory cannot be written to.
    """
    import ortlab.report.html as html_page
    import ortlab.report.markdown as markdown_page
    from ortlab.report import exports, frames

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _storage_error(error, directory) from error
    samples = frames.block_samples(run)
    paths: dict[str, Path] = {}
    texts: tuple[tuple[ReportFormat, str, Callable[[], str]], ...] = (
        (
            ReportFormat.HTML,
            "report.html",
            lambda: html_page.render(run, analysis, prepared, samples=samples),
        ),
        (ReportFormat.MARKDOWN, "report.md", lambda: markdown_page.render(run, analysis)),
        (ReportFormat.JSON, "report.json", lambda: exports.report_json(run, analysis, prepared)),
        (
            ReportFormat.BENCHMARK,
            "benchmark.json",
            lambda: exports.benchmark_json(run, analysis, samples),
        ),
    )
    for kind, name, make in texts:
        if kind in formats:
            paths[kind] = write_staged(directory / name, writing(make()))
    tables: dict[ReportFormat, tuple[Path, ...]] = {}
    if formats & {ReportFormat.CSV, ReportFormat.PARQUET}:
        tables = _write_tables(run, samples, directory, formats)
    return ReportFiles(
        directory=directory,
        html=paths.get(ReportFormat.HTML),
        markdown=paths.get(ReportFormat.MARKDOWN),
        json=paths.get(ReportFormat.JSON),
        benchmark=paths.get(ReportFormat.BENCHMARK),
        csv=tables.get(ReportFormat.CSV, ()),
        parquet=tables.get(ReportFormat.PARQUET, ()),
    )


def _write_tables(
    run: Run,
    samples: tuple[BlockSamples, ...],
    directory: Path,
    formats: frozenset[ReportFormat],
) -> dict[ReportFormat, tuple[Path, ...]]:
    from ortlab.report import exports, frames

    writers = {ReportFormat.CSV: exports.write_csv, ReportFormat.PARQUET: exports.write_parquet}
    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "samples": lambda: frames.samples_frame(run, samples),
        "blocks": lambda: frames.blocks_frame(run, samples),
        "memory": lambda: frames.memory_frame(run),
        "operators": lambda: frames.operators_frame(run),
    }
    written: dict[ReportFormat, list[Path]] = {kind: [] for kind in writers}
    for name, make in makers.items():
        table = exports.arrow_table(make())
        for kind, write in writers.items():
            if kind in formats:
                path = directory / f"{name}.{kind}"
                written[kind].append(write_staged(path, partial(write, table)))
    return {kind: tuple(paths) for kind, paths in written.items()}


def writing(text: str) -> Callable[[Path], None]:
    """Return how to write a text, whatever it holds, for :func:`write_staged`."""

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")

    return write


def write_staged(path: Path, write: Callable[[Path], None]) -> Path:
    """Let ``write`` fill a hidden file beside ``path``, then put it in its place.

    Raises:
        StorageError: The disk refuses; an earlier file stays as it was.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise _storage_error(error, path) from error
    staged = Path(name)
    try:
        write(staged)
        with staged.open("rb+") as file:
            os.fsync(file.fileno())
        staged.chmod(0o644)
        staged.replace(path)
    except OSError as error:
        raise _storage_error(error, path) from error
    finally:
        staged.unlink(missing_ok=True)
    return path


def _storage_error(error: OSError, path: Path) -> StorageError:
    message = f"cannot write the report to {path}: {error.strerror or error}"
    return StorageError(message, next_step="free some space, or give another directory with -o")
