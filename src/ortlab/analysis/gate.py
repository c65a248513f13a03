"""The regression gate: does an arm stay within a slowdown limit?

It passes when the upper bound of the slowdown is below the limit, fails when the lower bound is
above it, and is inconclusive else. The bounds are those of the interval that decided the
experiment, at its adjusted level. A finished experiment is never extended: its alpha is spent, so
the answer is how many rounds a new one would need.

Runs that were not interleaved are refused, save in two ways (`sessions.py`): a control arm that
both measured, or at least three sessions a side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ortlab.analysis import wording
from ortlab.analysis.analyze import analyze
from ortlab.analysis.power import needed_rounds, spread_of
from ortlab.analysis.sessions import (
    NotComparableError,
    StoredComparison,
    compare_sessions,
    compare_through_control,
)
from ortlab.domain import Comparison, Effect, Experiment, Run, Verdict
from ortlab.errors import UsageError
from ortlab.statistics import look_alpha_of, square_size

LARGEST_NEEDED = 1_000


class GateStatus(StrEnum):
    """How a gate ended."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"


class GateDesign(StrEnum):
    """How the two sides were measured."""

    INTERLEAVED = "interleaved"
    CONTROL = "common control arm"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One arm against its base.

    Attributes:
        arm_id: The arm.
        base: What it is compared with: the baseline, or the base side's runs.
        status: Of this arm.
        sentence: In words, with figures.
        effect: With the bounds that decide; None when refused for want of data.
        needed: Rounds (or sessions a side) of a new experiment that would decide, when
            inconclusive; None when it is not, or when no reasonable number would.
    """

    arm_id: str
    base: str
    status: GateStatus
    sentence: str
    effect: Effect | None = None
    needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What a gate says.

    Attributes:
        status: Fail if any row fails, else refused if any is, else inconclusive if any is.
        sentence: In words.
        max_slowdown: The limit, such as 0.02.
        design: How the sides were measured; None when they cannot be compared.
        rows: One for each arm.
        needed_rounds: Most that any row needs, in the unit of the design.
    """

    status: GateStatus
    sentence: str
    max_slowdown: float
    design: GateDesign | None
    rows: tuple[GateRow, ...]
    needed_rounds: int | None = None


def parse_limit(text: str) -> float:
    """Return ``2%``, ``2.5 %`` or ``0.02`` as a fraction.

    Raises:
        UsageError: It is neither, is negative, or is a bare number from 1 on, which could mean
            either.
    """
    match = re.fullmatch(r"\s*\+?(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", text, re.ASCII)
    advice = "write the limit as 2% or 0.02"
    if match is None:
        message = f"cannot read {text!r} as a slowdown limit"
        raise UsageError(message, next_step=advice)
    value, unit = float(match.group(1)), match.group(2)
    if not unit and value >= 1:
        message = f"cannot tell whether a limit of {text.strip()} means per cent or a factor"
        raise UsageError(message, next_step=f"write {text.strip()}% for per cent")
    return check_limit(value / 100 if unit else value)


def check_limit(max_slowdown: float) -> float:
    """Return a limit that can mean something.

    Raises:
        UsageError: It is negative, not finite, or above 1,000 %.
    """
    if not 0 <= max_slowdown <= 10:
        message = f"cannot use a slowdown limit of {max_slowdown}: it lies between 0 and 1000 %"
        raise UsageError(message, next_step="write the limit as 2% or 0.02")
    return max_slowdown


def gate(
    runs: Sequence[Run],
    *,
    max_slowdown: float,
    base: Sequence[Run] = (),
    control: str | None = None,
    arms: Sequence[str] = (),
) -> GateResult:
    """Hold runs to a slowdown limit.

    Args:
        runs: One interleaved run; or, with ``base``, the stored runs of the new side. Two runs
            with ``control`` and without ``base`` are taken as base and new, in this order.
        max_slowdown: Limit, such as 0.02 for 2 %.
        base: Stored runs of the base side.
        control: Arm that every stored run measured, with one file and one setting.
        arms: Only these arms; all but the baseline (or control) if empty.

    Raises:
        UsageError: The limit or an arm's name cannot mean anything, or no run was given.
    """
    check_limit(max_slowdown)
    if not runs:
        message = "cannot gate: no run was given"
        raise UsageError(message, next_step="ortlab gate RUN --max-slowdown 2%")
    if len(runs) == 1 and not base:
        return _gate_interleaved(runs[0], max_slowdown, arms)
    if control is not None and not base and len(runs) == 2:
        runs, base = runs[1:], runs[:1]
    try:
        if control is not None:
            design = GateDesign.CONTROL
            found = compare_through_control(base, runs, control, arms)
        else:
            design = GateDesign.SESSIONS
            found = compare_sessions(base, runs, arms)
    except NotComparableError as error:
        sentence = f"inconclusive: not interleaved: {error}"
        return GateResult(
            status=GateStatus.REFUSED,
            sentence=sentence,
            max_slowdown=max_slowdown,
            design=None,
            rows=(),
        )
    rows = tuple(_stored_row(item, max_slowdown, design) for item in found)
    return _result(rows, max_slowdown, design)


# ------------------------------------------------------------------------------ interleaved


