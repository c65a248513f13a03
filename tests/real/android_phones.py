"""Virtual phones behind an adb server of their own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from adb_server import adb_programs, own_adb
from ortlab.devices.android import AndroidDevice, AndroidOptions, Limits
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.virtual import (
    BenchmarkProgram,
    PythonRunner,
    VirtualAndroidPhone,
    VirtualPhoneSpec,
    runner_package,
)
from ortlab.devices.virtual.android.faults import Faults
from ortlab.domain import AppPlatform, BuiltApp

APP_ID = "com.example.reader.bench"
QUICK = AndroidOptions(limits=Limits(cool_down_s=2.0, poll_s=0.1))


@contextlib.contextmanager
def adb_server() -> Iterator[AdbServer]:
    """Run an adb server of our own: nobody else's phones, keys or port."""
    with own_adb(next(iter(adb_programs().values()))) as adb:
        yield adb.server


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


# ------------------------------------------------------------------------------ for benchmarks


def _play(spec: VirtualPhoneSpec, program: BenchmarkProgram, pipe: Connection) -> None:
    with VirtualAndroidPhone(spec, program=program) as phone:
        pipe.send(phone.address)
        pipe.recv()


@contextlib.contextmanager
def phone_process(program: BenchmarkProgram, spec: VirtualPhoneSpec | None = None) -> Iterator[str]:
    """Run a phone in a process of its own and return its address."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    arguments = (spec or VirtualPhoneSpec(), program, theirs)
    process = context.Process(target=_play, args=arguments)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join()


@contextlib.contextmanager
def open_phone(server: AdbServer, address: str, directory: Path) -> Iterator[AndroidDevice]:
    """Connect to a phone of another process and open it as a device."""
    directory.mkdir(parents=True, exist_ok=True)
    phone = server.phone(server.connect(address, deadline_s=20))
    device = AndroidDevice(phone, bench_app(directory), directory / "state", options=QUICK)
    with contextlib.closing(device):
        yield device
