"""The gate over a whole night: screen every cell once, measure the suspects again, then decide.

With 500 cells a test at 5 % a cell cries wolf every night, and a correction over all of them finds
little. So a first experiment only makes **suspects**; each is measured again with fresh rounds,
and the rerun alone decides, with Holm's correction among the reruns. What the screening saw is
never pooled with the rerun: it was chosen for looking bad. Each experiment has one planned look.

A cell that is no suspect showed no slowdown; that is not evidence of equality. A cell without
a usable result has an outcome of its own. Pure: nothing here reads a store or a clock. Source of
the figures: `benchmarks/simulate_nights.py`; of the correction: Holm (Scand. J. Statist. 6, 1979).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from device_lab.values import JobSpec
from ortlab.analysis import wording
from ortlab.errors import UsageError
from ortlab.statistics import effect, holm, slowdown_p

SCREENING_ALPHA: Final = 0.05
"""Two-sided, so that a cell on the slower side is a suspect below half of it, one-sided."""
FAMILY_ALPHA: Final = 0.05
"""Chance that a night without any slowdown claims one, over all reruns together."""
FEWEST_ROUNDS: Final = 2


class CellOutcome(StrEnum):
    """What a night says of a cell."""

    SLOWER = "slower"
    BELOW_FLOOR = "below the noise floor"
    NOT_CONFIRMED = "not confirmed"
    NO_SLOWDOWN_SEEN = "no slowdown seen"
    NOT_MEASURED = "not measured"
    NOT_RERUN = "suspected, not measured again"


class NightStatus(StrEnum):
    """How a night ended."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CellKey:
    """Which cell: a model, with one setting of both arms, on a phone."""

    model: str
    setting: str
    phone_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """A cell of the night after its first experiment.

    Attributes:
        key: Which cell.
        job_id: Of the job that measured it.
        model_name: For people.
        phone_name: For people.
        log_ratios: Per round, ``ln(new ÷ base)``; empty without a usable result.
        reason: Why there is no usable result; empty if there is one.
        noise_floor: Smallest effect that may be claimed on the phone, such as 0.012; None if
            the phone was never calibrated.
    """

    key: CellKey
    job_id: str
    model_name: str
    phone_name: str
    log_ratios: tuple[float, ...] = ()
    reason: str = ""
    noise_floor: float | None = None

    @property
    def usable(self) -> bool:
        """Whether the experiment gave anything to decide by."""
        return not self.reason and len(self.log_ratios) >= FEWEST_ROUNDS

    @property
    def phone(self) -> str:
        """Return the phone in words; phones of one kind have one name."""
        if self.phone_name == self.key.phone_id:
            return self.phone_name
        return f"{self.phone_name} ({self.key.phone_id})"

    @property
    def name(self) -> str:
        """Return the cell in words."""
        setting = f" ({self.key.setting})" if self.key.setting else ""
        return f"{self.model_name}{setting} on {self.phone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What the second experiment of a suspect gave; ``reason`` says why it gave nothing."""

    log_ratios: tuple[float, ...] = ()
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether the experiment gave anything to decide by."""
        return not self.reason and len(self.log_ratios) >= FEWEST_ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCell:
    """A cell with what the night says of it.

    Attributes:
        screening: Of the cell.
        outcome: In a word.
        sentence: In words, with the figures.
        screening_p: One-sided, of "no slower than the limit"; None without a usable result.
        rerun_p: Likewise of the rerun; 1 for a suspect whose rerun gave nothing usable, None for
            a cell that is no suspect.
        ratio: New to base: of the rerun where there was one, else of the screening.
        low: Lower end of the ratio's two-sided 95 % interval.
        high: Upper end.
    """

    screening: Screening
    outcome: CellOutcome
    sentence: str
    screening_p: float | None = None
    rerun_p: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NightVerdict:
    """What a night says.

    Attributes:
        status: Fail if any cell is slower; inconclusive if a suspect could not be measured
            again, if nothing was measured at all, or if completeness was asked for and a cell
            has no usable result; else pass.
        sentence: In words.
        limit: The slowdown that is allowed, such as 0.02.
        cells: In the order of the screenings.
    """

    status: NightStatus
    sentence: str
    limit: float
    cells: tuple[JudgedCell, ...]

    def of(self, outcome: CellOutcome) -> tuple[JudgedCell, ...]:
        """Return the cells with an outcome."""
        return tuple(cell for cell in self.cells if cell.outcome is outcome)


def is_suspect(log_ratios: Sequence[float], *, limit: float) -> bool:
    """Return whether a screening calls for a rerun: p < 0.05 two-sided, on the slower side."""
    return slowdown_p(log_ratios, limit=limit) < SCREENING_ALPHA / 2


def suspects(screenings: Iterable[Screening], *, limit: float) -> tuple[Screening, ...]:
    """Return the cells to measure again, in their order."""
    return tuple(
        screening
        for screening in screenings
        if screening.usable and is_suspect(screening.log_ratios, limit=limit)
    )


def claims(
    reruns: Sequence[Sequence[float]], floors: Sequence[float | None], *, limit: float
) -> tuple[bool, ...]:
    """Return which suspects are slower for certain, in the order given.

    Args:
        reruns: Log ratios of each suspect's rerun; fewer than two rounds count as p = 1.
        floors: Noise floor of each suspect's phone, which the effect must exceed too.
        limit: As of the night.
    """
    rejected = holm([slowdown_p(ratios, limit=limit) for ratios in reruns], FAMILY_ALPHA)
    return tuple(
        slower and _mean(ratios) > math.log1p(floor or 0.0)
        for slower, ratios, floor in zip(rejected, reruns, floors, strict=True)
    )


def rerun_specs(
    chosen: Sequence[Screening], specs: Mapping[str, JobSpec]
) -> tuple[tuple[JobSpec, tuple[Screening, ...]], ...]:
    """Plan the jobs that measure suspects again, each on the phone on which it was suspected.

    The same suspects give the same jobs. Nothing else than the phone and the seed of the order
    differs from the screening.

    Args:
        chosen: The suspects.
        specs: Id of each screening job to what it asked for.

    Returns:
        Each job with its suspects, one for each of its models.
    """
    groups: dict[tuple[str, str], list[Screening]] = {}
    for screening in chosen:
        groups.setdefault((screening.job_id, screening.key.phone_id), []).append(screening)
    return tuple(
        (_rerun_spec(specs[job_id], job_id, phone_id, group), tuple(group))
        for (job_id, phone_id), group in groups.items()
    )


def _rerun_spec(spec: JobSpec, job_id: str, phone_id: str, group: Sequence[Screening]) -> JobSpec:
    text = f"{job_id}/{phone_id}/rerun"
    seed = int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:4], "big")
    # The order must not be that of the screening; with the same seed it would be.
    seed += seed == spec.bench.seed
    models = tuple(screening.key.model for screening in group)
    return replace(
        spec,
        name=f"{spec.name}, rerun on {phone_id}",
        models=models,
        bases=tuple(spec.bases[spec.models.index(model)] for model in models if spec.bases),
        bench=replace(spec.bench, seed=seed),
        requirements=replace(spec.requirements, phone_count=1, phone_ids=(phone_id,)),
    )


def decide_night(
    screenings: Sequence[Screening],
    reruns: Mapping[CellKey, Rerun],
    *,
    limit: float,
    complete: bool = False,
) -> NightVerdict:
    """Judge every cell of a night.

    Args:
        screenings: Each cell once.
        reruns: Of the suspects; those of other cells count for nothing.
        limit: The slowdown that is allowed, such as 0.02; 0 asks for any.
        complete: Whether a cell without a usable result makes the night inconclusive.

    Raises:
        UsageError: A cell was given twice, or the limit or a ratio cannot mean anything.
    """
    keys = Counter(screening.key for screening in screenings)
    if twice := [key for key, count in keys.items() if count > 1]:
        message = f"cannot judge the night: {twice[0].model} on {twice[0].phone_id} stands twice"
        raise UsageError(message)
    chosen = suspects(screenings, limit=limit)
    tried = {screening.key: reruns.get(screening.key, Rerun()) for screening in chosen}
    usable = [rerun.log_ratios if rerun.usable else () for rerun in tried.values()]
    floors = [screening.noise_floor for screening in chosen]
    slower = dict(zip(tried, claims(usable, floors, limit=limit), strict=True))
    proven = dict(zip(tried, claims(usable, [None] * len(usable), limit=limit), strict=True))
    cells = tuple(
        _judge_suspect(s, tried[s.key], slower=slower[s.key], proven=proven[s.key], limit=limit)
        if s.key in tried
        else _judge_other(s, limit)
        for s in screenings
    )
    status = _status(cells, complete=complete)
    return NightVerdict(
        status=status, sentence=_night_sentence(status, cells, limit), limit=limit, cells=cells
    )


def _judge_other(screening: Screening, limit: float) -> JudgedCell:
    if not screening.usable:
        reason = screening.reason or f"fewer than {FEWEST_ROUNDS} complete rounds exist"
        return JudgedCell(
            screening=screening,
            outcome=CellOutcome.NOT_MEASURED,
            sentence=f"{screening.name}: no usable result: {reason.rstrip('.')}.",
        )
    found = effect(screening.log_ratios, alpha=SCREENING_ALPHA, checks=False)
    return JudgedCell(
        screening=screening,
        outcome=CellOutcome.NO_SLOWDOWN_SEEN,
        sentence=(
            f"{screening.name}: no slowdown{_beyond(limit)} seen: {_figures(screening.log_ratios)}."
        ),
        screening_p=slowdown_p(screening.log_ratios, limit=limit),
        ratio=found.ratio,
        low=found.low,
        high=found.high,
    )


def _judge_suspect(
    screening: Screening, rerun: Rerun, *, slower: bool, proven: bool, limit: float
) -> JudgedCell:
    screened = slowdown_p(screening.log_ratios, limit=limit)
    if not rerun.usable:
        reason = rerun.reason or "the rerun gave no usable result"
        return JudgedCell(
            screening=screening,
            outcome=CellOutcome.NOT_RERUN,
            sentence=(
                f"{screening.name}: suspected to be slower ({_figures(screening.log_ratios)}), but"
                f" not measured again: {reason.rstrip('.')}."
            ),
            screening_p=screened,
            rerun_p=1.0,
        )
    found = effect(rerun.log_ratios, alpha=SCREENING_ALPHA, checks=False)
    figures = f"{_figures(rerun.log_ratios)} in the rerun"
    name, floor = screening.name, screening.noise_floor or 0.0
    p = slowdown_p(rerun.log_ratios, limit=limit)
    if slower:
        outcome = CellOutcome.SLOWER
        how = wording.change(found.ratio)
        than = "as" if " times " in how else "than"
        said = f"{name} is {how} {than} its base: {figures}, p = {p:.2g}"
    elif proven:
        outcome = CellOutcome.BELOW_FLOOR
        said = f"{name}: {figures}, within the phone's noise floor of {wording.limit(floor)}"
    else:
        outcome = CellOutcome.NOT_CONFIRMED
        said = f"{name}: suspected, not confirmed: {figures}, p = {p:.2g}"
    return JudgedCell(
        screening=screening,
        outcome=outcome,
        sentence=f"{said}.",
        screening_p=screened,
        rerun_p=p,
        ratio=found.ratio,
        low=found.low,
        high=found.high,
    )


def _status(cells: Sequence[JudgedCell], *, complete: bool) -> NightStatus:
    counts = Counter(cell.outcome for cell in cells)
    missing = counts[CellOutcome.NOT_MEASURED]
    if counts[CellOutcome.SLOWER]:
        return NightStatus.FAIL
    if counts[CellOutcome.NOT_RERUN] or missing == len(cells) or (complete and missing):
        return NightStatus.INCONCLUSIVE
    return NightStatus.PASS


def _night_sentence(status: NightStatus, cells: Sequence[JudgedCell], limit: float) -> str:
    counts = Counter(cell.outcome for cell in cells)
    slower, missing = counts[CellOutcome.SLOWER], counts[CellOutcome.NOT_MEASURED]
    open_count = counts[CellOutcome.NOT_RERUN]
    parts = []
    if slower:
        parts.append(f"{slower} of {_cells(len(cells))} slower{_beyond(limit)}")
    elif missing < len(cells):
        parts.append(f"no slowdown{_beyond(limit)} confirmed in {_cells(len(cells) - missing)}")
    if open_count:
        parts.append(f"{_cells(open_count)} suspected, but not measured again")
    if missing or not cells:
        parts.append(f"{_cells(missing)} without a usable result")
    return f"{status}: {'; '.join(parts)}"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _beyond(limit: float) -> str:
    return f" by more than {wording.limit(limit)}" if limit else ""


def _figures(log_ratios: Sequence[float]) -> str:
    found = effect(log_ratios, alpha=SCREENING_ALPHA, checks=False)
    difference = wording.percent(found.ratio - 1, signed=True)
    return f"{difference} % ({wording.signed_interval(found)}, {wording.rounds(found.rounds)})"


def _mean(log_ratios: Sequence[float]) -> float:
    return math.fsum(log_ratios) / len(log_ratios)
