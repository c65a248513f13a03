"""The charts, static SVG by Altair and vl-convert.

Each chart is drawn twice, for a wide page and for a phone; the page shows one of them. Colours are
CSS variables, so that a dark page needs no other chart. Row charts put one arm a row; names stand
left of the rows on a wide page, above them on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ortlab.report import shapes, svg
from ortlab.report.text import limit as limit_text
from ortlab.report.text import three_digits

Rows = list[dict[str, Any]]

WIDE, NARROW = 980, 350
_CHARACTER = 6.6
"""Pixels of an average character of the charts' text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An arm's row: its name, what stands at its right end, its colour."""

    name: str
    value: str
    colour: str


@dataclass(slots=True, kw_only=True)
class Sheet:
    """Where rows lie on one drawing.

    Attributes:
        narrow: Whether it is for a phone.
        rows: In order.
        row_height: Pixels of a row.
        texts: Tokens of the drawing.
    """

    narrow: bool
    rows: Sequence[Row]
    row_height: int
    texts: svg.Texts = field(default_factory=svg.Texts)

    @property
    def height(self) -> int:
        """Pixels of all rows, with the names that a phone shows above them."""
        return self.step * len(self.rows)

    @property
    def step(self) -> int:
        """Pixels from one row to the next."""
        return self.row_height + (24 if self.narrow else 0)

    @property
    def width(self) -> int:
        """Pixels of the plot itself."""
        if self.narrow:
            return NARROW - 16
        names = max((min(len(row.name), svg.LONGEST_LABEL) for row in self.rows), default=0)
        values = max((len(row.value) for row in self.rows), default=0)
        return int(WIDE - _CHARACTER * (names + values) - 48)

    def y(self, index: float, part: float) -> float:
        """Return the position within a row: 0 is its top, 1 its bottom, in pixels from above."""
        top = index * self.step + (self.step - self.row_height)
        return top + part * self.row_height

    def names(self) -> list[Any]:
        """Return the layers with the rows' names and values."""
        name_rows, value_rows = [], []
        for index, row in enumerate(self.rows):
            y = self.y(index, 0.5) if not self.narrow else index * self.step + 15
            name_rows.append({"y": y, "t": self.texts.label(row.name)})
            value_rows.append({"y": y, "t": self.texts.label(row.value, limit=60)})
        if self.narrow:
            left = {"x": 0, "align": "left"}, {"x": self.width, "align": "right"}
        else:
            left = {"x": -14, "align": "right"}, {"x": self.width + 14, "align": "left"}
        return [
            _text(name_rows, weight="bold", colour="var(--ink)", **left[0]),
            _text(value_rows, colour="var(--ink)", **left[1]),
        ]


def _mark(rows: Rows, kind: str, **options: Any) -> Any:
    import altair as alt

    chart = alt.Chart(alt.Data(values=rows))
    return getattr(chart, f"mark_{kind}")(**options)


def _y(name: str = "y") -> Any:
    import altair as alt

    return alt.Y(f"{name}:Q", scale=None, axis=None)


def _text(
    rows: Rows,
    *,
    x: float | None = None,
    align: str = "left",
    baseline: str = "middle",
    colour: str = "var(--muted)",
    weight: str = "normal",
    size: int = 12,
) -> Any:
    """Return text marks at pixel positions; ``x`` is shared or a field of the rows."""
    import altair as alt

    place = alt.X("x:Q", scale=None, axis=None) if x is None else alt.XValue(x)
    return _mark(
        rows, "text", align=align, baseline=baseline, fill=colour, fontWeight=weight, fontSize=size
    ).encode(x=place, y=_y(), text="t:N")


def _colour() -> Any:
    """Return the encoding that takes a field's words as CSS colours."""
    import altair as alt

    return alt.Color("c:N", scale=None, legend=None)


