"""Byte streams between a virtual iPhone and what talks to it.

Handlers of services know only :class:`Stream`: the same handler serves a plain connection, one
under TLS and one inside a tunnel. Reading and writing may happen on two threads at once.
"""

from __future__ import annotations

import contextlib
import plistlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

_CHUNK_BYTES: Final = 1 << 20
_LARGEST_PLIST_BYTES: Final = 64 << 20


class StreamClosedError(EOFError):
    """The other side is gone, or this side has closed the stream."""


class ProtocolError(Exception):
    """The other side sent what the protocol does not allow; the stream is closed for it."""


class Stream(Protocol):
    """Bytes in both directions."""

    def receive_exactly(self, size: int) -> bytes:
        """Return the next bytes, waiting until all are there.

        Raises:
            StreamClosedError: The other side closed before.
        """
        ...

    def send(self, data: bytes) -> None:
        """Send all of the bytes.

        Raises:
            StreamClosedError: The other side is gone.
        """
        ...

    def close(self) -> None:
        """Close both directions and wake whoever waits; safe to call twice, from any thread."""
        ...


Handler = Callable[[Stream], None]
"""Serves one connection; it is closed when this returns. May raise the errors of this module."""


class SocketStream:
    """A stream over a connected socket, which it owns."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._send_lock = threading.Lock()

    def receive_exactly(self, size: int) -> bytes:
        """See :class:`Stream`."""
        received = bytearray(size)
        view, filled = memoryview(received), 0
        while filled < size:
            count = self._receive_into(view[filled : filled + _CHUNK_BYTES])
            if not count:
                raise StreamClosedError
            filled += count
        return bytes(received)

    def send(self, data: bytes) -> None:
        """See :class:`Stream`."""
        with self._send_lock:
            try:
                self._send_all(memoryview(data))
            except (OSError, ValueError) as error:
                raise StreamClosedError from error

    def close(self) -> None:
        """See :class:`Stream`."""
        with contextlib.suppress(OSError, ValueError):
            self.connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.connection.close()

    def under_tls(self, context: ssl.SSLContext, *, deadline_s: float) -> SocketStream:
        """Return the same connection under TLS, this side being the server.

        This stream stays able to close it, and to nothing else.

        Raises:
            StreamClosedError: The other side left, or does not present what is asked of it.
        """
        self.connection.settimeout(deadline_s)
        try:
            secured = context.wrap_socket(self.connection, server_side=True)
        except (OSError, ValueError) as error:
            raise StreamClosedError from error
        self.connection = secured  # wrapping took the descriptor away from the old object
        return _TlsStream(secured)

    def _receive_into(self, view: memoryview) -> int:
        try:
            return self.connection.recv_into(view)
        except (OSError, ValueError):
            return 0

    def _send_all(self, view: memoryview) -> None:
        self.connection.sendall(view)


class _TlsStream(SocketStream):
    """TLS in both directions at once: one object, and nobody ever waits inside it."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        super().__init__(connection)
        connection.settimeout(0)
        self._lock = threading.Lock()

    def _receive_into(self, view: memoryview) -> int:
        while True:
            try:
                with self._lock:
                    return self.connection.recv_into(view)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)
            except (OSError, ValueError):
                return 0

    def _send_all(self, view: memoryview) -> None:
        while view:
            try:
                with self._lock:
                    view = view[self.connection.send(view) :]
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)

    def _wait(self, event: int) -> None:
        number = self.connection.fileno()
        if number < 0:
            return
        poll = select.poll()
        poll.register(number, event)
        poll.poll()


def receive_plist(stream: Stream) -> dict[str, Any]:
    """Return the next property list of lockdown and the services made after it.

    Four bytes of length, the most significant first, and a property list.

    Raises:
        StreamClosedError: The other side closed.
        ProtocolError: It is no dictionary.
    """
    (size,) = struct.unpack(">I", stream.receive_exactly(4))
    if size > _LARGEST_PLIST_BYTES:
        message = f"a property list of {size} bytes"
        raise ProtocolError(message)
    return parse_plist(stream.receive_exactly(size))


def parse_plist(content: bytes) -> dict[str, Any]:
    """Return a dictionary from a property list, XML or binary.

    Raises:
        ProtocolError: It is no property list, or no dictionary.
    """
    try:
        value = plistlib.loads(content)
    except Exception as error:  # plistlib raises many kinds on damaged input
        message = f"no property list: {error}"
        raise ProtocolError(message) from error
    if not isinstance(value, dict):
        message = f"a property list that is no dictionary but {type(value).__name__}"
        raise ProtocolError(message)
    return value


def send_plist(stream: Stream, value: Mapping[str, Any]) -> None:
    """Send a property list as :func:`receive_plist` reads it, as XML.

    Raises:
        StreamClosedError: The other side is gone.
    """
    content = plistlib.dumps(dict(value))
    stream.send(struct.pack(">I", len(content)) + content)
