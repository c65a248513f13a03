"""Pure statistics of interleaved experiments: intervals, looks, orders, corrections, floors.

A **log ratio** is ``ln(arm ÷ baseline)`` of one round's block medians; rounds are the unit, never
iterations. Sources: the t interval on log ratios and planned looks after Pocock (Biometrika 64,
1977), with his constant computed for the t statistic of the looks in use
(`scripts/pocock_table.py`); Williams squares after Williams (Aust. J. Sci. Res. A 2, 1949);
Holm (Scand. J. Statist. 6, 1979). numpy and scipy are imported on first use.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from ortlab.domain import Effect, StoppingRule, Verdict
from ortlab.errors import BenchmarkError, UsageError

MIN_FLOOR_EXPERIMENTS: Final = 20

# Looks of the planned kinds at a family alpha of 0.05; printed by scripts/pocock_table.py.
POCOCK_TABLE: Final[dict[tuple[int, ...], float]] = {
    (6, 12): 0.0283,
    (6, 12, 18): 0.0210,
    (6, 12, 18, 24): 0.0172,
    (8, 12): 0.0308,
    (8, 12, 16): 0.0233,
    (8, 12, 16, 24): 0.0182,
    (8, 16): 0.0286,
    (8, 16, 24): 0.0212,
    (10, 20): 0.0287,
    (10, 20, 30): 0.0213,
    (14, 28): 0.0287,
}
_TABLE_FAMILY_ALPHA: Final = 0.05

_LOOK_TARGETS: Final = (8, 12, 16, 24)
_SIMULATION_SEED: Final = 1977
_SIMULATED_EXPERIMENTS: Final = 200_000
_EXACT_SIGN_FLIPS: Final = 16
_BOOTSTRAP_SAMPLES: Final = 10_000
_BOOTSTRAP_SEED: Final = 10_000
_SIGN_FLIP_SEED: Final = 65_536
_ZERO: Final = 1e-12
_LOG_RATIO_BOUND: Final = 1_500.0  # above the logarithm of any quotient of two floats


# ------------------------------------------------------------------------------ planned looks


def square_size(arm_count: int) -> int:
    """Return the rounds after which the order of ``arm_count`` arms is balanced."""
    if arm_count <= 1:
        return 1
    return arm_count if arm_count % 2 == 0 else 2 * arm_count


def default_looks(arm_count: int, *, first: int = 8, last: int = 24) -> tuple[int, ...]:
    """Return the rounds at which the data may be looked at, ascending.

    They are the multiples of the balanced square nearest to 8, 12, 16 and 24, as far as these lie
    between ``first`` and ``last``; the last one is rounded up, so that the planned number of
    rounds is reached. One arm has nothing to compare: a single look at ``first``.

    Raises:
        UsageError: ``first`` is below 2 or above ``last``.
    """
    if first < 2:
        message = f"cannot plan a first look after {first} round(s): an interval needs two"
        raise UsageError(message, next_step="give at least 2 rounds")
    if last < first:
        message = f"cannot plan looks: the last one ({last}) comes before the first ({first})"
        raise UsageError(message, next_step="give a maximum not below the minimum of rounds")
    if arm_count <= 1:
        return (first,)
    size = square_size(arm_count)
    last_look = size * math.ceil(last / size)
    if first == last:
        return (last_look,)
    targets = [first, *(target for target in _LOOK_TARGETS if first < target < last)]
    # A tie goes down: an early look costs less than a late one.
    nearest = {size * max(1, math.ceil(target / size - 0.5)) for target in targets}
    looks = {look for look in nearest if 2 <= look < last_look}
    return (*sorted(looks), last_look)


def pocock_alpha(looks: Sequence[int], family_alpha: float = 0.05) -> float:
    """Return the two-sided alpha to use at each look so that all looks together err that often.

    Args:
        looks: Rounds at which the data are looked at, ascending, the first at least 2.
        family_alpha: Chance of a false claim over all looks, 0 to 1.

    Raises:
        UsageError: The looks are not ascending, or the alpha is not between 0 and 1.
    """
    planned = tuple(looks)
    if not planned or planned[0] < 2 or list(planned) != sorted(set(planned)):
        message = f"cannot use looks at {list(planned)} rounds: they must ascend from 2 or more"
        raise UsageError(message)
    if not 0 < family_alpha < 1:
        message = f"cannot use a family alpha of {family_alpha}: it lies between 0 and 1"
        raise UsageError(message)
    if len(planned) == 1:
        return family_alpha
    if family_alpha == _TABLE_FAMILY_ALPHA and planned in POCOCK_TABLE:
        return POCOCK_TABLE[planned]
    return simulate_pocock_alpha(planned, family_alpha, experiments=_SIMULATED_EXPERIMENTS)


@cache
def simulate_pocock_alpha(
    looks: tuple[int, ...], family_alpha: float, *, experiments: int
) -> float:
    """Find Pocock's alpha by simulation with a fixed seed, to four decimals, rounded down.

    The smallest two-sided t-test p-value over all looks is drawn for ``experiments`` experiments
    without an effect; its ``family_alpha`` quantile is the alpha sought.
    """
    import numpy as np
    from scipy.special import stdtr

    generator = np.random.default_rng(_SIMULATION_SEED)
    chunk, smallest = 50_000, []
    for start in range(0, experiments, chunk):
        draws = generator.standard_normal((min(chunk, experiments - start), looks[-1]))
        sums, squares = np.cumsum(draws, axis=1), np.cumsum(draws**2, axis=1)
        p_values = []
        for look in looks:
            mean = sums[:, look - 1] / look
            variance = (squares[:, look - 1] - look * mean**2) / (look - 1)
            t = np.abs(mean) / np.sqrt(variance / look)
            p_values.append(2 * stdtr(look - 1, -t))
        smallest.append(np.min(p_values, axis=0))
    quantile = float(np.quantile(np.concatenate(smallest), family_alpha))
    return math.floor(quantile * 10_000) / 10_000 or quantile


# ------------------------------------------------------------------------------ order


def balanced_order(arm_count: int, round_index: int, seed: int) -> tuple[int, ...]:
    """Return the order of arms, as indices, in one round.

    Rounds come in squares of :func:`square_size`: in each, every arm stands at every place
    equally often and follows every other arm equally often. Two arms give AB and BA in random
    order (randomized ABBA). Names and rows of each square are shuffled by ``seed``.
    """
    if arm_count <= 1:
        return tuple(range(arm_count))
    size = square_size(arm_count)
    square, row = divmod(round_index, size)
    generator = random.Random(f"{seed}/{arm_count}/{square}")  # noqa: S311 - an order, no secret
    names = list(range(arm_count))
    generator.shuffle(names)
    rows = list(range(size))
    generator.shuffle(rows)
    return tuple(names[place] for place in _williams_row(arm_count, rows[row]))


def _williams_row(arm_count: int, row: int) -> list[int]:
    """Row of a Williams square: 0, 1, n-1, 2, n-2 … shifted by the row; odd sizes add mirrors."""
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(arm_count)]
    shifted = [(place + row) % arm_count for place in zigzag]
    return shifted[::-1] if row >= arm_count else shifted


# ------------------------------------------------------------------------------ effects


@cache
def t_quantile(degrees: float, probability: float) -> float:
    """Return the quantile of Student's t; remembered, because simulations ask for few of them."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def interval(log_ratios: Sequence[float], *, alpha: float) -> tuple[float, float, float]:
    """Return mean, lower and upper bound of the log ratios: a two-sided t interval.

    Raises:
        BenchmarkError: There are fewer than two rounds.
    """
    count = len(log_ratios)
    if count < 2:
        message = f"cannot give an interval from {count} complete round(s): two are needed"
        raise BenchmarkError(message)
    mean = math.fsum(log_ratios) / count
    variance = math.fsum((value - mean) ** 2 for value in log_ratios) / (count - 1)
    half = t_quantile(count - 1, 1 - alpha / 2) * math.sqrt(variance / count)
    return mean, mean - half, mean + half


