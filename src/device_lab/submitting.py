"""A job before it is handed in: its paths made absolute, its words checked.

What is wrong is refused here, at once and by the person who asks for it, not in the night by
every phone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

from device_lab.jobs import load_job
from device_lab.values import JobSpec
from ortlab import pipeline
from ortlab.config import BenchSection
from ortlab.errors import OrtlabError, UsageError

MOST_CELLS: Final = 100_000
_MOST_ROUNDS: Final = 10_000
_LONGEST_BLOCK_S: Final = 3600.0


def read_job(path: Path) -> JobSpec:
    """Read a job file; its relative paths start from its own directory.

    Raises:
        UsageError: The file says what means nothing, or what no phone could carry out.
    """
    spec = absolute(load_job(path), path.absolute().parent)
    check(spec, source=str(path))
    return spec


def absolute(spec: JobSpec, base: Path) -> JobSpec:
    """Return a job whose paths do not depend on where it was read.

    Args:
        spec: As it was read.
        base: Directory that relative paths start from.
    """
    from ortlab.devices import names_release

    def whole(text: str) -> str:
        # Not resolved: a link may point elsewhere tomorrow, and that is then meant.
        return str(Path(base, text).absolute())

    bench = spec.bench
    against = tuple(text if names_release(text) else whole(text) for text in bench.against)
    app = tuple(map(whole, bench.apps)) or None
    return replace(
        spec,
        models=tuple(map(whole, spec.models)),
        bench=replace(bench, against=against, app=app),
    )


def check(spec: JobSpec, *, source: str) -> None:
    """Hold a job to what can be said without a phone.

    Models, apps and other preparations that are on this machine are looked at; they need not be,
    for it is the agents' machines that read them.

    Raises:
        UsageError: A word of ``[bench]`` means nothing, or a path names something else.
        ModelError: A prepared model was changed since it was prepared.
        ToolchainError: An app cannot be read.
    """
    cells = len(spec.models) * spec.requirements.phone_count
    if cells > MOST_CELLS:
        message = f"cannot use {source}: it asks for {cells} cells; a job may have {MOST_CELLS}"
        raise UsageError(message, next_step="divide it into several jobs")
    if len(set(spec.models)) < len(spec.models):
        message = f"cannot use {source}: models: two of its paths are the same"
        raise UsageError(message)
    try:
        _check_words(spec.bench)
        _check_figures(spec.bench)
        _check_files(spec)
    except OrtlabError as error:
        error.message = f"cannot use {source}: {error.message}"
        error.args = (error.message,)
        raise


def away(spec: JobSpec) -> tuple[str, ...]:
    """Return the paths of a job that are not on this machine."""
    from ortlab.devices import names_release

    against = [text for text in spec.bench.against if not names_release(text)]
    paths = (*spec.models, *spec.bench.apps, *against)
    return tuple(path for path in paths if not Path(path).exists())


def _check_words(section: BenchSection) -> None:
    from ortlab.analysis import parse_limit
    from ortlab.settings import arm_options

    arm_options(section, ())
    parse_limit(section.equivalence_margin)


def _check_figures(section: BenchSection) -> None:
    wrong: list[str] = []
    if not 2 <= section.min_rounds <= section.max_rounds <= _MOST_ROUNDS:
        wrong.append(f"min_rounds and max_rounds: from 2 to {_MOST_ROUNDS}, in this order")
    if not 0.05 <= section.block_s <= _LONGEST_BLOCK_S or not math.isfinite(section.block_s):
        wrong.append(f"block_s: from 0.05 to {_LONGEST_BLOCK_S:g}")
    if not all(1 <= count <= 1024 for count in section.threads):
        wrong.append("threads: from 1 to 1024")
    if not 0 <= section.memory_blocks <= _MOST_ROUNDS:
        wrong.append(f"memory_blocks: from 0 to {_MOST_ROUNDS}")
    if not 0 <= section.cold_start_blocks <= _MOST_ROUNDS:
        wrong.append(f"cold_start_blocks: from 0 to {_MOST_ROUNDS}")
    if section.seed is not None and not 0 <= section.seed < 1 << 63:
        wrong.append("seed: from 0 to 2^63 - 1")
    if section.by_hand:
        wrong.append("by_hand: nobody is there to open the app")
    if wrong:
        message = f"bench.{wrong[0]}"
        raise UsageError(message, next_step="ortlab bench --help")


def _check_files(spec: JobSpec) -> None:
    from ortlab.build import find_app
    from ortlab.devices import names_release

    prepared = [text for text in spec.bench.against if not names_release(text)]
    for path in map(Path, (*spec.models, *prepared)):
        if path.exists():
            pipeline.prepared_at(path)
    platforms: dict[str, Path] = {}
    for path in map(Path, spec.bench.apps):
        if not path.exists():
            continue
        platform = str(find_app(path).platform)
        if platform in platforms:
            message = f"bench.app: both {platforms[platform]} and {path} are for {platform}"
            raise UsageError(message, next_step="give one app a platform")
        platforms[platform] = path
