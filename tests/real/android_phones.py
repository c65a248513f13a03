"""Virtual phones behind an adb server of their own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ortlab.devices.android import AndroidDevice, AndroidOptions, Limits
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.virtual import (
    BenchmarkProgram,
    PythonRunner,
    VirtualAndroidPhone,
    VirtualPhoneSpec,
    runner_package,
)
from ortlab.devices.virtual.faults import Faults
from ortlab.domain import AppPlatform, BuiltApp

APP_ID = "com.example.reader.bench"
QUICK = AndroidOptions(limits=Limits(cool_down_s=2.0, poll_s=0.1))


@contextlib.contextmanager
def adb_server(directory: Path) -> Iterator[AdbServer]:
    """Run an adb server of our own: nobody else's phones, keys or port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    variables = {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "ADB_LIBUSB": "0",
        "ADB_MDNS": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        server = AdbServer("127.0.0.1", port)
        server.start()
    try:
        yield server
    finally:
        adb = shutil.which("adb") or str(bundled_adb())
        stop = (adb, "-P", str(port), "kill-server")
        subprocess.run(stop, capture_output=True, timeout=20, check=False)


def bundled_adb() -> Path:
    import adbutils

    return Path(adbutils.__file__).parent / "binaries" / "adb"


def bench_app(directory: Path, version_code: int = 1) -> BuiltApp:
    """Return an app of the Python runner, which virtual phones take."""
    path = runner_package(directory / f"bench-{version_code}.apk", APP_ID, version_code)
    return BuiltApp(
        platform=AppPlatform.ANDROID,
        files=(path,),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        application_id=APP_ID,
        version_code=version_code,
        version_name=str(version_code),
        abis=(),
        debuggable=False,
        size_by_part={},
    )


@contextlib.contextmanager
def connected_phone(
    server: AdbServer,
    spec: VirtualPhoneSpec | None = None,
    *,
    program: BenchmarkProgram | None = None,
    faults: Faults | None = None,
) -> Iterator[VirtualAndroidPhone]:
    """Run a phone and connect to it."""
    with VirtualAndroidPhone(
        spec or VirtualPhoneSpec(),
        program=program or PythonRunner(sys.executable),
        faults=faults or Faults(),
    ) as phone:
        server.connect(phone.address, deadline_s=20)
        try:
            yield phone
        finally:
            server.disconnect(phone.address)


@contextlib.contextmanager
def opened(
    server: AdbServer,
    phone: VirtualAndroidPhone,
    directory: Path,
    *,
    app: BuiltApp | None = None,
    options: AndroidOptions = QUICK,
    said: list[str] | None = None,
) -> Iterator[AndroidDevice]:
    """Open a phone as a device."""
    directory.mkdir(parents=True, exist_ok=True)
    device = AndroidDevice(
        server.phone(phone.serial),
        app or bench_app(directory),
        directory / "state",
        say=said.append if said is not None else lambda _: None,
        options=options,
    )
    with contextlib.closing(device):
        yield device


def setting(server: AdbServer, phone: VirtualAndroidPhone, name: str) -> str:
    """Return a global setting of a phone."""
    asked = server.phone(phone.serial)
    return asked.shell("settings", "get", "global", name, deadline_s=20).stdout.strip()


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
