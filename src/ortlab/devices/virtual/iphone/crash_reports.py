"""Reports of processes that crashed or were ended by the system, in the form of iOS.

A report is one line of JSON that tells what it is of, and a JSON object with the rest. Sources:
Apple's "Interpreting the JSON format of a crash report" and "Identifying high-memory use with
jetsam event reports". What no process of Linux has, such as images and frames, is left empty.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any, Final

from ortlab.devices.virtual.iphone.faults import CrashKind
from ortlab.devices.virtual.iphone.processes import ProcessDeath
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.streams import Stream

CRASH_BUG_TYPE: Final = "309"
JETSAM_BUG_TYPE: Final = "298"

_PAGE_BYTES: Final = 16_384
_IOS_PLATFORM: Final = 2
_PING: Final = b"ping\0"
_EXCEPTIONS: Final = {
    signal.SIGSEGV: ("EXC_BAD_ACCESS", "KERN_INVALID_ADDRESS at 0x0000000000000000"),
    signal.SIGBUS: ("EXC_BAD_ACCESS", "KERN_PROTECTION_FAILURE at 0x0000000000000000"),
    signal.SIGABRT: ("EXC_CRASH", ""),
    signal.SIGILL: ("EXC_BAD_INSTRUCTION", ""),
    signal.SIGTRAP: ("EXC_BREAKPOINT", ""),
    signal.SIGFPE: ("EXC_ARITHMETIC", ""),
}
_DARWIN_NUMBERS: Final = {signal.SIGBUS: 10}
"""Signals whose number on iOS is another than on Linux."""


class CrashReports:
    """The reports on a phone.

    Args:
        directory: Of this machine.
        spec: The phone's.
    """

    def __init__(self, directory: Path, spec: VirtualIPhoneSpec) -> None:
        self.directory = directory
        self._spec = spec
        self._count = itertools.count()
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, death: ProcessDeath) -> Path:
        """Write of a process that died; return the report's file."""
        now = dt.datetime.now(dt.UTC)
        jetsam = death.kind is CrashKind.JETSAM
        name = "JetsamEvent" if jetsam else death.process.app.name
        body = self._jetsam(death) if jetsam else self._crash(death, now)
        head = self._head(death, now, jetsam=jetsam)
        text = json.dumps(head) + "\n" + json.dumps(body, indent=2) + "\n"
        number = next(self._count)
        suffix = f"-{number:03}" if number else ""
        path = self.directory / f"{name}-{now:%Y-%m-%d-%H%M%S}{suffix}.ips"
        staged = path.with_suffix(".part")
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, path)  # noqa: PTH105
        return path

    def serve_mover(self, stream: Stream) -> None:
        """`com.apple.crashreportmover`: says that all reports are where they can be copied."""
        stream.send(_PING)

    def _head(self, death: ProcessDeath, now: dt.datetime, *, jetsam: bool) -> dict[str, Any]:
        app = death.process.app
        head: dict[str, Any] = {
            "bug_type": JETSAM_BUG_TYPE if jetsam else CRASH_BUG_TYPE,
            "timestamp": f"{now:%Y-%m-%d %H:%M:%S.00 +0000}",
            "os_version": f"iPhone OS {self._spec.ios_version} ({self._spec.build_version})",
            "roots_installed": 0,
            "incident_id": str(uuid.uuid4()).upper(),
        }
        if not jetsam:
            head |= {
                "app_name": app.name,
                "name": app.name,
                "app_version": app.version,
                "build_version": app.version,
                "bundleID": app.bundle_id,
                "platform": _IOS_PLATFORM,
                "share_with_app_devs": 0,
                "is_first_party": 0,
                "slice_uuid": str(uuid.UUID(int=0)),
            }
        return head

    def _crash(self, death: ProcessDeath, now: dt.datetime) -> dict[str, Any]:
        app, number = death.process.app, signal.Signals(death.signal)
        kind, subtype = _EXCEPTIONS.get(number, ("EXC_CRASH", ""))
        exception: dict[str, Any] = {
            "type": kind,
            "signal": number.name,
            "codes": "0x0000000000000001, 0x0000000000000000",
        }
        if subtype:
            exception["subtype"] = subtype
        namespace = "RESOURCE" if death.kind is CrashKind.THERMAL else "SIGNAL"
        code = _DARWIN_NUMBERS.get(number, int(number))
        words = signal.strsignal(number) or number.name
        if death.kind is CrashKind.THERMAL:
            words = "the device is too hot"
        started = dt.datetime.fromtimestamp(death.process.started_at_s, dt.UTC)
        return {
            "pid": death.process.pid,
            "procName": app.name,
            "procPath": f"/private/var/containers/Bundle/Application/{app.bundle_id}/{app.name}",
            "bundleInfo": {
                "CFBundleIdentifier": app.bundle_id,
                "CFBundleShortVersionString": app.version,
            },
            "procLaunch": f"{started:%Y-%m-%d %H:%M:%S.0000 +0000}",
            "captureTime": f"{now:%Y-%m-%d %H:%M:%S.0000 +0000}",
            "modelCode": self._spec.product,
            "cpuType": "ARM-64",
            "osVersion": {
                "train": f"iPhone OS {self._spec.ios_version}",
                "build": self._spec.build_version,
                "releaseType": "User",
            },
            "exception": exception,
            "termination": {
                "namespace": namespace,
                "code": code,
                "flags": 0,
                "indicator": f"{words}: {code}",
                "byProc": "exc handler",
                "byPid": death.process.pid,
            },
            "faultingThread": 0,
            "threads": [
                {
                    "id": 1,
                    "triggered": True,
                    "frames": [],
                    "threadState": {"flavor": "ARM_THREAD_STATE64", "x": []},
                }
            ],
            "usedImages": [],
            "asi": {app.name: death.said.strip().splitlines()[-20:]},
        }

    def _jetsam(self, death: ProcessDeath) -> dict[str, Any]:
        app, memory = death.process.app, death.memory
        pages = memory.footprint // _PAGE_BYTES if memory else 0
        total_pages = self._spec.memory_bytes // _PAGE_BYTES
        entry = {
            "pid": death.process.pid,
            "name": app.name,
            "reason": "per-process-limit",
            "rpages": pages,
            "lifetimeMax": pages,
            "states": ["frontmost", "resume"],
            "uuid": str(uuid.UUID(int=0)),
        }
        return {
            "build": f"iPhone OS {self._spec.ios_version} ({self._spec.build_version})",
            "product": self._spec.product,
            "largestProcess": app.name,
            "memoryStatus": {
                "pageSize": _PAGE_BYTES,
                "memoryPages": {"active": pages, "free": max(0, total_pages - pages)},
            },
            "processes": [entry],
        }
