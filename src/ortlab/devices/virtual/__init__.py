"""Phones that are programs: the real protocol, real files, and the benchmark as a real process.

Real adb and real clients of iPhones connect to them over loopback. What they prove is the code on
this side of the cable, not how a vendor's phone behaves; every result from one is marked
``virtual`` and supports no verdict.
"""

from __future__ import annotations

from ortlab.devices.virtual.android.phone import VirtualAndroidPhone
from ortlab.devices.virtual.android.runner_packages import runner_package
from ortlab.devices.virtual.android.session import open_virtual
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec
from ortlab.devices.virtual.programs import (
    BenchmarkProgram,
    KotlinCore,
    PythonRunner,
    SleepingProgram,
    SwiftCore,
    default_ios_program,
    default_program,
)

__all__ = [
    "BenchmarkProgram",
    "KotlinCore",
    "PythonRunner",
    "SleepingProgram",
    "SwiftCore",
    "VirtualAndroidPhone",
    "VirtualPhoneSpec",
    "default_ios_program",
    "default_program",
    "open_virtual",
    "runner_package",
]
