"""The services that a phone starts for computers, and the faults that befall their streams."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from ortlab.devices.virtual.fault_script import Direction, Faults
from ortlab.devices.virtual.iphone.faults import CablePulled, PhoneHangs
from ortlab.devices.virtual.iphone.streams import Handler, SocketStream, Stream, StreamClosedError

_AT_ONCE: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that lockdown starts.

    Attributes:
        handler: Serves one connection.
        needs_image: Whether it exists only with Developer Mode and the developer disk image.
        in_tunnel: Whether it can be reached inside a tunnel, too, under ``NAME.shim.remote``.
        under_tls: Whether its connection by usbmuxd is under TLS.
    """

    handler: Handler
    needs_image: bool = False
    in_tunnel: bool = True
    under_tls: bool = True


class Cable(Protocol):
    """What a watched stream needs of the phone."""

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    @property
    def pulled(self) -> threading.Event:
        """Set when the cable that is in now is pulled."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...

    def pull(self, *, stays_out: bool) -> None:
        """Pull the cable."""
        ...


class WatchedStream:
    """A stream that the fault script may cut or silence.

    Args:
        stream: That carries it.
        name: Of the service.
        cable: Of the phone.

    Raises:
        StreamClosedError: A fault struck at once.
    """

    def __init__(self, stream: Stream, name: str, cable: Cable) -> None:
        self._stream = stream
        self._name = name
        self._cable = cable
        self._pulled = cable.pulled
        self._passed = dict.fromkeys(Direction, 0)
        self._silent = False
        self._strike(lambda fault: fault.after_bytes == _AT_ONCE)

    def secure(self, context: ssl.SSLContext, *, deadline_s: float) -> None:
        """Go on under TLS; only on a socket.

        Raises:
            StreamClosedError: The other side left, or does not present what is asked of it.
        """
        assert isinstance(self._stream, SocketStream)
        self._stream = self._stream.under_tls(context, deadline_s=deadline_s)

    def receive_exactly(self, size: int) -> bytes:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        data = self._stream.receive_exactly(size)
        self._count(Direction.TO_PHONE, len(data))
        return data

    def send(self, data: bytes) -> None:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        self._count(Direction.FROM_PHONE, len(data))
        self._stream.send(data)

    def close(self) -> None:
        """See :class:`ortlab.devices.virtual.iphone.streams.Stream`."""
        self._stream.close()

    def _count(self, direction: Direction, count: int) -> None:
        if self._silent:
            self._stay_silent()
        passed = self._passed[direction] = self._passed[direction] + count
        self._strike(lambda fault: fault.direction is direction and 0 <= fault.after_bytes < passed)

    def _strike(self, due: Callable[[CablePulled | PhoneHangs], bool]) -> None:
        faults = self._cable.faults
        cut = faults.find(CablePulled, service=self._name)
        if cut is not None and due(cut) and faults.spend(cut):
            self._cable.note("fault", f"cable pulled: {self._name}")
            self._cable.pull(stays_out=cut.stays_out)
            raise StreamClosedError
        hang = faults.find(PhoneHangs, service=self._name)
        if hang is not None and due(hang) and faults.spend(hang):
            self._cable.note("fault", f"hangs: {self._name}")
            self._silent = True
            self._stay_silent()

    def _stay_silent(self) -> None:
        """Wait until the cable is pulled; the connection stays open, as nobody closes it.

        Raises:
            StreamClosedError: It was pulled.
        """
        self._pulled.wait()
        raise StreamClosedError
