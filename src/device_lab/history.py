"""A model's nights on a phone: each as the ratio to the control arm that was measured with it.

A phone is never the same twice, so nights are never compared as if they were interleaved: the
latency of a night means nothing beside another's, its ratio to the **control arm** of the same
experiment does. Only nights with one and the same control, by the digest of its content and
runtime, are shown together: a **segment**. The unit is the night, however many experiments and
rounds it had. Pure.

The noise band of a night is the 95 % prediction interval for one more night from the nights
before it in its segment: ``mean ± t · s · √(1 + 1/n)`` on log ratios, with the quantile of
Student's t for n - 1 degrees of freedom (Hahn and Meeker, Statistical Intervals, 1991, 4.7).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from device_lab.values import CellResult, Comparison
from ortlab.analysis import wording
from ortlab.analysis.power import welch_effect
from ortlab.domain import Effect, Verdict
from ortlab.statistics import interval, ratio_of

FEWEST_NIGHTS: Final = 3
"""Nights behind a band, and on each side of a comparison of periods."""
ALPHA: Final = 0.05
_ROUNDING: Final = 1e-9


class Place(StrEnum):
    """Where a night lies; WITHOUT_BAND while too few nights came before it."""

    INSIDE = "inside the band"
    ABOVE = "slower than the band"
    BELOW = "faster than the band"
    WITHOUT_BAND = "no band yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where a night is expected: ratios, and the number of earlier nights that say so."""

    low: float
    high: float
    nights: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night of a segment.

    Attributes:
        night: The day on which it began, see :func:`night_of`.
        finished_at: End of its last experiment.
        ratio: Of the model's latency to the control arm's: the geometric mean over experiments.
        experiments: How many of them the night had.
        rounds: Of all of them.
        trust: As the analysis of each gave it, the distinct ones.
        band: From strictly earlier nights; None before there are three.
        place: Of the ratio and the band.
    """

    night: date
    finished_at: datetime
    ratio: float
    experiments: int
    rounds: int
    trust: tuple[str, ...]
    band: Band | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The nights that were measured against one and the same control arm, oldest first."""

    control: str
    control_label: str
    nights: tuple[Night, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Every night of one arm of a model on a phone.

    Attributes:
        model_name: The model.
        phone_id: The phone.
        phone_name: As people call it.
        arm: Label of the arm.
        virtual: Whether the phone is a program, whose times mean nothing.
        segments: By their first night; ratios of different segments do not compare.
        left_out: Experiments that support no verdict, and so are no night.
        sentences: What can be said, in words.
    """

    model_name: str
    phone_id: str
    phone_name: str
    arm: str
    virtual: bool
    segments: tuple[Segment, ...]
    left_out: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodComparison:
    """Two periods of one segment.

    Attributes:
        effect: The later period's ratio to the earlier one's, with the nights as units; None
            when the periods may not be compared.
        sentence: In words, with the reason of a refusal.
    """

    effect: Effect | None
    sentence: str


def night_of(at: datetime, zone: tzinfo = UTC) -> date:
    """Return the day on which a night began: it goes from noon to noon in a zone."""
    return (at.astimezone(zone) - timedelta(hours=12)).date()


def histories(results: Iterable[CellResult], *, zone: tzinfo = UTC) -> tuple[History, ...]:
    """Return the history of every arm of every model on every phone, by their names.

    Args:
        results: In any order; what stands in them twice counts once.
        zone: In which a night goes from noon to noon.
    """
    found: dict[tuple[str, str, str], list[tuple[CellResult, Comparison]]] = defaultdict(list)
    seen: set[str] = set()
    for result in sorted(results, key=lambda item: (item.finished_at, item.cell_id)):
        if result.cell_id in seen:
            continue
        seen.add(result.cell_id)
        for comparison in result.comparisons:
            key = (result.model_name, result.phone_id, comparison.arm)
            found[key].append((result, comparison))
    return tuple(_history(found[key], zone) for key in sorted(found))


def compare_periods(
    history: History, earlier: tuple[date, date], later: tuple[date, date]
) -> PeriodComparison:
    """Compare the nights of two periods, each night as one value (Welch's interval, 95 %).

    Args:
        history: Of one arm.
        earlier: First and last night, both included.
        later: Likewise; it begins after the earlier one ends.
    """
    if not earlier[0] <= earlier[1] < later[0] <= later[1]:
        return _refused("a period begins before it ends, and the later one after the earlier one")
    sides = [_within(history, period) for period in (earlier, later)]
    controls = [set(side) for side in sides]
    common = controls[0] & controls[1]
    if controls[0] and controls[1] and not common:
        return _refused(
            "the control arm changed between them, and no other arm was measured in both"
        )
    both = {control: min(len(side[control]) for side in sides) for control in common}
    control = max(sorted(both), key=lambda name: both[name], default="")
    counts = [len(side.get(control, ())) for side in sides]
    if min(counts) < FEWEST_NIGHTS:
        return _refused(
            f"they have {counts[0]} and {counts[1]} nights with one control arm, and at least"
            f" {FEWEST_NIGHTS} a side are needed: nights are the units, not their rounds"
        )
    logs = [[math.log(night.ratio) for night in side[control]] for side in sides]
    found = welch_effect(logs[1], logs[0], alpha=ALPHA)
    return PeriodComparison(effect=found, sentence=_period_sentence(found, counts, history))


def _refused(why: str) -> PeriodComparison:
    return PeriodComparison(effect=None, sentence=f"cannot compare these periods: {why}")


def _within(history: History, period: tuple[date, date]) -> dict[str, list[Night]]:
    found: dict[str, list[Night]] = {}
    for segment in history.segments:
        nights = [night for night in segment.nights if period[0] <= night.night <= period[1]]
        if nights:
            found[segment.control] = nights
    return found


def _period_sentence(found: Effect, counts: Sequence[int], history: History) -> str:
    figures = (
        f"{wording.percent(found.ratio - 1, signed=True)} %"
        f" ({wording.signed_interval(found)}, {counts[0]} and {counts[1]} nights)"
    )
    what = f"{history.model_name} on {history.phone_name}, later against earlier nights"
    if found.low > 1:
        return f"{what}: slower, {figures}"
    if found.high < 1:
        return f"{what}: faster, {figures}"
    return f"{what}: no difference seen, {figures}"


def _history(found: Sequence[tuple[CellResult, Comparison]], zone: tzinfo) -> History:
    usable = [(result, comparison) for result, comparison in found if _usable(result, comparison)]
    by_control: dict[str, list[tuple[CellResult, Comparison]]] = defaultdict(list)
    for result, comparison in usable:
        by_control[result.control].append((result, comparison))
    segments = tuple(_segment(items, zone) for items in by_control.values())
    last, comparison = found[-1]
    history = History(
        model_name=last.model_name,
        phone_id=last.phone_id,
        phone_name=last.phone_name,
        arm=comparison.arm,
        virtual=any(result.virtual for result, _ in found),
        segments=segments,
        left_out=len(found) - len(usable),
        sentences=(),
    )
    return _with_sentences(history)


def _usable(result: CellResult, comparison: Comparison) -> bool:
    # A virtual phone never gets a verdict; its nights are shown, and said to mean nothing.
    supported = comparison.verdict != Verdict.NONE or result.virtual
    return supported and len(comparison.log_ratios) > 1


def _segment(items: Sequence[tuple[CellResult, Comparison]], zone: tzinfo) -> Segment:
    by_night: dict[date, list[tuple[CellResult, Comparison]]] = defaultdict(list)
    for result, comparison in items:
        by_night[night_of(result.finished_at, zone)].append((result, comparison))
    nights: list[Night] = []
    logs: list[float] = []
    for day in sorted(by_night):
        experiments = by_night[day]
        means = [_mean(comparison.log_ratios) for _, comparison in experiments]
        log = _mean(means)
        band = _band(logs)
        nights.append(
            Night(
                night=day,
                finished_at=max(result.finished_at for result, _ in experiments),
                ratio=ratio_of(log),
                experiments=len(experiments),
                rounds=sum(len(comparison.log_ratios) for _, comparison in experiments),
                trust=tuple(sorted({result.trust for result, _ in experiments})),
                band=band,
                place=_place(ratio_of(log), band),
            )
        )
        logs.append(log)
    last = items[-1][0]
    return Segment(control=last.control, control_label=last.control_label, nights=tuple(nights))


def _band(logs: Sequence[float]) -> Band | None:
    """Return where one more night is expected; `interval` gives mean and ``t · s ÷ √n``."""
    count = len(logs)
    if count < FEWEST_NIGHTS:
        return None
    mean, low, _ = interval(logs, alpha=ALPHA)
    half = (mean - low) * math.sqrt(count + 1)
    return Band(low=ratio_of(mean - half), high=ratio_of(mean + half), nights=count)


def _place(ratio: float, band: Band | None) -> Place:
    if band is None:
        return Place.WITHOUT_BAND
    if ratio > band.high * (1 + _ROUNDING):
        return Place.ABOVE
    return Place.BELOW if ratio < band.low * (1 - _ROUNDING) else Place.INSIDE


def _with_sentences(history: History) -> History:
    said: list[str] = []
    if history.virtual:
        said.append(f"{history.phone_name} is a virtual device: its times say nothing of a phone.")
    if len(history.segments) > 1:
        said.append(
            f"The control arm changed: the nights form {len(history.segments)} segments, and ratios"
            " of different segments do not compare."
        )
    if history.left_out:
        what = "experiment supports" if history.left_out == 1 else "experiments support"
        said.append(f"{history.left_out} {what} no verdict and are left out.")
    nights = [night for segment in history.segments for night in segment.nights]
    if nights:
        said.append(_last_sentence(max(nights, key=lambda night: night.finished_at)))
    else:
        said.append("No night supports a verdict.")
    return replace(history, sentences=tuple(said))


def _last_sentence(night: Night) -> str:
    figure = f"{wording.percent(night.ratio - 1, signed=True)} % against the control arm"
    what = f"The night of {night.night}: {figure}"
    if night.band is None:
        return f"{what}; a noise band needs {FEWEST_NIGHTS} earlier nights with the same control."
    low, high = (
        wording.percent(bound - 1, signed=True) for bound in (night.band.low, night.band.high)
    )
    earlier = f"{low} to {high} % from {night.band.nights} earlier nights"
    return f"{what}: {night.place} of {earlier}."


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
