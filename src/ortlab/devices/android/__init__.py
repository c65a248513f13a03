"""Android phones over adb; the only importer of adbutils."""

from __future__ import annotations

from ortlab.devices.android.device import AndroidDevice, AndroidOptions
from ortlab.devices.android.opening import (
    attached_phones,
    connect_again,
    look_at_phone,
    open_android,
    phone_findings,
)
from ortlab.devices.readiness import Limits, PhoneFinding, Readiness

__all__ = [
    "AndroidDevice",
    "AndroidOptions",
    "Limits",
    "PhoneFinding",
    "Readiness",
    "attached_phones",
    "connect_again",
    "look_at_phone",
    "open_android",
    "phone_findings",
]
