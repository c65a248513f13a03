# mypy: disable-error-code="no-untyped-call"
"""What all charts are drawn on: rows of arms, at two widths, in colours that CSS decides.

Each chart is drawn twice, for a wide page and for a phone; the page shows one of them. Names stand
left of the rows on a wide page, above them on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ortlab.report import svg

Rows = list[dict[str, Any]]

WIDE, NARROW = 950, 350
_CHARACTER = 6.6
"""Pixels of an average character of the charts' text."""

_CONFIG = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "gridColor": "var(--grid)",
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    },
}


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
        datasets: Rows of the marks, by name.
    """

    narrow: bool
    rows: Sequence[Row]
    row_height: int
    texts: svg.Texts = field(default_factory=svg.Texts)
    datasets: dict[str, Rows] = field(default_factory=dict)

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
            limit = 26 if self.narrow else svg.LONGEST_LABEL
            name_rows.append({"y": y, "t": self.texts.label(row.name, limit=limit)})
            value_rows.append({"y": y, "t": self.texts.label(row.value, limit=60)})
        left, right = (0, self.width) if self.narrow else (-14, self.width + 14)
        sides = ("left", "right") if self.narrow else ("right", "left")
        ink = "var(--ink)"
        return [
            text_marks(self, name_rows, x=left, align=sides[0], weight="bold", colour=ink),
            text_marks(self, value_rows, x=right, align=sides[1], colour=ink),
        ]


def marks(sheet: Sheet, rows: Rows, kind: str, **options: Any) -> Any:
    """Return a chart of one kind of mark over rows.

    Rows go to the renderer by name: Altair copies what stands in a chart again and again.
    """
    import altair as alt

    name = f"rows{len(sheet.datasets)}"
    sheet.datasets[name] = rows
    chart = alt.Chart(alt.NamedData(name=name))
    return getattr(chart, f"mark_{kind}")(**options)


def y_pixels(name: str = "y") -> Any:
    """Return the encoding of a vertical position in pixels."""
    import altair as alt

    return alt.Y(f"{name}:Q", scale=None, axis=None)


def text_marks(
    sheet: Sheet,
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
    return marks(
        sheet,
        rows,
        "text",
        align=align,
        baseline=baseline,
        fill=colour,
        fontWeight=weight,
        fontSize=size,
    ).encode(x=place, y=y_pixels(), text=alt.Text("t:N"))


def css_colour() -> Any:
    """Return the encoding that takes a field's words as CSS colours."""
    import altair as alt

    return alt.Color("c:N", scale=None, legend=None)


def css_stroke() -> Any:
    """Return the same for an outline."""
    import altair as alt

    return alt.Stroke("c:N", scale=None, legend=None)


def words() -> Any:
    """Return the encoding of what a mark says when it is pointed at."""
    import altair as alt

    return alt.Description("d:N")


def draw_sheet(
    sheet: Sheet, layers: Sequence[Any], *, label: str, height: int | None = None
) -> str:
    """Render layers to SVG that may stand in a page."""
    import altair as alt

    chart = alt.layer(
        *layers,
        width=sheet.width,
        height=sheet.height if height is None else height,
        padding={"left": 4, "right": 6, "top": 4, "bottom": 4},
        background="transparent",
        config=_CONFIG,
    )
    spec = chart.to_dict(validate=False)
    drawn = svg.render({**spec, "datasets": sheet.datasets})
    css_class = "narrow" if sheet.narrow else "wide"
    return svg.finish(drawn, sheet.texts, label=label, css_class=css_class)


def both(draw: Callable[[bool], str]) -> str:
    """Draw for a wide page and for a phone."""
    from altair.utils.schemapi import debug_mode

    # Checking every part of a chart against the schema costs more than drawing it.
    with debug_mode(False):  # noqa: FBT003
        return "".join(draw(narrow) for narrow in (False, True))


def separators(sheet: Sheet) -> Any:
    """Return the rules between rows."""
    import altair as alt

    rows = [{"y": index * sheet.step} for index in range(1, len(sheet.rows))]
    return marks(sheet, rows, "rule", stroke="var(--grid)").encode(
        y=y_pixels(), x=alt.XValue(0), x2=alt.X2Value(sheet.width)
    )
