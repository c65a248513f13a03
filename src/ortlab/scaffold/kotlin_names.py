"""Names a model may hold, made into Kotlin: identifiers and string literals.

What holds for every language is in `sdk_names.py`.
"""

from __future__ import annotations

from typing import Final

from ortlab.scaffold.sdk_names import (
    MAXIMUM_COMMENT_LENGTH,
    MAXIMUM_IDENTIFIER_LENGTH,
    PRINTABLE,
    class_name,
    comment_text,
    distinct,
    lower_camel_case,
    utf16_units,
)

__all__ = [
    "HARD_KEYWORDS",
    "MAXIMUM_COMMENT_LENGTH",
    "MAXIMUM_IDENTIFIER_LENGTH",
    "class_name",
    "comment_text",
    "distinct",
    "property_name",
    "string_literal",
]

HARD_KEYWORDS: Final = frozenset({
    "as", "break", "class", "continue", "do", "else", "false", "for", "fun", "if", "in",
    "interface", "is", "null", "object", "package", "return", "super", "this", "throw", "true",
    "try", "typealias", "typeof", "val", "var", "when", "while",
})  # fmt: skip
"""Words that Kotlin never takes as identifiers; source: Kotlin's grammar."""

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def string_literal(text: str) -> str:
    """Return the Kotlin string literal, with its quotes, that stands for a text."""
    return '"' + "".join(map(_escaped, utf16_units(text))) + '"'


def _escaped(unit: str) -> str:
    if unit in _ESCAPES:
        return _ESCAPES[unit]
    return unit if ord(unit) in PRINTABLE else f"\\u{ord(unit):04x}"


def property_name(text: str, *, fallback: str = "tensor") -> str:
    """Return a lower-camel-case identifier that reads like a text, such as `inputIds`."""
    return lower_camel_case(text, fallback=fallback, keywords=HARD_KEYWORDS)
