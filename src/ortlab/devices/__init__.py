"""Where blocks run. A platform is one module behind `domain.Device`."""

from __future__ import annotations

from ortlab.devices.host import HostDevice
from ortlab.domain import Device
from ortlab.errors import DeviceError

__all__ = ["HostDevice", "device_ids", "open_device"]

HOST = "host"


def device_ids() -> tuple[str, ...]:
    """Return the ids of the devices that are attached."""
    return (HOST,)


def open_device(device_id: str) -> Device:
    """Return a device, ready to run blocks; close it when done.

    Raises:
        DeviceError: There is none with this id, or it is not ready.
    """
    if device_id == HOST:
        return HostDevice()
    message = f"cannot use device {device_id!r}: it is not attached; there is {HOST!r}"
    raise DeviceError(message, next_step="ortlab devices")
