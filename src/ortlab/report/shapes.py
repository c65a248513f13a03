"""What the charts draw, worked out from samples: axes, ridges, strips, bars.

A million samples become some hundred numbers here; nothing below this module sees raw samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortlab.domain import Block, Run
from ortlab.report.frames import BlockSamples, good_latency_samples
from ortlab.rounds import disturbed_attempts
from ortlab.text import change, duration, percent, three_digits, times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BIN_COUNT = 110
MOST_SLOTS, MOST_POINTS = 120, 3_000
"""Round attempts and points that the chart over time shows one by one; more are put together."""
_LOGARITHMIC_FROM = 3.0
_TIMES_FROM = 1.0
_WIDEST_RATIO = 1_000.0


# ------------------------------------------------------------------------------ axes


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioAxis:
    """An axis of ratios to the baseline: the change in percent, or the logarithm of the ratio.

    Attributes:
        domain: Ends, in the axis's own measure.
        ticks: Likewise.
        logarithmic: Whether ratios differ so much that percent would mislead.
    """

    domain: tuple[float, float]
    ticks: tuple[float, ...]
    logarithmic: bool

    def place(self, ratio: float) -> float:
        """Return where a ratio lies; one beyond the axis lies at its end."""
        return min(max(self.measure(ratio), self.domain[0]), self.domain[1])

    def measure(self, ratio: float) -> float:
        """Return a ratio in the axis's own measure."""
        if not self.logarithmic:
            return (ratio - 1) * 100
        return math.log2(ratio) if ratio > 0 else -math.inf

    def name(self, tick: float) -> str:
        """Return what a tick is called."""
        if self.logarithmic:
            return times(2**tick)
        return f"{tick:+.3g} %".replace("-", "−") if tick else "0"


def ratio_axis(
    bounds: Sequence[float], *, margin: float, points: Sequence[float] = ()
) -> RatioAxis:
    """Return an axis that holds the baseline and the equivalence region.

    Args:
        bounds: Ends of intervals, held unless they are beyond a thousandfold.
        margin: Half the width of the equivalence region.
        points: Ratios, held however far they are.
    """
    known = [bound for bound in bounds if 1 / _WIDEST_RATIO <= bound <= _WIDEST_RATIO]
    known += [point for point in points if 0 < point < math.inf]
    low = min([*known, 1 - 1.8 * margin])
    high = max([*known, 1 + 1.8 * margin])
    logarithmic = high > 1 + _TIMES_FROM or low < 0.4
    axis = RatioAxis(domain=(0, 1), ticks=(), logarithmic=logarithmic)
    ends = axis.measure(low), axis.measure(high)
    pad = 0.05 * (ends[1] - ends[0])
    domain = ends[0] - pad, ends[1] + pad
    step = _nice_step((domain[1] - domain[0]) / 8)
    if logarithmic:
        step = max(1.0, round(step))
    first = math.ceil(domain[0] / step)
    ticks = tuple(index * step for index in range(first, math.floor(domain[1] / step) + 1))
    return RatioAxis(domain=domain, ticks=ticks, logarithmic=logarithmic)


def effect_value(ratio: float, low: float, high: float) -> str:
    """Return an effect with its interval, short enough for a chart."""
    if ratio >= 2 or ratio <= 0.2:
        return f"{change(ratio)} [{three_digits(low)}, {three_digits(high)}]"
    bounds = [
        percent(value - 1, signed=True).removesuffix("\N{NO-BREAK SPACE}%") for value in (low, high)
    ]
    return f"{change(ratio)} [{bounds[0]}, {bounds[1]}]"


def _nice_step(step: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= step)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyAxis:
    """An axis of latencies in ``unit``."""

    domain: tuple[float, float]
    unit: str
    unit_ns: float
    logarithmic: bool


