"""What the bar charts draw: memory by phase, and the parts of a cold start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ortlab.domain import Analysis, Run
from ortlab.text import duration, size
from ortlab.wire import MemoryKind, MemoryPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """A memory figure of an arm in a phase; ``size`` is in the unit of the bars."""

    phase: str
    size: float
    colour: str
    arm: int
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBars:
    """Memory by phase: one metric of the value at that moment, one of the peak.

    Attributes:
        phases: In order, those that any arm has.
        arms: Indexes of the arms that have a figure.
        unit: Of the sizes.
        current_metric: Name, or empty.
        peak_metric: Name, or empty.
        current: Values at that moment.
        peak: Peaks so far.
    """

    phases: tuple[str, ...]
    arms: tuple[int, ...]
    unit: str
    current_metric: str
    peak_metric: str
    current: tuple[MemoryPoint, ...]
    peak: tuple[MemoryPoint, ...]


_BEST_METRICS = ("phys_footprint", "Pss", "VmRSS", "VmHWM", "ledger_phys_footprint_peak")


def memory_bars(run: Run, analysis: Analysis, colours: Sequence[str]) -> MemoryBars | None:
    """Choose one current and one peak metric and lay them out by phase; None without any."""
    every = [item for arm in analysis.arms for item in arm.memory]
    if not every:
        return None
    chosen = {
        kind: _best_metric([m.metric for m in every if m.kind == kind]) for kind in MemoryKind
    }
    points: dict[str, list[MemoryPoint]] = {kind: [] for kind in MemoryKind}
    index_of = {arm.arm_id: index for index, arm in enumerate(run.experiment.arms)}
    for summary in analysis.arms:
        index = index_of[summary.arm_id]
        label = run.experiment.arms[index].label
        for item in summary.memory:
            if item.kind in points and chosen[MemoryKind(item.kind)] == item.metric:
                phase = item.phase.replace("_", " ")
                points[item.kind].append(
                    MemoryPoint(
                        phase=phase,
                        size=round(item.size_bytes / 1e6, 3),
                        colour=colours[index],
                        arm=index,
                        tip=f"{label}, {phase}: {item.metric} {size(item.size_bytes)}",
                    )
                )
    shown = [point for found in points.values() for point in found]
    order = [phase.replace("_", " ") for phase in MemoryPhase]
    known = {point.phase for point in shown}
    return MemoryBars(
        phases=tuple(phase for phase in order if phase in known),
        arms=tuple(sorted({point.arm for point in shown})),
        unit="MB",
        current_metric=chosen[MemoryKind.CURRENT],
        peak_metric=chosen[MemoryKind.PEAK],
        current=tuple(p for p in points[MemoryKind.CURRENT] if p.phase in order),
        peak=tuple(p for p in points[MemoryKind.PEAK] if p.phase in order),
    )


def _best_metric(names: Sequence[str]) -> str:
    for name in (*_BEST_METRICS, *names):
        if name in names:
            return name
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPart:
    """A part of a stacked bar, in milliseconds."""

    row: int
    arm: int
    start_ms: float
    end_ms: float
    colour: str
    tip: str


COLD_START_PARTS = (
    ("environment_ns", "starting the runtime", "var(--p1)"),
    ("session_creation_ns", "creating the session", "var(--p2)"),
    ("first_run_ns", "first run", "var(--p3)"),
)


def cold_start_parts(analysis: Analysis, labels: Mapping[str, tuple[int, str]]) -> list[BarPart]:
    """Return the parts of each arm's cold start, end to end; rows count arms that have one."""
    parts: list[BarPart] = []
    row = 0
    for summary in analysis.arms:
        if summary.cold_start is None:
            continue
        index, label = labels[summary.arm_id]
        start = 0.0
        for name, words, colour in COLD_START_PARTS:
            length_ns = getattr(summary.cold_start, name)
            if length_ns is None:
                continue
            end = start + length_ns / 1e6
            tip = f"{label}: {words} {duration(length_ns)}"
            parts.append(
                BarPart(row=row, arm=index, start_ms=start, end_ms=end, colour=colour, tip=tip)
            )
            start = end
        row += 1
    return parts
