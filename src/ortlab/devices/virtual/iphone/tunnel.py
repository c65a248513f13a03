"""The tunnel over the cable of iOS 17.4 and later: packets of IPv6 in one stream.

It begins with a question and an answer in JSON, each after ``CDTunnel`` and two bytes of length;
then packets follow one another in both directions.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import struct
import threading
from typing import Any, Final, Protocol

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.faults import TunnelRefused
from ortlab.devices.virtual.iphone.streams import Handler, ProtocolError, Stream
from ortlab.devices.virtual.iphone.tcp_endpoint import TcpEndpoint
from ortlab.devices.virtual.iphone.tcp_segment import (
    IP_HEADER_BYTES,
    decode_packet,
    packet_size,
)

_MAGIC: Final = b"CDTunnel"
_HEADER: Final = struct.Struct("!8sH")
_SMALLEST_PACKET_BYTES: Final = 1280  # RFC 8200: what every link of IPv6 carries
_LARGEST_PACKET_BYTES: Final = 16_000
_NETMASK: Final = "ffff:ffff:ffff:ffff::"


class TunnelPhone(Protocol):
    """What a tunnel needs of the phone."""

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    def note(self, kind: str, text: str) -> None:
        """Record what happened."""
        ...


class TunnelPorts(Protocol):
    """What listens inside a tunnel."""

    @property
    def discovery_port(self) -> int:
        """On which services are found."""
        ...

    def listener(self, port: int) -> Handler | None:
        """Return what serves a port, or None."""
        ...


def encode_handshake(content: dict[str, Any]) -> bytes:
    """Return a question or an answer as it is sent."""
    body = json.dumps(content).encode()
    return _HEADER.pack(_MAGIC, len(body)) + body


def receive_handshake(stream: Stream) -> dict[str, Any]:
    """Return the next question or answer.

    Raises:
        StreamClosedError: The other side left.
        ProtocolError: It sent something else.
    """
    magic, size = _HEADER.unpack(stream.receive_exactly(_HEADER.size))
    if magic != _MAGIC:
        message = "a tunnel that does not begin as one"
        raise ProtocolError(message)
    try:
        content = json.loads(stream.receive_exactly(size))
    except (ValueError, RecursionError) as error:
        message = f"a tunnel that begins with no JSON: {error}"
        raise ProtocolError(message) from error
    if not isinstance(content, dict):
        message = "a tunnel that begins with no JSON object"
        raise ProtocolError(message)
    return content


def serve_tunnel(phone: TunnelPhone, stream: Stream, ports: TunnelPorts) -> None:
    """Serve a tunnel until the computer leaves; every connection inside ends with it.

    Raises:
        StreamClosedError: The computer left.
        ProtocolError: It sent something that is no tunnel.
    """
    request = receive_handshake(stream)
    refused = phone.faults.find(TunnelRefused)
    if refused is not None and refused.in_handshake and phone.faults.spend(refused):
        phone.note("fault", "tunnel refused")
        return
    asked = request.get("mtu")
    packet_bytes = asked if isinstance(asked, int) else _SMALLEST_PACKET_BYTES
    packet_bytes = max(_SMALLEST_PACKET_BYTES, min(packet_bytes, _LARGEST_PACKET_BYTES))
    phone.note("tunnel", f"packets of {packet_bytes} bytes")
    network = int.from_bytes(b"\xfd" + secrets.token_bytes(5)) << 80
    phone_address = ipaddress.IPv6Address(network + 1)
    computer_address = ipaddress.IPv6Address(network + 2)
    answer = {
        "type": "serverHandshakeResponse",
        "clientParameters": {
            "address": str(computer_address),
            "mtu": packet_bytes,
            "netmask": _NETMASK,
        },
        "serverAddress": str(phone_address),
        "serverRSDPort": ports.discovery_port,
    }
    stream.send(encode_handshake(answer))
    lock = threading.Lock()

    def send_packet(packet: bytes) -> None:
        with lock:
            stream.send(packet)

    endpoint = TcpEndpoint(
        phone_address=phone_address.packed,
        computer_address=computer_address.packed,
        packet_bytes=packet_bytes,
        send_packet=send_packet,
        listener=ports.listener,
    )
    try:
        _pass_on(stream, endpoint, phone_address.packed)
    finally:
        endpoint.close()


def _pass_on(stream: Stream, endpoint: TcpEndpoint, address: bytes) -> None:
    while True:
        header = stream.receive_exactly(IP_HEADER_BYTES)
        size = packet_size(header)
        if size is None:
            message = "something in a tunnel that is no packet of IPv6"
            raise ProtocolError(message)
        segment = decode_packet(header, stream.receive_exactly(size), address)
        if segment is not None:  # else it asks for neighbours, or is damaged
            endpoint.receive(segment)
