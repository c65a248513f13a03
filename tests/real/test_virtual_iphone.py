"""The virtual iPhone, as two clients that were written for real ones see it."""

from __future__ import annotations

import asyncio
import json
import plistlib
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from device_contract import MODEL, make_arm, make_request

import bundle_writer
from ios import swift
from ios.core import core_program
from ortlab import codec
from ortlab.devices.virtual.iphone import (
    IPhoneFaults,
    VirtualIPhone,
    VirtualIPhoneSpec,
    VirtualUsbmux,
    known_to_clients,
    open_virtual_iphone,
    runner_bundle,
)
from ortlab.devices.virtual.iphone.apps import InstallRefusedError
from ortlab.devices.virtual.iphone.faults import (
    AppDies,
    AppHangs,
    CablePulled,
    CablePulledAtStage,
    CrashKind,
    Damage,
    DeveloperModeOff,
    DeviceLocked,
    Direction,
    ExitUnreported,
    ImageMissing,
    InstallRefused,
    LaunchRefused,
    LowBattery,
    OutputLost,
    PhoneHangs,
    ResultDamaged,
    ServiceRefused,
    SlowPhone,
    StorageFull,
    TrustAnswer,
    TrustDialog,
)
from ortlab.devices.virtual.iphone.processes import LaunchRefusedError, ProcessEnd
from ortlab.devices.virtual.iphone.runner_bundles import RUNNER_BUNDLE_ID
from ortlab.devices.virtual.programs import PythonRunner, SwiftCore
from ortlab.process import Command, Completed, SystemProcesses
from ortlab.wire import BlockResult, Purpose, Stage

OLD = VirtualIPhoneSpec(ios_version="16.7.2", udid="00008110-000A1B2C3D4E5F60", name="Old one")
NEW = VirtualIPhoneSpec(
    ios_version="26.1", udid="00008130-001122334455667F", product="iPhone16,1", name="New one"
)
SPECS = [pytest.param(OLD, id="16.7"), pytest.param(NEW, id="26.1")]
DEADLINE_S = 60.0
STAGES = ("start", "load_model", "measure", "close")


