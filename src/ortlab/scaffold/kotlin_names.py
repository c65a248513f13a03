"""Names a model may hold, made into Kotlin: identifiers, string literals, words in comments.

A name of a tensor, a dimension, a model or a label may hold anything: quotes, `$`, keywords, emoji,
300 characters, comment ends, characters that turn the direction of text. All that comes out of here
is printable ASCII, so a generated file reads as it compiles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

MAXIMUM_IDENTIFIER_LENGTH: Final = 32
MAXIMUM_COMMENT_LENGTH: Final = 40

HARD_KEYWORDS: Final = frozenset({
    "as", "break", "class", "continue", "do", "else", "false", "for", "fun", "if", "in",
    "interface", "is", "null", "object", "package", "return", "super", "this", "throw", "true",
    "try", "typealias", "typeof", "val", "var", "when", "while",
})  # fmt: skip
"""Words that Kotlin never takes as identifiers; source: Kotlin's grammar."""

_WORD = re.compile(r"[A-Za-z0-9]+")
_PRINTABLE: Final = range(0x20, 0x7F)
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def string_literal(text: str) -> str:
    """Return the Kotlin string literal, with its quotes, that stands for a text."""
    return '"' + "".join(map(_escaped, utf16_units(text))) + '"'


def utf16_units(text: str) -> list[str]:
    """Return a text as the UTF-16 code units that a Kotlin string consists of."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "little")) for i in range(0, len(data), 2)]


def _escaped(unit: str) -> str:
    if unit in _ESCAPES:
        return _ESCAPES[unit]
    return unit if ord(unit) in _PRINTABLE else f"\\u{ord(unit):04x}"


def comment_text(text: str, limit: int = MAXIMUM_COMMENT_LENGTH) -> str:
    """Return a text for a comment: one line of ASCII that can neither end nor nest the comment.

    It may stand between backticks in KDoc; what is longer than ``limit`` is cut off, with dots.
    """
    shown = "".join(
        _escaped(unit) if ord(unit) not in _PRINTABLE else unit for unit in utf16_units(text)
    )
    shown = shown.replace("`", "'").replace("*/", "* /").replace("/*", "/ *")
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def property_name(text: str, *, fallback: str = "tensor") -> str:
    """Return a lower-camel-case identifier that reads like a text, such as `inputIds`."""
    words = _words(text)
    if not words:
        return fallback
    first, rest = words[0], words[1:]
    first = first.lower() if first.isupper() else first[0].lower() + first[1:]
    name = _joined([first, *map(_capitalized, rest)])
    if name[0].isdigit():
        name = _shortened(fallback + _capitalized(name))
    return name + "Value" if name in HARD_KEYWORDS else name


def class_name(text: str, *, fallback: str = "Model") -> str:
    """Return an upper-camel-case identifier that reads like a text, such as `TextReader`."""
    words = _words(text)
    if not words:
        return fallback
    name = _joined(map(_capitalized, words))
    return _shortened(fallback + name) if name[0].isdigit() else name


def distinct(names: Iterable[str], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names, those that would clash (also without regard to case) with a number.

    Args:
        names: Identifiers, in order; the first of equal ones stays as it is.
        taken: Identifiers that may not be used.
    """
    used = {name.casefold() for name in taken}
    chosen = []
    for name in names:
        candidate, number = name, 2
        while candidate.casefold() in used:
            candidate, number = f"{name}{number}", number + 1
        used.add(candidate.casefold())
        chosen.append(candidate)
    return tuple(chosen)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return _WORD.findall(plain)


def _capitalized(word: str) -> str:
    return word[0].upper() + word[1:]


def _joined(words: Iterable[str]) -> str:
    return _shortened("".join(words))


def _shortened(name: str) -> str:
    return name[:MAXIMUM_IDENTIFIER_LENGTH]
