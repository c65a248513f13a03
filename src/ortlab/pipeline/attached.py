"""What is attached, and what is missing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortlab.doctor import Finding
    from ortlab.domain import DeviceInfo


def devices() -> tuple[DeviceInfo, ...]:
    """Return the devices that are attached and ready."""
    from ortlab.devices import device_ids, open_device

    found = []
    for device_id in device_ids():
        with closing(open_device(device_id)) as device:
            found.append(device.info)
    return tuple(found)


def doctor() -> tuple[Finding, ...]:
    """Return what is there, what is missing, and what installs it."""
    from ortlab.devices import open_device
    from ortlab.doctor import examine
    from ortlab.errors import DeviceError

    try:
        with closing(open_device("host")) as device:
            conditions = device.conditions()
    except DeviceError:
        conditions = None
    return examine(conditions, Path.cwd())
