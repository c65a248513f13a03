"""What may go, by age and by size; a baseline never does.

A baseline is the newest result of its model, phone and control arm, and every cell of a job that
somebody marked as one. By age, whole jobs go: blocks, results and all. By size, only blocks go,
the oldest first, so that histories stay. Nothing of a job that is not over is touched.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device_lab.store import LabStore
from device_lab.values import Cell, CellState, Job
from ortlab.errors import StorageError, UsageError

_OVER = frozenset({CellState.DONE, CellState.FAILED, CellState.CANCELLED})
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A job with all that came of it, or only the blocks of one of its cells.

    Attributes:
        job_id: Of the job.
        job_name: As its author wrote it.
        cell_id: The cell whose blocks go; None if the whole job goes.
        cell_ids: Every cell that loses its blocks.
        last_at: When something last happened there.
        blocks: How many go.
        size_bytes: Of their lines.
        why: In words.
    """

    job_id: str
    job_name: str
    cell_id: str | None
    cell_ids: tuple[str, ...]
    last_at: datetime
    blocks: int
    size_bytes: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """What pruning would do.

    Attributes:
        removals: The oldest first.
        run_directories: On this machine, of cells that go or are gone.
        size_bytes: Of all blocks before.
        left_bytes: Of all blocks after.
        baseline_cells: Cells that stay whatever their age.
        sentence: In words, also where a wanted size cannot be reached.
    """

    removals: tuple[Removal, ...]
    run_directories: tuple[Path, ...]
    size_bytes: int
    left_bytes: int
    baseline_cells: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneAnswer:
    """What pruning did; ``kept`` says what it left although it was planned, and why."""

    jobs: int
    blocks: int
    run_directories: int
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the store holds, as far as pruning asks."""

    jobs: Mapping[str, Job]
    cells: Mapping[str, tuple[Cell, ...]]
    last_at: Mapping[str, datetime]
    sizes: Mapping[str, tuple[int, int]]
    baselines: frozenset[str]


def plan_prune(
    store: LabStore,
    now: datetime,
    *,
    older_than: timedelta | None,
    keep_bytes: int | None,
    runs: Path | None = None,
) -> PrunePlan:
    """Decide what goes, without removing anything.

    Args:
        store: Of the lab.
        now: The time.
        older_than: Jobs go in which nothing has happened for that long.
        keep_bytes: Blocks go until the lines of those that stay are no longer than that.
        runs: Where this machine keeps run directories.

    Raises:
        UsageError: Neither age nor size is given.
    """
    if older_than is None and keep_bytes is None:
        message = "cannot prune: neither an age nor a size is given"
        raise UsageError(message, next_step="ortlab lab prune --older-than 90d --dry-run")
    known = _known(store)
    before = sum(size for _, size in known.sizes.values())
    removals = _by_age(known, now, older_than) if older_than is not None else []
    left = before - sum(removal.size_bytes for removal in removals)
    if keep_bytes is not None:
        gone = {cell_id for removal in removals for cell_id in removal.cell_ids}
        more, left = _by_size(known, gone, left, keep_bytes)
        removals += more
    removals.sort(key=lambda removal: (removal.last_at, removal.job_id, removal.cell_id or ""))
    return PrunePlan(
        removals=tuple(removals),
        run_directories=_directories(runs, removals, known, now, older_than),
        size_bytes=before,
        left_bytes=left,
        baseline_cells=len(known.baselines),
        sentence=_sentence(removals, before, left, keep_bytes),
    )


def carry_out(store: LabStore, plan: PrunePlan) -> PruneAnswer:
    """Remove what a plan names; what is not over any more, or gone, is left and told."""
    jobs = blocks = directories = 0
    kept: list[str] = []
    for removal in plan.removals:
        try:
            if removal.cell_id is None:
                blocks += store.delete_job(removal.job_id)
                jobs += 1
            else:
                blocks += store.delete_blocks(removal.cell_id)
        except UsageError as error:
            kept.append(error.message)
    for directory in plan.run_directories:
        try:
            shutil.rmtree(directory)
            directories += 1
        except OSError as error:
            kept.append(f"cannot remove {directory}: {error.strerror or error}")
    return PruneAnswer(jobs=jobs, blocks=blocks, run_directories=directories, kept=tuple(kept))


def _known(store: LabStore) -> _Known:
    jobs = {job.job_id: job for job in store.jobs()}
    cells: dict[str, list[Cell]] = defaultdict(list)
    for cell in store.cells():
        cells[cell.job_id].append(cell)
    last_at: dict[str, datetime] = {}
    for row in store.rows("attempts"):
        at = _time(row["ended_at"] or row["started_at"])
        cell_id = str(row["cell_id"])
        last_at[cell_id] = max(at, last_at.get(cell_id, at))
    newest, named = _newest_results(store), {job.job_id for job in jobs.values() if job.baseline}
    kept = {cell.cell_id for job_id in named for cell in cells[job_id]}
    return _Known(
        jobs=jobs,
        cells={job_id: tuple(found) for job_id, found in cells.items()},
        last_at=last_at,
        sizes=store.block_sizes(),
        baselines=frozenset(kept | newest),
    )


def _newest_results(store: LabStore) -> set[str]:
    newest: dict[tuple[str, str, str], tuple[str, str]] = {}
    for row in store.rows("results"):
        cell_id = str(row["cell_id"])
        try:
            control = str(json.loads(str(row["value"]))["control"])
        except (ValueError, KeyError, TypeError) as error:
            message = f"cannot prune: the result of the cell {cell_id} cannot be read"
            raise StorageError(message, next_step="ortlab lab check") from error
        key = (str(row["model_name"]), str(row["phone_id"]), control)
        found = (str(row["finished_at"]), cell_id)
        newest[key] = max(found, newest.get(key, found))
    return {cell_id for _, cell_id in newest.values()}


def _by_age(known: _Known, now: datetime, older_than: timedelta) -> list[Removal]:
    removals: list[Removal] = []
    for job in known.jobs.values():
        cells = known.cells.get(job.job_id, ())
        last = _last(known, job, cells)
        if now - last <= older_than or not all(cell.state in _OVER for cell in cells):
            continue
        why = f"nothing happened there for {(now - last).days} days"
        if job.baseline:
            continue
        if not any(cell.cell_id in known.baselines for cell in cells):
            removals.append(_removal(known, job, cells, last, why, whole=True))
            continue
        removals += [
            _removal(known, job, (cell,), last, f"{why}, and it is no baseline", whole=False)
            for cell in cells
            if cell.cell_id not in known.baselines and cell.cell_id in known.sizes
        ]
    return removals


def _by_size(
    known: _Known, gone: set[str], left: int, keep_bytes: int
) -> tuple[list[Removal], int]:
    found = [
        (known.last_at.get(cell.cell_id, job.submitted_at), cell.cell_id, cell, job)
        for job in known.jobs.values()
        for cell in known.cells.get(job.job_id, ())
        if cell.state in _OVER
        and cell.cell_id in known.sizes
        and cell.cell_id not in gone
        and cell.cell_id not in known.baselines
    ]
    removals: list[Removal] = []
    for last, _, cell, job in sorted(found, key=lambda item: item[:2]):
        if left <= keep_bytes:
            break
        removal = _removal(known, job, (cell,), last, "the oldest blocks go first", whole=False)
        removals.append(removal)
        left -= removal.size_bytes
    return removals, left


def _removal(
    known: _Known, job: Job, cells: Iterable[Cell], last: datetime, why: str, *, whole: bool
) -> Removal:
    cell_ids = tuple(cell.cell_id for cell in cells)
    sizes = [known.sizes.get(cell_id, (0, 0)) for cell_id in cell_ids]
    return Removal(
        job_id=job.job_id,
        job_name=job.spec.name,
        cell_id=None if whole else cell_ids[0],
        cell_ids=cell_ids,
        last_at=last,
        blocks=sum(count for count, _ in sizes),
        size_bytes=sum(size for _, size in sizes),
        why=why,
    )


def _last(known: _Known, job: Job, cells: Iterable[Cell]) -> datetime:
    found = [known.last_at[cell.cell_id] for cell in cells if cell.cell_id in known.last_at]
    return max([job.submitted_at, *found])


def _directories(
    runs: Path | None,
    removals: Iterable[Removal],
    known: _Known,
    now: datetime,
    older_than: timedelta | None,
) -> tuple[Path, ...]:
    """Return the run directories of cells that go, and the old ones of cells long gone."""
    if runs is None or not runs.is_dir():
        return ()
    gone = {cell_id for removal in removals for cell_id in removal.cell_ids}
    there = {cell.cell_id for cells in known.cells.values() for cell in cells}
    found: list[Path] = []
    for path in sorted(runs.iterdir()):
        if path.is_symlink() or not path.is_dir() or not _RUN_NAME.fullmatch(path.name):
            continue
        old = older_than is not None and _age(path, now) > older_than
        if path.name in gone or (path.name not in there and old):
            found.append(path)
    return tuple(found)


def _age(path: Path, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _sentence(removals: list[Removal], before: int, left: int, keep_bytes: int | None) -> str:
    blocks = sum(removal.blocks for removal in removals)
    jobs = sum(1 for removal in removals if removal.cell_id is None)
    cells = len(removals) - jobs
    text = (
        f"{jobs} job(s) whole and the blocks of {cells} cell(s): {blocks} blocks,"
        f" {(before - left) / 1e6:.1f} of {before / 1e6:.1f} MB"
    )
    if keep_bytes is not None and left > keep_bytes:
        text += (
            f"; {left / 1e6:.1f} MB stay, more than wanted: they belong to baselines and to jobs"
            " that are not over"
        )
    return text


def _time(text: object) -> datetime:
    return datetime.fromisoformat(str(text))