def stages_script(then: str = "exit 0", *, pause_s: float = 0.05) -> str:
    """Return a program that enters stages, leaves a result, and then does something else."""
    marks = "\n".join(f"echo ORTLAB stage={s}; sleep {pause_s}" for s in STAGES)
    block = '"$HOME/Documents/ortlab/blocks/b1"'
    return (
        f'#!/bin/sh\necho "arguments: $*"\necho "given: $GIVEN"\n{marks}\n'
        f'mkdir -p {block}\necho \'{{"block_id": "b1"}}\' > {block}/result.json\n{then}\n'
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runner_bundle(tmp_path_factory.mktemp("app") / "runner.ipa", PythonRunner())


@pytest.fixture
def mux(tmp_path: Path) -> Iterator[VirtualUsbmux]:
    """A usbmuxd; programs that are started know no other, and have a home of their own."""
    with VirtualUsbmux() as running, known_to_clients(running, tmp_path / "home"):
        yield running


@pytest.fixture
def phone_of(mux: VirtualUsbmux) -> Iterator[Callable[..., VirtualIPhone]]:
    """Make phones that are plugged in until the test ends."""
    made: list[VirtualIPhone] = []

    def make(spec: VirtualIPhoneSpec = OLD, *faults: Any) -> VirtualIPhone:
        phone = VirtualIPhone(spec, program=PythonRunner(), faults=IPhoneFaults(*faults), mux=mux)
        made.append(phone.start())
        return phone

    yield make
    for phone in made:
        numbers = phone.process_numbers
        phone.stop()
        assert not [n for n in numbers if Path(f"/proc/{n}").exists()]


def said(*arguments: str, succeeds: bool = True) -> str:
    """Run a client and return what it printed."""
    done: Completed = SystemProcesses().run(Command(arguments=arguments, deadline_s=DEADLINE_S))
    assert done.succeeded is succeeds, f"{done.command.line()}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def pymobiledevice3(*arguments: str, succeeds: bool = True) -> str:
    return said(sys.executable, "-m", "pymobiledevice3", *arguments, succeeds=succeeds)


def ask(question: Coroutine[Any, Any, Any], deadline_s: float = DEADLINE_S) -> Any:
    return asyncio.run(asyncio.wait_for(question, deadline_s))


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ------------------------------------------------------------------------------ whole ways


@pytest.mark.requires("ios")
@pytest.mark.parametrize("spec", SPECS)
def test_pymobiledevice3_lists_pairs_installs_browses_pulls_and_uninstalls(
    spec: VirtualIPhoneSpec,
    phone_of: Callable[..., VirtualIPhone],
    bundle: Path,
    tmp_path: Path,
) -> None:
    phone = phone_of(spec)
    [listed] = json.loads(pymobiledevice3("--no-color", "usbmux", "list"))
    assert listed["Identifier"] == spec.udid
    assert listed["ProductVersion"] == spec.ios_version
    pymobiledevice3("lockdown", "pair", "--udid", spec.udid)
    pymobiledevice3("apps", "install", str(bundle))
    apps = json.loads(pymobiledevice3("--no-color", "apps", "list", "--type", "User"))
    assert apps[RUNNER_BUNDLE_ID]["CFBundleShortVersionString"] == "1.0"
    content = tmp_path / "content.bin"
    content.write_bytes(bytes(range(256)) * 999)
    pymobiledevice3("apps", "push", RUNNER_BUNDLE_ID, str(content), "/Documents/there.bin")
    pymobiledevice3(
        "apps", "pull", RUNNER_BUNDLE_ID, "/Documents/there.bin", str(tmp_path / "back.bin")
    )
    assert (tmp_path / "back.bin").read_bytes() == content.read_bytes()
    pymobiledevice3("apps", "uninstall", RUNNER_BUNDLE_ID)
    assert json.loads(pymobiledevice3("--no-color", "apps", "list", "--type", "User")) == {}
    assert phone.unmodelled == ()


@pytest.mark.requires("imobiledevice")
@pytest.mark.parametrize("spec", SPECS)
def test_libimobiledevice_lists_pairs_installs_browses_pulls_and_uninstalls(
    spec: VirtualIPhoneSpec,
    phone_of: Callable[..., VirtualIPhone],
    bundle: Path,
    tmp_path: Path,
) -> None:
    phone = phone_of(spec)
    assert said("idevice_id", "-l").split() == [spec.udid]
    said("idevicepair", "pair")
    assert "Validated" in said("idevicepair", "validate")
    assert said("ideviceinfo", "-k", "ProductVersion").strip() == spec.ios_version
    assert said("ideviceinfo", "-k", "OrtlabVirtual").strip() == "true"
    battery = said("ideviceinfo", "-q", "com.apple.mobile.battery")
    assert "BatteryCurrentCapacity: 87" in battery
    said("ideviceinstaller", "-i", str(bundle))
    assert RUNNER_BUNDLE_ID in said("ideviceinstaller", "-l")
    phone.faults = IPhoneFaults(AppDies())
    app = install(phone, tmp_path, stages_script())
    number = phone.processes.launch(app)
    wait_for(lambda: phone.processes.find(number) is None)
    (tmp_path / "reports").mkdir()
    said("idevicecrashreport", "-e", "-k", str(tmp_path / "reports"))
    [report] = (tmp_path / "reports").rglob("*.ips")
    assert json.loads(report.read_text().split("\n")[0])["bundleID"] == app
    assert "GasGauge" in said("idevicediagnostics", "diagnostics", "GasGauge")
    mounted = said(
        "ideviceimagemounter", "-l", "-t", "Personalized" if spec is NEW else "Developer"
    )
    assert "ImagePresent: true" in mounted
    said("ideviceinstaller", "-U", RUNNER_BUNDLE_ID)
    assert RUNNER_BUNDLE_ID not in said("ideviceinstaller", "-l")
    assert phone.unmodelled == ()


# ------------------------------------------------------------------------------ usbmuxd


@pytest.mark.requires("ios")
def test_usbmuxd_tells_of_phones_that_come_and_go(
    phone_of: Callable[..., VirtualIPhone], mux: VirtualUsbmux
) -> None:
    from pymobiledevice3.usbmux import list_devices

    def listed() -> set[str]:
        return {device.serial for device in ask(list_devices())}

    old, new = phone_of(OLD), phone_of(NEW)
    assert listed() == {OLD.udid, NEW.udid}
    first = {device.serial: device.devid for device in ask(list_devices())}
    new.unplug()
    assert listed() == {OLD.udid}
    assert not new.power.charging
    new.plug()
    assert listed() == {OLD.udid, NEW.udid}
    again = {device.serial: device.devid for device in ask(list_devices())}
    assert again[NEW.udid] > first[NEW.udid]
    assert again[OLD.udid] == first[OLD.udid]
    old.stop()
    assert listed() == {NEW.udid}
    assert "ListDevices" in {request.kind for request in mux.requests}


@pytest.mark.requires("imobiledevice")
def test_who_listens_is_told(phone_of: Callable[..., VirtualIPhone]) -> None:
    import subprocess

    phone = phone_of(OLD)
    with subprocess.Popen(
        ["/usr/bin/stdbuf", "-oL", "idevicesyslog", "-u", OLD.udid],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as reader:
        output = reader.stdout
        assert output is not None
        lines: list[str] = []
        thread = threading.Thread(target=lambda: lines.extend(output), daemon=True)
        thread.start()
        try:
            wait_for(lambda: any("[connected" in line for line in lines))
            wait_for(lambda: any("a computer reads along" in line for line in lines))
            phone.say("Bench", 400, "a word of its own")
            wait_for(lambda: any("a word of its own" in line for line in lines))
            phone.unplug()
            wait_for(lambda: any("[disconnected" in line for line in lines))
            phone.plug()
            wait_for(lambda: sum("[connected" in line for line in lines) == 2)
        finally:
            reader.terminate()
            thread.join(DEADLINE_S)  # it reads to the end, which is then closed


# ------------------------------------------------------------------------------ pairing


async def lockdown(**options: Any) -> Any:
    from pymobiledevice3.lockdown import create_using_usbmux

    return await create_using_usbmux(**options)


@pytest.mark.requires("ios")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (TrustAnswer.PENDING, "PairingDialogResponsePendingError"),
        (TrustAnswer.DENIED, "UserDeniedPairingError"),
        (TrustAnswer.PASSWORD, "PasswordRequiredError"),
    ],
)
def test_pairing_is_not_granted(
    phone_of: Callable[..., VirtualIPhone], answer: TrustAnswer, error: str
) -> None:
    phone_of(OLD, TrustDialog(answer=answer))
    with pytest.raises(Exception) as raised:  # noqa: PT011
        ask(lockdown(pair_timeout=0))
    assert type(raised.value).__name__ == error


