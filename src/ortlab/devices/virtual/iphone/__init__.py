"""A virtual iPhone: usbmuxd, lockdown and its services, with real files and real processes."""

from __future__ import annotations

from ortlab.devices.virtual.iphone.faults import IPhoneFaults
from ortlab.devices.virtual.iphone.phone import VirtualIPhone
from ortlab.devices.virtual.iphone.runner_bundles import runner_bundle
from ortlab.devices.virtual.iphone.session import known_to_clients, open_virtual_iphone
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.usbmux import VirtualUsbmux

__all__ = [
    "IPhoneFaults",
    "VirtualIPhone",
    "VirtualIPhoneSpec",
    "VirtualUsbmux",
    "known_to_clients",
    "open_virtual_iphone",
    "runner_bundle",
]
