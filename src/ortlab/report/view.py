"""What a page says, in rows and words; HTML and Markdown only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ortlab.domain import (
    Analysis,
    Arm,
    ArmSummary,
    Comparison,
    OptimizationStyle,
    PreparedModel,
    ReleaseVerdict,
    Run,
    Verdict,
)
from ortlab.placement import PlacementRow, compare_placement
from ortlab.wire import MemoryKind

COLOUR_COUNT = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """An arm with all that is shown of it.

    Attributes:
        index: In the experiment.
        arm: As planned.
        summary: As observed.
        comparison: With the baseline; None for the baseline itself.
        colour: CSS variable.
        settings: What tells it from other arms, in words.
        peak_bytes: Largest peak memory figure.
        peak_metric: Its name.
    """

    index: int
    arm: Arm
    summary: ArmSummary
    comparison: Comparison | None
    colour: str
    settings: str
    peak_bytes: float | None
    peak_metric: str

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with it."""
        return self.comparison is None


def arm_views(run: Run, analysis: Analysis) -> tuple[ArmView, ...]:
    """Return the arms in order; the baseline is grey, the others cycle through the colours."""
    comparisons = {c.arm_id: c for c in analysis.comparisons}
    summaries = {summary.arm_id: summary for summary in analysis.arms}
    views = []
    coloured = 0
    for index, arm in enumerate(run.experiment.arms):
        is_baseline = arm.arm_id == run.experiment.baseline
        colour = "var(--a0)" if is_baseline else f"var(--a{coloured % COLOUR_COUNT + 1})"
        coloured += not is_baseline
        summary = summaries[arm.arm_id]
        peak = max(
            (m for m in summary.memory if m.kind == MemoryKind.PEAK),
            key=lambda m: m.size_bytes,
            default=None,
        )
        views.append(
            ArmView(
                index=index,
                arm=arm,
                summary=summary,
                comparison=comparisons.get(arm.arm_id),
                colour=colour,
                settings=describe_settings(arm),
                peak_bytes=peak.size_bytes if peak else None,
                peak_metric=peak.metric if peak else "",
            )
        )
    return tuple(views)


def describe_settings(arm: Arm) -> str:
    """Return an arm's settings in words; defaults of the runtime are left out."""
    providers = " + ".join(
        provider.name.removesuffix("ExecutionProvider")
        + (f" ({_pairs(provider.options.items())})" if provider.options else "")
        for provider in arm.providers
    )
    words = [arm.variant_id, str(arm.precision), providers]
    if arm.intra_op_num_threads is not None:
        plural = "" if arm.intra_op_num_threads == 1 else "s"
        words.append(f"{arm.intra_op_num_threads} thread{plural}")
    words.append(f"loaded by {arm.load_mode}")
    if arm.style is OptimizationStyle.RUNTIME:
        words.append(f"replay {arm.replay}")
    if arm.runtime:
        words.append(f"runtime {arm.runtime}")
    if arm.config_entries:
        words.append(_pairs(arm.config_entries.items()))
    return ", ".join(words)


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in items)


def extra_headlines(analysis: Analysis) -> tuple[str, ...]:
    """Return headlines that comparisons, recommendation and trust do not say already."""
    said = {c.sentence for c in analysis.comparisons} | {analysis.recommendation.sentence}
    lines = (line for line in analysis.headlines if line not in said)
    return tuple(line for line in lines if not line.startswith("Trust:"))


def evidence(analysis: Analysis) -> tuple[str, ...]:
    """Return the recommendation's evidence beyond the comparisons' own sentences."""
    said = {c.sentence for c in analysis.comparisons}
    return tuple(line for line in analysis.recommendation.evidence if line not in said)


VERDICT_CLASSES = {
    Verdict.FASTER: "faster",
    Verdict.SLOWER: "slower",
    Verdict.EQUIVALENT: "same",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NONE: "none",
}
"""Verdict to CSS class."""