@pytest.mark.requires("ios")
def test_pairing_is_granted_at_last_and_kept(phone_of: Callable[..., VirtualIPhone]) -> None:
    phone = phone_of(OLD, TrustDialog(times=2))

    async def paired() -> bool:
        async with await lockdown(pair_timeout=30) as client:
            return bool(client.paired)

    assert ask(paired())
    assert [r.text for r in phone.requests if r.text == "Pair"] == ["Pair"] * 3
    assert ask(paired())
    assert [r.text for r in phone.requests if r.text == "Pair"] == ["Pair"] * 3


@pytest.mark.requires("ios")
def test_a_computer_that_is_not_trusted_learns_little(
    phone_of: Callable[..., VirtualIPhone],
) -> None:
    phone_of(replace(OLD, paired=False))

    async def look() -> tuple[bool, dict[str, Any]]:
        async with await lockdown(autopair=False) as client:
            return bool(client.paired), dict(client.all_values)

    is_paired, values = ask(look())
    assert not is_paired
    assert values["ProductVersion"] == OLD.ios_version
    assert values["OrtlabVirtual"] is True
    assert "SerialNumber" not in values


# ------------------------------------------------------------------------------ installing


async def put(path: Path, **options: Any) -> list[int]:
    """Install with pymobiledevice3; return the percents that it was told."""
    from pymobiledevice3.services.installation_proxy import InstallationProxyService

    seen: list[int] = []
    async with await lockdown() as client, InstallationProxyService(client) as proxy:
        await proxy.install_from_local(path, handler=seen.append, **options)
    return seen


def install(phone: VirtualIPhone, directory: Path, script: str) -> str:
    """Have an app on the phone whose program is a script; return its bundle identifier."""
    name = "dev.ortlab.scripted"
    path = runner_bundle(directory / "scripted.ipa", PythonRunner(), bundle_id=name, script=script)
    phone.apps.install(path, lambda *_: None, stop=phone.processes.end)
    return name


@pytest.mark.requires("ios")
@pytest.mark.parametrize("name", ["app.ipa", "Bench.app"])
def test_installing_tells_how_far_it_is_and_keeps_data(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, name: str
) -> None:
    phone = phone_of(OLD)
    path = runner_bundle(tmp_path / name, PythonRunner(), files={"m/model.bin": b"one"})
    percents = ask(put(path, developer=True))
    assert percents == sorted(percents)
    assert percents[-1] == 90
    app = phone.apps.find(RUNNER_BUNDLE_ID)
    assert app is not None
    (app.container / "Documents" / "mine.txt").write_text("kept")
    runner_bundle(path, PythonRunner(), files={"m/model.bin": b"two"})
    ask(put(path))
    again = phone.apps.find(RUNNER_BUNDLE_ID)
    assert again is not None
    assert (again.bundle / "m/model.bin").read_bytes() == b"two"
    assert (again.container / "Documents" / "mine.txt").read_text() == "kept"
    assert not list((again.bundle.parent.parent).glob("*.part"))


