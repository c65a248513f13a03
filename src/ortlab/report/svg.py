"""Vega's SVG made ready for a page: foreign text put in, everything unknown taken out.

No text of others ever reaches the renderer: charts are drawn with tokens, and the text they stand
for is put into the finished tree, where it can only be text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

from ortlab.text import shorten, visible

_SVG = "{http://www.w3.org/2000/svg}"
_ALLOWED = frozenset(
    _SVG + tag for tag in ("svg", "g", "path", "rect", "line", "text", "tspan", "circle")
)
_KEPT = frozenset(
    {
        "d",
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "dx",
        "dy",
        "width",
        "height",
        "viewBox",
        "transform",
        "fill",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-opacity",
        "fill-opacity",
        "opacity",
        "font-size",
        "font-weight",
        "font-style",
        "text-anchor",
    }
)
_TOKEN = re.compile("⟦([0-9]+)⟧n*")
_LONG_NUMBER = re.compile(r"-?[0-9]+\.[0-9]{3,}(?:e-?[0-9]+)?")
LONGEST_LABEL = 38


@dataclass(slots=True)
class Texts:
    """Text that a chart shows, by token.

    Attributes:
        items: Text, and the index of the arm it belongs to, if any.
    """

    items: list[tuple[str, int | None]] = field(default_factory=list)

    def label(self, text: str, *, limit: int = LONGEST_LABEL) -> str:
        """Return a token about as wide as the text, so that the renderer leaves room for it."""
        shown = shorten(visible(text), limit)
        token = self._put(shown, None)
        return token + "n" * max(0, ceil(_width(shown)) - len(token) + 1)

    def tip(self, text: str, arm: int | None = None) -> str:
        """Return a token for what a mark says when it is pointed at."""
        return self._put(shorten(visible(text), 400), arm)

    def _put(self, text: str, arm: int | None) -> str:
        self.items.append((text, arm))
        return f"⟦{len(self.items) - 1}⟧"

    def fill(self, text: str) -> str:
        """Replace the tokens in a text."""
        return _TOKEN.sub(lambda found: self.items[int(found[1])][0], text)

    def arm(self, token: str) -> int | None:
        """Return the arm that a tip belongs to."""
        found = _TOKEN.match(token)
        return self.items[int(found[1])][1] if found else None


def _width(text: str) -> float:
    """Return about how many times the width of an ``n`` a text takes."""
    wide = sum(0.35 for c in text if c.isupper() or c in "mw@%<>=+~_")
    return len(text) + wide + sum(0.8 for c in text if east_asian_width(c) in "WF")


def finish(svg: str, texts: Texts, *, label: str, css_class: str) -> str:
    """Return the SVG element as it stands in the page.

    Args:
        svg: As rendered.
        texts: What its tokens stand for.
        label: What the chart shows, for those who cannot see it.
        css_class: Of the element.
    """
    ET.register_namespace("", "http://www.w3.org/2000/svg")
    root = ET.fromstring(svg)  # noqa: S314 - rendered here, out of tokens and numbers
    _clean(root, texts)
    size = {name: root.attrib[name] for name in ("viewBox", "width", "height")}
    root.attrib.clear()
    root.attrib.update({**size, "class": css_class, "role": "img", "aria-label": visible(label)})
    return ET.tostring(root, encoding="unicode")


def _clean(element: ET.Element, texts: Texts) -> None:
    for child in list(element):
        hidden = child.get("display") == "none" or child.get("class") == "background"
        if child.tag not in _ALLOWED or hidden or _paints_nothing(child):
            element.remove(child)
            continue
        _clean(child, texts)
        if child.tag == f"{_SVG}g" and len(child) == 0:
            element.remove(child)
    tip = element.get("aria-label", "") if element.get("role") == "graphics-symbol" else ""
    kept = {name: _rounded(name, value) for name, value in element.attrib.items() if name in _KEPT}
    element.attrib.clear()
    element.attrib.update(kept)
    if element.text:
        element.text = texts.fill(element.text)
    if _TOKEN.match(tip):
        element.set("class", "m")
        if (arm := texts.arm(tip)) is not None:
            element.set("data-arm", str(arm))
        title = ET.Element(f"{_SVG}title")
        title.text = texts.fill(tip)
        element.insert(0, title)
        if element.tag == f"{_SVG}text":
            # A title must not become part of the text.
            title.tail, element.text = element.text, None


def _paints_nothing(element: ET.Element) -> bool:
    return element.tag == f"{_SVG}path" and not element.get("d", "").strip("M0,hvHVZz ")


def _rounded(name: str, value: str) -> str:
    if name == "viewBox":
        return value
    return _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)


def render(spec: dict[str, Any]) -> str:
    """Render a Vega-Lite specification, without network."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return svg
