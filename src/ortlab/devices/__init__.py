"""Where a block runs: adapters of :class:`ortlab.domain.Device`.

A device adapter starts the benchmark program of its platform for each block, brings files there
and back, and says of a program that left no valid answer what became of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.devices.host import HostDevice
from ortlab.devices.runtimes import interpreter_with, names_release
from ortlab.domain import BuiltApp, Device
from ortlab.process import Processes, SystemProcesses

if TYPE_CHECKING:
    from ortlab.devices.android import AndroidDevice

__all__ = ["HostDevice", "device_ids", "interpreter_with", "names_release", "open_device"]

HOST = "host"
VIRTUAL = "virtual"


def device_ids() -> tuple[str, ...]:
    """Return the ids of the devices that are there now, the host first."""
    return (HOST,)


def open_device(
    device_id: str,
    *,
    processes: Processes | None = None,
    app: BuiltApp | None = None,
    state_directory: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Device:
    """Open a device by id; the caller closes it.

    Args:
        device_id: ``host``, ``virtual:android`` with or without an API level behind another
            colon, or the serial of a phone.
        processes: How programs are started.
        app: Benchmark app that a phone runs; needed for all but the virtual ones.
        state_directory: Where it is kept which settings of a phone were changed.
        say: Told what is waited for.

    Raises:
        UsageError: There is no device of this name, or it needs an app.
        DeviceError: The device cannot run blocks.
    """
    if device_id == HOST:
        return HostDevice(processes or SystemProcesses())
    return open_phone(device_id, app=app, state_directory=state_directory, say=say)


def open_phone(
    device_id: str,
    *,
    app: BuiltApp | None = None,
    state_directory: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> AndroidDevice:
    """Open a phone by id; see :func:`open_device`."""
    if device_id.partition(":")[0] == VIRTUAL:
        from ortlab.devices.virtual import open_virtual

        return open_virtual(device_id, app=app, say=say)
    from ortlab.devices.android import open_android

    state = state_directory or Path(tempfile.gettempdir()) / "ortlab-state"
    return open_android(device_id, app=app, state_directory=state, say=say)
