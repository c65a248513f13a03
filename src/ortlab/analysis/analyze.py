"""A run to what may be said of it; nothing here is stored as truth."""

from __future__ import annotations

import math

from ortlab.analysis import wording
from ortlab.analysis.recommendation import recommend
from ortlab.analysis.summaries import summarize_arm
from ortlab.analysis.trust import Evidence, find_trust_findings, lowest_grade
from ortlab.analysis.verdicts import compare
from ortlab.domain import (
    Analysis,
    ArmSummary,
    Comparison,
    Effect,
    Experiment,
    Grade,
    Recommendation,
    Run,
    TrustFinding,
    Verdict,
)
from ortlab.rounds import block_medians, complete_rounds, exclusions
from ortlab.schedule import Done, NextBlock, next_block
from ortlab.statistics import effect, look_alpha_of
from ortlab.wire import Purpose


def analyze(run: Run, *, checks: bool = True) -> Analysis:
    """Say what a run shows; an unfinished one gets no verdict.

    Args:
        run: Experiment and blocks as recorded.
        checks: Whether to add the sign-flip test and the bootstrap, which decide nothing and cost
            most of the time.
    """
    experiment = run.experiment
    step = next_block(experiment, run.blocks)
    finished = isinstance(step, Done)
    summaries = {arm.arm_id: summarize_arm(run, arm) for arm in experiment.arms}
    rounds = complete_rounds(experiment, run.blocks)
    findings = find_trust_findings(Evidence(run=run, rounds=rounds, arms=summaries))
    lost = {
        arm_id: f"{experiment.arm(arm_id).label} could not be measured to the end: {reason}"
        for arm_id, reason in exclusions(experiment, run.blocks).items()
    }
    comparisons = tuple(
        compare(run, arm.arm_id, finished=finished, findings=findings, lost=lost, checks=checks)
        for arm in experiment.arms
        if arm.arm_id != experiment.baseline
    )
    grade = lowest_grade(findings)
    recommendation = recommend(
        experiment, comparisons, summaries, lambda arm, other: difference(run, arm, other)
    )
    stop_reason = (
        step.reason if isinstance(step, Done) else _still_to_come(step, experiment, rounds)
    )
    return Analysis(
        experiment_id=experiment.experiment_id,
        finished=finished,
        rounds=rounds,
        stop_reason=stop_reason,
        comparisons=comparisons,
        arms=tuple(summaries.values()),
        grade=grade,
        findings=findings,
        recommendation=recommendation,
        headlines=_headlines(
            experiment,
            summaries,
            comparisons,
            findings,
            grade,
            recommendation,
            unfinished="" if finished else stop_reason,
        ),
    )


def latency_log_ratios(run: Run, arm_id: str, *, against: str) -> dict[int, float]:
    """Return round to ``ln(arm ÷ against)`` of block medians, for rounds that have both."""
    above = block_medians(run.experiment, run.blocks, arm_id)
    below = block_medians(run.experiment, run.blocks, against)
    return {
        index: math.log(above[index] / below[index])
        for index in sorted(above.keys() & below.keys())
    }


def difference(run: Run, arm_id: str, other: str) -> Effect | None:
    """Return an arm's effect against any other one, at the level of the comparisons."""
    ratios = tuple(latency_log_ratios(run, arm_id, against=other).values())
    if len(ratios) < 2:
        return None
    return effect(ratios, alpha=look_alpha_of(run.experiment.rule), checks=False)


def _still_to_come(step: NextBlock, experiment: Experiment, rounds: int) -> str:
    done = f"{rounds} {'round is' if rounds == 1 else 'rounds are'} complete"
    if step.purpose is Purpose.LATENCY:
        looks = experiment.rule.looks
        upcoming = next((look for look in looks if look > step.round_index), looks[-1])
        return f"{done}, the next look comes after {upcoming}"
    return f"{done}, {step.purpose.replace('_', '-')} blocks are still to come"


def _headlines(
    experiment: Experiment,
    summaries: dict[str, ArmSummary],
    comparisons: tuple[Comparison, ...],
    findings: tuple[TrustFinding, ...],
    grade: Grade,
    recommendation: Recommendation,
    *,
    unfinished: str,
) -> tuple[str, ...]:
    lines = []
    if unfinished:
        lines.append(f"Not finished: {unfinished}; no verdict is given before.")
    if comparisons:
        lines += [comparison.sentence for comparison in comparisons]
    else:
        lines += [_alone(experiment, summary) for summary in summaries.values()]
    if any(comparison.verdict is not Verdict.NONE for comparison in comparisons):
        lines.append(recommendation.sentence)
    lines.append(_trust(grade, findings))
    return tuple(lines)


def _alone(experiment: Experiment, summary: ArmSummary) -> str:
    label = experiment.arm(summary.arm_id).label
    if summary.latency is None:
        return f"{label} was not measured."
    median = wording.duration(summary.latency.median_ns)
    return (
        f"{label} takes {median} a run in the median of {summary.latency.block_count} blocks;"
        " there is no other arm to compare it with."
    )


def _trust(grade: Grade, findings: tuple[TrustFinding, ...]) -> str:
    if not findings:
        return "Trust: A, no reason to doubt it."
    lowest = [finding for finding in findings if finding.grade is grade]
    others = len(findings) - 1
    more = f" ({others} more)" if others else ""
    return f"Trust: {grade}. {lowest[0].sentence}{more}"
