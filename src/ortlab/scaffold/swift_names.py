"""Names a model may hold, made into Swift: identifiers and string literals.

What holds for every language is in `sdk_names.py`.
"""

from __future__ import annotations

from typing import Final

from ortlab.scaffold.sdk_names import PRINTABLE, lower_camel_case

KEYWORDS: Final = frozenset({
    "any", "as", "associatedtype", "async", "await", "break", "case", "catch", "class", "continue",
    "default", "defer", "deinit", "do", "else", "enum", "extension", "fallthrough", "false",
    "fileprivate", "for", "func", "guard", "if", "import", "in", "init", "inout", "internal", "is",
    "let", "nil", "operator", "precedencegroup", "private", "protocol", "public", "repeat",
    "rethrows", "return", "self", "some", "static", "struct", "subscript", "super", "switch",
    "throw", "throws", "true", "try", "typealias", "var", "where", "while",
})  # fmt: skip
"""Words that cannot, or should not, be properties and parameters; source: Swift's grammar."""

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_REPLACEMENT: Final = "\ufffd"


def string_literal(text: str) -> str:
    """Return the Swift string literal, with its quotes, that stands for a text.

    A Swift string holds Unicode scalars: half a surrogate pair becomes U+FFFD, as in UTF-8.
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) in PRINTABLE:
        return character
    scalar = _REPLACEMENT if "\ud800" <= character <= "\udfff" else character
    return f"\\u{{{ord(scalar):04X}}}"


def property_name(text: str, *, fallback: str = "tensor") -> str:
    """Return a lower-camel-case identifier that reads like a text, such as `inputIds`."""
    return lower_camel_case(text, fallback=fallback, keywords=KEYWORDS)