def decide(log_ratios: Sequence[float], rule: StoppingRule) -> Verdict:
    """Say what the data at hand allow, at ``rule.look_alpha ÷ rule.comparisons``.

    Faster or slower: the interval excludes 0 and the effect exceeds the floor, if one is known.
    Equivalent: the interval lies inside the margin or the floor, whichever is larger. Else, and
    with fewer than two rounds, inconclusive. Margin and floor are widths on the ratio and are
    taken as ``±ln(1 + width)``, so that exchanging arm and baseline exchanges the verdicts.
    """
    if len(log_ratios) < 2:
        return Verdict.INCONCLUSIVE
    mean, low, high = interval(log_ratios, alpha=look_alpha_of(rule))
    floor = rule.floor or 0.0
    if abs(mean) > math.log1p(floor) and (low > _ZERO or high < -_ZERO):
        return Verdict.SLOWER if mean > 0 else Verdict.FASTER
    if max(-low, high) < math.log1p(max(rule.equivalence_margin, floor)):
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def look_alpha_of(rule: StoppingRule) -> float:
    """Return the alpha of one comparison at one look: Pocock's, divided by the comparisons."""
    return rule.look_alpha / max(1, rule.comparisons)


def effect(log_ratios: Sequence[float], *, alpha: float, checks: bool = True) -> Effect:
    """Return the geometric mean of the ratios with its t interval and the two checks beside it.

    Args:
        log_ratios: One a round.
        alpha: Of the interval, after every correction; see :func:`look_alpha_of`.
        checks: Whether to add sign-flip p and bootstrap, which cost some milliseconds.

    Raises:
        BenchmarkError: There are fewer than two rounds.
    """
    mean, low, high = interval(log_ratios, alpha=alpha)
    bootstrap = bootstrap_median(log_ratios) if checks else (None, None)
    return Effect(
        ratio=ratio_of(mean),
        low=ratio_of(low),
        high=ratio_of(high),
        confidence=1 - alpha,
        rounds=len(log_ratios),
        sign_flip_p=sign_flip_p(log_ratios) if checks else None,
        bootstrap_low=bootstrap[0],
        bootstrap_high=bootstrap[1],
    )


