"""Connections to one iPhone: each opened when it is first needed, all let go of at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from ortlab.devices.ios.messages import EventKind
from ortlab.devices.ios.worker.control import control_class
from ortlab.devices.ios.worker.problems import NoTunnelError

Value = TypeVar("Value")

Tell = Callable[[EventKind, str], None]
"""Sends an event of the question at hand."""

CALL_S: Final = 20.0
"""In which a phone answers a short question."""

CONNECT_S: Final = 30.0
"""In which it opens a connection."""

LOOK_S: Final = 3.0
"""In which something on the way to it answers, or is given up without harm."""

END_S: Final = 5.0
"""In which a connection closes."""

_TUNNEL_S: Final = 30.0
_TUNNEL_FROM: Final = (17, 0)
_OWN_TUNNEL_FROM: Final = (17, 4)


class Phone:
    """Connections to one iPhone, each opened when it is first needed.

    Args:
        udid: Of the phone.
    """

    def __init__(self, udid: str) -> None:
        self.udid = udid
        self.doing = "connecting"
        self.used_at_s = 0.0
        self._lockdown: Any = None
        self._tunnel: Any = None
        self._provider: Any = None
        self._files: dict[str, Any] = {}
        self._instruments: tuple[Any, Any, Any] | None = None
        self._opened = contextlib.AsyncExitStack()

    async def within(self, seconds: float, work: Awaitable[Value], doing: str) -> Value:
        """Wait for something, not longer than so many seconds."""
        self.doing = doing
        return await asyncio.wait_for(work, seconds)

    async def is_attached(self) -> bool | None:
        """Whether usbmuxd lists the phone now; None where that cannot be told."""
        try:
            return any(item["udid"] == self.udid for item in await attached())
        except Exception:  # the question at hand has failed already; this only explains it
            return None

    async def reset(self) -> None:
        """Let go of every connection."""
        opened, self._opened = self._opened, contextlib.AsyncExitStack()
        self._lockdown = self._tunnel = self._provider = self._instruments = None
        self._files = {}
        with contextlib.suppress(Exception):
            await asyncio.wait_for(opened.aclose(), END_S)

    # -- connections ----------------------------------------------------------------------------

    async def lockdown(
        self, *, pair_s: float = 0.0, say: Callable[[str], None] | None = None
    ) -> Any:
        """Return the connection to lockdownd, trusted unless nobody is to be asked."""
        from pymobiledevice3.lockdown import create_using_usbmux

        if self._lockdown is None:
            client = await self.within(
                CONNECT_S,
                create_using_usbmux(serial=self.udid, autopair=False),
                "connecting",
            )
            self._opened.push_async_callback(client.close)
            self._lockdown = client
        client = self._lockdown
        if not client.paired and pair_s > 0:
            if say is not None:
                say("the iPhone asks whether it may trust this computer: unlock it and tap Trust")
            await self.within(pair_s + CALL_S, client.pair(timeout=pair_s), "pairing")
            if not await self.within(CALL_S, client.validate_pairing(), "pairing"):
                from pymobiledevice3.exceptions import FatalPairingError

                raise FatalPairingError
        return client

    async def trusted(self) -> Any:
        """Return the connection to lockdownd of a phone that trusts this computer."""
        from pymobiledevice3.exceptions import NotPairedError

        client = await self.lockdown()
        if not client.paired:
            raise NotPairedError
        return client

    async def files(self, bundle_id: str) -> Any:
        """Return the documents of an app, as AFC shows them."""
        from pymobiledevice3.services.house_arrest import HouseArrestService

        if bundle_id not in self._files:
            client = await self.trusted()
            service = await self.within(
                CONNECT_S,
                HouseArrestService.create(client, bundle_id, documents_only=True),
                "opening the app's documents",
            )
            self._files[bundle_id] = await self._opened.enter_async_context(service)
        return self._files[bundle_id]

    def forget_files(self, bundle_id: str) -> None:
        """Open an app's documents anew the next time, as its container may be another."""
        self._files.pop(bundle_id, None)

    async def provider(self) -> Any:
        """Return where developers' services are: lockdownd, or a tunnel from iOS 17."""
        if self._provider is not None:
            return self._provider
        client = await self.trusted()
        version = tuple(int(part) for part in client.product_version.split(".")[:2])
        if version < _TUNNEL_FROM:
            self._provider = client
        elif version < _OWN_TUNNEL_FROM:
            self._provider = await self._foreign_tunnel()
        else:
            from pymobiledevice3.remote.userspace_tunnel import UserspaceRsdTunnel

            tunnel = UserspaceRsdTunnel(
                serial=self.udid, autopair=False, remotepairing_fallback=False
            )
            self._opened.push_async_callback(tunnel.aclose)
            self._provider = await self.within(_TUNNEL_S, tunnel.aopen(), "opening the tunnel")
        return self._provider

    async def _foreign_tunnel(self) -> Any:
        from pymobiledevice3.tunneld.api import get_tunneld_device_by_udid

        found = await self.within(
            _TUNNEL_S, get_tunneld_device_by_udid(self.udid), "asking tunneld"
        )
        if found is None:
            raise NoTunnelError
        self._opened.push_async_callback(found.close)
        return found

    async def instruments(self) -> tuple[Any, Any, Any]:
        """Return Instruments, its control of processes and what tells of them."""
        if self._instruments is None:
            from pymobiledevice3.services.dvt.instruments.device_info import DeviceInfo
            from pymobiledevice3.services.dvt.instruments.dvt_provider import DvtProvider

            provider = await self.provider()
            self.doing = "opening Instruments"
            enter = self._opened.enter_async_context
            dvt = await self.within(CONNECT_S, enter(DvtProvider(provider)), self.doing)
            control = await self.within(CALL_S, enter(control_class()(dvt)), self.doing)
            info = await self.within(CALL_S, enter(DeviceInfo(dvt)), self.doing)
            self._instruments = (dvt, control, info)
        return self._instruments


async def attached() -> list[dict[str, str]]:
    """Return the phones that usbmuxd lists, each once, those with a cable alone."""
    from pymobiledevice3.usbmux import list_devices

    found = await asyncio.wait_for(list_devices(), LOOK_S)
    return [
        {"udid": device.serial, "connection": device.connection_type}
        for device in found
        if device.is_usb
    ]
