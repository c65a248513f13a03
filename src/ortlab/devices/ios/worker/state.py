"""What a phone is and how it is: its facts, what changes, its developer disk image."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from ortlab.devices.ios.messages import EventKind
from ortlab.devices.ios.worker.phone import CALL_S, Phone, Tell, Value

_FACTS: Final = (
    "BuildVersion",
    "CPUArchitecture",
    "ChipID",
    "DeviceClass",
    "DeviceName",
    "HardwareModel",
    "OrtlabVirtual",
    "PasswordProtected",
    "ProductType",
    "ProductVersion",
    "UniqueDeviceID",
)


class State:
    """Facts of the phone, and what must be so before an app is started.

    Args:
        phone: To ask.
        tell: Sends an event.
    """

    def __init__(self, phone: Phone, tell: Tell) -> None:
        self._phone = phone
        self._tell = tell

    async def connect(self, pair_s: float) -> dict[str, Any]:
        """Return what lockdownd tells of the phone; ask for trust if nobody was asked yet."""
        client = await self._phone.lockdown(
            pair_s=pair_s, say=lambda text: self._tell(EventKind.SAY, text)
        )
        values = client.all_values
        told = {name: values[name] for name in _FACTS if isinstance(values.get(name), str | int)}
        return {**told, "paired": bool(client.paired)}

    async def status(self) -> dict[str, Any]:
        """Return what changes: power, room, lock, Developer Mode, disk image."""
        phone = self._phone
        client = await phone.trusted()

        async def value(domain: str | None, key: str | None) -> Any:
            from pymobiledevice3.exceptions import LockdownError

            try:
                return await phone.within(CALL_S, client.get_value(domain, key), "asking lockdown")
            except LockdownError:  # one that is not told is not known
                return None

        battery = await value("com.apple.mobile.battery", None) or {}
        mode = None
        if int(client.product_version.split(".")[0]) >= 16:
            mode = await value("com.apple.security.mac.amfi", "DeveloperModeStatus")
        return {
            "percent": battery.get("BatteryCurrentCapacity"),
            "charging": battery.get("ExternalConnected", battery.get("BatteryIsCharging")),
            "free_bytes": await value("com.apple.disk_usage", "AmountDataAvailable"),
            "locked": await value(None, "PasswordProtected"),
            "developer_mode": mode,
            "image_mounted": await self._image_mounted(client),
            "temperature_c": await self._temperature_c(client),
        }

    async def _image_mounted(self, client: Any) -> bool | None:
        from pymobiledevice3.services.mobile_image_mounter import (
            MobileImageMounterService,
            image_type_for_device,
        )

        async def ask() -> bool:
            async with MobileImageMounterService(client) as mounter:
                return bool(await mounter.is_image_mounted(image_type_for_device(client)))

        return await self._asked(ask, "asking for the developer disk image")

    async def _temperature_c(self, client: Any) -> float | None:
        from pymobiledevice3.services.diagnostics import DiagnosticsService

        async def ask() -> float | None:
            async with DiagnosticsService(client) as diagnostics:
                told = await diagnostics.get_battery() or {}
            value = told.get("Temperature")
            return value / 100 if isinstance(value, int) and value > 0 else None

        return await self._asked(ask, "asking for the battery's temperature")

    async def _asked(self, ask: Callable[[], Awaitable[Value]], doing: str) -> Value | None:
        """Return an answer that a phone may refuse; a broken connection is not a refusal."""
        from pymobiledevice3.exceptions import ConnectionTerminatedError, PyMobileDevice3Exception

        try:
            return await self._phone.within(CALL_S, ask(), doing)
        except ConnectionTerminatedError:
            raise
        except PyMobileDevice3Exception:
            return None

    async def mount(self) -> bool:
        """Mount the developer disk image; it is downloaded where it is not on this computer."""
        from pymobiledevice3.exceptions import (
            AlreadyMountedError,
            DeveloperDiskImageNotFoundError,
            DeveloperModeIsNotEnabledError,
            PyMobileDevice3Exception,
        )
        from pymobiledevice3.services.mobile_image_mounter import auto_mount

        client = await self._phone.trusted()
        self._phone.doing = "mounting the developer disk image"
        try:
            await auto_mount(client)
        except AlreadyMountedError:
            return True
        except DeveloperModeIsNotEnabledError:
            raise
        except (PyMobileDevice3Exception, OSError, ValueError, KeyError) as error:
            if await self._phone.is_attached() is False:
                raise
            raise DeveloperDiskImageNotFoundError(str(error)) from error
        return True
