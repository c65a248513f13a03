"""A connection that keeps to a total deadline, whatever the other side does."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from types import TracebackType

Buffer = bytes | bytearray | memoryview

_READ_AHEAD_BYTES = 1 << 18


class ServerGoneError(Exception):
    """No adb server answers."""


class RefusedError(Exception):
    """The adb server refused a request; the text is its own reason."""


CALL_ERRORS = (ServerGoneError, RefusedError, EOFError, OSError)
"""All that a call on an adb server can fail with; a deadline is an OSError too."""


class Deadline:
    """A moment after which a call must have ended.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining_s(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: None are left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            message = f"not done after {self.seconds:g} s"
            raise TimeoutError(message)
        return left

    def within(self, seconds: float) -> Deadline:
        """Return a deadline after ``seconds`` that is not later than this one."""
        return Deadline(min(seconds, self._end - time.monotonic()))


class DeadlineSocket(socket.socket):
    """A connected socket whose every operation ends at one deadline.

    A timeout of a plain socket starts anew with each byte that arrives; this one does not.
    """

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        family, kind, protocol = connected.family, connected.type, connected.proto
        super().__init__(family, kind, protocol, fileno=connected.detach())
        self.deadline = deadline

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive as :meth:`socket.socket.recv` does.

        Raises:
            TimeoutError: The deadline has passed.
        """
        self.settimeout(self.deadline.remaining_s())
        return super().recv(size, flags)

    def send(self, data: Buffer, flags: int = 0, /) -> int:  # type: ignore[override]
        """Send all of it, though a plain socket may send a part.

        Raises:
            TimeoutError: The deadline has passed.
        """
        self.settimeout(self.deadline.remaining_s())
        super().sendall(data, flags)
        return len(data)

    def send_some(self, data: Buffer) -> int:
        """Send as much as fits without waiting; 0 where nothing does."""
        self.settimeout(self.deadline.remaining_s())
        try:
            return super().send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


class Channel:
    """An open service of a phone: bytes in both directions until the deadline.

    Every method raises TimeoutError at the deadline and OSError when the connection breaks.

    Args:
        connection: Connected to the service.
        close: Called once at the end.
    """

    def __init__(self, connection: DeadlineSocket, close: Callable[[], None]) -> None:
        self._socket = connection
        self._close = close
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        self._ahead = memoryview(b"")

    def __enter__(self) -> Channel:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._close()

    def send(self, data: Buffer) -> None:
        """Send all of it."""
        self._socket.send(data)

    def read_some(self) -> bytes:
        """Return what is there, at least a byte; nothing means that the other side ended."""
        if self._ahead:
            taken, self._ahead = bytes(self._ahead), memoryview(b"")
            return taken
        return self._socket.recv(_READ_AHEAD_BYTES)

    def read_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes.

        Raises:
            EOFError: The other side ended before.
        """
        parts = []
        while size:
            if not self._ahead:
                self._ahead = memoryview(self._socket.recv(_READ_AHEAD_BYTES))
            if not self._ahead:
                message = "the connection ended in the middle of an answer"
                raise EOFError(message)
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            parts.append(taken)
            size -= len(taken)
        return b"".join(parts)

    def read_to_end(self, limit_bytes: int = 1 << 20) -> bytes:
        """Return all that comes until the other side ends, at most ``limit_bytes`` of it.

        An end by a reset counts as one where something was said before: a service that ends while
        it is still being sent to ends so.
        """
        parts = bytearray()
        try:
            while part := self.read_some():
                parts += part[: max(0, limit_bytes - len(parts))]
        except ConnectionResetError:
            if not parts:
                raise
        return bytes(parts)

    def wait(self, *, writing: bool) -> tuple[bool, bool]:
        """Wait until there is something to read, or room to write where that is wanted.

        Returns:
            Whether it may be read, and whether it may be written.
        """
        if self._ahead:
            return True, False
        wanted = select.POLLIN | (select.POLLOUT if writing else 0)
        self._poll.modify(self._socket.fileno(), wanted)
        events = 0
        while not events:
            for _, seen in self._poll.poll(1000 * self._socket.deadline.remaining_s() + 1):
                events |= seen
        ended = events & (select.POLLHUP | select.POLLERR | select.POLLNVAL)
        return bool(events & select.POLLIN or ended), bool(events & select.POLLOUT)

    def send_some(self, data: Buffer) -> int:
        """Send what fits now and return how much that was."""
        return self._socket.send_some(data)

    def send_until_answer(self, parts: Iterable[Buffer]) -> bool:
        """Send all parts, but stop as soon as the other side says something or ends.

        Returns:
            Whether all was sent. If not, the answer waits to be read.
        """
        for part in parts:
            rest = memoryview(part)
            while rest:
                answered, writable = self.wait(writing=True)
                if answered:
                    return False
                if writable:
                    try:
                        rest = rest[self._socket.send_some(rest) :]
                    except (BrokenPipeError, ConnectionResetError):
                        return False
        return True
