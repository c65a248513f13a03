# mypy: disable-error-code="no-untyped-call"
"""The charts, static SVG by Altair and vl-convert: colours are CSS variables, text are tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ortlab import text
from ortlab.report import bars, shapes
from ortlab.report.canvas import (
    Row,
    Rows,
    Sheet,
    both,
    css_colour,
    css_stroke,
    draw_sheet,
    marks,
    separators,
    text_marks,
    words,
    y_pixels,
)

TICK_FORMAT = ",.4~r"
EFFECT_TITLE = "← faster than the baseline  |  slower →"

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
    points = [row.ratio for row in rows]
    axis = shapes.ratio_axis(bounds, margin=max(margin, floor or 0.0), points=points)

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=[row.row for row in rows], row_height=46 - 10 * narrow)
        layers = [
            _equivalence_band(sheet, axis, margin),
            *_floor_rules(sheet, axis, floor),
            separators(sheet),
            _baseline_rule(sheet, axis, baseline),
            *_intervals(sheet, axis, rows),
            *sheet.names(),
        ]
        return draw_sheet(sheet, layers, label=label)

    return both(draw)


def _effect_x(axis: shapes.RatioAxis, sheet: Sheet, name: str) -> Any:
    import altair as alt

    ticks = [tick for index, tick in enumerate(axis.ticks) if not sheet.narrow or index % 2 == 0]
    if sheet.narrow and 0.0 not in ticks:
        ticks = [tick for tick in axis.ticks if tick not in ticks]
    words = " : ".join(
        f"abs(datum.value - {tick!r}) < 1e-9 ? '{axis.name(tick)}'" for tick in ticks
    )
    return alt.X(
        f"{name}:Q",
        scale=alt.Scale(domain=list(axis.domain), nice=False, zero=False),
        axis=alt.Axis(values=ticks, labelExpr=f"{words} : ''", title=EFFECT_TITLE, grid=True),
    )


def _equivalence_band(sheet: Sheet, axis: shapes.RatioAxis, margin: float) -> Any:
    import altair as alt

    rows = [
        {
            "a": axis.place(1 - margin),
            "b": axis.place(1 + margin),
            "d": sheet.texts.tip(f"within ±{text.limit(margin)} counts as equivalent"),
        }
    ]
    return marks(sheet, rows, "rect", fill="var(--band)").encode(
        x=_effect_x(axis, sheet, "a"),
        x2=alt.X2("b:Q"),
        y=alt.YValue(0),
        y2=alt.Y2Value(sheet.height),
        description=words(),
    )


def _floor_rules(sheet: Sheet, axis: shapes.RatioAxis, floor: float | None) -> list[Any]:
    import altair as alt

    if floor is None:
        return []
    tip = sheet.texts.tip(f"noise floor of the device: ±{text.limit(floor)}")
    rows = [{"a": axis.place(1 + sign * floor), "d": tip} for sign in (-1, 1)]
    rule = marks(sheet, rows, "rule", stroke="var(--muted)", strokeDash=[4, 4])
    return [
        rule.encode(
            x=_effect_x(axis, sheet, "a"),
            y=alt.YValue(0),
            y2=alt.Y2Value(sheet.height),
            description=words(),
        )
    ]


def _baseline_rule(sheet: Sheet, axis: shapes.RatioAxis, baseline: str) -> Any:
    import altair as alt

    rows = [{"a": axis.place(1.0), "d": sheet.texts.tip(f"baseline: {baseline}")}]
    return marks(sheet, rows, "rule", stroke="var(--ink)", strokeWidth=1.5).encode(
        x=_effect_x(axis, sheet, "a"),
        y=alt.YValue(0),
        y2=alt.Y2Value(sheet.height),
        description=words(),
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
        mark = marks(sheet, data, "rule", strokeWidth=width, strokeCap="round", **more)
        return mark.encode(
            x=x, x2=alt.X2("b:Q"), y=y_pixels(), color=css_colour(), description=words()
        )

    return [
        rule(bars, 5, opacity=0.55),
        rule(thin, 2, opacity=0.8),
        marks(
            sheet, points[True], "point", shape="circle", size=150, filled=True, opacity=1
        ).encode(x=x, y=y_pixels(), color=css_colour(), description=words()),
        marks(
            sheet,
            points[False],
            "point",
            shape="circle",
            size=150,
            fill="var(--paper)",
            strokeWidth=2.5,
            opacity=1,
        ).encode(x=x, y=y_pixels(), stroke=css_stroke(), description=words()),
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
        return draw_sheet(sheet, layers, label=label)

    return both(draw)


def _latency_x(axis: shapes.LatencyAxis, sheet: Sheet, name: str) -> Any:
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
            format=TICK_FORMAT,
            title=f"latency of one run, {axis.unit}{', logarithmic' * axis.logarithmic}",
        ),
    )


def _ridges(
    sheet: Sheet,
    rows: Sequence[Row],
    found: Sequence[shapes.Distribution],
    axis: shapes.LatencyAxis,
) -> Any:
    import altair as alt

    data: Rows = []
    for index, (row, item) in enumerate(zip(rows, found, strict=True)):
        tip = sheet.texts.tip(item.tip, item.arm)
        base = sheet.y(index, 0.74)
        tall = 0.66 * sheet.row_height
        data += [
            {"x": x, "y": base - height * tall, "z": base, "c": row.colour, "d": tip}
            for x, height in item.ridge
        ]
    return marks(sheet, data, "area", opacity=0.45, interpolate="monotone", line=False).encode(
        x=_latency_x(axis, sheet, "x"),
        y=y_pixels(),
        y2=alt.Y2("z:Q"),
        color=css_colour(),
        description=words(),
    )


def _quantiles(
    sheet: Sheet,
    rows: Sequence[Row],
    found: Sequence[shapes.Distribution],
    axis: shapes.LatencyAxis,
) -> list[Any]:
    import altair as alt

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
        mark = marks(sheet, data, "rule", strokeWidth=width, clip=False)
        return mark.encode(
            x=x, x2=alt.X2("b:Q"), y=y_pixels(), color=css_colour(), description=words()
        )

    line = marks(sheet, medians, "rule", strokeWidth=2)
    return [
        bar(whiskers, 1.5),
        bar(boxes, 7),
        line.encode(x=x, y=y_pixels(), y2=alt.Y2("z:Q"), color=css_colour(), description=words()),
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
        return draw_sheet(sheet, layers, label=label)

    return both(draw)


def _slot_x(strips: shapes.Strips, name: str = "x") -> Any:
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
    band = marks(sheet, bands, "rect", fill="var(--warn-band)")
    rule = marks(sheet, breaks, "rule", stroke="var(--muted)", strokeDash=[3, 3])
    x = _slot_x(strips, "a")
    return [
        band.encode(x=x, x2=alt.X2("b:Q"), y=top, y2=bottom, description=words()),
        rule.encode(x=x, y=top, y2=bottom, description=words()),
    ]


def _guides(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    import altair as alt

    lines = [
        {"y": sheet.y(index, part), "o": 1.0 if part == 0.5 else 0.5}
        for index in range(len(strips.lines))
        for part in ((0.5,) if strips.lines[index].plain else (0.06, 0.5, 0.94))
    ]
    return [
        marks(sheet, lines, "rule", stroke="var(--grid)").encode(
            y=y_pixels(), x=alt.XValue(0), x2=alt.X2Value(sheet.width)
        )
    ]


def _strip_lines(sheet: Sheet, strips: shapes.Strips) -> list[Any]:
    import altair as alt

    lines: Rows = []
    points: Rows = []
    for index, line in enumerate(strips.lines):
        for x, height, tip in line.points:
            place = {"x": x, "y": sheet.y(index, 0.5 - 0.44 * height), "c": line.colour}
            lines.append({**place, "k": index})
            dot = 12 if line.plain else 36 if sheet.narrow else 48
            points.append({**place, "d": sheet.texts.tip(tip, line.arm), "s": dot})
    x = _slot_x(strips)
    return [
        marks(sheet, lines, "line", strokeWidth=1, opacity=0.6).encode(
            x=x, y=y_pixels(), color=css_colour(), detail=alt.Detail("k:N")
        ),
        marks(sheet, points, "circle", opacity=1).encode(
            x=x,
            y=y_pixels(),
            color=css_colour(),
            size=alt.Size("s:Q", scale=None, legend=None),
            description=words(),
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
    return [text_marks(sheet, rows, align="center"), text_marks(sheet, title, align="center")]


# ------------------------------------------------------------------------------ memory, cold start


def memory_chart(found: bars.MemoryBars, label: str) -> str:
    """Draw memory by phase: a bar an arm for the value at that moment, a tick for the peak."""

    def draw(narrow: bool) -> str:  # noqa: FBT001
        sheet = Sheet(narrow=narrow, rows=(), row_height=0)
        return draw_sheet(sheet, _memory_layers(sheet, found), label=label, height=240)

    return both(draw)


def _memory_layers(sheet: Sheet, found: bars.MemoryBars) -> list[Any]:
    import altair as alt

    x = alt.X(
        "x:O",
        sort=None,
        scale=alt.Scale(domain=list(found.phases), paddingInner=0.22, paddingOuter=0.1),
        axis=alt.Axis(title=None, labelAngle=-40 if sheet.narrow else 0, grid=False),
    )
    beside = alt.XOffset("k:O", scale=alt.Scale(domain=list(found.arms), paddingInner=0.12))
    axis = alt.Axis(
        title=found.unit, tickCount=5, titleAngle=0, titleAlign="right", titleY=-10, titleX=-8
    )
    y = alt.Y("y:Q", scale=alt.Scale(domainMin=0), axis=axis)

    def rows(points: Sequence[bars.MemoryPoint]) -> Rows:
        return [
            {
                "x": p.phase,
                "y": p.size,
                "c": p.colour,
                "k": p.arm,
                "d": sheet.texts.tip(p.tip, p.arm),
            }
            for p in points
        ]

    common = {"x": x, "xOffset": beside, "y": y, "color": css_colour(), "description": words()}
    return [
        marks(sheet, rows(found.current), "bar", opacity=0.8).encode(**common),
        marks(sheet, rows(found.peak), "tick", thickness=3, opacity=1).encode(**common),
    ]


def cold_start_chart(rows: Sequence[Row], parts: Sequence[bars.BarPart], label: str) -> str:
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
            axis=alt.Axis(title="milliseconds", tickCount=4 if narrow else 8, format=TICK_FORMAT),
        )
        bars = marks(sheet, data, "rect").encode(
            x=x,
            x2=alt.X2("b:Q"),
            y=y_pixels(),
            y2=alt.Y2("z:Q"),
            color=css_colour(),
            description=words(),
        )
        return draw_sheet(sheet, [bars, *sheet.names()], label=label)

    return both(draw)
