"""Each arm against the baseline: interval, verdict, and the sentence that tells it.

The interval and the verdict are those of the planned looks at their adjusted level
(`statistics.decide`); sign-flip test and bootstrap stand beside them and decide nothing. What
takes a verdict away is decided here too, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ortlab.analysis import wording
from ortlab.analysis.recommendation import noticeable
from ortlab.analysis.trust import takes_verdict
from ortlab.domain import (
    Comparison,
    Effect,
    Experiment,
    Run,
    TrustFinding,
    Verdict,
)
from ortlab.rounds import log_ratios
from ortlab.statistics import decide, effect, look_alpha_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Log ratios of an arm to the baseline, one a round.

    Attributes:
        every: Of all complete rounds.
        undisturbed: Of those without a disturbance.
    """

    every: tuple[float, ...]
    undisturbed: tuple[float, ...]


def ratios_of(run: Run, arm_id: str) -> Ratios:
    """Return an arm's log ratios, with disturbed rounds and without."""
    experiment, blocks = run.experiment, run.blocks
    return Ratios(
        every=tuple(log_ratios(experiment, blocks, arm_id)),
        undisturbed=tuple(log_ratios(experiment, blocks, arm_id, include_disturbed=False)),
    )


def decide_arm(rule_ratios: Ratios, experiment: Experiment) -> tuple[Verdict, Verdict | None]:
    """Return the verdict of the planned looks, and the one without disturbed rounds if any."""
    verdict = decide(rule_ratios.every, experiment.rule)
    if rule_ratios.undisturbed == rule_ratios.every:
        return verdict, None
    return verdict, decide(rule_ratios.undisturbed, experiment.rule)


def compare(
    run: Run,
    arm_id: str,
    *,
    finished: bool,
    findings: Sequence[TrustFinding],
    lost: Mapping[str, str],
    checks: bool = True,
) -> Comparison:
    """Compare an arm with the baseline.

    Args:
        run: As recorded.
        arm_id: Another arm than the baseline.
        finished: Whether the experiment is; an unfinished one yields no verdict.
        findings: Trust rules that apply.
        lost: Arm id to the reason why it has too few complete rounds.
        checks: Whether to add sign-flip test and bootstrap.
    """
    experiment = run.experiment
    ratios = ratios_of(run, arm_id)
    alpha = look_alpha_of(experiment.rule)
    found = effect(ratios.every, alpha=alpha, checks=checks) if len(ratios.every) > 1 else None
    verdict, calm = decide_arm(ratios, experiment)
    calm_effect = None
    if calm is not None and len(ratios.undisturbed) > 1:
        calm_effect = effect(ratios.undisturbed, alpha=alpha, checks=checks)
    reason = why_no_verdict(
        experiment, arm_id, finished=finished, findings=findings, lost=lost, effect=found
    )
    if reason:
        verdict = Verdict.NONE
        calm = Verdict.NONE if calm is not None else None
    elif verdict is Verdict.INCONCLUSIVE and found is not None:
        reason = _why_inconclusive(found, experiment)
    return Comparison(
        arm_id=arm_id,
        baseline=experiment.baseline,
        verdict=verdict,
        sentence=_sentence(experiment, arm_id, verdict, found, reason, calm, calm_effect),
        reason=reason,
        effect=found,
        effect_undisturbed=calm_effect,
        verdict_undisturbed=calm,
    )


def why_no_verdict(
    experiment: Experiment,
    arm_id: str,
    *,
    finished: bool,
    findings: Sequence[TrustFinding],
    lost: Mapping[str, str],
    effect: Effect | None,
) -> str:
    """Return why nothing may be said of an arm against the baseline; empty when it may."""
    for finding in findings:
        concerns = finding.arm_id in (None, arm_id, experiment.baseline)
        if concerns and takes_verdict(finding):
            return finding.sentence.rstrip(".")
    for name in (experiment.baseline, arm_id):
        if name in lost:
            return lost[name]
    if not finished:
        return "the experiment is not finished"
    if effect is None:
        return "fewer than two complete rounds exist"
    return ""


def _why_inconclusive(found: Effect, experiment: Experiment) -> str:
    floor = experiment.rule.floor or 0.0
    if floor and (found.low > 1 or found.high < 1):
        return (
            f"the difference does not exceed the device's noise floor of {wording.limit(floor)},"
            f" and the interval does not lie within ±{wording.limit(noticeable(experiment))}"
        )
    return (
        "the interval neither excludes no difference nor lies within"
        f" ±{wording.limit(noticeable(experiment))}"
    )


def _sentence(
    experiment: Experiment,
    arm_id: str,
    verdict: Verdict,
    found: Effect | None,
    reason: str,
    calm: Verdict | None,
    calm_effect: Effect | None,
) -> str:
    label = experiment.arm(arm_id).label
    base = experiment.arm(experiment.baseline).label
    if verdict is Verdict.NONE or found is None:
        return f"{label} against {base}: no verdict: {reason}."
    words = _PHRASES[verdict](label, base, found, experiment)
    proven = verdict in (Verdict.FASTER, Verdict.SLOWER)
    bounds = wording.interval(found) if proven else wording.signed_interval(found)
    evidence = f"({bounds}, {wording.rounds(found.rounds)})"
    sentence = f"{words} {evidence}."
    if calm is None:
        return sentence
    if calm_effect is None:
        return f"{sentence} Too few rounds were undisturbed for a second verdict."
    told = "the same" if calm is verdict else f"{calm}"
    return (
        f"{sentence} Without disturbed rounds: {told}, {wording.change(calm_effect.ratio)}"
        f" ({wording.signed_interval(calm_effect)}, {wording.rounds(calm_effect.rounds)})."
    )


def _different(label: str, base: str, found: Effect, _experiment: Experiment) -> str:
    than = base if " times " in (how := wording.change(found.ratio)) else f"than {base}"
    return f"{label} is {how} as {than}" if than == base else f"{label} is {how} {than}"


def _equivalent(label: str, base: str, found: Effect, experiment: Experiment) -> str:
    margin = wording.limit(noticeable(experiment))
    difference = wording.percent(found.ratio - 1, signed=True)
    return f"{label} and {base} are equivalent: {difference} %, within ±{margin}"


def _inconclusive(label: str, base: str, found: Effect, _experiment: Experiment) -> str:
    difference = wording.percent(found.ratio - 1, signed=True)
    return f"{label} against {base} is inconclusive: {difference} %"


_PHRASES: Mapping[Verdict, Callable[[str, str, Effect, Experiment], str]] = {
    Verdict.FASTER: _different,
    Verdict.SLOWER: _different,
    Verdict.EQUIVALENT: _equivalent,
    Verdict.INCONCLUSIVE: _inconclusive,
}