# ------------------------------------------------------------------------------ distributions


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of an arm's pooled measured samples.

    Attributes:
        arm: Index of the arm.
        ridge: Latency in the axis's unit, and relative frequency, 0 to 1.
        quantiles: 1, 25, 50, 75 and 99 %, likewise.
        tip: In words.
        beyond: Samples above the axis's end.
        sample_count: In all.
    """

    arm: int
    ridge: tuple[tuple[float, float], ...]
    quantiles: tuple[float, float, float, float, float]
    tip: str
    beyond: int
    sample_count: int


def pooled_samples(
    samples: Sequence[BlockSamples], arm_ids: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """Return arm id to all its measured latency samples; arms without any are left out."""
    import numpy as np

    parts: dict[str, list[NDArray[np.int64]]] = {arm_id: [] for arm_id in arm_ids}
    for item in good_latency_samples(samples):
        parts[item.block.arm_id].append(item.measured_ns)
    return {arm_id: np.concatenate(found) for arm_id, found in parts.items() if found}


def distributions(
    run: Run, samples: Sequence[BlockSamples]
) -> tuple[LatencyAxis, tuple[Distribution, ...]]:
    """Summarize each arm's samples, and return the axis they share."""
    import numpy as np

    arm_ids = [arm.arm_id for arm in run.experiment.arms]
    pooled = pooled_samples(samples, arm_ids)
    levels = (0.5, 1, 5, 25, 50, 75, 90, 99, 99.5)
    quantiles = {
        arm_id: np.maximum(np.percentile(values, levels), 1.0) for arm_id, values in pooled.items()
    }
    axis = _latency_axis([list(map(float, found)) for found in quantiles.values()])
    scale = np.geomspace if axis.logarithmic else np.linspace
    edges = scale(axis.domain[0], axis.domain[1], BIN_COUNT + 1)
    middles = np.sqrt(edges[1:] * edges[:-1]) if axis.logarithmic else (edges[1:] + edges[:-1]) / 2
    found = []
    for index, arm_id in enumerate(arm_ids):
        if arm_id not in pooled:
            continue
        values = pooled[arm_id]
        counts, _ = np.histogram(values / axis.unit_ns, bins=edges)
        smooth = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
        heights = smooth / max(smooth.max(), 1e-9)
        found.append(
            Distribution(
                arm=index,
                ridge=tuple(
                    (float(f"{x:.6g}"), round(float(height), 3))
                    for x, height in zip(middles, heights, strict=True)
                ),
                quantiles=_five(quantiles[arm_id], axis),
                tip=_distribution_tip(run, index, values, quantiles[arm_id]),
                beyond=int(np.count_nonzero(values > edges[-1] * axis.unit_ns)),
                sample_count=len(values),
            )
        )
    return axis, tuple(found)


def _five(
    quantiles: NDArray[np.float64], axis: LatencyAxis
) -> tuple[float, float, float, float, float]:
    low, high = axis.domain

    def held(index: int) -> float:
        return min(max(float(quantiles[index]) / axis.unit_ns, low), high)

    return held(1), held(3), held(4), held(5), held(7)