@pytest.mark.requires("ios")
@pytest.mark.parametrize(
    ("spec", "faults", "changes", "words"),
    [
        pytest.param(
            OLD, (), {"info": {"MinimumOSVersion": "17.0"}}, "DeviceOSVersionTooLow", id="os"
        ),
        pytest.param(replace(OLD, unsigned_scripts=False), (), {}, "0xe800801c", id="unsigned"),
        pytest.param(
            replace(OLD, unsigned_scripts=False),
            (),
            {"files": {"_CodeSignature/CodeResources": b"<plist/>"}},
            "0xe8008015",
            id="no profile",
        ),
        pytest.param(OLD, (InstallRefused(),), {}, "0xe8008018", id="by script"),
        pytest.param(OLD, (StorageFull(path="dev.ortlab"),), {}, "No space left", id="full"),
        pytest.param(
            OLD, (), {"info": {"CFBundleIdentifier": None}}, "CFBundleIdentifier", id="damaged"
        ),
    ],
)
def test_installing_is_refused(
    phone_of: Callable[..., VirtualIPhone],
    tmp_path: Path,
    spec: VirtualIPhoneSpec,
    faults: tuple[Any, ...],
    changes: dict[str, Any],
    words: str,
) -> None:
    from pymobiledevice3.exceptions import AppInstallError

    phone = phone_of(spec, *faults)
    with pytest.raises(AppInstallError, match=words):
        ask(put(runner_bundle(tmp_path / "app.ipa", PythonRunner(), **changes)))
    assert phone.apps.all() == ()
    assert phone.unmodelled == ()
    if faults:
        ask(put(runner_bundle(tmp_path / "app.ipa", PythonRunner())))
        assert len(phone.apps.all()) == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"executable": bundle_writer.program(signed=False)}, "0xe800801c", id="none"),
        pytest.param({"sealed": False}, "0xe800801c", id="unsealed"),
        pytest.param({"provisioning": b""}, "0xe8008015", id="no profile"),
        pytest.param(
            {"provisioning": bundle_writer.profile(expires_at=datetime(2020, 1, 1))},
            "0xe8008011",
            id="expired",
        ),
        pytest.param(
            {"provisioning": bundle_writer.profile(devices=[NEW.udid])}, "0xe8008012", id="other"
        ),
        pytest.param(
            {"executable": bundle_writer.program(platform=bundle_writer.SIMULATOR)},
            "iphonesimulator",
            id="simulator",
        ),
    ],
)
def test_apps_from_xcode_are_refused_for_what_is_wrong_with_them(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, files: dict[str, Any], words: str
) -> None:
    phone = phone_of(replace(OLD, udid=bundle_writer.UDID))
    path = bundle_writer.make_ipa(tmp_path / "a.ipa", bundle_writer.bundle_files(**files))
    with pytest.raises(InstallRefusedError, match=words):
        phone.apps.install(path, lambda *_: None, stop=phone.processes.end)
    assert phone.apps.all() == ()
    assert not list(phone.storage.root.glob("Bundle/*"))


def test_an_app_from_xcode_runs_as_the_program_of_this_machine(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(replace(OLD, udid=bundle_writer.UDID))
    path = bundle_writer.make_ipa(tmp_path / "a.ipa")
    app = phone.apps.install(path, lambda *_: None, stop=phone.processes.end)
    told = json.loads(run(phone, app, "--probe").output)
    assert told["runtime"]["language"] == "python"


@pytest.mark.requires("ios")
def test_storage_has_an_end(phone_of: Callable[..., VirtualIPhone], tmp_path: Path) -> None:
    from pymobiledevice3.exceptions import AfcException, AppInstallError

    phone = phone_of(replace(OLD, storage_bytes=10 << 20))
    files = {"model.bin": bytes(6 << 20)}
    path = runner_bundle(tmp_path / "app.ipa", PythonRunner(), files=files)
    with pytest.raises(AppInstallError, match="No space left"):
        ask(put(path))  # the package and what is in it do not fit together
    assert phone.storage.used_bytes < 1 << 20
    larger = runner_bundle(
        tmp_path / "larger.ipa", PythonRunner(), files={"model.bin": bytes(11 << 20)}
    )
    with pytest.raises(AfcException) as raised:
        ask(put(larger))
    assert raised.value.status == 18
    assert phone.storage.used_bytes < 1 << 20


@pytest.mark.requires("ios")
@pytest.mark.parametrize("stays_out", [False, True])
def test_the_cable_is_pulled_while_an_app_is_sent(
    phone_of: Callable[..., VirtualIPhone],
    mux: VirtualUsbmux,
    tmp_path: Path,
    stays_out: bool,
) -> None:
    fault = CablePulled(after_bytes=5_000_000, service="com.apple.afc", stays_out=stays_out)
    phone = phone_of(OLD, fault)
    path = runner_bundle(tmp_path / "app.ipa", PythonRunner(), files={"model.bin": bytes(20 << 20)})
    with pytest.raises(Exception) as raised:  # noqa: PT011
        ask(put(path))
    assert type(raised.value).__name__ in {"ConnectionTerminatedError", "BrokenPipeError"}
    assert phone.apps.all() == ()
    if stays_out:
        assert phone not in mux.phones
        phone.plug()
    wait_for(lambda: phone in mux.phones)
    ask(put(path))
    assert len(phone.apps.all()) == 1


# ------------------------------------------------------------------------------ other services


@pytest.mark.requires("ios")
@pytest.mark.parametrize(
    "fault",
    [
        PhoneHangs(service="installation_proxy"),
        PhoneHangs(service="com.apple.afc", after_bytes=1 << 20),
        PhoneHangs(service="mobile.lockdown", direction=Direction.FROM_PHONE, after_bytes=100),
    ],
)
def test_a_phone_that_hangs_answers_nothing(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, fault: PhoneHangs
) -> None:
    phone = phone_of(OLD, fault)
    path = runner_bundle(tmp_path / "app.ipa", PythonRunner(), files={"model.bin": bytes(5 << 20)})
    # In a process of its own: this client goes on waiting when its task is cancelled.
    command = (sys.executable, "-m", "pymobiledevice3", "apps", "install", str(path))
    done = SystemProcesses().run(Command(arguments=command, deadline_s=8.0))
    assert not done.succeeded
    assert [r.kind for r in phone.requests if r.kind == "fault"] == ["fault"]
    ask(put(path))


@pytest.mark.requires("ios")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (DeviceLocked(since_start=True), "PasswordRequiredError"),
        (ServiceRefused(service="installation_proxy"), "InvalidServiceError"),
    ],
)
def test_services_are_refused(
    phone_of: Callable[..., VirtualIPhone], bundle: Path, fault: Any, error: str
) -> None:
    phone_of(OLD, fault)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        ask(put(bundle))
    assert type(raised.value).__name__ == error


