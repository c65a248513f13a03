"""Java properties files: hostile values written, single keys changed, all else left as it is.

Source of the format: the documentation of `java.util.Properties.load`. What is written here is
ASCII; what others wrote is read as UTF-8, as the template does, and passes through byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_ENCODING: Final = "utf-8"
_ERRORS: Final = "surrogateescape"  # bytes that are no UTF-8 come back as they were
_PRINTABLE: Final = range(0x20, 0x7F)
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_UNESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_SPACE: Final = " \t\f"
_NATURAL_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_UNICODE_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A properties file after a change.

    Attributes:
        data: Its bytes.
        kept: Keys that the user had changed since they were written last, and whose wanted value
            is still the same: the user's values.
        replaced: Keys that the user had changed and that got another value all the same.
    """

    data: bytes
    kept: Mapping[str, str]
    replaced: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A logical line: what stands in the file, and the property it holds if it holds one."""

    text: str
    key: str | None = None
    value: str = ""


def read_properties(data: bytes) -> dict[str, str]:
    """Return the properties of a file; of a key that is there twice, the last."""
    return {line.key: line.value for line in _lines(data) if line.key is not None}


def property_line(key: str, value: str) -> str:
    """Return the line, without its end, that gives a key a value."""
    return f"{_escaped(key, ' :=#!')}={_escaped(value, '', leading=' ')}"


def merge_properties(
    data: bytes, wanted: Mapping[str, str | None], written: Mapping[str, str]
) -> Merged:
    """Give keys the values that are wanted; every other line stays as it is.

    Args:
        data: The file.
        wanted: Key to its value; None for a key that must not be there.
        written: What was written last. A value that the user changed since stays where the same
            value is still wanted.
    """
    lines = _lines(data)
    found = {line.key: line.value for line in lines if line.key is not None}
    kept = {
        key: found[key]
        for key, value in wanted.items()
        if key in found and key in written and found[key] != written[key] == value
    }
    replaced = tuple(
        key
        for key, value in wanted.items()
        if key in written and key not in kept and found.get(key) not in {written[key], value}
    )
    changes = {
        key: value
        for key, value in wanted.items()
        if key not in kept and (found.get(key) != value or list(_keys(lines)).count(key) > 1)
    }
    end = "\r\n" if any(line.text.endswith("\r\n") for line in lines) else "\n"
    return Merged(
        data="".join(_changed(lines, changes, end)).encode(_ENCODING, _ERRORS),
        kept=kept,
        replaced=replaced,
    )


def _keys(lines: Iterable[_Line]) -> Iterable[str]:
    return (line.key for line in lines if line.key is not None)


def _changed(lines: list[_Line], changes: Mapping[str, str | None], end: str) -> list[str]:
    texts: list[str] = []
    open_changes = dict(changes)
    for line in reversed(lines):  # of a key that is there twice, the last counts
        if line.key is None or line.key not in changes:
            texts.append(line.text)
        elif (value := open_changes.pop(line.key, None)) is not None:
            texts.append(property_line(line.key, value) + end)
    texts.reverse()
    new = [property_line(key, v) + end for key, v in open_changes.items() if v is not None]
    if new and texts:
        if not texts[-1].endswith(("\n", "\r")):
            texts[-1] += end
        if lines[-1].key is not None and _goes_on(texts[-1].rstrip("\r\n")):
            texts[-1] += end  # it would go on in the first of ours
    return texts + new


def _escaped(text: str, special: str, *, leading: str = "") -> str:
    units = text.encode("utf-16-be", "surrogatepass")
    parts = []
    for at in range(0, len(units), 2):
        code = int.from_bytes(units[at : at + 2], "big")
        unit = chr(code)
        if unit in _ESCAPES:
            parts.append(_ESCAPES[unit])
        elif code not in _PRINTABLE:
            parts.append(f"\\u{code:04x}")
        elif unit in special or (at == 0 and unit in leading):
            parts.append("\\" + unit)
        else:
            parts.append(unit)
    return "".join(parts)


def _lines(data: bytes) -> list[_Line]:
    natural = [text for text in _NATURAL_LINE.findall(data.decode(_ENCODING, _ERRORS)) if text]
    lines: list[_Line] = []
    at = 0
    while at < len(natural):
        raw = natural[at]
        logical = raw.rstrip("\r\n").lstrip(_SPACE)
        at += 1
        if not logical or logical[0] in "#!":
            lines.append(_Line(text=raw))
            continue
        while _goes_on(logical) and at < len(natural):
            raw += natural[at]
            logical = logical[:-1] + natural[at].rstrip("\r\n").lstrip(_SPACE)
            at += 1
        logical = logical[:-1] if _goes_on(logical) else logical
        key, value = _split(logical)
        lines.append(_Line(text=raw, key=_unescaped(key), value=_unescaped(value)))
    return lines


def _goes_on(text: str) -> bool:
    """Return whether a line ends with an odd number of backslashes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _split(text: str) -> tuple[str, str]:
    at = 0
    while at < len(text) and text[at] not in "=:" + _SPACE:
        at += 2 if text[at] == "\\" else 1
    key, rest = text[:at], text[at:].lstrip(_SPACE)
    if rest[:1] and rest[0] in "=:":
        rest = rest[1:].lstrip(_SPACE)
    return key, rest


def _unescaped(text: str) -> str:
    units = b""
    at = 0
    while at < len(text):
        char, at = text[at], at + 1
        if char == "\\" and at < len(text):
            digits = text[at + 1 : at + 1 + _UNICODE_DIGITS]
            if text[at] == "u" and re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                units += bytes.fromhex(digits)
                at += 1 + _UNICODE_DIGITS
                continue
            char = _UNESCAPES.get(text[at], text[at])
            at += 1
        units += char.encode("utf-16-be", "surrogatepass")
    return units.decode("utf-16-be", "surrogatepass")