def _latency_axis(quantiles: Sequence[Sequence[float]]) -> LatencyAxis:
    """Return an axis from the fastest half per cent to the slowest of any arm."""
    if not quantiles:
        return LatencyAxis(domain=(0.1, 1.0), unit="ms", unit_ns=1e6, logarithmic=False)
    medians = sorted(found[4] for found in quantiles)
    low = min(found[0] for found in quantiles)
    # One arm with a long tail must not squeeze the others into a line.
    high = max(min(found[8], found[4] + 6 * (found[6] - found[2])) for found in quantiles)
    high = max(high, low * 1.01, *(found[5] for found in quantiles))
    logarithmic = medians[-1] / medians[0] > _LOGARITHMIC_FROM
    pad = 1.03 if logarithmic else 1.0
    room = 0.0 if logarithmic else 0.03 * (high - low)
    unit, unit_ns = _unit(medians[len(medians) // 2])
    domain = (max(low / pad - room, 1e-3) / unit_ns, (high * pad + room) / unit_ns)
    return LatencyAxis(domain=domain, unit=unit, unit_ns=unit_ns, logarithmic=logarithmic)


def _unit(duration_ns: float) -> tuple[str, float]:
    if duration_ns < 1e5:
        return "µs", 1e3
    return ("ms", 1e6) if duration_ns < 1e9 else ("s", 1e9)


def _distribution_tip(
    run: Run, index: int, values: NDArray[np.int64], quantiles: NDArray[np.float64]
) -> str:
    label = run.experiment.arms[index].label
    return (
        f"{label}: median {duration(float(quantiles[4]))}, middle half"
        f" {duration(float(quantiles[3]))} to {duration(float(quantiles[5]))},"
        f" 90 % below {duration(float(quantiles[6]))}, {len(values):,} samples"
    )


# ------------------------------------------------------------------------------ over time


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One attempt of a round (or several put together) on the axis of time."""

    index: int
    name: str
    disturbed: bool
    resumed: bool
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StripLine:
    """Points of one strip: place in time, height from −1 to 1, and words."""

    arm: int | None
    colour: str
    points: tuple[tuple[float, float, str], ...]
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """Block medians over time.

    Attributes:
        slots: In the order they were measured.
        lines: One for each arm that measured anything, then the temperature if there is one.
        names: Name and right-hand text of each line.
        span: Deviation from the arm's median at a strip's edge, as a share.
        axis_title: Of the axis of time.
    """

    slots: tuple[Slot, ...]
    lines: tuple[StripLine, ...]
    names: tuple[tuple[str, str], ...]
    span: float
    axis_title: str

    @property
    def slot_count(self) -> int:
        """Places on the axis of time."""
        return len(self.slots)


@dataclass(frozen=True, slots=True)
class _Point:
    x: float
    median_ns: float
    block: Block


def strips(run: Run, samples: Sequence[BlockSamples], colours: Sequence[str]) -> Strips:
    """Lay out the medians of the latency blocks in the order they were measured."""
    import numpy as np

    good = good_latency_samples(samples)
    attempts = list(dict.fromkeys((b.block.round_index, b.block.attempt) for b in good))
    arm_count = max(1, len(run.experiment.arms))
    most = max(12, min(MOST_SLOTS, MOST_POINTS // arm_count))
    per_slot = max(1, -(-len(attempts) // most))
    number = {key: index for index, key in enumerate(attempts)}
    slot_of = {key: index // per_slot for key, index in number.items()}
    points: dict[str, list[_Point]] = {}
    position: dict[tuple[int, int], int] = {}
    for item in good:
        key = (item.block.round_index, item.block.attempt)
        seen = position[key] = position.get(key, -1) + 1
        inside = (number[key] % per_slot) / per_slot
        x = slot_of[key] + inside + (seen + 0.5) / arm_count / per_slot
        middle = float(np.median(item.measured_ns))
        points.setdefault(item.block.arm_id, []).append(_Point(x, middle, item.block))
    if per_slot > 1:
        points = {arm_id: _put_together(found) for arm_id, found in points.items()}
    return _laid_out(run, points, _slots(run, good, attempts, slot_of), colours)


def _put_together(points: Sequence[_Point]) -> list[_Point]:
    by_slot: dict[int, list[_Point]] = {}
    for point in points:
        by_slot.setdefault(int(point.x), []).append(point)
    kept = []
    for slot, found in by_slot.items():
        ordered = sorted(found, key=lambda point: point.median_ns)
        middle = ordered[len(ordered) // 2]
        kept.append(_Point(slot + 0.5, middle.median_ns, middle.block))
    return kept


def _slots(
    run: Run,
    good: Sequence[BlockSamples],
    attempts: Sequence[tuple[int, int]],
    slot_of: Mapping[tuple[int, int], int],
) -> tuple[Slot, ...]:
    bad = {slot_of[key] for key in disturbed_attempts(run.blocks) if key in slot_of}
    reasons: dict[int, list[str]] = {}
    sessions: dict[int, str] = {}
    for block in run.blocks:
        key = (block.round_index, block.attempt)
        if block.disturbances and key in slot_of:
            reasons.setdefault(slot_of[key], []).extend(block.disturbances)
    for item in good:
        slot = slot_of[(item.block.round_index, item.block.attempt)]
        sessions.setdefault(slot, item.block.session_id)
    slots: list[Slot] = []
    for key in attempts:
        index = slot_of[key]
        if index < len(slots):
            continue
        name = f"{key[0] + 1}" + "′" * min(key[1], 3)
        why = "; ".join(dict.fromkeys(reasons.get(index, ())))
        slots.append(
            Slot(
                index=index,
                name=name,
                disturbed=index in bad,
                resumed=index > 0 and sessions.get(index) != sessions.get(index - 1),
                tip=f"round {key[0] + 1}, attempt {key[1] + 1}, disturbed: {why}",
            )
        )
    return tuple(slots)


def _laid_out(
    run: Run,
    points: Mapping[str, Sequence[_Point]],
    slots: tuple[Slot, ...],
    colours: Sequence[str],
) -> Strips:
    import numpy as np

    middles = {a: float(np.median([p.median_ns for p in found])) for a, found in points.items()}
    deviations = [
        abs(point.median_ns / middles[arm_id] - 1)
        for arm_id, found in points.items()
        for point in found
        if not slots[int(point.x)].disturbed
    ]
    widest = float(np.percentile(deviations, 98)) if deviations else 0.0
    span = max(0.02, math.ceil(widest * 1.1 * 100) / 100)
    lines: list[StripLine] = []
    names: list[tuple[str, str]] = []
    for index, arm in enumerate(run.experiment.arms):
        if arm.arm_id not in points:
            continue
        middle = middles[arm.arm_id]
        lines.append(
            StripLine(
                arm=index,
                colour=colours[index],
                points=tuple(
                    (
                        round(point.x, 3),
                        max(-1.0, min(1.0, (point.median_ns / middle - 1) / span)),
                        _point_tip(arm.label, point, middle),
                    )
                    for point in points[arm.arm_id]
                ),
            )
        )
        names.append((arm.label, duration(middle)))
    heat = _temperature(points)
    if heat is not None:
        lines.append(heat[0])
        names.append(("temperature", heat[1]))
    title = "round, in the order measured (′ is a repeated attempt)"
    return Strips(slots=slots, lines=tuple(lines), names=tuple(names), span=span, axis_title=title)


def _point_tip(label: str, point: _Point, middle: float) -> str:
    block = point.block
    words = (
        f"{label}, round {block.round_index + 1}: {duration(point.median_ns)}"
        f" ({percent(point.median_ns / middle - 1, signed=True)} of its median)"
    )
    heat = _celsius(block)
    if heat is not None:
        words += f", {heat:.1f} °C"
    if block.disturbances:
        words += f", disturbed: {'; '.join(block.disturbances)}"
    return words


def _celsius(block: Block) -> float | None:
    result = block.result
    if result is None:
        return None
    for moment in (result.conditions_after, result.conditions_before):
        if moment is not None and moment.temperature_c is not None:
            return moment.temperature_c
    return None


def _temperature(points: Mapping[str, Sequence[_Point]]) -> tuple[StripLine, str] | None:
    found = sorted(
        (point.x, heat)
        for series in points.values()
        for point in series
        if (heat := _celsius(point.block)) is not None and math.isfinite(heat)
    )
    if not found:
        return None
    low, high = min(heat for _, heat in found), max(heat for _, heat in found)
    middle, half = (low + high) / 2, max((high - low) / 2, 0.5)
    every = max(1, -(-len(found) // (2 * MOST_SLOTS)))
    line = StripLine(
        arm=None,
        colour="var(--heat)",
        points=tuple(
            (round(x, 3), (heat - middle) / half, f"{heat:.1f} °C") for x, heat in found[::every]
        ),
        plain=True,
    )
    return line, f"{low:.0f} – {high:.0f} °C"