@pytest.mark.requires("ios")
def test_documents_are_shared_where_the_app_says_so(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    from pymobiledevice3.exceptions import AfcException, AppNotInstalledError
    from pymobiledevice3.services.house_arrest import HouseArrestService

    phone = phone_of(OLD)
    open_app = runner_bundle(tmp_path / "open.ipa", PythonRunner())
    closed = runner_bundle(
        tmp_path / "closed.ipa",
        PythonRunner(),
        bundle_id="dev.ortlab.closed",
        info={"UIFileSharingEnabled": None},
    )
    ask(put(open_app))
    ask(put(closed))
    app = phone.apps.find(RUNNER_BUNDLE_ID)
    assert app is not None
    (app.container / "Documents/result.json").write_text("{}")
    (app.container / "Documents/out").symlink_to("/etc")

    async def use(bundle_id: str, *, only: bool) -> list[str]:
        async with (
            await lockdown() as client,
            await HouseArrestService.create(client, bundle_id, documents_only=only) as house,
        ):
            assert await house.get_file_contents("/Documents/result.json") == b"{}"
            if only:
                with pytest.raises(AfcException):
                    await house.listdir("/Library")
            for outside in ("/../../Media", "/Documents/out/passwd"):
                with pytest.raises(AfcException):
                    await house.get_file_contents(outside)
            return list(await house.listdir("/"))

    assert ask(use(RUNNER_BUNDLE_ID, only=True)) == ["Documents"]
    assert "Library" in ask(use(RUNNER_BUNDLE_ID, only=False))
    with pytest.raises(Exception, match="InstallationLookupFailed"):
        ask(use("dev.ortlab.closed", only=True))
    with pytest.raises(AppNotInstalledError):
        ask(use("dev.ortlab.nothing", only=True))


@pytest.mark.requires("ios")
@pytest.mark.parametrize("spec", SPECS)
def test_the_developer_disk_image_is_mounted(
    phone_of: Callable[..., VirtualIPhone], spec: VirtualIPhoneSpec, tmp_path: Path
) -> None:
    from pymobiledevice3.exceptions import (
        AlreadyMountedError,
        DeveloperModeIsNotEnabledError,
        PyMobileDevice3Exception,
    )
    from pymobiledevice3.services.mobile_image_mounter import (
        DeveloperDiskImageMounter,
        PersonalizedImageMounter,
    )

    phone = phone_of(replace(spec, image_mounted=False))
    for name in ("Image.dmg", "Image.signature", "Image.trustcache"):
        (tmp_path / name).write_bytes(b"d" * 70_000)
    manifest = tmp_path / "BuildManifest.plist"
    manifest.write_bytes(plistlib.dumps({}))

    async def mount() -> None:
        async with await lockdown() as client:
            if spec is NEW:
                async with PersonalizedImageMounter(client) as new:
                    await new.mount(tmp_path / "Image.dmg", manifest, tmp_path / "Image.trustcache")
            else:
                async with DeveloperDiskImageMounter(client) as old:
                    await old.mount(tmp_path / "Image.dmg", tmp_path / "Image.signature")

    phone.faults = IPhoneFaults(DeveloperModeOff())
    with pytest.raises(DeveloperModeIsNotEnabledError):
        ask(mount())
    phone.faults = IPhoneFaults(ImageMissing())
    with pytest.raises(PyMobileDevice3Exception):
        ask(mount())
    phone.faults = IPhoneFaults(DeviceLocked())
    with pytest.raises(PyMobileDevice3Exception, match="DeviceLocked"):
        ask(mount())
    phone.faults = IPhoneFaults()
    before = phone.developer_ready
    ask(mount())
    assert (before, phone.developer_ready) == (False, True)
    with pytest.raises(AlreadyMountedError):
        ask(mount())
    assert phone.unmodelled == ()


@pytest.mark.requires("ios")
def test_the_battery_warms_and_drains(phone_of: Callable[..., VirtualIPhone]) -> None:
    from pymobiledevice3.services.diagnostics import DiagnosticsService

    phone = phone_of(OLD, LowBattery(), SlowPhone(service="diagnostics", times=1, delay_s=0.01))

    async def battery() -> dict[str, Any]:
        async with await lockdown() as client, DiagnosticsService(client) as service:
            return dict(await service.get_battery() or {})

    assert ask(battery())["CurrentCapacity"] == 9
    phone.faults = IPhoneFaults()
    phone.power.set_state(temperature_c=41.5, percent=55)
    told = ask(battery())
    assert told["CurrentCapacity"] == 55
    assert told["Temperature"] == pytest.approx(4150, abs=100)
    assert told["IsCharging"] is True


# ------------------------------------------------------------------------------ processes


class Listener:
    """What a process said and how it ended."""

    def __init__(self) -> None:
        self.output = b""
        self.ends: list[ProcessEnd] = []
        self.over = threading.Event()

    def on_output(self, _: int, data: bytes) -> None:
        self.output += data

    def on_exit(self, _: int, end: ProcessEnd) -> None:
        self.ends.append(end)
        self.over.set()


def run(phone: VirtualIPhone, app: str, *arguments: str, **options: Any) -> Listener:
    listener = Listener()
    phone.processes.launch(
        app, arguments, on_output=listener.on_output, on_exit=listener.on_exit, **options
    )
    assert listener.over.wait(DEADLINE_S)
    return listener


def result_of(phone: VirtualIPhone, app: str) -> Path:
    found = phone.apps.find(app)
    assert found is not None
    return found.container / "Documents/ortlab/blocks/b1/result.json"


def test_a_program_gets_arguments_and_says_how_it_ended(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD)
    app = install(phone, tmp_path, stages_script("exit 3", pause_s=0))
    listener = run(phone, app, "one", "two words", environment={"GIVEN": "this"})
    assert b"arguments: one two words\ngiven: this\nORTLAB stage=start\n" in listener.output
    assert listener.ends == [ProcessEnd(exit_code=3)]
    assert result_of(phone, app).exists()
    assert not phone.processes.running()
    stages = [r.text for r in phone.requests if r.kind == "stage"]
    assert stages == [f"{app} {stage}" for stage in STAGES]
    assert list(phone.reports.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (CrashKind.BAD_ACCESS, signal.SIGSEGV),
        (CrashKind.ABORT, signal.SIGABRT),
        (CrashKind.JETSAM, signal.SIGKILL),
        (CrashKind.THERMAL, signal.SIGKILL),
    ],
)
def test_a_program_is_ended_and_reported(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, kind: CrashKind, number: int
) -> None:
    phone = phone_of(OLD, AppDies(crash=kind))
    app = install(phone, tmp_path, stages_script(pause_s=0.1))
    listener = run(phone, app)
    assert listener.ends == [ProcessEnd(signal=number)]
    assert not result_of(phone, app).exists()
    [report] = phone.reports.directory.iterdir()
    head, _, body = report.read_text().partition("\n")
    if kind is CrashKind.JETSAM:
        assert report.name.startswith("JetsamEvent-")
        assert json.loads(head)["bug_type"] == "298"
        [entry] = json.loads(body)["processes"]
        assert entry["reason"] == "per-process-limit"
        assert entry["name"] == "Bench"
    else:
        assert json.loads(head)["bundleID"] == app
        assert json.loads(body)["exception"]["signal"] == signal.Signals(number).name
        assert "ORTLAB stage=measure" in json.loads(body)["asi"]["Bench"]
    assert (phone.power.temperature_c > 45) is (kind is CrashKind.THERMAL)
    assert run(phone, app).ends == [ProcessEnd(exit_code=0)]


