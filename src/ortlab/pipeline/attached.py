"""What is attached, and what is missing."""

from __future__ import annotations

import os
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
    """Return what is there, what is missing, and what installs it; each phone attached included."""
    from ortlab.devices import open_device
    from ortlab.doctor import examine
    from ortlab.errors import DeviceError

    try:
        with closing(open_device("host")) as device:
            conditions = device.conditions()
    except DeviceError:
        conditions = None
    return examine(conditions, Path.cwd(), _java_version())


def _java_version() -> str | None:
    """Return what Java says of itself, which is on standard error."""
    from ortlab.errors import ToolchainError
    from ortlab.process import Command, SystemProcesses

    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    command = Command(arguments=(program, "-version"), deadline_s=20.0)
    try:
        completed = SystemProcesses().run(command)
    except ToolchainError:
        return None
    return completed.stderr if completed.succeeded else None