def _gate_interleaved(run: Run, max_slowdown: float, arms: Sequence[str]) -> GateResult:
    experiment = run.experiment
    compared = [arm.arm_id for arm in experiment.arms if arm.arm_id != experiment.baseline]
    for name in arms:
        if name not in compared:
            message = f"cannot gate arm {name!r} of {experiment.experiment_id}"
            known = ", ".join(compared) or "none"
            raise UsageError(message, next_step=f"arms compared with the baseline: {known}")
    analysis = analyze(run, checks=False)
    rows = tuple(
        _interleaved_row(run, comparison, max_slowdown)
        for comparison in analysis.comparisons
        if not arms or comparison.arm_id in arms
    )
    if not rows:
        return GateResult(
            status=GateStatus.REFUSED,
            sentence="refused: only one arm was measured; there is nothing to compare",
            max_slowdown=max_slowdown,
            design=None,
            rows=(),
        )
    return _result(rows, max_slowdown, GateDesign.INTERLEAVED)


def _interleaved_row(run: Run, comparison: Comparison, max_slowdown: float) -> GateRow:
    experiment, effect = run.experiment, comparison.effect
    label = experiment.arm(comparison.arm_id).label
    base = experiment.arm(comparison.baseline).label
    if comparison.verdict is Verdict.NONE or effect is None:
        return GateRow(
            arm_id=comparison.arm_id,
            base=comparison.baseline,
            status=GateStatus.REFUSED,
            sentence=f"{label} against {base}: refused: {comparison.reason}",
            effect=effect,
        )
    status = status_of(effect, max_slowdown)
    needed = None
    if status is GateStatus.INCONCLUSIVE:
        needed = _needed_interleaved(experiment, effect, max_slowdown)
    return GateRow(
        arm_id=comparison.arm_id,
        base=comparison.baseline,
        status=status,
        sentence=_row_sentence(
            label, base, effect, max_slowdown, status, needed, GateDesign.INTERLEAVED
        ),
        effect=effect,
        needed=needed,
    )


def status_of(effect: Effect, max_slowdown: float) -> GateStatus:
    """Return what an interval says of a limit."""
    limit = 1 + max_slowdown
    if effect.high < limit:
        return GateStatus.PASS
    if effect.low > limit:
        return GateStatus.FAIL
    return GateStatus.INCONCLUSIVE


def _needed_interleaved(experiment: Experiment, effect: Effect, max_slowdown: float) -> int | None:
    """Return the rounds at which the observed effect and spread would leave the limit outside."""
    gap = abs(math.log(effect.ratio) - math.log1p(max_slowdown))
    needed = needed_rounds(
        spread_of(effect),
        gap,
        alpha=look_alpha_of(experiment.rule),
        most=LARGEST_NEEDED,
    )
    if needed is None:
        return None
    size = square_size(len(experiment.arms))
    return size * math.ceil(needed / size)


# ------------------------------------------------------------------------------ stored runs


def _stored_row(item: StoredComparison, max_slowdown: float, design: GateDesign) -> GateRow:
    status = status_of(item.effect, max_slowdown)
    needed = None
    if status is GateStatus.INCONCLUSIVE:
        needed = item.needed(math.log1p(max_slowdown), most=LARGEST_NEEDED)
    return GateRow(
        arm_id=item.arm_id,
        base=item.base,
        status=status,
        sentence=_row_sentence(
            item.label, item.base, item.effect, max_slowdown, status, needed, design
        ),
        effect=item.effect,
        needed=needed,
    )


# ------------------------------------------------------------------------------ in words

_UNITS = {
    GateDesign.INTERLEAVED: "a new experiment of about {} rounds would decide",
    GateDesign.CONTROL: "new runs of about {} rounds a side would decide",
    GateDesign.SESSIONS: "about {} sessions a side would decide",
}
_HOPELESS = "the effect lies too close to the limit for any reasonable number of rounds to decide"


def _row_sentence(
    label: str,
    base: str,
    effect: Effect,
    max_slowdown: float,
    status: GateStatus,
    needed: int | None,
    design: GateDesign,
) -> str:
    difference = wording.percent(effect.ratio - 1, signed=True)
    limit = wording.limit(max_slowdown)
    seen = f"{label} against {base}: {difference} % ({wording.signed_interval(effect)})"
    if status is GateStatus.PASS:
        return f"{seen}: pass: slower by less than {limit}"
    if status is GateStatus.FAIL:
        return f"{seen}: fail: slower by more than {limit}"
    advice = _UNITS[design].format(needed) if needed is not None else _HOPELESS
    return f"{seen}: inconclusive at a limit of {limit}; {advice}"


def _result(rows: tuple[GateRow, ...], max_slowdown: float, design: GateDesign) -> GateResult:
    order = (GateStatus.FAIL, GateStatus.REFUSED, GateStatus.INCONCLUSIVE, GateStatus.PASS)
    status = min((row.status for row in rows), key=order.index)
    open_rows = [row.needed for row in rows if row.status is GateStatus.INCONCLUSIVE]
    known = [needed for needed in open_rows if needed is not None]
    needed = max(known, default=None) if len(known) == len(open_rows) else None
    return GateResult(
        status=status,
        sentence=_sentence(status, rows, max_slowdown, design, needed),
        max_slowdown=max_slowdown,
        design=design,
        rows=rows,
        needed_rounds=needed,
    )


def _sentence(
    status: GateStatus,
    rows: Sequence[GateRow],
    max_slowdown: float,
    design: GateDesign,
    needed: int | None,
) -> str:
    limit = wording.limit(max_slowdown)
    names = wording.listed([row.arm_id for row in rows if row.status is status])
    if status is GateStatus.PASS:
        return f"pass: {names} stays within {limit}"
    if status is GateStatus.FAIL:
        return f"fail: {names} is slower by more than {limit}"
    if status is GateStatus.REFUSED:
        return f"refused: nothing may be said of {names}"
    advice = _UNITS[design].format(needed) if needed is not None else _HOPELESS
    return f"inconclusive: {advice}"
