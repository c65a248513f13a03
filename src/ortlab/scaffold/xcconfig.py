"""Xcode's configuration files: hostile values written, single keys changed, all else left as it is.

Source of the format: `MacroConfigFileParser` and `MacroExpressionParser` of swiftlang/swift-build.
Values are handled as they stand in the file; :func:`xcconfig_value` makes one of any text. Two keys
stand in for what the format cannot hold: ``SLASH = /`` and ``NOTHING =`` belong into every file
that holds such values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ortlab.scaffold.settings_file import Merged, SettingLine, SettingsFormat, merge_lines

_ENCODING: Final = "utf-8"
_ERRORS: Final = "surrogateescape"  # bytes that are no UTF-8 come back as they were
_SPACE: Final = " \t\v\f"
_ENDS: Final = "\n\r\u2028\u2029"
_NATURAL_LINE: Final = re.compile(f"([^{_ENDS}]*)(\r\n|[{_ENDS}]|$)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SLASH: Final = "$(SLASH)"
_NOTHING: Final = "$(NOTHING)"
_ENCODED: Final = re.compile(r"\$\$|\$\(SLASH\)|\$\(NOTHING\)")
_MEANINGS: Final = {"$$": "$", _SLASH: "/", _NOTHING: ""}
_REFUSED: Final = re.compile(rf"[\x00-\x08\x0e-\x1f\x7f{_ENDS}]|[\ud800-\udfff]")


def xcconfig_value(text: str) -> str:
    """Return how a text stands in a file, so that a build setting gets just this value.

    Raises:
        ValueError: It holds a control character or an end of a line, which no value can.
    """
    if found := _REFUSED.search(text):
        message = f"a build setting cannot hold U+{ord(found[0]):04X}"
        raise ValueError(message)
    value = re.sub(r"(?<=/)/", lambda _: _SLASH, text.replace("$", "$$"))
    if value[:1] and value[0] in _SPACE:
        value = _NOTHING + value
    if value[-1:] and value[-1] in _SPACE + ";\\":
        value += _NOTHING
    return value


def xcconfig_text(value: str) -> str:
    """Return the text that :func:`xcconfig_value` made a value of."""
    return _ENCODED.sub(lambda found: _MEANINGS[found[0]], value)


def read_xcconfig(data: bytes) -> dict[str, str]:
    """Return the values of a file as they stand there; of a key that is there twice, the last.

    Lines with a condition, such as ``KEY[sdk=iphoneos*]``, and those that include other files are
    left out.
    """
    return {line.key: line.value for line in _lines(data) if line.key is not None}


def xcconfig_line(key: str, value: str) -> str:
    """Return the line, without its end, that gives a key a value as it stands in a file."""
    return f"{key} = {value}".rstrip()


def merge_xcconfig(
    data: bytes, wanted: Mapping[str, str | None], written: Mapping[str, str]
) -> Merged:
    """Give keys the values that are wanted; every other line stays as it is.

    Args:
        data: The file.
        wanted: Key to its value as it stands there; None for a key that must not be there.
        written: What was written last, likewise. A value that the user changed since stays where
            the same value is still wanted.
    """
    merged = merge_lines(
        _lines(data), wanted, written, line_of=xcconfig_line, goes_on=lambda t: _chunk(t)[1]
    )
    return Merged(
        data="".join(merged.texts).encode(_ENCODING, _ERRORS),
        kept=merged.kept,
        replaced=merged.replaced,
    )


def _lines(data: bytes) -> list[SettingLine]:
    natural = _NATURAL_LINE.findall(data.decode(_ENCODING, _ERRORS))
    natural = [(text, end) for text, end in natural if text or end]
    lines: list[SettingLine] = []
    at = 0
    while at < len(natural):
        text, end = natural[at]
        raw = text + end
        at += 1
        found = _assignment(text)
        if found is None:
            lines.append(SettingLine(text=raw))
            continue
        key, rest = found
        chunks: list[str] = []
        chunk, goes_on = _chunk(rest)
        while chunk is not None:
            if chunk or not goes_on:
                chunks.append(chunk)
            if not goes_on or at >= len(natural):
                break
            text, end = natural[at]
            raw += text + end
            at += 1
            chunk, goes_on = _chunk(text)
        lines.append(SettingLine(text=raw, key=key, value=" ".join(chunks)))
    return lines


def _assignment(text: str) -> tuple[str, str] | None:
    """Return the key of a line and what follows ``=``; None for any other line."""
    found = _NAME.match(text.lstrip(_SPACE))
    if found is None:
        return None
    rest = found.string[found.end() :].lstrip(_SPACE)
    return (found[0], rest[1:]) if rest.startswith("=") else None


def _chunk(text: str) -> tuple[str | None, bool]:
    """Return a line's part of a value, None where it has none, and whether the next adds to it."""
    text = text.lstrip(_SPACE)
    if not text or text.startswith("//"):
        return None, False
    text = text.partition("//")[0].rstrip(_SPACE)
    if text.endswith(";"):
        text = text[:-1].rstrip(_SPACE)
    if text.endswith("\\"):
        return text[:-1].strip(), True
    return text, False


XCCONFIG: Final = SettingsFormat(read=read_xcconfig, merge=merge_xcconfig)
