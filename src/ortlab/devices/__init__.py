"""Where a block runs: adapters of :class:`ortlab.domain.Device`.

A device adapter starts the benchmark program of its platform for each block, brings files there
and back, and says of a program that left no valid answer what became of it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.devices.host import HostDevice
from ortlab.devices.runtimes import interpreter_with, names_release
from ortlab.domain import BuiltApp, Device, DeviceKind
from ortlab.errors import UsageError
from ortlab.process import Processes, SystemProcesses

if TYPE_CHECKING:
    from ortlab.devices.android import AndroidDevice
    from ortlab.devices.ios import IosDevice
    from ortlab.devices.web import ShownWebDevice, WebDevice

__all__ = [
    "HostDevice",
    "device_ids",
    "interpreter_with",
    "is_virtual",
    "kind_of",
    "names_release",
    "open_device",
    "open_browser",
    "open_phone",
    "runs_here",
]

HOST = "host"
VIRTUAL = "virtual"
WEB = "web"

_UDID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}|[0-9A-Fa-f]{40}")


def device_ids() -> tuple[str, ...]:
    """Return the ids of the devices that are there now, the host first."""
    return (HOST,)


def kind_of(device_id: str) -> DeviceKind:
    """Return the platform of a device, as far as its id tells; it need not be there."""
    if device_id == HOST:
        return DeviceKind.HOST
    family, _, rest = device_id.partition(":")
    if family == WEB:
        return DeviceKind.WEB
    if family == VIRTUAL:
        is_ios = rest.partition(":")[0] == DeviceKind.IOS
    else:
        is_ios = _UDID.fullmatch(device_id) is not None
    return DeviceKind.IOS if is_ios else DeviceKind.ANDROID


def is_virtual(device_id: str) -> bool:
    """Whether an id names a virtual phone that is made for it."""
    return device_id.partition(":")[0] == VIRTUAL


def runs_here(device_id: str) -> bool:
    """Whether a device's blocks use this machine's processor, so that two would disturb."""
    return device_id == HOST or device_id in (WEB, f"{WEB}:chromium")


def open_device(
    device_id: str,
    *,
    processes: Processes | None = None,
    app: BuiltApp | None = None,
    state_directory: Path | None = None,
    cache_directory: Path | None = None,
    providers: Collection[str] = (),
    say: Callable[[str], None] = lambda _: None,
    by_hand: bool = False,
) -> Device:
    """Open a device by id; the caller closes it.

    Args:
        device_id: ``host``, ``virtual:android`` with or without an API level behind another
            colon, ``virtual:ios`` with or without a version, the serial of an Android phone, the
            UDID of an iPhone, ``web`` or ``web:chromium`` for this machine's Chromium, or
            ``web:url-shown`` for a browser that a person opens.
        processes: How programs are started.
        app: Benchmark app that a phone runs; needed for all but the virtual ones and browsers.
        state_directory: Where it is kept which settings of a phone were changed.
        cache_directory: Where the page that browsers run is kept.
        providers: That blocks will ask for, by ORT's names; a browser's page is built for them.
        say: Told what is waited for.
        by_hand: Whether a person opens the app, which only iPhones need.

    Raises:
        UsageError: There is no device of this name, or it needs an app.
        DeviceError: The device cannot run blocks.
    """
    if by_hand and (is_virtual(device_id) or kind_of(device_id) is not DeviceKind.IOS):
        message = f"cannot open {device_id} by hand: apps are started there, on its own"
        raise UsageError(message, next_step="--by-hand is for iPhones without Developer Mode")
    if device_id == HOST:
        return HostDevice(processes or SystemProcesses())
    if kind_of(device_id) is DeviceKind.WEB:
        return open_browser(
            device_id,
            processes=processes,
            app=app,
            cache_directory=cache_directory,
            providers=providers,
            say=say,
        )
    return open_phone(device_id, app=app, state_directory=state_directory, say=say, by_hand=by_hand)


def open_browser(
    device_id: str,
    *,
    processes: Processes | None = None,
    app: BuiltApp | None = None,
    cache_directory: Path | None = None,
    providers: Collection[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> WebDevice | ShownWebDevice:
    """Open a browser by id; see :func:`open_device`."""
    from ortlab.devices.web import open_web

    cache = cache_directory or Path(tempfile.gettempdir()) / "ortlab-cache"
    return open_web(
        device_id,
        app=app,
        cache=cache / "bench-page",
        processes=processes or SystemProcesses(),
        providers=providers,
        say=say,
    )


def open_phone(
    device_id: str,
    *,
    app: BuiltApp | None = None,
    state_directory: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    by_hand: bool = False,
) -> AndroidDevice | IosDevice:
    """Open a phone by id; see :func:`open_device`."""
    on_ios = kind_of(device_id) is DeviceKind.IOS
    if is_virtual(device_id):
        if on_ios:
            from ortlab.devices.virtual.iphone import open_virtual_iphone

            return open_virtual_iphone(device_id, app=app, say=say)
        from ortlab.devices.virtual import open_virtual

        return open_virtual(device_id, app=app, say=say)
    state = state_directory or Path(tempfile.gettempdir()) / "ortlab-state"
    if on_ios:
        from ortlab.devices.ios import IosOptions, open_ios

        options = IosOptions(by_hand=by_hand)
        return open_ios(device_id, app=app, state_directory=state, say=say, options=options)
    from ortlab.devices.android import open_android

    return open_android(device_id, app=app, state_directory=state, say=say)
