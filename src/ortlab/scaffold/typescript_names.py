"""Names a model may hold, made into TypeScript: identifiers and string literals.

What holds for every language is in `sdk_names.py`.
"""

from __future__ import annotations

from typing import Final

from ortlab.scaffold.sdk_names import PRINTABLE, lower_camel_case, utf16_units

KEYWORDS: Final = frozenset({
    "arguments", "await", "break", "case", "catch", "class", "const", "continue", "debugger",
    "default", "delete", "do", "else", "enum", "eval", "export", "extends", "false", "finally",
    "for", "function", "if", "implements", "import", "in", "instanceof", "interface", "let", "new",
    "null", "package", "private", "protected", "public", "return", "static", "super", "switch",
    "this", "throw", "true", "try", "typeof", "undefined", "var", "void", "while", "with", "yield",
})  # fmt: skip
"""Words that cannot, or should not, be properties; source: ECMAScript's grammar, strict mode."""

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_OPENS_MARKUP: Final = ("/", "!")


def string_literal(text: str) -> str:
    """Return the TypeScript string literal, with its quotes, that stands for a text.

    Nothing in it can end a script that it is copied into: `</` and `<!` do not stand there.
    """
    units = utf16_units(text)
    followers = [*units, ""][1:]
    escaped = (_escaped(unit, after) for unit, after in zip(units, followers, strict=True))
    return '"' + "".join(escaped) + '"'


def _escaped(unit: str, after: str) -> str:
    if unit in _ESCAPES:
        return _ESCAPES[unit]
    plain = ord(unit) in PRINTABLE and not (unit == "<" and after in _OPENS_MARKUP)
    return unit if plain else f"\\u{ord(unit):04x}"


def property_name(text: str, *, fallback: str = "tensor") -> str:
    """Return a lower-camel-case identifier that reads like a text, such as `inputIds`."""
    return lower_camel_case(text, fallback=fallback, keywords=KEYWORDS)