def slowdown_p(log_ratios: Sequence[float], *, limit: float) -> float:
    """Return the one-sided p-value of "slower by no more than the limit", of one look.

    Student's t test (Biometrika 6, 1908) of the mean log ratio against ``ln(1 + limit)``: a small
    p says that the arm is slower than the baseline by more than the limit. Rounds without any
    spread give 0 or 1, by the side their mean lies on; fewer than two rounds say nothing and
    give 1.

    Args:
        log_ratios: One a round, ``ln(arm ÷ baseline)``; all finite.
        limit: A width on the ratio above -1, such as 0.02 for 2 %; 0 asks for any slowdown.

    Raises:
        UsageError: The limit or a log ratio is no number that can be tested.
    """
    if not -1 < limit < math.inf or not all(abs(value) < _LOG_RATIO_BOUND for value in log_ratios):
        message = f"cannot test log ratios against a limit of {limit}: all must be finite numbers"
        raise UsageError(message)
    count = len(log_ratios)
    if count < 2:
        return 1.0
    mean = math.fsum(log_ratios) / count
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in log_ratios) / (count - 1) / count)
    distance = mean - math.log1p(limit)
    # What rounding leaves of equal values is no spread, and of an equal mean no distance.
    if error <= _ZERO:
        return 0.0 if distance > _ZERO else 1.0
    from scipy.special import stdtr

    return float(stdtr(count - 1, -distance / error))


def ratio_of(log_ratio: float) -> float:
    """Return the ratio of a log ratio; infinity where a bound is too large for a number."""
    try:
        return math.exp(log_ratio)
    except OverflowError:
        return math.inf


def sign_flip_p(log_ratios: Sequence[float]) -> float:
    """Return the two-sided p-value of the sign-flip test on the mean.

    Exact up to 16 rounds (65,536 sign patterns); above, 65,535 patterns drawn with a fixed seed
    and the observed one.
    """
    import numpy as np

    values = np.asarray(log_ratios, dtype=float)
    count = len(values)
    if count == 0:
        return 1.0
    # Sums that are equal but for rounding count as ties.
    observed = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    if count <= _EXACT_SIGN_FLIPS:
        patterns = np.arange(1 << count, dtype=np.uint32)
        signs = ((patterns[:, None] >> np.arange(count, dtype=np.uint32)) & 1) * 2.0 - 1.0
        return float((np.abs(signs @ values) >= observed).mean())
    generator = np.random.default_rng(_SIGN_FLIP_SEED)
    draws = (1 << _EXACT_SIGN_FLIPS) - 1
    signs = generator.integers(0, 2, (draws, count)) * 2.0 - 1.0
    extreme = int((np.abs(signs @ values) >= observed).sum())
    return (extreme + 1) / (draws + 1)


def bootstrap_median(log_ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap of the median ratio; 10,000 draws, fixed seed."""
    import numpy as np

    values = np.asarray(log_ratios, dtype=float)
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    draws = generator.integers(0, len(values), (_BOOTSTRAP_SAMPLES, len(values)))
    low, high = np.percentile(np.median(values[draws], axis=1), [2.5, 97.5])
    return math.exp(float(low)), math.exp(float(high))


# ------------------------------------------------------------------------------ corrections


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Return which hypotheses Holm's step-down procedure rejects, in the order given."""
    rejected = [False] * len(p_values)
    ascending = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for step, index in enumerate(ascending):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected[index] = True
    return tuple(rejected)


def noise_floor(effects: Iterable[float]) -> float:
    """Return the smallest effect that may be claimed, as a width on the ratio such as 0.02.

    Args:
        effects: Log ratio that each A/A experiment found; at least 20 of them.

    Raises:
        BenchmarkError: There are fewer.
    """
    sizes = [abs(value) for value in effects]
    if len(sizes) < MIN_FLOOR_EXPERIMENTS:
        message = (
            f"cannot set a noise floor from {len(sizes)} A/A experiment(s):"
            f" {MIN_FLOOR_EXPERIMENTS} are needed"
        )
        raise BenchmarkError(message)
    return math.expm1(percentile(sizes, 95))


# ------------------------------------------------------------------------------ description


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    if not ordered:
        message = "cannot take the median of nothing"
        raise BenchmarkError(message)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile (0 to 100) by linear interpolation between order statistics.

    Raises:
        BenchmarkError: There are no values.
    """
    import numpy as np

    if len(values) == 0:
        message = "cannot take a percentile of nothing"
        raise BenchmarkError(message)
    return float(np.percentile(np.asarray(values, dtype=float), percent))


def tukey_outlier_count(values: Sequence[float]) -> int:
    """Return how many values lie beyond 1.5 interquartile ranges outside the quartiles."""
    import numpy as np

    if len(values) == 0:
        return 0
    array = np.asarray(values, dtype=float)
    lower, upper = np.percentile(array, [25, 75])
    reach = 1.5 * (upper - lower)
    return int(((array < lower - reach) | (array > upper + reach)).sum())
