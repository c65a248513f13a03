"""Kotlin expressions as values, and their layout: one line where it fits, else one argument a line.

The layout is that of ktlint's official style.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ortlab.scaffold.kotlin_names import string_literal

LINE_LENGTH: Final = 100
INDENT: Final = 4
_CHUNK_LENGTH: Final = 72
"""Length of a line's literal in a text that is broken up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call.

    Attributes:
        function: What is called.
        arguments: Each with its name, or None for one by position.
        multiline: Whether it is broken up even where it fits on a line.
    """

    function: str
    arguments: tuple[tuple[str | None, Expression], ...] = ()
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    value: str


Expression = Call | Text | str
"""A string stands for itself: a number, a name, an enum's member."""


def call(function: str, *positional: Expression, **named: Expression) -> Call:
    """Return a call; ``named`` arguments keep their order."""
    arguments = [(None, value) for value in positional] + list(named.items())
    return Call(function=function, arguments=tuple(arguments))


def list_of(*items: Expression, item_type: str) -> Expression:
    """Return `listOf(…)`; an empty one says its type."""
    return call("listOf", *items) if items else f"emptyList<{item_type}>()"


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
    inner = indent + INDENT
    match expression:
        case Text(value):
            return (" +\n" + " " * inner).join(map(string_literal, _chunks(value)))
        case Call(function=function, arguments=arguments):
            lines = [" " * inner + _argument(name, value, inner) for name, value in arguments]
            return "\n".join([f"{function}(", *(f"{text}," for text in lines), " " * indent + ")"])
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


def _argument(name: str | None, value: Expression, indent: int) -> str:
    if name is None:
        return render(value, indent, used=indent + 1)
    text = render(value, indent, used=indent + len(name) + 4)
    if "\n" not in text:
        return f"{name} = {text}"
    inner = indent + INDENT
    return f"{name} =\n{' ' * inner}{render(value, inner, used=inner + 1)}"


def _on_one_line(expression: Expression) -> str | None:
    match expression:
        case Text(value):
            return string_literal(value)
        case Call(function=function, arguments=arguments, multiline=multiline):
            if multiline:
                return None
            parts = list(_parts(arguments))
            return None if None in parts else f"{function}({', '.join(map(str, parts))})"
    return expression


def _parts(arguments: tuple[tuple[str | None, Expression], ...]) -> Iterator[str | None]:
    for name, value in arguments:
        text = _on_one_line(value)
        yield text if name is None or text is None else f"{name} = {text}"
