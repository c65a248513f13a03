"""Phones that are programs: the real protocol, real files, and the benchmark as a real process.

Real adb connects to them over loopback. What they prove is the code on this side of the cable, not
how a vendor's phone behaves; every result from one is marked ``virtual`` and supports no verdict.
"""

from __future__ import annotations

from ortlab.devices.virtual.phone import VirtualAndroidPhone
from ortlab.devices.virtual.programs import (
    BenchmarkProgram,
    KotlinCore,
    PythonRunner,
    SleepingProgram,
    default_program,
)
from ortlab.devices.virtual.runner_packages import runner_package
from ortlab.devices.virtual.session import open_virtual
from ortlab.devices.virtual.spec import VirtualPhoneSpec

__all__ = [
    "BenchmarkProgram",
    "KotlinCore",
    "PythonRunner",
    "SleepingProgram",
    "VirtualAndroidPhone",
    "VirtualPhoneSpec",
    "default_program",
    "open_virtual",
    "runner_package",
]
