"""A model's nights on a phone as inline SVG: a point a night, over the band it was expected in.

Colours are classes of the page's style sheet, so that light and dark are its choice alone, and so
that no style stands in the markup, which the page's policy would refuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from device_lab.history import Night, Place, Segment
from device_lab.wording import change
from ortlab.text import shorten, visible

WIDE, NARROW = 950, 350
MOST_NIGHTS = 400
_HEIGHT = 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 14, 34
_LEAST_REACH = 0.02
_CLASSES = {Place.ABOVE: " slower", Place.BELOW: " faster"}
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def segment_chart(segment: Segment, label: str) -> str:
    """Return a segment's chart, drawn for a wide page and for a phone; empty without a night.

    Args:
        segment: Of one control arm; the newest `MOST_NIGHTS` nights are drawn.
        label: What the chart shows, for those who cannot see it.
    """
    nights = [night for night in segment.nights if _drawable(night.ratio)][-MOST_NIGHTS:]
    if not nights:
        return ""
    return "".join(
        _Plot(nights, label, width, css_class).draw()
        for width, css_class in ((WIDE, "wide"), (NARROW, "narrow"))
    )


def night_words(night: Night) -> str:
    """Return what is said of a night when it is pointed at."""
    words = f"{night.night}: {change(night.ratio)} against the control arm"
    if night.band is None:
        return f"{words}, {night.place}"
    return f"{words}, {night.place} of {change(night.band.low)} to {change(night.band.high)}"


def _drawable(ratio: float) -> bool:
    return math.isfinite(ratio) and ratio > 0


class _Plot:
    """One drawing: logarithms of ratios upwards, nights to the right."""

    def __init__(self, nights: Sequence[Night], label: str, width: int, css_class: str) -> None:
        self._nights = nights
        self._label = label
        self._width = width
        self._css_class = css_class
        values = [night.ratio for night in nights]
        values += [end for night in nights for end in _band(night)]
        # A band from three nights that differ a lot must not make everything else a flat line.
        widest = 4 * max(_LEAST_REACH, *(abs(math.log(night.ratio)) for night in nights))
        ends = [min(abs(math.log(value)), widest) for value in values]
        self._reach = max(_LEAST_REACH, *ends) * 1.1
        first, last = nights[0].night.toordinal(), nights[-1].night.toordinal()
        self._first, self._days = first, last - first

    def draw(self) -> str:
        """Return the SVG element."""
        label = escape(shorten(visible(self._label), 600))
        bands = "".join(self._band_mark(index) for index in range(len(self._nights)))
        marks = "".join(self._mark(night) for night in self._nights)
        return (
            f'<svg class="{self._css_class}" role="img" viewBox="0 0 {self._width} {_HEIGHT}"'
            f' width="{self._width}" height="{_HEIGHT}" aria-label="{label}">'
            f"{bands}{self._rules()}{self._dates()}{marks}</svg>"
        )

    def _x(self, day: float) -> float:
        left, right = _LEFT + 12, self._width - _RIGHT - 12
        if not self._days:
            return (left + right) / 2
        return left + (right - left) * (day - self._first) / self._days

    def _y(self, ratio: float) -> float:
        inner = _HEIGHT - _TOP - _BOTTOM
        log = max(-self._reach, min(self._reach, math.log(ratio)))
        return _TOP + inner * (self._reach - log) / (2 * self._reach)

    def _band_mark(self, index: int) -> str:
        night = self._nights[index]
        if not _band(night):
            return ""
        low, high = _band(night)
        day = night.night.toordinal()
        before = self._nights[index - 1].night.toordinal() if index else day - 1
        after = self._nights[index + 1].night.toordinal() if index + 1 < len(self._nights) else day
        left = max(_LEFT, self._x((before + day) / 2))
        right = self._x((day + after) / 2) if after > day else self._width - _RIGHT
        top, bottom = self._y(high), self._y(low)
        return (
            f'<rect class="band" x="{left:.1f}" y="{top:.1f}"'
            f' width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
        )

    def _rules(self) -> str:
        parts = []
        for ratio in _ticks(self._reach):
            y = self._y(ratio)
            css_class = "zero" if ratio == 1 else "rule"
            parts.append(
                f'<line class="{css_class}" x1="{_LEFT}" x2="{self._width - _RIGHT}"'
                f' y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{change(ratio)}</text>'
            )
        return "".join(parts)

    def _dates(self) -> str:
        y = _HEIGHT - 10
        first, last = self._nights[0].night, self._nights[-1].night
        if first == last:
            middle = f"{self._x(self._first):.1f}"
            return f'<text x="{middle}" y="{y}" text-anchor="middle">{first}</text>'
        end = self._width - _RIGHT
        return (
            f'<text x="{_LEFT}" y="{y}">{first}</text>'
            f'<text x="{end}" y="{y}" text-anchor="end">{last}</text>'
        )

    def _mark(self, night: Night) -> str:
        x, y = self._x(night.night.toordinal()), self._y(night.ratio)
        css_class = f"night{_CLASSES.get(night.place, '')}"
        return (
            f'<circle class="{css_class}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
            f"<title>{escape(night_words(night))}</title></circle>"
        )


def _band(night: Night) -> tuple[float, ...]:
    if night.band is None or not (_drawable(night.band.low) and _drawable(night.band.high)):
        return ()
    return night.band.low, night.band.high


def _ticks(reach: float) -> list[float]:
    """Return ratios at round changes on both sides of 1, at most four on either."""
    high = math.exp(reach) - 1
    step = next((step for step in _STEPS if high / step < 5), high / 4)
    least = math.exp(-reach)
    found = [1 + index * step for index in range(-4, 5)]
    return [ratio for ratio in found if least <= ratio <= 1 + high]
