"""Stored runs: the two ways in which runs that were not interleaved may be compared.

A machine is never the same twice: a session effect of only 1 % turns a comparison of two stored
runs into 30 % false alarms (`docs/method.md`, "Stored runs"). It cancels where both runs measured
one **control arm** in the same rounds: (new ÷ control) ÷ (base ÷ control). Or it is averaged over:
with at least three **sessions** a side each run counts as one value, and the spread between them
is what the interval is made of. Anything else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ortlab.analysis import wording
from ortlab.analysis.analyze import analyze, latency_log_ratios
from ortlab.analysis.calibration import same_configuration
from ortlab.analysis.power import needed_units, welch_effect
from ortlab.analysis.trust import takes_verdict
from ortlab.domain import Analysis, Arm, Effect, Run
from ortlab.errors import UsageError
from ortlab.rounds import block_medians
from ortlab.statistics import look_alpha_of

FEWEST_SESSIONS = 3

_WAYS = (
    "put base and new into one experiment (ortlab bench NEW --against BASE), name a control arm"
    f" that both runs measured (--control), or give {FEWEST_SESSIONS} sessions a side (--base)"
)


class NotComparableError(Exception):
    """Stored runs support no comparison; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredComparison:
    """One arm of the new side against the base side.

    Attributes:
        arm_id: On the new side.
        label: For people.
        base: What it is compared with, for people.
        effect: Ratio and interval; ``rounds`` are the units of the smaller side.
        new: Logarithms, one a unit, of the new side.
        old: Of the base side.
    """

    arm_id: str
    label: str
    base: str
    effect: Effect
    new: tuple[float, ...]
    old: tuple[float, ...]

    def needed(self, log_limit: float, *, most: int) -> int | None:
        """Return the units a side at which the observed effect would decide."""
        gap = abs(math.log(self.effect.ratio) - log_limit)
        alpha = 1 - self.effect.confidence
        return needed_units(self.new, self.old, gap, alpha=alpha, most=most)


def compare_through_control(
    base: Sequence[Run], new: Sequence[Run], control: str, arms: Sequence[str]
) -> tuple[StoredComparison, ...]:
    """Compare two stored runs, or three and more a side, through an arm that all measured.

    With one run a side the units are rounds; with three or more a side they are the runs.

    Raises:
        NotComparableError: The control arm is not one and the same, or a run is not usable.
        UsageError: An arm's name is unknown.
    """
    few = min(len(base), len(new))
    if few == 0 or (few < FEWEST_SESSIONS and max(len(base), len(new)) > 1):
        message = (
            f"through a control arm, give one run a side or at least {FEWEST_SESSIONS} a side,"
            f" not {len(base)} and {len(new)}"
        )
        raise NotComparableError(message)
    runs = [*base, *new]
    analyses = _usable(runs)
    _check_control(runs, analyses, control)
    pairs = _pairs(base, new, arms, leave_out=control)
    _check_arms(runs, analyses, base, pairs, extra=(control,))
    alpha = min(look_alpha_of(run.experiment.rule) for run in runs)
    if few >= FEWEST_SESSIONS:
        alpha = _session_alpha(runs, pairs)

    def units(side: Sequence[Run], arm_id: str) -> tuple[float, ...]:
        rounds = [_log_ratios(run, arm_id, control) for run in side]
        return rounds[0] if len(rounds) == 1 else tuple(map(_mean, rounds))

    return _compare(base, new, pairs, units, alpha)


def compare_sessions(
    base: Sequence[Run], new: Sequence[Run], arms: Sequence[str]
) -> tuple[StoredComparison, ...]:
    """Compare at least three stored runs a side, each counting as one value.

    Raises:
        NotComparableError: There are fewer, or a run is not usable.
        UsageError: An arm's name is unknown.
    """
    if min(len(base), len(new)) < FEWEST_SESSIONS:
        sides = f"{len(base)} base and {len(new)} new" if base else f"{len(new)} stored"
        message = f"{sides} runs differ by their sessions as well; {_WAYS}"
        raise NotComparableError(message)
    runs = [*base, *new]
    analyses = _usable(runs)
    pairs = _pairs(base, new, arms, leave_out=None)
    _check_arms(runs, analyses, base, pairs)
    # A device warms up over a run, and how many rounds a run has depends on what it saw: longer
    # runs would be slower. So only the rounds count that every run has.
    common = min(analysis.rounds for analysis in analyses)

    def units(side: Sequence[Run], arm_id: str) -> tuple[float, ...]:
        return tuple(_mean(_log_medians(run, arm_id)[:common]) for run in side)

    return _compare(base, new, pairs, units, _session_alpha(runs, pairs))


