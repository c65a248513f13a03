"""Swift expressions as values, and their layout: one line where it fits, else one part a line.

The layout is one that swift-format leaves as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ortlab.scaffold.swift_names import string_literal

LINE_LENGTH: Final = 100
INDENT: Final = 4
_CHUNK_LENGTH: Final = 64
"""Length of a line's literal in a text that is broken up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call.

    Attributes:
        function: What is called.
        arguments: Each with its label, or None for one without.
        multiline: Whether it is broken up even where it fits on a line.
    """

    function: str
    arguments: tuple[tuple[str | None, Expression], ...] = ()
    multiline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """An array or a dictionary.

    Attributes:
        items: Each with its key, or None in an array.
        empty: What it is without any.
        multiline: Whether it is broken up even where it fits on a line.
    """

    items: tuple[tuple[Expression | None, Expression], ...]
    empty: str = "[]"
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


Expression = Call | Items | Text | str
"""A string stands for itself: a number, a name, an enum's case."""


def call(function: str, *positional: Expression, **labelled: Expression) -> Call:
    """Return a call; ``labelled`` arguments keep their order."""
    arguments = [(None, value) for value in positional] + list(labelled.items())
    return Call(function=function, arguments=tuple(arguments))


def array(*items: Expression) -> Items:
    """Return an array literal."""
    return Items(items=tuple((None, item) for item in items))


def dictionary(*items: tuple[Expression, Expression]) -> Items:
    """Return a dictionary literal."""
    return Items(items=items, empty="[:]")


def render(expression: Expression, indent: int, used: int = 0) -> str:
    """Return source text; lines after the first are indented by ``indent`` and more.

    Args:
        expression: What to write.
        indent: Columns before the statement that it belongs to.
        used: Columns before and behind it on its first line.
    """
    line = _on_one_line(expression)
    if line is not None and used + len(line) <= LINE_LENGTH:
        return line
    inner = " " * (indent + INDENT)
    match expression:
        case Text(value):
            chunks = tuple((None, string_literal(chunk)) for chunk in _chunks(value))
            return render(Items(items=chunks, multiline=True), indent) + ".joined()"
        case Call(function=function, arguments=arguments):
            texts = [inner + _labelled(label, value, indent + INDENT) for label, value in arguments]
            return f"{function}(\n" + ",\n".join(texts) + f"\n{' ' * indent})"
        case Items(items=items):
            texts = [inner + _item(key, value, indent + INDENT) for key, value in items]
            # A comma behind the last item belongs to several.
            last = "," if len(items) > 1 else ""
            return "[\n" + ",\n".join(texts) + f"{last}\n{' ' * indent}]"
    return expression


def _chunks(value: str) -> Iterator[str]:
    chunk, length = "", 0
    for character in value:
        added = len(string_literal(character)) - 2
        if length + added > _CHUNK_LENGTH:
            yield chunk
            chunk, length = "", 0
        chunk += character
        length += added
    yield chunk


def _labelled(label: str | None, value: Expression, indent: int) -> str:
    before = "" if label is None else f"{label}: "
    return before + render(value, indent, used=indent + len(before) + 1)


def _item(key: Expression | None, value: Expression, indent: int) -> str:
    before = "" if key is None else f"{render(key, indent)}: "
    return before + render(value, indent, used=indent + len(before) + 1)


def _on_one_line(expression: Expression) -> str | None:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments, multiline=multiline):
            parts = [_part(label, value) for label, value in arguments]
            if multiline or None in parts:
                return None
            return f"{function}({', '.join(map(str, parts))})"
        case Items(items=items, empty=empty, multiline=multiline):
            if not items:
                return empty
            parts = [_part(key, value) for key, value in items]
            return None if multiline or None in parts else f"[{', '.join(map(str, parts))}]"
    return expression


def _part(before: Expression | None, value: Expression) -> str | None:
    text = _on_one_line(value)
    if before is None or text is None:
        return text
    return f"{_on_one_line(before)}: {text}"
