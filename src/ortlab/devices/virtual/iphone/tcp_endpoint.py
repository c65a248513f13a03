"""The ports of a phone inside a tunnel: accepts connections and hands segments to them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from ortlab.devices.virtual.iphone.streams import Handler, StreamClosedError
from ortlab.devices.virtual.iphone.tcp import SEQUENCE_CYCLE, TcpConnection
from ortlab.devices.virtual.iphone.tcp_segment import (
    IP_HEADER_BYTES,
    TCP_HEADER_BYTES,
    Flag,
    Segment,
    encode_packet,
)

_TICK_S: Final = 0.05
_MOST_CONNECTIONS: Final = 512


class TcpEndpoint:
    """Accepts connections to the phone's ports.

    Args:
        phone_address: 16 bytes.
        computer_address: 16 bytes.
        packet_bytes: Largest packet that passes.
        send_packet: Sends a packet to the computer.
        listener: Returns what serves a port, or None.
    """

    def __init__(
        self,
        *,
        phone_address: bytes,
        computer_address: bytes,
        packet_bytes: int,
        send_packet: Callable[[bytes], None],
        listener: Callable[[int], Handler | None],
    ) -> None:
        self.segment_bytes = packet_bytes - IP_HEADER_BYTES - TCP_HEADER_BYTES
        self._addresses = (phone_address, computer_address)
        self._send_packet = send_packet
        self._listener = listener
        self._connections: dict[tuple[int, int], TcpConnection] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def receive(self, segment: Segment) -> None:
        """Take a segment from the computer."""
        key = (segment.source_port, segment.target_port)
        connection = self._connections.get(key)
        if connection is not None:
            connection.take(segment)
        elif segment.flags & Flag.RESET:
            return
        elif segment.flags & Flag.SYNCHRONIZE:
            self._accept(key, segment)
        else:
            self._refuse(segment)

    def transmit(self, segment: Segment) -> None:
        """Send a segment to the computer; nobody hears of it if the tunnel is gone."""
        try:
            self._send_packet(encode_packet(*self._addresses, segment))
        except StreamClosedError:
            self._closed.set()

    def forget(self, connection: TcpConnection) -> None:
        """Drop a connection that has ended."""
        with self._lock:
            if self._connections.get(connection.key) is connection:
                del self._connections[connection.key]

    def close(self) -> None:
        """End every connection at once: the tunnel is gone."""
        self._closed.set()
        for connection in tuple(self._connections.values()):
            connection.fail()

    def _accept(self, key: tuple[int, int], segment: Segment) -> None:
        handler = self._listener(segment.target_port)
        if handler is None or len(self._connections) >= _MOST_CONNECTIONS:
            self._refuse(segment)
            return
        connection = TcpConnection(self, key, segment)
        with self._lock:
            self._connections[key] = connection
        connection.open()
        threading.Thread(target=self._serve, args=(handler, connection), daemon=True).start()

    def _serve(self, handler: Handler, connection: TcpConnection) -> None:
        try:
            handler(connection)
        finally:
            connection.close()

    def _refuse(self, segment: Segment) -> None:
        length = len(segment.data) + bool(segment.flags & (Flag.SYNCHRONIZE | Flag.FINISH))
        self.transmit(
            Segment(
                source_port=segment.target_port,
                target_port=segment.source_port,
                sequence=segment.acknowledged,
                acknowledged=(segment.sequence + length) % SEQUENCE_CYCLE,
                flags=Flag.RESET | Flag.ACKNOWLEDGE,
                window=0,
            )
        )

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_S):
            for connection in tuple(self._connections.values()):
                connection.tick()
