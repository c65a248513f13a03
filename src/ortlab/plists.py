"""Property lists from anywhere, and the CMS wrapper that some come in."""

from __future__ import annotations

import plistlib
from typing import Final

_SEQUENCE, _SET, _CONTEXT_0, _OBJECT, _INTEGER, _OCTETS, _OCTETS_IN_PARTS = (
    *(0x30, 0x31, 0xA0, 0x06, 0x02),
    *(0x04, 0x24),
)
_MOST_PARTS: Final = 100_000


def read_plist(content: bytes) -> dict[str, object]:
    """Read a property list, XML or binary, whose top is a dictionary.

    Raises:
        ValueError: It is none; whatever else its parser meets ends so, too.
    """
    try:
        found = plistlib.loads(content)
    except Exception as error:  # expat's, struct's, an AttributeError for a date, …
        message = f"it is no property list ({type(error).__name__})"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = "it is a property list without keys"
        raise ValueError(message)  # noqa: TRY004 - of the content
    return {str(key): value for key, value in found.items()}


def cms_content(data: bytes) -> bytes:
    """Return what a CMS SignedData holds; the signature is not verified. Source: RFC 5652.

    Raises:
        ValueError: It is no such message, or holds nothing.
    """
    message, _ = _element(data, _SEQUENCE)
    _, rest = _element(message, _OBJECT)
    wrapped, _ = _element(rest, _CONTEXT_0)
    signed, _ = _element(wrapped, _SEQUENCE)
    for tag in (_INTEGER, _SET):  # version, digest algorithms
        _, signed = _element(signed, tag)
    encapsulated, _ = _element(signed, _SEQUENCE)
    _, rest = _element(encapsulated, _OBJECT)
    content, _ = _element(rest, _CONTEXT_0)
    if content[:1] == bytes([_OCTETS]):
        return _element(content, _OCTETS)[0]
    parts, rest = [], _element(content, _OCTETS_IN_PARTS)[0]
    while rest:
        part, rest = _element(rest, _OCTETS)
        parts.append(part)
        if len(parts) > _MOST_PARTS:
            break
    return b"".join(parts)


def _element(data: bytes, expected_tag: int) -> tuple[bytes, bytes]:
    """Return the content of a BER value, and what follows it."""
    if len(data) < 2 or data[0] != expected_tag:
        message = "it is no signed message"
        raise ValueError(message)
    if data[1] == 0x80:
        end = _end_of_open(data, 2, 0)
        return data[2 : end - 2], data[end:]
    start, length = _length(data, 1)
    return data[start : start + length], data[start + length :]


def _length(data: bytes, position: int) -> tuple[int, int]:
    """Return where the content of a value begins, and how long it is."""
    length, start = data[position], position + 1
    if length > 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
        if count > 4:
            length = len(data)  # refused below
    if start + length > len(data):
        message = "it is a signed message that is cut"
        raise ValueError(message)
    return start, length


def _end_of_open(data: bytes, position: int, depth: int) -> int:
    """Return where a value of open length ends, behind its two zeros."""
    while position + 2 <= len(data) and depth < 32:
        if data[position : position + 2] == b"\0\0":
            return position + 2
        if data[position + 1] == 0x80:
            position = _end_of_open(data, position + 2, depth + 1)
        else:
            start, length = _length(data, position + 1)
            position = start + length
    message = "it is a signed message that is cut"
    raise ValueError(message)
