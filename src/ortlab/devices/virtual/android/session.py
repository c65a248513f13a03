"""A virtual phone as a device, with an adb server of its own that nobody else sees."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from ortlab.devices.android import AndroidDevice, AndroidOptions
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.android.adb_program import find as find_adb
from ortlab.devices.virtual.android.phone import VirtualAndroidPhone
from ortlab.devices.virtual.android.runner_packages import runner_package
from ortlab.devices.virtual.android.spec import VirtualPhoneSpec
from ortlab.devices.virtual.programs import BenchmarkProgram, default_program, guarded
from ortlab.domain import AppPlatform, BuiltApp, DeviceInfo
from ortlab.errors import StorageError, ToolchainError, UsageError

ANDROID: Final = "virtual:android"
RUNNER_APPLICATION: Final = "dev.ortlab.runner.bench"

_LOOPBACK: Final = "127.0.0.1"
_CONNECT_DEADLINE_S: Final = 30.0
_SERVER_DEADLINE_S: Final = 30.0
_LOOK_PERIOD_S: Final = 0.01


def open_virtual(
    device_id: str,
    *,
    app: BuiltApp | None = None,
    say: Callable[[str], None] = lambda _: None,
    program: BenchmarkProgram | None = None,
    options: AndroidOptions | None = None,
) -> AndroidDevice:
    """Start a virtual phone and open it over real adb; closing the device ends all of it.

    Args:
        device_id: ``virtual:android``, or with an API level such as ``virtual:android:30``.
        app: Benchmark app that it runs; a package of the runner if None.
        say: Told what runs on the phone, and what a phone says.
        program: What its app runs; the best of this machine if None.
        options: As for every phone.

    Raises:
        UsageError: There is no virtual device of this name.
        ToolchainError: There is no adb, or its server does not start.
        DeviceError: The phone does not start.
        StorageError: There is no room for it.
    """
    spec = _spec(device_id)
    program = program or default_program()
    say(f"{device_id} is a virtual phone; its benchmark is the {program.language} program, here")
    with contextlib.ExitStack() as opened:
        directory = Path(tempfile.mkdtemp(prefix="ortlab-virtual-"))
        opened.callback(shutil.rmtree, directory, ignore_errors=True)
        phone = opened.enter_context(VirtualAndroidPhone(spec, program=program))
        server = opened.enter_context(_OwnAdbServer(directory, phone))
        serial = server.adb.connect(phone.address, deadline_s=_CONNECT_DEADLINE_S)
        device = _VirtualDevice(
            device_id,
            server.adb,
            serial,
            app or _runner_app(directory),
            directory / "state",  # the phone is gone with this process, so nothing is to be undone
            say=say,
            options=options,
        )
        device.owns = opened.pop_all()
    return device


def _spec(device_id: str) -> VirtualPhoneSpec:
    if device_id == ANDROID:
        return VirtualPhoneSpec()
    level = device_id.removeprefix(ANDROID + ":")
    if level == device_id or not (level.isascii() and level.isdecimal() and len(level) < 4):
        message = f"cannot open device {device_id!r}: there is no such virtual device"
        raise UsageError(message, next_step=f"--device {ANDROID} or --device {ANDROID}:30")
    return VirtualPhoneSpec(api_level=int(level))


def _runner_app(directory: Path) -> BuiltApp:
    """Return an app for machines without one: the phone runs its program for it."""
    try:
        path = runner_package(directory / "runner.apk", RUNNER_APPLICATION)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        message = f"cannot write the runner's package: {error.strerror}"
        raise StorageError(message, next_step="make room, or set TMPDIR") from error
    return BuiltApp(
        platform=AppPlatform.ANDROID,
        files=(path,),
        sha256=digest,
        application_id=RUNNER_APPLICATION,
        version_code=1,
        version_name="1",
        abis=(),
        debuggable=False,
        size_by_part={},
    )


class _VirtualDevice(AndroidDevice):
    """A phone of ours: its id is what the user typed, so that a run finds it again."""

    def __init__(
        self,
        device_id: str,
        server: AdbServer,
        serial: str,
        app: BuiltApp,
        state_directory: Path,
        *,
        say: Callable[[str], None],
        options: AndroidOptions | None,
    ) -> None:
        super().__init__(server.phone(serial), app, state_directory, say=say, options=options)
        self._device_id = device_id
        self.owns = contextlib.ExitStack()

    @cached_property
    def info(self) -> DeviceInfo:
        return replace(super().info, device_id=self._device_id)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.owns.close()


class _OwnAdbServer:
    """An adb server on a port of its own, with keys and files of its own.

    It runs in the foreground, so that its process is known and can be ended.

    Args:
        directory: Its home.
        phone: On whose thread it is started, as it must not outlive the phone.
    """

    def __init__(self, directory: Path, phone: VirtualAndroidPhone) -> None:
        self._home = directory / "adb"
        self._phone = phone
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _OwnAdbServer:
        program = find_adb()
        try:
            self._home.mkdir()
            with socket.create_server((_LOOPBACK, 0)) as listener:
                port = listener.getsockname()[1]
            with (self._home / "log.txt").open("wb") as log:
                self._process = self._phone.call(lambda: _start(program, port, self._home, log))
        except OSError as error:
            message = f"cannot start an adb server for the virtual phone: {error}"
            raise ToolchainError(message, next_step="ortlab doctor") from error
        self.adb = AdbServer(_LOOPBACK, port, adb=program)
        try:
            self._await(port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _await(self, port: int) -> None:
        """Return when it answers.

        Raises:
            ToolchainError: It ended, or does not answer.
        """
        deadline = time.monotonic() + _SERVER_DEADLINE_S
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with (
                contextlib.suppress(OSError),
                socket.create_connection((_LOOPBACK, port), timeout=1),
            ):
                return
            time.sleep(_LOOK_PERIOD_S)
        said = (self._home / "log.txt").read_text(errors="replace").strip()[-500:]
        message = f"cannot start an adb server for the virtual phone: {said or 'it says nothing'}"
        raise ToolchainError(message, next_step="adb version")


def _start(program: Path, port: int, home: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = guarded((str(program), "-P", str(port), "nodaemon", "server"))
    own = {
        "ADB_LIBUSB": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
        "ADB_MDNS": "0",
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(home),
        "TMPDIR": str(home),
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ADB_")}
    return subprocess.Popen(
        command,
        env={**kept, **own},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
