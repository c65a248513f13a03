"""A virtual iPhone as a device, plugged into a usbmuxd of its own that nobody else sees."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.bundle import read_bundle_info
from ortlab.devices.virtual.iphone.phone import VirtualIPhone
from ortlab.devices.virtual.iphone.runner_bundles import MINIMUM_OS, runner_bundle
from ortlab.devices.virtual.iphone.spec import KNOWN_BUILDS, VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.usbmux import VirtualUsbmux
from ortlab.devices.virtual.programs import BenchmarkProgram, default_ios_program
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import StorageError, UsageError

if TYPE_CHECKING:
    from ortlab.devices.ios import IosDevice

IOS: Final = "virtual:ios"
ADDRESS_VARIABLE: Final = "USBMUXD_SOCKET_ADDRESS"

_NEWEST: Final = "26.1"
_VERSION: Final = re.compile(r"[1-9]\d(\.\d{1,2}){0,2}", re.ASCII)


def open_virtual_iphone(
    device_id: str,
    *,
    app: BuiltApp | None = None,
    say: Callable[[str], None] = lambda _: None,
    program: BenchmarkProgram | None = None,
) -> IosDevice:
    """Start a virtual iPhone and open it as a real one; closing the device ends all of it.

    Args:
        device_id: ``virtual:ios``, or with a version such as ``virtual:ios:16.7``.
        app: Benchmark app that it runs; a bundle with the runner if None.
        say: Told what runs on the phone, and what a phone says.
        program: What its app runs; the best of this machine if None.

    Raises:
        UsageError: There is no virtual device of this name.
        ToolchainError: The extra ``ios`` is not installed.
        DeviceError: The phone does not start.
        StorageError: There is no room for it.
    """
    spec = _spec(device_id)
    from ortlab.devices.ios import open_ios

    program = program or default_ios_program()
    say(
        f"{device_id} is a virtual iPhone of iOS {spec.ios_version}; "
        f"its benchmark is the {program.language} program, here"
    )
    with contextlib.ExitStack() as opened:
        directory = Path(tempfile.mkdtemp(prefix="ortlab-virtual-"))
        opened.callback(shutil.rmtree, directory, ignore_errors=True)
        mux = opened.enter_context(VirtualUsbmux())
        opened.enter_context(VirtualIPhone(spec, program=program, mux=mux))
        device = open_ios(
            spec.udid,
            app=app or runner_app(directory, program),
            state_directory=directory / "state",  # gone with the phone: nothing is to be undone
            say=say,
            environment=worker_environment(mux, directory / "home"),
            device_id=device_id,
        )
        device.on_close(opened.pop_all().close)
    return device


def worker_environment(mux: VirtualUsbmux, home: Path) -> dict[str, str]:
    """Return the variables with which a client knows nothing but these phones.

    Args:
        mux: Into which they are plugged.
        home: For its pair records; made here.

    Raises:
        StorageError: It cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot make {home}: {error.strerror}"
        raise StorageError(message, next_step="make room, or set TMPDIR") from error
    names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    return {ADDRESS_VARIABLE: mux.address, **dict.fromkeys(names, str(home))}


@contextlib.contextmanager
def known_to_clients(mux: VirtualUsbmux, home: Path) -> Iterator[None]:
    """Have clients that are started by this process know nothing but these phones."""
    wanted = worker_environment(mux, home)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def runner_app(directory: Path, program: BenchmarkProgram) -> BuiltApp:
    """Write an app for machines without one: the phone runs a program of this machine for it.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        path = runner_bundle(directory / "runner.ipa", program)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        message = f"cannot write the runner's bundle: {error.strerror}"
        raise StorageError(message, next_step="make room, or set TMPDIR") from error
    info = read_bundle_info(path)
    return BuiltApp(
        platform=AppPlatform.IOS,
        files=(path,),
        sha256=digest,
        application_id=info.bundle_id,
        version_code=1,
        version_name=info.version,
        abis=(),
        debuggable=True,
        size_by_part={},
        minimum_os=MINIMUM_OS,
        executable=info.executable,
    )


def _spec(device_id: str) -> VirtualIPhoneSpec:
    if device_id == IOS:
        return _phone(_NEWEST)
    version = device_id.removeprefix(IOS + ":")
    if version == device_id or not _VERSION.fullmatch(version):
        message = f"cannot open device {device_id!r}: there is no such virtual device"
        raise UsageError(message, next_step=f"--device {IOS} or --device {IOS}:16.7")
    known = [name for name in KNOWN_BUILDS if f"{name}.".startswith(f"{version}.")]
    if version.isdecimal() and not known:
        version += ".0"
    return _phone(known[-1] if known else version)


def _phone(version: str) -> VirtualIPhoneSpec:
    product = "iPhone14,5" if int(version.partition(".")[0] or 0) < 17 else "iPhone16,1"
    udid = f"00008130-{secrets.token_hex(8).upper()}"
    return VirtualIPhoneSpec(ios_version=version, product=product, udid=udid, in_every_profile=True)
