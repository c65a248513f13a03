"""iPhones over USB; `worker`, a process of its own, is the only importer of pymobiledevice3."""

from __future__ import annotations

from ortlab.devices.ios.device import IosDevice, IosOptions
from ortlab.devices.ios.opening import (
    AttachedIphone,
    attached_iphones,
    iphone_findings,
    listed_iphones,
    look_at_iphone,
    open_ios,
)
from ortlab.devices.readiness import Limits, PhoneFinding, Readiness

__all__ = [
    "AttachedIphone",
    "IosDevice",
    "IosOptions",
    "Limits",
    "PhoneFinding",
    "Readiness",
    "attached_iphones",
    "iphone_findings",
    "listed_iphones",
    "look_at_iphone",
    "open_ios",
]