@pytest.mark.requires("ios")
def test_pymobiledevice3_reads_the_reports(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    from pymobiledevice3.services.crash_reports import CrashReportsManager

    phone = phone_of(OLD, AppDies(crash=CrashKind.ABORT))
    run(phone, install(phone, tmp_path, stages_script(pause_s=0.1)))

    async def latest() -> Any:
        async with await lockdown() as client, CrashReportsManager(client) as reports:
            await reports.flush()
            [name] = await reports.ls()
            return await reports.parse(name)

    report = ask(latest())
    assert report.bug_type.value == "309"
    assert "EXC_CRASH" in str(report)


def test_a_program_that_crashes_by_itself_is_reported(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD)
    app = install(phone, tmp_path, stages_script("kill -BUS $$", pause_s=0))
    assert run(phone, app).ends == [ProcessEnd(signal=signal.SIGBUS)]
    [report] = phone.reports.directory.iterdir()
    assert "EXC_BAD_ACCESS" in report.read_text()


def test_a_program_that_hangs_can_be_ended(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD, AppHangs(stage=Stage.LOAD_MODEL))
    app = install(phone, tmp_path, stages_script(pause_s=0.2))
    listener = Listener()
    number = phone.processes.launch(app, on_output=listener.on_output, on_exit=listener.on_exit)
    wait_for(lambda: b"stage=load_model" in listener.output)
    assert not listener.over.wait(1.0)
    memory = phone.processes.memory(number)
    assert memory is not None
    assert 0 < memory.footprint < memory.resident < memory.virtual
    assert phone.processes.pid_of(app) == number
    assert phone.processes.signal(number, signal.SIGKILL)
    assert listener.over.wait(DEADLINE_S)
    assert b"stage=measure" not in listener.output
    assert listener.ends == [ProcessEnd(signal=signal.SIGKILL)]
    assert list(phone.reports.directory.iterdir()) == []  # it was asked for
    assert not phone.processes.signal(number, signal.SIGKILL)


def test_a_program_waits_until_it_is_told_to_go_on(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD)
    app = install(phone, tmp_path, stages_script(pause_s=0))
    listener = Listener()
    number = phone.processes.launch(
        app, on_output=listener.on_output, on_exit=listener.on_exit, suspended=True
    )
    assert not listener.over.wait(0.3)
    assert listener.output == b""
    assert phone.processes.signal(number, signal.SIGCONT)
    assert listener.over.wait(DEADLINE_S)
    assert listener.ends == [ProcessEnd(exit_code=0)]


def test_an_app_runs_once(phone_of: Callable[..., VirtualIPhone], tmp_path: Path) -> None:
    phone = phone_of(OLD)
    app = install(phone, tmp_path, "#!/bin/sh\necho here\nsleep 60 & wait\n")
    first = phone.open_by_hand(app)
    assert phone.open_by_hand(app) == first
    host_first = phone.process_numbers
    second = phone.processes.launch(app)
    assert second != first
    assert [process.pid for process in phone.processes.running()] == [second]
    assert not [number for number in host_first if Path(f"/proc/{number}").exists()]
    phone.unplug()
    assert phone.processes.find(second) is not None  # apps go on without a cable
    wait_for(lambda: any("Bench" in line and "here" in line for line in phone.log.lines))


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (DeviceLocked(), 7, "Locked"),
        (LaunchRefused(), 3, "Security"),
    ],
)
def test_launching_is_refused(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, fault: Any, code: int, words: str
) -> None:
    phone = phone_of(OLD, fault)
    app = install(phone, tmp_path, stages_script())
    with pytest.raises(LaunchRefusedError, match=words) as raised:
        phone.processes.launch(app)
    assert raised.value.code == code
    assert not phone.processes.running()
    with pytest.raises(LaunchRefusedError, match="returned nil"):
        phone.processes.launch("dev.ortlab.nothing")


