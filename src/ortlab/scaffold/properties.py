"""Java properties files: hostile values written, single keys changed, all else left as it is.

Source of the format: the documentation of `java.util.Properties.load`. What is written here is
ASCII; what others wrote is read as UTF-8, as the template does, and passes through byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ortlab.scaffold.settings_file import Merged, SettingLine, SettingsFormat, merge_lines

_ENCODING: Final = "utf-8"
_ERRORS: Final = "surrogateescape"  # bytes that are no UTF-8 come back as they were
_PRINTABLE: Final = range(0x20, 0x7F)
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_UNESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_SPACE: Final = " \t\f"
_NATURAL_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_UNICODE_DIGITS: Final = 4


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
    merged = merge_lines(_lines(data), wanted, written, line_of=property_line, goes_on=_goes_on)
    return Merged(
        data="".join(merged.texts).encode(_ENCODING, _ERRORS),
        kept=merged.kept,
        replaced=merged.replaced,
    )


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


def _lines(data: bytes) -> list[SettingLine]:
    natural = [text for text in _NATURAL_LINE.findall(data.decode(_ENCODING, _ERRORS)) if text]
    lines: list[SettingLine] = []
    at = 0
    while at < len(natural):
        raw = natural[at]
        logical = raw.rstrip("\r\n").lstrip(_SPACE)
        at += 1
        if not logical or logical[0] in "#!":
            lines.append(SettingLine(text=raw))
            continue
        while _goes_on(logical) and at < len(natural):
            raw += natural[at]
            logical = logical[:-1] + natural[at].rstrip("\r\n").lstrip(_SPACE)
            at += 1
        logical = logical[:-1] if _goes_on(logical) else logical
        key, value = _split(logical)
        lines.append(SettingLine(text=raw, key=_unescaped(key), value=_unescaped(value)))
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


PROPERTIES: Final = SettingsFormat(read=read_properties, merge=merge_properties)