# ------------------------------------------------------------------------------ placement


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """An executed operator: nodes in each arm; None where the arm has no profile."""

    operator: str
    provider: str
    counts: tuple[int | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the arms with a profile disagree."""
        return len({count for count in self.counts if count is not None}) > 1


def operator_rows(arms: Sequence[ArmView]) -> tuple[OperatorRow, ...]:
    """Return executed operators, those that differ between arms first."""
    counts: dict[tuple[str, str], list[int | None]] = {}
    for place, view in enumerate(arms):
        for item in view.summary.executed:
            empty: list[int | None] = [0 if v.summary.executed else None for v in arms]
            row = counts.setdefault((item.operator, item.provider), empty)
            row[place] = (row[place] or 0) + item.count
    rows = [
        OperatorRow(operator=operator, provider=provider, counts=tuple(row))
        for (operator, provider), row in counts.items()
    ]
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                not row.differs,
                "Fused" not in row.operator,
                -_most(row),
                row.operator,
            ),
        )
    )


def _most(row: OperatorRow) -> int:
    return max(count or 0 for count in row.counts)


def placement_rows(
    run: Run, arms: Sequence[ArmView], prepared: PreparedModel | None
) -> tuple[tuple[ArmView, PlacementRow], ...]:
    """Return each arm's providers, predicted beside measured."""
    views = {view.arm.arm_id: view for view in arms}
    rows = compare_placement(run, [view.summary for view in arms], prepared)
    return tuple((views[row.arm_id], row) for row in rows)


# ------------------------------------------------------------------------------ releases, sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRange:
    """Successive ORT releases that treat a variant alike."""

    variant_id: str
    first: str
    last: str
    verdict: ReleaseVerdict

    @property
    def releases(self) -> str:
        """The range in words."""
        return self.first if self.first == self.last else f"{self.first} – {self.last}"


def release_ranges(prepared: PreparedModel) -> tuple[ReleaseRange, ...]:
    """Return each variant's verdicts by ORT release, alike ones put together."""
    ranges: list[ReleaseRange] = []
    for variant_id, verdicts in prepared.compatibility.items():
        start = len(ranges)
        for verdict in verdicts:
            last = ranges[-1] if len(ranges) > start else None
            if last is not None and _alike(last.verdict, verdict):
                verdict_range = (last.first, verdict.release, last.verdict)
                ranges.pop()
            else:
                verdict_range = (verdict.release, verdict.release, verdict)
            ranges.append(
                ReleaseRange(
                    variant_id=variant_id,
                    first=verdict_range[0],
                    last=verdict_range[1],
                    verdict=verdict_range[2],
                )
            )
    return tuple(ranges)


def _alike(one: ReleaseVerdict, other: ReleaseVerdict) -> bool:
    return (one.loads, one.replay, one.reason, one.basis) == (
        other.loads,
        other.replay,
        other.reason,
        other.basis,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRow:
    """A variant's file; ``share`` is of the largest, ``ratio`` to the baseline's."""

    variant_id: str
    labels: tuple[str, ...]
    size_bytes: int
    share: float
    ratio: float | None


def size_rows(run: Run, prepared: PreparedModel | None) -> tuple[SizeRow, ...]:
    """Return the files of the arms, then of the other variants of the prepared model."""
    sizes: dict[str, int] = {}
    labels: dict[str, list[str]] = {}
    for arm in run.experiment.arms:
        sizes.setdefault(arm.variant_id, arm.size_bytes)
        labels.setdefault(arm.variant_id, []).append(arm.label)
    for variant in prepared.variants if prepared else ():
        sizes.setdefault(variant.variant_id, variant.size_bytes)
    largest = max(sizes.values(), default=0) or 1
    arms = {arm.arm_id: arm for arm in run.experiment.arms}
    base = arms[run.experiment.baseline].size_bytes if run.experiment.baseline in arms else 0
    return tuple(
        SizeRow(
            variant_id=variant_id,
            labels=tuple(labels.get(variant_id, ())),
            size_bytes=size_bytes,
            share=size_bytes / largest,
            ratio=size_bytes / base if base else None,
        )
        for variant_id, size_bytes in sizes.items()
        if size_bytes
    )
