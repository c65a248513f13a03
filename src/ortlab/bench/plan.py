"""Arms → experiment: baseline, planned looks, block rules, seed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ortlab.bench.naming import file_safe
from ortlab.domain import (
    Arm,
    BlockCounts,
    DeviceInfo,
    Experiment,
    PreparedModel,
    StoppingRule,
)
from ortlab.errors import ModelError, UsageError
from ortlab.statistics import default_looks, pocock_alpha
from ortlab.wire import StopRule, WarmUpRule

FAMILY_ALPHA = 0.05
_DEFAULT_BLOCK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """How an experiment is carried out.

    Attributes:
        baseline: Arm id; None takes the first ``base-`` arm, else the first arm.
        min_rounds: First look; rounded to the balanced square of the arms.
        max_rounds: Last look; rounded up to it.
        block_s: Least measured time of a latency block, in seconds.
        equivalence_margin: Half-width of the equivalence region, such as 0.02.
        floor: The device's noise floor as a width on the ratio, or None when unknown.
        family_alpha: False alarm rate of one comparison over all looks.
        counts: Blocks beside the latency rounds.
        block_deadline_s: Total time one block may take; None derives it from ``block_s``.
        seed: Of the order of arms; None draws one.
        command: The command that repeats the experiment.
    """

    baseline: str | None = None
    min_rounds: int = 8
    max_rounds: int = 24
    block_s: float = _DEFAULT_BLOCK_S
    equivalence_margin: float = 0.02
    floor: float | None = None
    family_alpha: float = FAMILY_ALPHA
    counts: BlockCounts = field(default_factory=BlockCounts)
    block_deadline_s: float | None = None
    seed: int | None = None
    command: str = ""


def plan_experiment(
    arms: Sequence[Arm],
    prepared: PreparedModel,
    prepared_path: Path,
    device: DeviceInfo,
    options: PlanOptions | None = None,
    *,
    now: datetime | None = None,
) -> Experiment:
    """Plan the experiment of these arms on a device.

    Args:
        arms: One or more; one is a measurement without comparison.
        prepared: The model whose first sample gives the inputs.
        prepared_path: Its directory.
        device: Where it will run.
        options: How.
        now: Start, for the id; the present if None.

    Raises:
        UsageError: No arm, an unknown baseline, or numbers that cannot mean anything.
        ModelError: The prepared model has no sample to run.
    """
    options = options or PlanOptions()
    _check(arms, options)
    if not prepared.samples:
        message = f"cannot measure {prepared.name}: it was prepared without inputs to run it on"
        raise ModelError(message, next_step="ortlab prepare MODEL --inputs FILE.npz")
    moment = now or datetime.now(UTC)
    warm_up, stop = block_rules(options.block_s)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    stamp = moment.strftime("%Y%m%d-%H%M%S")
    return Experiment(
        experiment_id=f"{stamp}-{file_safe(prepared.name)}-{secrets.token_hex(2)}",
        model_name=prepared.name,
        arms=tuple(arms),
        baseline=_baseline(arms, options.baseline),
        rule=plan_rule(len(arms), options),
        seed=seed,
        device=device,
        sample=prepared.samples[0],
        prepared_path=str(prepared_path.resolve()),
        warm_up=warm_up,
        stop=stop,
        counts=options.counts,
        block_deadline_s=options.block_deadline_s or _deadline_s(warm_up, stop),
        command=options.command,
        created_at=moment.isoformat(timespec="seconds"),
    )


def plan_rule(arm_count: int, options: PlanOptions) -> StoppingRule:
    """Return the stopping rule of so many arms: looks, Pocock's alpha, comparisons.

    Raises:
        UsageError: The numbers of rounds cannot mean anything.
    """
    looks = default_looks(arm_count, first=options.min_rounds, last=options.max_rounds)
    return StoppingRule(
        looks=looks,
        family_alpha=options.family_alpha,
        look_alpha=pocock_alpha(looks, options.family_alpha),
        comparisons=max(1, arm_count - 1),
        equivalence_margin=options.equivalence_margin,
        floor=options.floor,
    )


def block_rules(block_s: float) -> tuple[WarmUpRule, StopRule]:
    """Return warm-up and stop rules for blocks of this measured time.

    Two seconds give the rules of `docs/method.md`; shorter blocks shorten warm-up alike, longer
    ones keep it.
    """
    usual_warm_up, usual_stop = WarmUpRule(), StopRule()
    scale = min(1.0, block_s / _DEFAULT_BLOCK_S)
    warm_up = WarmUpRule(
        window_ns=round(usual_warm_up.window_ns * scale),
        min_ns=round(usual_warm_up.min_ns * scale),
    )
    min_ns = round(block_s * 1e9)
    return warm_up, StopRule(min_ns=min_ns, max_ns=max(usual_stop.max_ns, 2 * min_ns))


def _deadline_s(warm_up: WarmUpRule, stop: StopRule) -> float:
    """Twice what the rules allow; the rest is for start, load and the last run."""
    return max(120.0, 2 * (warm_up.hard_limit_ns + stop.max_ns) / 1e9)


def _check(arms: Sequence[Arm], options: PlanOptions) -> None:
    problem = ""
    if not arms:
        problem = "there is no arm"
    elif options.block_s <= 0:
        problem = f"blocks of {options.block_s} s measure nothing"
    elif options.equivalence_margin < 0 or (options.floor or 0) < 0:
        problem = "the equivalence margin and the floor are widths, 0 or more"
    elif options.block_deadline_s is not None and options.block_deadline_s <= 0:
        problem = f"a deadline of {options.block_deadline_s} s leaves no time"
    if problem:
        message = f"cannot plan an experiment: {problem}"
        raise UsageError(message)


def _baseline(arms: Sequence[Arm], asked: str | None) -> str:
    ids = [arm.arm_id for arm in arms]
    if asked is not None:
        if asked not in ids:
            message = f"cannot take {asked!r} as the baseline: the arms are {', '.join(ids)}"
            raise UsageError(message, next_step=f"--baseline {ids[0]}")
        return asked
    return next((arm_id for arm_id in ids if arm_id.startswith("base-")), ids[0])
