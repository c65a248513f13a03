"""A small TCP: one connection that a computer opened through a tunnel, on the phone's side.

The tunnel itself loses nothing, but a computer drops packets when they come faster than it takes
them: what is lost is sent again after three repeated acknowledgements or a timeout (RFC 5681, RFC
6582), and the number of segments on their way adapts to it.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from ortlab.devices.virtual.iphone.streams import StreamClosedError
from ortlab.devices.virtual.iphone.tcp_segment import Flag, Segment

SEQUENCE_CYCLE: Final = 1 << 32
_HALF_CYCLE: Final = 1 << 31
_LARGEST_PLAIN_WINDOW: Final = 0xFFFF
_WINDOW_SHIFT: Final = 7
_WINDOW_BYTES: Final = 4 << 20
_WAKE_BYTES: Final = 256 << 10
_USUAL_SEGMENT_BYTES: Final = 1220  # RFC 9293: what every host of IPv6 takes
_FEWEST_SEGMENTS: Final = 2
_FIRST_SEGMENTS: Final = 4
_MOST_SEGMENTS: Final = 8  # a computer's queue of Unix datagrams holds ten
_REPEATS: Final = 3
_SEGMENTS_PER_ACK: Final = 2
_TIMEOUT_S: Final = 0.2
_LONGEST_TIMEOUT_S: Final = 3.2
_MOST_TIMEOUTS: Final = 12
_LINGER_S: Final = 5.0


@dataclass(slots=True)
class _Sent:
    """What was sent and is not acknowledged yet."""

    sequence: int
    length: int
    flags: int
    data: bytes
    at_s: float


class Carrier(Protocol):
    """What a connection needs of the endpoint that it belongs to."""

    @property
    def segment_bytes(self) -> int:
        """Most data bytes of a segment that passes."""
        ...

    def transmit(self, segment: Segment) -> None:
        """Send a segment to the computer; nobody hears of it if the tunnel is gone."""
        ...

    def forget(self, connection: TcpConnection) -> None:
        """Drop a connection that has ended."""
        ...


class TcpConnection:
    """A stream over segments; see :class:`ortlab.devices.virtual.iphone.streams.Stream`.

    Args:
        endpoint: It belongs to.
        key: The computer's and the phone's port.
        opening: The segment that opens it.
    """

    def __init__(self, endpoint: Carrier, key: tuple[int, int], opening: Segment) -> None:
        self.key = key
        self._endpoint = endpoint
        self._changed = threading.Condition()
        self._send_lock = threading.Lock()
        self._received: deque[bytes] = deque()
        self._buffered = 0
        self._wanted = 0
        self._expected = (opening.sequence + 1) % SEQUENCE_CYCLE
        self._unacknowledged_segments = 0
        self._told_window = _LARGEST_PLAIN_WINDOW
        self._ended = False  # the computer sends no more
        self._closing = False
        self._dead = False
        self._closed_at_s = 0.0

        self._next = secrets.randbelow(SEQUENCE_CYCLE)
        self._oldest = self._next
        self._sent: deque[_Sent] = deque()
        largest = opening.largest_segment or _USUAL_SEGMENT_BYTES
        self._segment_bytes = max(1, min(largest, endpoint.segment_bytes))
        self._peer_shift = opening.window_shift or 0
        self._shift = 0 if opening.window_shift is None else _WINDOW_SHIFT
        self._capacity = _WINDOW_BYTES if self._shift else _LARGEST_PLAIN_WINDOW
        self._wake = min(_WAKE_BYTES, self._capacity // 2)
        self._peer_window = opening.window
        self._allowed: float = _FIRST_SEGMENTS
        self._threshold: float = _MOST_SEGMENTS
        self._repeats = 0
        self._recover_to: int | None = None
        self._timeouts = 0
        self._senders = 0

    # -------------------------------------------------------------------------- as a stream

    def receive_exactly(self, size: int) -> bytes:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        parts: list[bytes] = []
        with self._changed:
            while size:
                self._wanted = min(size, self._wake)
                while self._buffered < self._wanted and not self._over:
                    self._acknowledge_waiting()
                    self._changed.wait()
                if self._closing or self._dead or (self._ended and self._buffered < self._wanted):
                    raise StreamClosedError
                size -= self._move(parts, size)
                self._tell_of_room()
            self._wanted = 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, data: bytes) -> None:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        step = self._segment_bytes
        with self._send_lock:
            for start in range(0, len(data), step):
                piece = data[start : start + step]
                last = start + step >= len(data)
                flags = Flag.ACKNOWLEDGE | (Flag.PUSH if last else 0)
                with self._changed:
                    self._senders += 1
                    while not self._may_send(len(piece)) and not (self._dead or self._closing):
                        self._changed.wait()
                    self._senders -= 1
                    if self._dead or self._closing:
                        raise StreamClosedError
                    self._send_new(flags, piece)

    def close(self) -> None:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        with self._changed:
            if not self._closing and not self._dead:
                self._closing = True
                self._closed_at_s = time.monotonic()
                self._received.clear()
                self._buffered = 0
                self._send_new(Flag.FINISH | Flag.ACKNOWLEDGE, b"")
                self._forget_if_over()
            self._changed.notify_all()

    # -------------------------------------------------------------------------- for the endpoint

    def open(self) -> None:
        """Accept the connection."""
        with self._changed:
            self._send_new(Flag.SYNCHRONIZE | Flag.ACKNOWLEDGE, b"")

    def fail(self) -> None:
        """End it at once."""
        with self._changed:
            self._dead = True
            self._sent.clear()
            self._changed.notify_all()
        self._endpoint.forget(self)

    def take(self, segment: Segment) -> None:
        """Take a segment from the computer."""
        with self._changed:
            if segment.flags & Flag.RESET:
                self.fail()
                return
            if segment.flags & Flag.SYNCHRONIZE:
                return  # repeated: the answer is repeated, too
            self._take_acknowledgement(segment)
            self._take_data(segment)
            self._forget_if_over()

    def tick(self) -> None:
        """Do what is due by the clock."""
        now_s = time.monotonic()
        with self._changed:
            if self._closing and not self._sent and now_s - self._closed_at_s > _LINGER_S:
                self.fail()
                return
            self._acknowledge_waiting()
            timeout_s = min(_TIMEOUT_S * (1 << min(self._timeouts, 10)), _LONGEST_TIMEOUT_S)
            if self._sent and now_s - self._sent[0].at_s > timeout_s:
                self._timeouts += 1
                if self._timeouts > _MOST_TIMEOUTS:
                    self.fail()
                    return
                self._slow_down(_FEWEST_SEGMENTS)
                self._send_again()
            elif self._senders and not self._sent:  # the computer had no room: ask again
                self._emit((self._next - 1) % SEQUENCE_CYCLE, Flag.ACKNOWLEDGE, b"")

    # -------------------------------------------------------------------------- receiving

    @property
    def _over(self) -> bool:
        return self._ended or self._closing or self._dead

    def _move(self, parts: list[bytes], size: int) -> int:
        """Move received bytes to a reader; return how many."""
        moved = 0
        while moved < size and self._received:
            piece = self._received.popleft()
            if len(piece) > size - moved:
                self._received.appendleft(piece[size - moved :])
                piece = piece[: size - moved]
            parts.append(piece)
            moved += len(piece)
        self._buffered -= moved
        return moved

    def _take_data(self, segment: Segment) -> None:
        data = segment.data
        ahead = (segment.sequence - self._expected) % SEQUENCE_CYCLE
        finishes = bool(segment.flags & Flag.FINISH)
        if ahead:
            known = (self._expected - segment.sequence) % SEQUENCE_CYCLE
            if ahead < _HALF_CYCLE or known > len(data) or (known == len(data) and not finishes):
                self._acknowledge()  # out of order, or known already
                return
            data = data[known:]
        if self._closing:
            self._expected = (self._expected + len(data)) % SEQUENCE_CYCLE
        else:
            room = self._capacity - self._buffered
            finishes = finishes and len(data) <= room
            data = data[:room]
            self._expected = (self._expected + len(data)) % SEQUENCE_CYCLE
            if data:
                self._received.append(data)
                self._buffered += len(data)
        if finishes and not self._ended:
            self._expected = (self._expected + 1) % SEQUENCE_CYCLE
            self._ended = True
        self._unacknowledged_segments += bool(segment.data)
        missing = self._wanted - self._buffered
        waits_for_tail = bool(segment.data) and 0 < missing <= self._segment_bytes
        if (
            finishes
            or waits_for_tail  # it may come only when all before it is acknowledged (RFC 896)
            or self._unacknowledged_segments >= _SEGMENTS_PER_ACK
        ):
            self._acknowledge()
        if self._ended or (self._wanted and self._buffered >= self._wanted):
            self._changed.notify_all()

    def _acknowledge_waiting(self) -> None:
        if self._unacknowledged_segments:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._emit(self._next, Flag.ACKNOWLEDGE, b"")

    def _tell_of_room(self) -> None:
        half = self._capacity // 2
        if self._told_window < half <= self._capacity - self._buffered:
            self._acknowledge()

    # -------------------------------------------------------------------------- sending

    def _may_send(self, size: int) -> bool:
        in_flight = (self._next - self._oldest) % SEQUENCE_CYCLE
        if in_flight + size > self._peer_window << self._peer_shift:
            return False
        return len(self._sent) < int(self._allowed)

    def _send_new(self, flags: int, data: bytes) -> None:
        length = len(data) + bool(flags & (Flag.SYNCHRONIZE | Flag.FINISH))
        self._sent.append(_Sent(self._next, length, flags, data, time.monotonic()))
        sequence, self._next = self._next, (self._next + length) % SEQUENCE_CYCLE
        self._emit(sequence, flags, data)

    def _send_again(self) -> None:
        if self._sent:
            oldest = self._sent[0]
            oldest.at_s = time.monotonic()
            self._emit(oldest.sequence, oldest.flags, oldest.data)

    def _emit(self, sequence: int, flags: int, data: bytes) -> None:
        opening = bool(flags & Flag.SYNCHRONIZE)
        room = self._capacity - self._buffered
        shift = 0 if opening else self._shift
        window = min(room >> shift, _LARGEST_PLAIN_WINDOW)
        self._told_window = window << shift
        self._unacknowledged_segments = 0
        self._endpoint.transmit(
            Segment(
                source_port=self.key[1],
                target_port=self.key[0],
                sequence=sequence,
                acknowledged=self._expected,
                flags=flags,
                window=window,
                data=data,
                largest_segment=self._endpoint.segment_bytes if opening else None,
                window_shift=self._shift if opening and self._shift else None,
            )
        )

    def _take_acknowledgement(self, segment: Segment) -> None:
        progress = (segment.acknowledged - self._oldest) % SEQUENCE_CYCLE
        in_flight = (self._next - self._oldest) % SEQUENCE_CYCLE
        if 0 < progress <= in_flight:
            self._advance(segment.acknowledged)
        elif not progress and self._sent and not segment.data:
            self._repeats += segment.window == self._peer_window
            if self._repeats == _REPEATS and self._recover_to is None:
                self._slow_down(self._allowed / 2)
                self._send_again()
        self._peer_window = segment.window
        if self._senders:
            self._changed.notify_all()

    def _advance(self, acknowledged: int) -> None:
        while self._sent:
            end = (self._sent[0].sequence + self._sent[0].length) % SEQUENCE_CYCLE
            if (acknowledged - end) % SEQUENCE_CYCLE >= _HALF_CYCLE:
                break
            self._sent.popleft()
        self._oldest = acknowledged
        self._repeats = 0
        self._timeouts = 0
        if self._recover_to is None:
            faster = self._allowed < self._threshold
            self._allowed += 1 if faster else 1 / self._allowed
            self._allowed = min(self._allowed, _MOST_SEGMENTS)
        elif (acknowledged - self._recover_to) % SEQUENCE_CYCLE < _HALF_CYCLE:
            self._recover_to = None
        else:
            self._send_again()  # another one was lost

    def _slow_down(self, segments: float) -> None:
        self._threshold = max(self._allowed / 2, _FEWEST_SEGMENTS)
        self._allowed = max(segments, _FEWEST_SEGMENTS)
        self._recover_to = self._next

    def _forget_if_over(self) -> None:
        if self._closing and self._ended and not self._sent:
            self._endpoint.forget(self)
