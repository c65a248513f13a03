"""Preparing models, and reading prepared ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortlab.domain import PreparedModel
    from ortlab.prepare import PackageCheck, PrepareOptions, PrepareProgress, PrepareSummary

Say = Callable[[str], None]
"""Told where the work stands, in a line for people; may be called from any thread."""


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


def prepared_at(path: Path) -> tuple[PreparedModel, Path]:
    """Return the prepared model at ``path``, with its directory; its hashes are verified.

    Raises:
        UsageError: There is none, or several.
        ModelError: A file of it is missing or was changed.
    """
    from ortlab.prepare import find_prepared, load_prepared

    directory = find_prepared(path)
    return load_prepared(directory), directory
