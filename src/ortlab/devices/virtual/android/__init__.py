"""The phone's side of adb, and an Android system behind it."""

from __future__ import annotations

from ortlab.devices.virtual.android.phone import VirtualAndroidPhone
from ortlab.devices.virtual.android.runner_packages import runner_package
from ortlab.devices.virtual.android.session import open_virtual
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec

__all__ = ["VirtualAndroidPhone", "VirtualPhoneSpec", "open_virtual", "runner_package"]
