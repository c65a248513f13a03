"""What listens inside a tunnel: service discovery, and the services that it names.

Services that lockdown starts over the cable are here, too, each under a name that ends in
``.shim.remote``; they are told first that the computer checks in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ortlab.devices.virtual.fault_script import Faults
from ortlab.devices.virtual.iphone.app_service import (
    APP_SERVICE,
    OUTPUT_SERVICE,
    AppService,
    AppServicePhone,
    OutputSockets,
)
from ortlab.devices.virtual.iphone.faults import DeviceLocked, ServiceRefused
from ortlab.devices.virtual.iphone.instruments import INSTRUMENTS_HUB, serve_instruments
from ortlab.devices.virtual.iphone.remote_xpc import RemoteXpc
from ortlab.devices.virtual.iphone.services import Service
from ortlab.devices.virtual.iphone.streams import (
    Handler,
    ProtocolError,
    Stream,
    receive_plist,
    send_plist,
)
from ortlab.devices.virtual.iphone.xpc_objects import Unsigned

DISCOVERY: Final = "com.apple.remoted"
"""Under which the fault script knows service discovery itself."""

TRUSTED_LOCKDOWN: Final = "com.apple.mobile.lockdown.remote.trusted"

_ABSENT: Final = "InvalidService"
_SHIM: Final = ".shim.remote"
_DISCOVERY_PORT: Final = 58_783
_FIRST_PORT: Final = 49_152
_PROTOCOL_VERSION: Final = 7
_VERSION_FLAGS: Final = 0x0100000000000006
_ENTITLEMENT: Final = "com.apple.private.CoreDevice.canInstallCustomerContent"


class DiscoveryPhone(AppServicePhone, Protocol):
    """What service discovery needs of the phone."""

    services: dict[str, Service]

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        ...

    @property
    def developer_ready(self) -> bool:
        """Whether the services for developers exist."""
        ...

    def serve(self, name: str, stream: Stream, handler: Handler | None = None) -> None:
        """Serve a connection until its end."""
        ...

    def serve_trusted_lockdown(self, stream: Stream) -> None:
        """Serve lockdown to a computer that came through a tunnel."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A service that is named to computers."""

    port: int
    handler: Handler
    needs_image: bool = False
    properties: Mapping[str, Any]


class ServiceDiscovery:
    """The ports of one tunnel; see :class:`ortlab.devices.virtual.iphone.tunnel.TunnelPorts`.

    Args:
        phone: The phone.
    """

    def __init__(self, phone: DiscoveryPhone) -> None:
        self._phone = phone
        self._identifier = uuid.uuid4()
        self._listed: dict[str, _Listed] = {}
        sockets = OutputSockets()
        self._add(TRUSTED_LOCKDOWN, self._checked_in(TRUSTED_LOCKDOWN, self._lockdown))
        for name, service in phone.services.items():
            if service.in_tunnel:
                shim = self._checked_in(name + _SHIM, service.handler)
                self._add(name + _SHIM, shim, needs_image=service.needs_image)
        self._add(INSTRUMENTS_HUB, lambda s: serve_instruments(phone, s), needs_image=True)
        self._add(OUTPUT_SERVICE, sockets.serve, needs_image=True)
        self._add(
            APP_SERVICE,
            lambda s: AppService(phone, sockets, RemoteXpc(s)).serve(),
            needs_image=True,
            properties={"UsesRemoteXPC": True, "Features": list(AppService.features(phone.spec))},
        )

    @property
    def discovery_port(self) -> int:
        """On which services are found."""
        return _DISCOVERY_PORT

    def listener(self, port: int) -> Handler | None:
        """Return what serves a port, or None."""
        phone = self._phone
        if port == _DISCOVERY_PORT:
            return lambda stream: phone.serve(DISCOVERY, stream, self._discover)
        for name, service in self._present().items():
            if service.port == port:
                return _bound(phone, name, service.handler)
        return None

    def _add(
        self,
        name: str,
        handler: Handler,
        *,
        needs_image: bool = False,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        self._listed[name] = _Listed(
            port=_FIRST_PORT + len(self._listed),
            handler=handler,
            needs_image=needs_image,
            properties=properties or {},
        )

    def _present(self) -> dict[str, _Listed]:
        ready = self._phone.developer_ready
        return {n: s for n, s in self._listed.items() if ready or not s.needs_image}

    def _discover(self, stream: Stream) -> None:
        connection = RemoteXpc(stream)
        for message in connection.messages():
            payload = message.payload or {}
            kind = payload.get("MessageType")
            if kind == "Handshake":
                self._phone.note("discovery", "handshake")
                connection.send(self._handshake())
            elif payload:
                self._phone.note("unmodelled", f"discovery {kind}")

    def _handshake(self) -> dict[str, Any]:
        spec = self._phone.spec
        services = {
            name: {
                "Entitlement": _ENTITLEMENT,
                "Port": str(service.port),
                "Properties": dict(service.properties),
            }
            for name, service in self._present().items()
            if not self._withheld(name)
        }
        return {
            "MessageType": "Handshake",
            "MessagingProtocolVersion": Unsigned(_PROTOCOL_VERSION),
            "UUID": self._identifier,
            "Services": services,
            "Properties": {
                "BuildVersion": spec.build_version,
                "DeviceClass": "iPhone",
                "HWModel": spec.board,
                "OSVersion": spec.ios_version,
                "OrtlabVirtual": True,
                "ProductName": "iPhone OS",
                "ProductType": spec.product,
                "RemoteXPCVersionFlags": Unsigned(_VERSION_FLAGS),
                "UniqueChipID": Unsigned(spec.unique_chip_id),
                "UniqueDeviceID": spec.udid,
            },
        }

    def _lockdown(self, stream: Stream) -> None:
        self._phone.serve_trusted_lockdown(stream)

    def _checked_in(self, name: str, handler: Handler) -> Handler:
        def serve(stream: Stream) -> None:
            request = receive_plist(stream)
            if request.get("Request") != "RSDCheckin":
                message = f"{request.get('Request')} before checking in"
                raise ProtocolError(message)
            send_plist(stream, {"Request": "RSDCheckin"})
            error = self._refusal(name)
            if error is not None:
                send_plist(stream, {"Request": "StartService", "Error": error})
                return
            send_plist(stream, {"Request": "StartService"})
            handler(stream)

        return serve

    def _withheld(self, name: str) -> bool:
        """Return whether a fault has a service not be there at all."""
        refused = self._phone.faults.find(ServiceRefused, service=name)
        return bool(refused and refused.error == _ABSENT and self._phone.faults.spend(refused))

    def _refusal(self, name: str) -> str | None:
        faults = self._phone.faults
        locked = faults.find(DeviceLocked)
        if locked is not None and locked.since_start:
            return "PasswordProtected"
        refused = faults.find(ServiceRefused, service=name)
        if refused is None or refused.error == _ABSENT or not faults.spend(refused):
            return None  # one that is absent was not named
        return refused.error


def _bound(phone: DiscoveryPhone, name: str, handler: Handler) -> Callable[[Stream], None]:
    return lambda stream: phone.serve(name, stream, handler)
