"""Segments of TCP in packets of IPv6, as they pass through a tunnel.

The formats are those of RFC 8200 and RFC 9293; of TCP's options only the largest segment and the
scale of the window are used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

IP_HEADER_BYTES: Final = 40
TCP_HEADER_BYTES: Final = 20
LARGEST_WINDOW_SHIFT: Final = 14

_ADDRESS_BYTES: Final = 16
_IP_START: Final = struct.Struct("!IHBB")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_VERSION: Final = 6
_TCP_NUMBER: Final = 6
_HOP_LIMIT: Final = 64
_CHECKSUM_OFFSET: Final = 16
_ONES: Final = 0xFFFF
_END_OPTION: Final = 0
_NO_OPTION: Final = 1
_LARGEST_SEGMENT_OPTION: Final = 2
_WINDOW_SHIFT_OPTION: Final = 3


class Flag(IntFlag):
    """Of a segment."""

    FINISH = 1
    SYNCHRONIZE = 2
    RESET = 4
    PUSH = 8
    ACKNOWLEDGE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment of TCP.

    Attributes:
        source_port: Of the sender.
        target_port: Of the receiver.
        sequence: Number of its first byte, modulo 2³².
        acknowledged: Number of the next byte that the sender expects.
        flags: What it says.
        window: Bytes that the sender takes beyond ``acknowledged``, before scaling.
        data: That it carries.
        largest_segment: Data bytes that the sender takes in a segment; None if it does not say.
        window_shift: By which the sender scales its window; None if it does not.
    """

    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    window: int
    data: bytes = b""
    largest_segment: int | None = None
    window_shift: int | None = None


def checksum(content: bytes) -> int:
    """Return the ones' complement sum of 16-bit words, modulo 65535 (RFC 1071).

    Content with a right checksum in it gives 0.
    """
    total = int.from_bytes(content, "big") % _ONES
    if len(content) % 2:
        total = (total << 8) % _ONES
    return total


def encode_packet(source: bytes, target: bytes, segment: Segment) -> bytes:
    """Return a packet of IPv6 that carries a segment.

    Args:
        source: Address of the sender, 16 bytes.
        target: Address of the receiver, 16 bytes.
        segment: To carry.
    """
    options = b""
    if segment.largest_segment is not None:
        options += struct.pack("!BBH", _LARGEST_SEGMENT_OPTION, 4, segment.largest_segment)
    if segment.window_shift is not None:
        shift = struct.pack("!BBB", _WINDOW_SHIFT_OPTION, 3, segment.window_shift)
        options += bytes((_NO_OPTION,)) + shift
    header_bytes = TCP_HEADER_BYTES + len(options)
    size = header_bytes + len(segment.data)
    fields = (
        segment.source_port,
        segment.target_port,
        segment.sequence,
        segment.acknowledged,
        header_bytes << 2,
        segment.flags,
        segment.window,
    )
    start = _TCP.pack(*fields, 0, 0) + options
    pseudo = source + target + struct.pack("!II", size, _TCP_NUMBER)
    total = (checksum(pseudo + start) + checksum(segment.data)) % _ONES
    start = _TCP.pack(*fields, _ONES - total, 0) + options
    ip = _IP_START.pack(_VERSION << 28, size, _TCP_NUMBER, _HOP_LIMIT)
    return b"".join((ip, source, target, start, segment.data))


def packet_size(header: bytes) -> int | None:
    """Return the bytes that follow a header of IPv6, or None if it is none."""
    first, size, _, _ = _IP_START.unpack_from(header)
    return size if first >> 28 == _VERSION else None


def decode_packet(header: bytes, content: bytes, target: bytes) -> Segment | None:
    """Return the segment in a packet, or None where it is damaged or not for TCP here.

    Args:
        header: Of IPv6.
        content: That follows it.
        target: The receiver's address.
    """
    _, _, protocol, _ = _IP_START.unpack_from(header)
    addresses = header[_IP_START.size : IP_HEADER_BYTES]
    if protocol != _TCP_NUMBER or addresses[_ADDRESS_BYTES:] != target:
        return None
    pseudo = addresses + struct.pack("!II", len(content), _TCP_NUMBER)
    if len(content) < TCP_HEADER_BYTES or (checksum(pseudo) + checksum(content)) % _ONES:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags, window, _, _ = (
        _TCP.unpack_from(content)
    )
    header_bytes = offset >> 4 << 2
    if not TCP_HEADER_BYTES <= header_bytes <= len(content):
        return None
    options = _options(content[TCP_HEADER_BYTES:header_bytes])
    largest, shift = options.get(_LARGEST_SEGMENT_OPTION), options.get(_WINDOW_SHIFT_OPTION)
    return Segment(
        source_port=source_port,
        target_port=target_port,
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
        window=window,
        data=content[header_bytes:],
        largest_segment=int.from_bytes(largest, "big") if largest and len(largest) == 2 else None,
        window_shift=min(shift[0], LARGEST_WINDOW_SHIFT) if shift else None,
    )


def _options(content: bytes) -> dict[int, bytes]:
    """Return the options of a segment by kind, as far as they are well formed."""
    found = {}
    while content and content[0] != _END_OPTION:
        if content[0] == _NO_OPTION:
            content = content[1:]
            continue
        if len(content) < 2 or not 2 <= content[1] <= len(content):
            break
        found[content[0]] = content[2 : content[1]]
        content = content[content[1] :]
    return found