def _draw(sheet: Sheet, layers: Sequence[Any], *, label: str, height: int | None = None) -> str:
    import altair as alt

    chart = alt.layer(*layers).properties(
        width=sheet.width,
        height=sheet.height if height is None else height,
        padding={"left": 4, "right": 6, "top": 4, "bottom": 4},
        background="transparent",
    )
    chart = chart.configure(font="system-ui, sans-serif").configure_view(stroke=None)
    chart = chart.configure_axis(
        gridColor="var(--grid)",
        labelColor="var(--muted)",
        titleColor="var(--muted)",
        titleFontWeight="normal",
        titlePadding=8,
        labelFontSize=12,
        titleFontSize=12,
        domain=False,
        ticks=False,
        labelPadding=6,
    )
    text = svg.render(chart.to_dict(validate=False))
    css_class = "narrow" if sheet.narrow else "wide"
    return svg.finish(text, sheet.texts, label=label, css_class=css_class)


def _both(draw: Callable[[bool], str]) -> str:
    return draw(False) + draw(True)


def _separators(sheet: Sheet) -> Any:
    import altair as alt

    rows = [{"y": index * sheet.step} for index in range(1, len(sheet.rows))]
    return _mark(rows, "rule", stroke="var(--grid)").encode(
        y=_y(), x=alt.XValue(0), x2=alt.X2Value(sheet.width)
    )


# ------------------------------------------------------------------------------ effects


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """A comparison to draw; ratios, not percent."""

    row: Row
    arm: int
    ratio: float
    low: float
    high: float
    decided: bool
    tip: str
    calm: tuple[float, float, float] | None = None


def effect_chart(
    rows: Sequence[EffectRow], *, margin: float, floor: float | None, baseline: str, label: str
) -> str:
    """Draw each arm's ratio to the baseline with its interval.

    Args:
        rows: In order.
        margin: Half-width of the equivalence region, as a share.
        floor: Smallest effect that may be claimed, as a share, or None.
        baseline: Name of the baseline.
        label: What the chart shows, in words.
    """
    bounds = [value for row in rows for value in (row.low, row.high, *(row.calm or ()))]
    axis = shapes.ratio_axis(bounds, margin=max(margin, floor or 0.0))

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=[row.row for row in rows], row_height=46 - 10 * narrow)
        layers = [
            _equivalence_band(sheet, axis, margin),
            *_floor_rules(sheet, axis, floor),
            _separators(sheet),
            _baseline_rule(sheet, axis, baseline),
            *_intervals(sheet, axis, rows),
            *sheet.names(),
        ]
        return _draw(sheet, layers, label=label)

    return _both(draw)


def _effect_x(axis: shapes.RatioAxis, sheet: Sheet, name: str, baseline: str = "") -> Any:
    import altair as alt

    ticks = [tick for index, tick in enumerate(axis.ticks) if not sheet.narrow or index % 2 == 0]
    if sheet.narrow and 0.0 not in ticks:
        ticks = [tick for tick in axis.ticks if tick not in ticks]
    words = " : ".join(
        f"abs(datum.value - {tick!r}) < 1e-9 ? '{axis.name(tick)}'" for tick in ticks
    )
    than = sheet.texts.label(baseline, limit=24) if baseline else ""
    title = f"← faster than {than}   |   slower →" if baseline else None
    return alt.X(
        f"{name}:Q",
        scale=alt.Scale(domain=list(axis.domain), nice=False, zero=False),
        axis=alt.Axis(values=ticks, labelExpr=f"{words} : ''", title=title, grid=True),
    )


def _equivalence_band(sheet: Sheet, axis: shapes.RatioAxis, margin: float) -> Any:
    import altair as alt

    rows = [
        {
            "a": axis.place(1 - margin),
            "b": axis.place(1 + margin),
            "d": sheet.texts.tip(f"within ±{limit_text(margin)} counts as equivalent"),
        }
    ]
    return _mark(rows, "rect", fill="var(--band)").encode(
        x=_effect_x(axis, sheet, "a"),
        x2="b:Q",
        y=alt.YValue(0),
        y2=alt.Y2Value(sheet.height),
        description="d:N",
    )


def _floor_rules(sheet: Sheet, axis: shapes.RatioAxis, floor: float | None) -> list[Any]:
    import altair as alt

    if floor is None:
        return []
    tip = sheet.texts.tip(f"noise floor of the device: ±{limit_text(floor)}")
    rows = [{"a": axis.place(1 + sign * floor), "d": tip} for sign in (-1, 1)]
    rule = _mark(rows, "rule", stroke="var(--muted)", strokeDash=[4, 4])
    return [
        rule.encode(
            x=_effect_x(axis, sheet, "a"),
            y=alt.YValue(0),
            y2=alt.Y2Value(sheet.height),
            description="d:N",
        )
    ]


