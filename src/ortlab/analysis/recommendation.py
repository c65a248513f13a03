"""What to ship on this device, with its evidence.

Among the arms whose results may be used: the arms that are faster than the baseline, else the
baseline and those equivalent to it. When several are left that nobody could tell apart, the
smallest file is recommended, then the smallest peak memory, then the lower median.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ortlab.analysis import wording
from ortlab.domain import (
    Arm,
    ArmSummary,
    Comparison,
    Effect,
    Experiment,
    Recommendation,
    Verdict,
)
from ortlab.wire import MemoryKind

Difference = Callable[[str, str], Effect | None]
"""Effect of the first arm against the second, or None when they share too few rounds."""

_UNUSABLE = "Nothing may be recommended: "


def recommend(
    experiment: Experiment,
    comparisons: Sequence[Comparison],
    summaries: Mapping[str, ArmSummary],
    difference: Difference,
) -> Recommendation:
    """Return what to ship on the experiment's device.

    Args:
        experiment: With the sizes of the arms' files.
        comparisons: Of the arms with the baseline.
        summaries: By arm id.
        difference: Interval of one arm against another, at the comparisons' level.
    """
    if not comparisons:
        return _nothing("only one arm was measured")
    by_verdict: dict[Verdict, list[Comparison]] = {verdict: [] for verdict in Verdict}
    for comparison in comparisons:
        by_verdict[comparison.verdict].append(comparison)
    if len(by_verdict[Verdict.NONE]) == len(comparisons):
        return _nothing(comparisons[0].reason or "no comparison has a verdict")
    if by_verdict[Verdict.FASTER]:
        candidates = _leaders(experiment, by_verdict[Verdict.FASTER], difference)
    else:
        same = [comparison.arm_id for comparison in by_verdict[Verdict.EQUIVALENT]]
        candidates = [experiment.baseline, *same]
    undecided = [comparison.arm_id for comparison in by_verdict[Verdict.INCONCLUSIVE]]
    if undecided and candidates == [experiment.baseline]:
        return _nothing(
            f"{wording.listed(_labels(experiment, undecided))} could not be told from the baseline"
        )
    chosen = min(candidates, key=lambda arm_id: _order(experiment.arm(arm_id), summaries))
    return Recommendation(
        arm_id=chosen,
        sentence=_sentence(experiment, chosen, candidates, comparisons),
        evidence=_evidence(experiment, chosen, candidates, comparisons, summaries, undecided),
        style=experiment.arm(chosen).style,
    )


def _nothing(reason: str) -> Recommendation:
    return Recommendation(arm_id=None, sentence=f"{_UNUSABLE}{reason}.", evidence=())


def _leaders(
    experiment: Experiment, faster: Sequence[Comparison], difference: Difference
) -> list[str]:
    """Return the fastest arm and those faster ones that differ from it too little to notice."""
    ordered = sorted(faster, key=lambda c: c.effect.ratio if c.effect else float("inf"))
    leader = ordered[0].arm_id
    leaders = [leader]
    for comparison in ordered[1:]:
        between = difference(comparison.arm_id, leader)
        if between is not None and between.high < 1 + noticeable(experiment):
            leaders.append(comparison.arm_id)
    return leaders


def noticeable(experiment: Experiment) -> float:
    """Return the half-width of the region within which two arms count as equivalent."""
    return max(experiment.rule.equivalence_margin, experiment.rule.floor or 0.0)


def _order(arm: Arm, summaries: Mapping[str, ArmSummary]) -> tuple[float, float, float]:
    summary = summaries[arm.arm_id]
    peak = peak_memory_bytes(summary)
    return (
        arm.size_bytes or float("inf"),
        peak if peak is not None else float("inf"),
        summary.latency.median_ns if summary.latency else float("inf"),
    )


def peak_memory_bytes(summary: ArmSummary) -> float | None:
    """Return the largest peak memory figure of an arm, in bytes."""
    peaks = [m.size_bytes for m in summary.memory if m.kind == MemoryKind.PEAK]
    return max(peaks, default=None)


def _labels(experiment: Experiment, arm_ids: Sequence[str]) -> list[str]:
    return [experiment.arm(arm_id).label for arm_id in arm_ids]


def _sentence(
    experiment: Experiment,
    chosen: str,
    candidates: Sequence[str],
    comparisons: Sequence[Comparison],
) -> str:
    device, label = experiment.device.name, experiment.arm(chosen).label
    if len(candidates) > 1:
        names = wording.listed(_labels(experiment, candidates))
        sizes = {experiment.arm(arm_id).size_bytes for arm_id in candidates}
        why = (
            f"ship the smaller, {label}"
            if len(sizes) > 1 and 0 not in sizes
            else f"ship {label}, the leaner of files of one size"
        )
        return f"On {device} there is no difference you could notice between {names}: {why}."
    if chosen == experiment.baseline:
        return f"On {device} ship {label}: nothing else was faster or equivalent."
    effect = next(c.effect for c in comparisons if c.arm_id == chosen)
    how = f": {wording.change(effect.ratio)} than" if effect else ": faster than"
    return f"On {device} ship {label}{how} {experiment.arm(experiment.baseline).label}."


def _evidence(
    experiment: Experiment,
    chosen: str,
    candidates: Sequence[str],
    comparisons: Sequence[Comparison],
    summaries: Mapping[str, ArmSummary],
    undecided: Sequence[str],
) -> tuple[str, ...]:
    lines = [c.sentence for c in comparisons if c.verdict is not Verdict.NONE]
    sizes = [
        f"{experiment.arm(arm_id).label} {wording.size(experiment.arm(arm_id).size_bytes)}"
        for arm_id in dict.fromkeys((chosen, *candidates, experiment.baseline))
        if experiment.arm(arm_id).size_bytes
    ]
    if sizes:
        lines.append(f"File size: {', '.join(sizes)}.")
    peaks = [
        f"{experiment.arm(arm_id).label} {wording.size(peak)}"
        for arm_id in dict.fromkeys((chosen, *candidates, experiment.baseline))
        if (peak := peak_memory_bytes(summaries[arm_id])) is not None
    ]
    if peaks:
        lines.append(f"Peak memory: {', '.join(peaks)}.")
    if undecided:
        names = wording.listed(_labels(experiment, undecided))
        lines.append(f"Undecided, and left out: {names}.")
    unusable = [c for c in comparisons if c.verdict is Verdict.NONE]
    for comparison in unusable:
        label, reason = experiment.arm(comparison.arm_id).label, comparison.reason
        said = reason if reason.startswith(label) else f"{label}: {reason}"
        lines.append(f"Left out: {said}.")
    return tuple(lines)
