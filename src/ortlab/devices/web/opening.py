"""Opening a browser as a device, by what a user names it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from ortlab.devices.host import HostDevice
from ortlab.devices.web.bench_page import bench_page, build_for, page_of
from ortlab.devices.web.browsers import INSTALL, chromium, find_chromium
from ortlab.devices.web.by_hand import ShownOptions, ShownWebDevice
from ortlab.devices.web.device import DEVICE_ID, WebDevice
from ortlab.domain import BuiltApp
from ortlab.errors import UsageError
from ortlab.process import Processes

NAMES: Final = ("web", DEVICE_ID)

_SHOWN: Final = re.compile(r"web:url-shown(?::(\d{1,5}))?", re.IGNORECASE)


def open_web(
    device_id: str,
    *,
    app: BuiltApp | None,
    cache: Path,
    processes: Processes,
    providers: Collection[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> WebDevice | ShownWebDevice:
    """Open a browser; the caller closes it.

    Args:
        device_id: ``web`` or ``web:chromium`` for the Chromium of this machine; ``web:url-shown``,
            with or without a port behind another colon, for one that a person opens.
        app: Built app whose bench page is used; the template's if None.
        cache: Where the template's page is kept.
        processes: How programs are started.
        providers: That blocks will ask for, by ORT's names; the template's page is built for them.
        say: Told what is built, and what a person is to do.

    Raises:
        UsageError: There is no such browser, or the app has no bench page.
        DeviceError: There is no Chromium, or the port is taken.
        ToolchainError: Playwright is missing, or the page cannot be built.
        StorageError: The cache cannot be written.
    """
    shown = _SHOWN.fullmatch(device_id)
    if shown is None and device_id not in NAMES:
        message = f"cannot open {device_id}: no browser is called so"
        raise UsageError(message, next_step=f"--device {DEVICE_ID}, or --device web:url-shown")
    found = chromium() if shown is None else None
    if app is not None:
        page = page_of(app)
    else:
        page = bench_page(cache, processes=processes, say=say, build=build_for(providers))
    if found is None:
        port = int(shown[1] or 0) if shown is not None else 0
        return ShownWebDevice(page, say=say, options=ShownOptions(port=port))
    return WebDevice(found, page, processes=processes, host=HostDevice(processes))


def attached_browser() -> str | None:
    """Return the program of the browser that is there to run blocks, or None."""
    return find_chromium()


def missing_for_browser(*, with_page: bool) -> tuple[str, str] | None:
    """Return what keeps a browser from running blocks and what helps; None where nothing does.

    Args:
        with_page: Whether a built page is at hand, so that Node.js is not needed.
    """
    import importlib.util

    if importlib.util.find_spec("playwright") is None:
        return "Playwright for Python is not installed", "pip install 'ortlab[web]'"
    if find_chromium() is None:
        return "Chromium is not installed", INSTALL
    if not with_page and shutil.which("npm") is None:
        return "Node.js, which builds the bench page, is not installed", "install Node.js 18"
    return None
