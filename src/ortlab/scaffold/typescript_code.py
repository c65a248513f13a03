"""TypeScript expressions as values, and their layout: one line where it fits, else one part a line.

The layout is the usual one: two blanks, a comma behind every part that has a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ortlab.scaffold.typescript_names import string_literal

LINE_LENGTH: Final = 100
INDENT: Final = 2
_CHUNK_LENGTH: Final = 64
"""Length of a line's literal in a text that is broken up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call.

    Attributes:
        function: What is called.
        arguments: What it is given.
    """

    function: str
    arguments: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """An array.

    Attributes:
        items: What is in it.
        multiline: Whether it is broken up even where it fits on a line.
    """

    items: tuple[Expression, ...]
    multiline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An object.

    Attributes:
        fields: Identifiers and values.
        multiline: Whether it is broken up even where it fits on a line.
    """

    fields: tuple[tuple[str, Expression], ...]
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


Expression = Call | Items | Fields | Text | str
"""A string stands for itself: a number, a name, a call."""


def call(function: str, *arguments: Expression) -> Call:
    """Return a call."""
    return Call(function=function, arguments=arguments)


def array(*items: Expression) -> Items:
    """Return an array."""
    return Items(items=items)


def fields(**values: Expression) -> Fields:
    """Return an object; the fields keep their order."""
    return Fields(fields=tuple(values.items()))


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
    deeper = indent + INDENT
    match expression:
        case Text(value):
            return f" +\n{' ' * deeper}".join(map(string_literal, _chunks(value)))
        case Call(function=function, arguments=arguments):
            return _broken(f"{function}(", [_part("", a, deeper) for a in arguments], ")", indent)
        case Items(items=items):
            return _broken("[", [_part("", item, deeper) for item in items], "]", indent)
        case Fields(fields=parts):
            texts = [_part(f"{name}: ", value, deeper) for name, value in parts]
            return _broken("{", texts, "}", indent)
    return expression


def _part(before: str, value: Expression, indent: int) -> str:
    return before + render(value, indent, used=indent + len(before) + 1)


def _broken(start: str, parts: list[str], end: str, indent: int) -> str:
    inner = " " * (indent + INDENT)
    return start + "\n" + "".join(f"{inner}{part},\n" for part in parts) + " " * indent + end


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


def _on_one_line(expression: Expression) -> str | None:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments):
            return _joined(f"{function}(", ["" for _ in arguments], arguments, ")")
        case Items(items=items, multiline=multiline):
            return None if multiline else _joined("[", ["" for _ in items], items, "]")
        case Fields(fields=parts, multiline=multiline):
            if not parts:
                return "{}"
            names = [f"{name}: " for name, _ in parts]
            values = tuple(value for _, value in parts)
            return None if multiline else _joined("{ ", names, values, " }")
    return expression


def _joined(start: str, befores: list[str], values: tuple[Expression, ...], end: str) -> str | None:
    texts = [_on_one_line(value) for value in values]
    if None in texts:
        return None
    return start + ", ".join(f"{b}{t}" for b, t in zip(befores, texts, strict=True)) + end