@pytest.mark.parametrize("damage", list(Damage))
def test_a_result_is_damaged(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path, damage: Damage
) -> None:
    phone = phone_of(OLD, ResultDamaged(damage=damage))
    app = install(phone, tmp_path, stages_script(pause_s=0))
    assert run(phone, app).ends == [ProcessEnd(exit_code=0)]
    path = result_of(phone, app)
    assert path.exists() is (damage is not Damage.MISSING)
    if path.exists():
        with pytest.raises(ValueError, match=r"."):
            json.loads(path.read_bytes().decode(errors="replace"))
    run(phone, app)
    assert json.loads(path.read_text()) == {"block_id": "b1"}


def test_nothing_is_heard_of_a_program(
    phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD, OutputLost(), ExitUnreported())
    app = install(phone, tmp_path, stages_script(pause_s=0))
    listener = Listener()
    number = phone.processes.launch(app, on_output=listener.on_output, on_exit=listener.on_exit)
    wait_for(lambda: phone.processes.find(number) is None)
    assert not listener.over.wait(0.2)
    assert listener.output == b""
    assert result_of(phone, app).exists()


def test_the_cable_is_pulled_at_a_stage(
    phone_of: Callable[..., VirtualIPhone], mux: VirtualUsbmux, tmp_path: Path
) -> None:
    phone = phone_of(OLD, CablePulledAtStage(stays_out=True))
    app = install(phone, tmp_path, stages_script(pause_s=0))
    assert run(phone, app).ends == [ProcessEnd(exit_code=0)]
    assert mux.phones == ()
    assert result_of(phone, app).exists()  # the app has finished, as on a desk


# ------------------------------------------------------------------------------ the runner


@pytest.fixture
def benchmark(phone_of: Callable[..., VirtualIPhone], bundle: Path) -> tuple[VirtualIPhone, Path]:
    """A phone with the runner, and its documents."""
    phone = phone_of(NEW)
    phone.apps.install(bundle, lambda *_: None, stop=phone.processes.end)
    app = phone.apps.find(RUNNER_BUNDLE_ID)
    assert app is not None
    return phone, app.container / "Documents"


def write_request(documents: Path, **changes: Any) -> Path:
    """Write a block as it lies on a phone; return the request's place in the documents."""
    place = documents / "ortlab"
    (place / "requests").mkdir(parents=True, exist_ok=True)
    request = make_request(make_arm(MODEL), place / "files", Purpose.LATENCY)
    (place / "files" / MODEL.name).write_bytes(MODEL.read_bytes())
    request = replace(
        request,
        model=replace(request.model, path=f"../files/{MODEL.name}"),
        inputs=tuple(replace(item, path="../files/x.bin") for item in request.inputs),
        output_directory=f"../blocks/{request.block_id}",
        **changes,
    )
    path = place / "requests" / f"{request.block_id}.json"
    path.write_text(codec.to_json(request))
    return path.relative_to(documents)


