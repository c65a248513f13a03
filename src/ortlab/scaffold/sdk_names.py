"""Names a model may hold, made into identifiers and words in comments, whatever the language.

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
PRINTABLE: Final = range(0x20, 0x7F)

_WORD = re.compile(r"[A-Za-z0-9]+")


def comment_text(text: str, limit: int = MAXIMUM_COMMENT_LENGTH) -> str:
    """Return a text for a comment: one line of ASCII that can neither end nor nest the comment.

    It may stand between backticks in KDoc and DocC; what is longer than ``limit`` is cut off, with
    dots.
    """
    shown = "".join(
        unit if ord(unit) in PRINTABLE else _ESCAPES.get(unit, f"\\u{ord(unit):04x}")
        for unit in utf16_units(text)
    )
    shown = shown.replace("`", "'").replace("*/", "* /").replace("/*", "/ *")
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def utf16_units(text: str) -> list[str]:
    """Return a text as its UTF-16 code units."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "little")) for i in range(0, len(data), 2)]


def lower_camel_case(text: str, *, fallback: str, keywords: Collection[str]) -> str:
    """Return a lower-camel-case identifier that reads like a text, such as `inputIds`.

    Args:
        text: Any.
        fallback: What to call it where the text has no letter or digit of ASCII's.
        keywords: Words that the language does not take; they get `Value` behind them.
    """
    words = _words(text)
    if not words:
        return fallback
    first, rest = words[0], words[1:]
    first = first.lower() if first.isupper() else first[0].lower() + first[1:]
    name = _joined([first, *map(_capitalized, rest)])
    if name[0].isdigit():
        name = _shortened(fallback + _capitalized(name))
    return name + "Value" if name in keywords else name


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
