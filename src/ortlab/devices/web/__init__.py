"""Browsers: a page carries out the blocks; `worker`, in a process of its own, is the only
importer of Playwright."""

from __future__ import annotations

from ortlab.devices.web.by_hand import ShownOptions, ShownWebDevice
from ortlab.devices.web.device import DEVICE_ID, WebDevice, WebOptions
from ortlab.devices.web.opening import attached_browser, missing_for_browser, open_web

__all__ = [
    "DEVICE_ID",
    "ShownOptions",
    "ShownWebDevice",
    "WebDevice",
    "WebOptions",
    "attached_browser",
    "missing_for_browser",
    "open_web",
]
