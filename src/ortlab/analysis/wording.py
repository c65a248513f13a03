"""Figures as people read them; used in every sentence the analysis writes."""

from __future__ import annotations

from collections.abc import Sequence

from ortlab.domain import Effect

_TIMES_FROM, _ONLY_MAGNITUDE_FROM = 2.0, 1e6


def percent(fraction: float, *, signed: bool = False) -> str:
    """Return ``0.031`` as ``3.1`` (no sign of per cent), with a real minus; never ``−0.0``."""
    value = f"{fraction * 100:+.1f}" if signed else f"{fraction * 100:.1f}"
    if float(value) == 0:
        value = "0.0"
    return value.replace("-", "−")


def limit(fraction: float) -> str:
    """Return ``0.02`` as ``2 %`` and ``0.025`` as ``2.5 %``."""
    return f"{fraction * 100:.4g} %".replace("-", "−")


def level(confidence: float) -> str:
    """Return ``0.982`` as ``98.2 %``; more digits where it is close to 100 %."""
    return f"{confidence * 100:.4g} %"


def rounds(count: int) -> str:
    """Return the number of rounds."""
    return f"{count} round" if count == 1 else f"{count} rounds"


def duration(duration_ns: float) -> str:
    """Return a duration with three digits, such as ``0.81 ms``."""
    for ceiling, divisor, unit in ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if duration_ns < ceiling:
            return f"{duration_ns / divisor:.3g} {unit}"
    return f"{duration_ns / 1e9:.3g} s"


def size(size_bytes: float) -> str:
    """Return a size in powers of ten, such as ``3.6 MB``."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            digits = ".3g" if size_bytes < 100 else ".0f"
            return f"{size_bytes:{digits}} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"


def change(ratio: float) -> str:
    """Return a latency ratio as ``3.1 % faster``, ``2.0 % slower`` or ``2.41 times as slow``."""
    if ratio >= _TIMES_FROM:
        return f"{_times(ratio)} times as slow"
    if ratio > 1:
        return f"{percent(ratio - 1)} % slower"
    return f"{percent(1 - ratio)} % faster"


def _times(ratio: float) -> str:
    whole = 999.5 <= ratio < _ONLY_MAGNITUDE_FROM
    return f"{ratio:.0f}" if whole else f"{ratio:.3g}"


def interval(effect: Effect) -> str:
    """Return an interval on one side of 1 in the direction of the effect, as positive figures.

    Such as ``98.2 % interval 2.2 to 4.0 %`` beside "3.1 % faster"; signed where it holds 1.
    """
    name = f"{level(effect.confidence)} interval"
    if effect.ratio >= _TIMES_FROM and effect.low > 0:
        return f"{name} {_times(effect.low)} to {_times(effect.high)} times"
    if effect.low > 1:
        return f"{name} {percent(effect.low - 1)} to {percent(effect.high - 1)} %"
    if effect.high < 1:
        return f"{name} {percent(1 - effect.high)} to {percent(1 - effect.low)} %"
    return signed_interval(effect)


def signed_interval(effect: Effect) -> str:
    """Return an interval as changes of the latency: ``98.2 % interval −1.1 to +0.5 %``."""
    low, high = percent(effect.low - 1, signed=True), percent(effect.high - 1, signed=True)
    return f"{level(effect.confidence)} interval {low} to {high} %"


def listed(names: Sequence[str], *, word: str = "and") -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
