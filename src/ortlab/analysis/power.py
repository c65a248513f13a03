"""How much more data a decision would need, and Welch's interval for two groups of units.

Both invert the t interval at the adjusted level for the spread that was observed. The answer to
"how many" is the number at which the interval of a new experiment would leave the limit outside
if it saw the same effect and the same spread again; it may see others. Welch's interval and its
degrees of freedom: Welch, Biometrika 34, 1947.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ortlab.domain import Effect
from ortlab.statistics import ratio_of, t_quantile


def spread_of(effect: Effect) -> float:
    """Return the standard deviation of one round's log ratio, from the interval it gave."""
    if effect.low == 0 or math.isinf(effect.high):
        return math.inf
    half = (math.log(effect.high) - math.log(effect.low)) / 2
    quantile = t_quantile(effect.rounds - 1, (1 + effect.confidence) / 2)
    return half / quantile * math.sqrt(effect.rounds)


def needed_rounds(spread: float, gap: float, *, alpha: float, most: int) -> int | None:
    """Return the fewest rounds whose t interval is narrower than the gap to the limit.

    Args:
        spread: Standard deviation of one round's log ratio.
        gap: Distance of the observed effect from the limit, on the log ratio.
        alpha: Two-sided, after every correction.
        most: Give up above this.
    """

    def half(count: int) -> float:
        return t_quantile(count - 1, 1 - alpha / 2) * spread / math.sqrt(count)

    return _fewest(half, gap, most)


def needed_units(
    new: Sequence[float], base: Sequence[float], gap: float, *, alpha: float, most: int
) -> int | None:
    """Return the fewest units a side whose Welch interval is narrower than the gap."""
    first, second = _variance(new), _variance(base)

    def half(count: int) -> float:
        degrees = _degrees(first, count, second, count)
        return t_quantile(degrees, 1 - alpha / 2) * math.sqrt((first + second) / count)

    return _fewest(half, gap, most)


def welch_effect(new: Sequence[float], base: Sequence[float], *, alpha: float) -> Effect:
    """Return the ratio of two groups of log values with Welch's t interval.

    Args:
        new: Logarithms, one a unit; at least two.
        base: Likewise.
        alpha: Two-sided.
    """
    first, second = _variance(new), _variance(base)
    mean = math.fsum(new) / len(new) - math.fsum(base) / len(base)
    error = math.sqrt(first / len(new) + second / len(base))
    degrees = _degrees(first, len(new), second, len(base))
    half = t_quantile(degrees, 1 - alpha / 2) * error
    return Effect(
        ratio=ratio_of(mean),
        low=ratio_of(mean - half),
        high=ratio_of(mean + half),
        confidence=1 - alpha,
        rounds=min(len(new), len(base)),
    )


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _degrees(first: float, first_count: int, second: float, second_count: int) -> float:
    a, b = first / first_count, second / second_count
    below = a**2 / (first_count - 1) + b**2 / (second_count - 1)
    if below == 0:  # no spread at all: the interval has no width whatever the degrees
        return first_count + second_count - 2
    return (a + b) ** 2 / below


def _fewest(half: Callable[[int], float], gap: float, most: int) -> int | None:
    """Bisect: the width falls with every unit more."""
    if half(most) >= gap:
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        if half(middle) < gap:
            high = middle
        else:
            low = middle
    return high