def _baseline_rule(sheet: Sheet, axis: shapes.RatioAxis, baseline: str) -> Any:
    import altair as alt

    rows = [{"a": axis.place(1.0), "d": sheet.texts.tip(f"baseline: {baseline}")}]
    return _mark(rows, "rule", stroke="var(--ink)", strokeWidth=1.5).encode(
        x=_effect_x(axis, sheet, "a", baseline),
        y=alt.YValue(0),
        y2=alt.Y2Value(sheet.height),
        description="d:N",
    )


def _intervals(sheet: Sheet, axis: shapes.RatioAxis, rows: Sequence[EffectRow]) -> list[Any]:
    import altair as alt

    bars: Rows = []
    thin: Rows = []
    points: dict[bool, Rows] = {True: [], False: []}
    for index, row in enumerate(rows):
        y, tip = sheet.y(index, 0.5), sheet.texts.tip(row.tip, row.arm)
        common = {"y": y, "d": tip, "c": row.row.colour}
        bars.append({**common, "a": axis.place(row.low), "b": axis.place(row.high)})
        points[row.decided].append({**common, "a": axis.place(row.ratio)})
        if row.calm:
            calm = [axis.place(value) for value in row.calm]
            calm_tip = sheet.texts.tip("without disturbed rounds", row.arm)
            place = {"y": sheet.y(index, 0.8), "d": calm_tip, "c": row.row.colour}
            thin.append({**place, "a": calm[1], "b": calm[2]})
    x = _effect_x(axis, sheet, "a")

    def rule(data: Rows, width: float, **more: Any) -> Any:
        mark = _mark(data, "rule", strokeWidth=width, strokeCap="round", **more)
        return mark.encode(x=x, x2="b:Q", y=_y(), color=_colour(), description="d:N")

    def point(data: Rows, **more: Any) -> Any:
        mark = _mark(data, "point", shape="circle", size=150, opacity=1, **more)
        return mark.encode(
            x=x,
            y=_y(),
            description="d:N",
            **{more_key(more): alt.Stroke("c:N", scale=None, legend=None)},
        )

    def more_key(_more: Mapping[str, Any]) -> str:
        return "stroke"

    return [
        rule(bars, 5, opacity=0.55),
        rule(thin, 2, opacity=0.8),
        _mark(points[True], "point", shape="circle", size=150, filled=True, opacity=1).encode(
            x=x, y=_y(), color=_colour(), description="d:N"
        ),
        point(points[False], fill="var(--paper)", strokeWidth=2.5),
    ]


# ------------------------------------------------------------------------------ distributions


def distribution_chart(
    rows: Sequence[Row], found: Sequence[shapes.Distribution], axis: shapes.LatencyAxis, label: str
) -> str:
    """Draw a ridge of the samples of each arm, with quantiles below it."""

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=rows, row_height=62)
        layers = [
            _ridges(sheet, rows, found, axis),
            *_quantiles(sheet, rows, found, axis),
            *sheet.names(),
        ]
        return _draw(sheet, layers, label=label)

    return _both(draw)


def _latency_x(axis: shapes.LatencyAxis, sheet: Sheet, name: str, *, title: bool = False) -> Any:
    import altair as alt

    return alt.X(
        f"{name}:Q",
        scale=alt.Scale(
            type="log" if axis.logarithmic else "linear",
            domain=list(axis.domain),
            nice=False,
            zero=False,
        ),
        axis=alt.Axis(
            tickCount=4 if sheet.narrow else 10,
            format="~r" if axis.logarithmic else "~g",
            title=f"latency of one run ({axis.unit}){', logarithmic' * axis.logarithmic}"
            if title
            else None,
        ),
    )


def _ridges(
    sheet: Sheet,
    rows: Sequence[Row],
    found: Sequence[shapes.Distribution],
    axis: shapes.LatencyAxis,
) -> Any:
    data: Rows = []
    for index, (row, item) in enumerate(zip(rows, found, strict=True)):
        tip = sheet.texts.tip(item.tip, item.arm)
        base = sheet.y(index, 0.74)
        tall = 0.66 * sheet.row_height
        data += [
            {"x": x, "y": base - height * tall, "z": base, "c": row.colour, "d": tip}
            for x, height in item.ridge
        ]
    return _mark(data, "area", opacity=0.45, interpolate="monotone", line=False).encode(
        x=_latency_x(axis, sheet, "x", title=True),
        y=_y(),
        y2="z:Q",
        color=_colour(),
        description="d:N",
    )


