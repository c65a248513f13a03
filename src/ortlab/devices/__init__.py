"""Where a block runs: adapters of :class:`ortlab.domain.Device`.

A device adapter starts the benchmark program of its platform for each block, brings files there
and back, and says of a program that left no valid answer what became of it.
"""

from __future__ import annotations

from ortlab.devices.host import HostDevice
from ortlab.devices.runtimes import interpreter_with, names_release
from ortlab.domain import Device
from ortlab.errors import UsageError
from ortlab.process import Processes, SystemProcesses

__all__ = ["HostDevice", "device_ids", "interpreter_with", "names_release", "open_device"]

HOST = "host"


def device_ids() -> tuple[str, ...]:
    """Return the ids of the devices that are there now, the host first."""
    return (HOST,)


def open_device(device_id: str, *, processes: Processes | None = None) -> Device:
    """Open a device by id; the caller closes it.

    Args:
        device_id: ``host``.
        processes: How programs are started.

    Raises:
        UsageError: There is no device of this name.
        DeviceError: The device cannot run blocks.
    """
    if device_id == HOST:
        return HostDevice(processes or SystemProcesses())
    message = f"cannot open device {device_id!r}: there is none of this name here"
    raise UsageError(message, next_step="ortlab devices")