def test_the_runner_measures_on_the_phone(benchmark: tuple[VirtualIPhone, Path]) -> None:
    phone, documents = benchmark
    listener = run(phone, RUNNER_BUNDLE_ID, str(write_request(documents)))
    assert listener.ends == [ProcessEnd(exit_code=0)], listener.output
    path = documents / "ortlab/blocks/latency-1/result.json"
    result = codec.from_json(BlockResult, path.read_text(), source=str(path))
    assert result.failure is None
    assert len(result.timing.measured_ns) >= 30
    lines = listener.output.decode().splitlines()
    assert lines[0] == "ORTLAB stage=start"
    assert "ORTLAB stage=measure" in lines
    assert lines[-1] == "ORTLAB done latency-1"


def test_the_runner_tells_of_itself(benchmark: tuple[VirtualIPhone, Path]) -> None:
    phone, _ = benchmark
    told = json.loads(run(phone, RUNNER_BUNDLE_ID, "--probe").output)
    assert told["runtime"]["language"] == "python"
    conditions = json.loads(run(phone, RUNNER_BUNDLE_ID, "--conditions").output)
    assert 0 <= conditions["busy_fraction"] <= 1


def test_the_runner_stays_open_for_batches_when_it_is_opened_by_hand(
    benchmark: tuple[VirtualIPhone, Path],
) -> None:
    phone, documents = benchmark
    request = json.loads((documents / write_request(documents)).read_text())
    request["model"]["path"] = f"files/{MODEL.name}"
    request["inputs"][0]["path"] = "files/x.bin"
    request["output_directory"] = "blocks/latency-1"
    batch = {"schema": "ortlab.batch_request/1", "batch_id": "b", "requests": [request]}
    (documents / "ortlab/batch.json").write_text(json.dumps(batch))
    phone.open_by_hand(RUNNER_BUNDLE_ID)
    wait_for((documents / "ortlab/blocks/latency-1/result.json").exists)
    phone.processes.end(RUNNER_BUNDLE_ID)
    told = json.loads((documents / "ortlab/runtime.json").read_text())
    assert told["runtime"]["language"] == "python"
    result = json.loads((documents / "ortlab/blocks/latency-1/result.json").read_text())
    assert result["failure"] is None
    assert result["runtime"]["shared_process"] is True


@pytest.fixture(scope="module")
def swift_core(tmp_path_factory: pytest.TempPathFactory) -> SwiftCore:
    """The core, found before the phones' clients get another home."""
    core = tmp_path_factory.mktemp("swift") / "bench-cli"
    command = shlex.join(swift.program(core_program()))
    library = f"export LD_LIBRARY_PATH={shlex.quote(str(swift.ort_directory()))}"
    core.write_text(f'#!/bin/sh\n{library}\nexec {command} "$@"\n')
    core.chmod(0o755)
    return SwiftCore(str(core))


@pytest.mark.requires("swift")
def test_the_swift_core_measures_on_the_phone(
    swift_core: SwiftCore, phone_of: Callable[..., VirtualIPhone], tmp_path: Path
) -> None:
    phone = phone_of(OLD)
    path = runner_bundle(tmp_path / "swift.ipa", swift_core)
    phone.apps.install(path, lambda *_: None, stop=phone.processes.end)
    app = phone.apps.find(RUNNER_BUNDLE_ID)
    assert app is not None
    documents = app.container / "Documents"
    listener = run(phone, RUNNER_BUNDLE_ID, str(write_request(documents)))
    assert listener.ends == [ProcessEnd(exit_code=0)], listener.output
    result = json.loads((documents / "ortlab/blocks/latency-1/result.json").read_text())
    assert result["runtime"]["language"] == "swift"
    lines = listener.output.decode().splitlines()
    assert "ORTLAB stage=measure" in lines
    assert lines[-1] == "ORTLAB done latency-1"


# ------------------------------------------------------------------------------ as a device


@pytest.mark.requires("ios")
@pytest.mark.parametrize(
    ("device_id", "version"), [("virtual:ios:16.7", "16.7.2"), ("virtual:ios", "26.1")]
)
def test_a_virtual_iphone_is_a_device_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_id: str, version: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("HOME", str(home))
    told: list[str] = []
    arm = make_arm(MODEL)
    device = open_virtual_iphone(device_id, say=told.append, program=PythonRunner())
    try:
        info = device.info
        assert info.virtual
        assert info.device_id == device_id
        assert version in info.os_version
        request = make_request(arm, tmp_path / "block", Purpose.LATENCY)
        result = device.run_block(request, arm)
    finally:
        device.close()
    assert isinstance(result, BlockResult), result
    assert result.failure is None
    assert result.runtime is not None
    assert result.runtime.language == "python"
    assert any("virtual iPhone" in line and "python program" in line for line in told)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list(home.rglob("*.plist")) == []