def _quantiles(
    sheet: Sheet,
    rows: Sequence[Row],
    found: Sequence[shapes.Distribution],
    axis: shapes.LatencyAxis,
) -> list[Any]:
    whiskers: Rows = []
    boxes: Rows = []
    medians: Rows = []
    for index, (row, item) in enumerate(zip(rows, found, strict=True)):
        p1, p25, p50, p75, p99 = item.quantiles
        tip = sheet.texts.tip(item.tip, item.arm)
        common = {"y": sheet.y(index, 0.86), "c": row.colour, "d": tip}
        whiskers.append({**common, "a": p1, "b": p99})
        boxes.append({**common, "a": p25, "b": p75})
        medians.append({**common, "a": p50, "y": sheet.y(index, 0.08), "z": sheet.y(index, 0.94)})
    x = _latency_x(axis, sheet, "a")

    def bar(data: Rows, width: float) -> Any:
        mark = _mark(data, "rule", strokeWidth=width, clip=False)
        return mark.encode(x=x, x2="b:Q", y=_y(), color=_colour(), description="d:N")

    line = _mark(medians, "rule", strokeWidth=2)
    return [
        bar(whiskers, 1.5),
        bar(boxes, 7),
        line.encode(x=x, y=_y(), y2="z:Q", color=_colour(), description="d:N"),
    ]


# ------------------------------------------------------------------------------ over time


def time_chart(rows: Sequence[Row], strips: shapes.Strips, label: str) -> str:
    """Draw each arm's block medians in the order they were measured, a strip an arm."""

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=rows, row_height=58 - 8 * narrow)
        layers = [
            *_disturbed(sheet, strips),
            *_guides(sheet, strips),
            *_strip_lines(sheet, strips),
            *_slot_names(sheet, strips),
            *sheet.names(),
        ]
        return _draw(sheet, layers, label=label)

    return _both(draw)


def _slot_x(sheet: Sheet, strips: shapes.Strips, name: str = "x") -> Any:
    import altair as alt

    domain = [0, max(strips.slot_count, 1)]
    return alt.X(f"{name}:Q", scale=alt.Scale(domain=domain, nice=False), axis=None)