def _session_alpha(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> float:
    """Return the alpha where runs are the units: one look, divided by the comparisons."""
    return min(run.experiment.rule.family_alpha for run in runs) / len(pairs)


def _log_medians(run: Run, arm_id: str) -> list[float]:
    medians = block_medians(run.experiment, run.blocks, arm_id)
    return [math.log(medians[index]) for index in sorted(medians)]


# ------------------------------------------------------------------------------ the figures


def _compare(
    base: Sequence[Run],
    new: Sequence[Run],
    pairs: Sequence[tuple[str, str]],
    units: Callable[[Sequence[Run], str], tuple[float, ...]],
    alpha: float,
) -> tuple[StoredComparison, ...]:
    compared = []
    for old_id, new_id in pairs:
        values, earlier = units(new, new_id), units(base, old_id)
        if min(len(values), len(earlier)) < 2:
            message = f"{new_id} has fewer than two complete rounds on one side"
            raise NotComparableError(message)
        compared.append(
            StoredComparison(
                arm_id=new_id,
                label=f"{new[0].experiment.arm(new_id).label} in {_name(new)}",
                base=f"{base[0].experiment.arm(old_id).label} in {_name(base)}",
                effect=welch_effect(values, earlier, alpha=alpha),
                new=values,
                old=earlier,
            )
        )
    return tuple(compared)


def _log_ratios(run: Run, arm_id: str, control: str) -> tuple[float, ...]:
    """Return the log ratios of two arms over the rounds that both have."""
    return tuple(latency_log_ratios(run, arm_id, against=control).values())


def _mean(values: Sequence[float]) -> float:
    if not values:
        message = "a run has no complete round"
        raise NotComparableError(message)
    return math.fsum(values) / len(values)


def _name(runs: Sequence[Run]) -> str:
    return runs[0].experiment.experiment_id if len(runs) == 1 else f"{len(runs)} sessions"


# ------------------------------------------------------------------------------ what must hold


def _usable(runs: Sequence[Run]) -> list[Analysis]:
    """Analyze runs that are finished, distinct, of one device and of the same inputs."""
    names = [run.experiment.experiment_id for run in runs]
    if len(set(names)) < len(names):
        message = "one run was given twice; a session counts once"
        raise NotComparableError(message)
    devices = {(r.experiment.device.device_id, r.experiment.device.cpu) for r in runs}
    if len(devices) > 1:
        message = (
            f"the runs are of several devices: {wording.listed(sorted(d for d, _ in devices))}"
        )
        raise NotComparableError(message)
    if len({_inputs(run) for run in runs}) > 1:
        message = "the runs were measured on different inputs"
        raise NotComparableError(message)
    analyses = [analyze(run, checks=False) for run in runs]
    for analysis in analyses:
        if not analysis.finished:
            message = f"{analysis.experiment_id} is not finished: {analysis.stop_reason}"
            raise NotComparableError(message)
    return analyses


def _inputs(run: Run) -> tuple[tuple[object, ...], ...]:
    tensors = run.experiment.sample.inputs
    return tuple((t.name, t.element_type, t.shape, t.sha256) for t in tensors)


def _pairs(
    base: Sequence[Run], new: Sequence[Run], arms: Sequence[str], *, leave_out: str | None
) -> list[tuple[str, str]]:
    """Return (base arm, new arm) to compare: those of one name, else the only ones there are."""
    common = [_common(side, leave_out) for side in (base, new)]
    both = [name for name in common[1] if name in common[0]]
    if arms:
        for name in arms:
            if name not in both:
                message = f"cannot gate arm {name!r}: not every run has it"
                known = ", ".join(both) or "none"
                raise UsageError(message, next_step=f"arms that all runs have: {known}")
        return [(name, name) for name in both if name in arms]
    if both:
        return [(name, name) for name in both]
    if len(common[0]) == len(common[1]) == 1:
        return [(common[0][0], common[1][0])]
    message = "the runs have no arm in common to compare; name one with --arm"
    raise NotComparableError(message)


def _common(side: Sequence[Run], leave_out: str | None) -> list[str]:
    """Return the arms that every run of a side has."""
    names = [[arm.arm_id for arm in run.experiment.arms] for run in side]
    return [n for n in names[0] if n != leave_out and all(n in other for other in names)]


def _check_control(runs: Sequence[Run], analyses: Sequence[Analysis], control: str) -> None:
    """Refuse a control arm that is not one and the same everywhere."""
    for run in runs:
        if all(arm.arm_id != control for arm in run.experiment.arms):
            message = f"{run.experiment.experiment_id} did not measure the control arm {control}"
            raise NotComparableError(message)
    first = runs[0].experiment.arm(control)
    for run in runs[1:]:
        if not same_configuration(first, run.experiment.arm(control)):
            message = f"the control arm {control} is not the same file with the same settings"
            raise NotComparableError(message)
    versions = {s.ort_version or "unknown" for a in analyses for s in a.arms if s.arm_id == control}
    if len(versions) > 1:
        seen = wording.listed(sorted(versions))
        message = f"the control arm {control} ran with several ORT versions: {seen}"
        raise NotComparableError(message)


def _check_arms(
    runs: Sequence[Run],
    analyses: Sequence[Analysis],
    base: Sequence[Run],
    pairs: Sequence[tuple[str, str]],
    *,
    extra: tuple[str, ...] = (),
) -> None:
    """Refuse arms that support no verdict, and a side whose sessions measured different arms."""
    for index, (run, analysis) in enumerate(zip(runs, analyses, strict=True)):
        is_base = index < len(base)
        used = {*extra, *(old if is_base else fresh for old, fresh in pairs)}
        for finding in analysis.findings:
            concerns = finding.arm_id is None or finding.arm_id in used
            if concerns and takes_verdict(finding):
                message = f"{run.experiment.experiment_id}: {finding.sentence}"
                raise NotComparableError(message)
    sides = (runs[: len(base)], runs[len(base) :])
    for side, names in zip(sides, zip(*pairs, strict=True), strict=True):
        for name in names:
            found: list[Arm] = [run.experiment.arm(name) for run in side]
            if not all(same_configuration(found[0], arm) for arm in found):
                message = f"{name} is not the same file with the same settings in each session"
                raise NotComparableError(message)