def _disturbed(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    import altair as alt

    bands = [
        {"a": slot.index, "b": slot.index + 1, "d": sheet.texts.tip(slot.tip)}
        for slot in strips.slots
        if slot.disturbed
    ]
    breaks = [
        {"a": slot.index, "d": sheet.texts.tip("the experiment was resumed here")}
        for slot in strips.slots
        if slot.resumed
    ]
    top, bottom = alt.YValue(0), alt.Y2Value(sheet.height)
    band = _mark(bands, "rect", fill="var(--warn-band)")
    rule = _mark(breaks, "rule", stroke="var(--muted)", strokeDash=[3, 3])
    x = _slot_x(sheet, strips, "a")
    return [
        band.encode(x=x, x2="b:Q", y=top, y2=bottom, description="d:N"),
        rule.encode(x=x, y=top, y2=bottom, description="d:N"),
    ]


def _guides(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    import altair as alt

    lines = [
        {"y": sheet.y(index, part), "o": 1.0 if part == 0.5 else 0.5}
        for index in range(len(strips.lines))
        for part in ((0.5,) if strips.lines[index].plain else (0.06, 0.5, 0.94))
    ]
    return [
        _mark(lines, "rule", stroke="var(--grid)").encode(
            y=_y(), x=alt.XValue(0), x2=alt.X2Value(sheet.width)
        )
    ]


def _strip_lines(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    lines: Rows = []
    points: Rows = []
    for index, line in enumerate(strips.lines):
        for x, height, tip in line.points:
            place = {"x": x, "y": sheet.y(index, 0.5 - 0.44 * height), "c": line.colour}
            lines.append({**place, "k": index})
            points.append({**place, "d": sheet.texts.tip(tip, line.arm)})
    x = _slot_x(sheet, strips)
    return [
        _mark(lines, "line", strokeWidth=1, opacity=0.6).encode(
            x=x, y=_y(), color=_colour(), detail="k:N"
        ),
        _mark(points, "circle", size=36 if sheet.narrow else 48, opacity=1).encode(
            x=x, y=_y(), color=_colour(), description="d:N"
        ),
    ]


def _slot_names(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    room = 34 if not sheet.narrow else 30
    every = max(1, -(-strips.slot_count * room // sheet.width))
    scale = sheet.width / max(strips.slot_count, 1)
    rows = [
        {"x": (slot.index + 0.5) * scale, "y": sheet.height + 12, "t": slot.name}
        for slot in strips.slots
        if slot.index % every == 0
    ]
    title = [{"x": sheet.width / 2, "y": sheet.height + 30, "t": strips.axis_title}]
    return [_text(rows, align="center"), _text(title, align="center")]


# ------------------------------------------------------------------------------ memory, cold start


def memory_chart(found: shapes.MemoryLines, label: str) -> str:
    """Draw memory by phase, a line an arm; peaks are hollow diamonds."""

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=(), row_height=0)
        return _draw(sheet, _memory_layers(sheet, found), label=label, height=240)

    return _both(draw)


def _memory_layers(sheet: Sheet, found: shapes.MemoryLines) -> list[Any]:
    import altair as alt

    now = [
        {"x": phase, "y": y, "c": c, "k": arm, "d": sheet.texts.tip(tip, arm)}
        for phase, y, c, arm, tip in found.current
    ]
    peak = [
        {"x": phase, "y": y, "c": c, "d": sheet.texts.tip(tip, arm)}
        for phase, y, c, arm, tip in found.peak
    ]
    x = alt.X(
        "x:O",
        sort=None,
        scale=alt.Scale(type="point", domain=list(found.phases), padding=0.3),
        axis=alt.Axis(title=None, labelAngle=-40 if sheet.narrow else 0, grid=False),
    )
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(zero=True, domainMin=0),
        axis=alt.Axis(
            title=f"{found.unit}",
            tickCount=5,
            titleAngle=0,
            titleAlign="right",
            titleY=-10,
            titleX=-8,
        ),
    )
    return [
        _mark(now, "line", strokeWidth=2, opacity=0.8).encode(
            x=x, y=y, color=_colour(), detail="k:N"
        ),
        _mark(now, "circle", size=60, opacity=1).encode(
            x=x, y=y, color=_colour(), description="d:N"
        ),
        _mark(peak, "point", shape="diamond", size=90, strokeWidth=2, fill="var(--paper)").encode(
            x=x,
            y=y,
            stroke=alt.Stroke("c:N", scale=None, legend=None),
            description="d:N",
        ),
    ]


def cold_start_chart(rows: Sequence[Row], parts: Sequence[shapes.BarPart], label: str) -> str:
    """Draw the parts of a cold start end to end, a bar an arm; parts are in milliseconds."""
    import altair as alt

    longest = max((part.end_ms for part in parts), default=1.0)

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=rows, row_height=34 - 8 * narrow)
        data = [
            {
                "a": part.start_ms,
                "b": part.end_ms,
                "y": sheet.y(part.row, 0.14),
                "z": sheet.y(part.row, 0.86),
                "c": part.colour,
                "d": sheet.texts.tip(part.tip, part.arm),
            }
            for part in parts
        ]
        x = alt.X(
            "a:Q",
            scale=alt.Scale(domain=[0, longest], nice=False),
            axis=alt.Axis(title="milliseconds", tickCount=4 if narrow else 8, format="~g"),
        )
        bars = _mark(data, "rect").encode(
            x=x, x2="b:Q", y=_y(), y2="z:Q", color=_colour(), description="d:N"
        )
        return _draw(sheet, [bars, *sheet.names()], label=label)

    return _both(draw)


def unit_of(values_ns: Sequence[float]) -> tuple[str, float]:
    """Return the unit that suits durations, and its length in nanoseconds."""
    middle = sorted(values_ns)[len(values_ns) // 2] if values_ns else 1e6
    if middle < 1e5:
        return "µs", 1e3
    return ("ms", 1e6) if middle < 1e9 else ("s", 1e9)


def number(value: float) -> str:
    """Return a number for a label."""
    return three_digits(value)
