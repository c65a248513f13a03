"""IosDevice on virtual iPhones: the contract of devices, and what befalls phones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from device_contract import MODEL, MS, DeviceContract, make_arm, make_request

from ortlab.devices.ios import (
    IosDevice,
    IosOptions,
    Limits,
    Readiness,
    attached_iphones,
    iphone_findings,
    open_ios,
)
from ortlab.devices.virtual import PythonRunner
from ortlab.devices.virtual.iphone import (
    VirtualIPhone,
    VirtualIPhoneSpec,
    VirtualUsbmux,
    open_virtual_iphone,
    runner_bundle,
)
from ortlab.devices.virtual.iphone import faults as f
from ortlab.devices.virtual.iphone.session import runner_app, worker_environment
from ortlab.domain import BuiltApp
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    InstallError,
    OrtlabError,
    ToolchainError,
    UsageError,
)
from ortlab.wire import (
    BlockResult,
    Death,
    DeathKind,
    MemoryKind,
    Purpose,
    Stage,
    StopRule,
)

pytestmark = pytest.mark.requires("ios")

OLD = VirtualIPhoneSpec(ios_version="16.7.2")
NEW = VirtualIPhoneSpec(ios_version="26.1", udid="00008130-001122334455667F", product="iPhone16,1")
BOTH = pytest.mark.parametrize("spec", [OLD, NEW], ids=["16.7", "26.1"])


class TestContract(DeviceContract):
    """Both ways to launch: over lockdown, and through the tunnel."""

    @pytest.fixture(params=["16.7", "26.1"])
    def device(self, request: pytest.FixtureRequest) -> Iterator[IosDevice]:
        device = open_virtual_iphone(f"virtual:ios:{request.param}")
        yield device
        device.close()


@dataclass
class Bench:
    """A table with phones on it."""

    directory: Path
    mux: VirtualUsbmux
    said: list[str]
    opened: contextlib.ExitStack

    @property
    def environment(self) -> dict[str, str]:
        return worker_environment(self.mux, self.directory / "home")

    def phone(self, spec: VirtualIPhoneSpec = OLD, *faults: f.Fault) -> VirtualIPhone:
        phone = VirtualIPhone(
            spec,
            program=PythonRunner(),
            faults=f.IPhoneFaults(*faults),
            mux=self.mux,
            directory=self.inside(spec),
        )
        return self.opened.enter_context(phone)

    def inside(self, spec: VirtualIPhoneSpec) -> Path:
        return self.directory / f"phone-{spec.udid}"

    def app(self) -> BuiltApp:
        return runner_app(self.directory, PythonRunner())

    def device(self, phone: VirtualIPhone, **options: Any) -> IosDevice:
        limits = Limits(cool_down_s=2, poll_s=0.5)
        chosen = IosOptions(**{"limits": limits, "trust_s": 1.5, **options})
        device = open_ios(
            phone.udid,
            app=self.app(),
            state_directory=self.directory / "state",
            say=self.said.append,
            options=chosen,
            environment=self.environment,
        )
        self.opened.callback(device.close)
        return device

    def block(
        self, device: IosDevice, purpose: Purpose = Purpose.PARITY, **changes: Any
    ) -> BlockResult | Death:
        arm = make_arm(MODEL)
        return device.run_block(make_request(arm, self.directory, purpose, **changes), arm)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with contextlib.ExitStack() as opened:
        mux = opened.enter_context(VirtualUsbmux())
        yield Bench(tmp_path, mux, [], opened)


def succeeded(answer: BlockResult | Death) -> BlockResult:
    assert isinstance(answer, BlockResult), answer
    assert answer.failure is None
    return answer


# ------------------------------------------------------------------------------ listing, findings


def test_attached_iphones_are_listed_with_what_is_wrong(bench: Bench) -> None:
    bench.phone(OLD)
    bench.phone(NEW, f.DeveloperModeOff())
    for spec in (OLD, NEW):  # so that they trust this computer
        with contextlib.suppress(DeviceNotReadyError):
            open_ios(
                spec.udid,
                app=None,
                state_directory=bench.directory / "state",
                environment=bench.environment,
            ).close()
    old, new = attached_iphones(bench.environment)
    assert (old.udid, old.name, old.paired) == (OLD.udid, "Virtual iPhone", True)
    found = iphone_findings(old, environment=bench.environment)
    assert not [item for item in found if item.state is Readiness.BLOCKED]
    (wrong,) = (
        item
        for item in iphone_findings(new, environment=bench.environment)
        if item.state is Readiness.BLOCKED
    )
    assert wrong.subject == "Developer Mode"
    assert "Privacy & Security" in wrong.next_step


def test_a_phone_that_does_not_trust_is_not_asked_by_looking_at_it(bench: Bench) -> None:
    phone = bench.phone()
    (listed,) = attached_iphones(bench.environment)
    (found,) = iphone_findings(listed, environment=bench.environment)
    assert found.state is Readiness.BLOCKED
    assert "Trust" in found.next_step
    assert not [item for item in phone.requests if "Pair" in item.text]


def test_there_is_no_such_iphone(bench: Bench) -> None:
    bench.phone(NEW)
    with pytest.raises(UsageError, match=NEW.udid):
        bench.device(VirtualIPhone(OLD, program=PythonRunner()))


def test_there_is_no_usbmuxd(tmp_path: Path) -> None:
    environment = {"USBMUXD_SOCKET_ADDRESS": "127.0.0.1:1", "HOME": str(tmp_path)}
    with pytest.raises(ToolchainError, match="usbmuxd") as caught:
        attached_iphones(environment)
    assert "systemctl start usbmuxd" in (caught.value.next_step or "")


def test_without_the_extra_the_message_says_what_to_install_and_its_licence() -> None:
    script = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "pymobiledevice3" else found(name)
from pathlib import Path
from ortlab.devices.ios import open_ios
from ortlab.errors import ToolchainError
try:
    open_ios("00008110-000A1B2C3D4E5F60", app=None, state_directory=Path("/nowhere"))
except ToolchainError as error:
    print(error.message, error.next_step)
assert not [name for name in sys.modules if name.startswith("pymobiledevice3")]
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "GPL-3.0-or-later" in done.stdout
    assert "pip install 'ortlab[ios]'" in done.stdout


# ------------------------------------------------------------------------------ not ready


@pytest.mark.parametrize(
    ("fault", "sentence", "advice"),
    [
        (f.TrustDialog(), "tapped Trust", "tap Trust"),
        (f.TrustDialog(answer=f.TrustAnswer.DENIED), "Don't Trust", "tap Trust"),
        (f.TrustDialog(answer=f.TrustAnswer.PASSWORD), "locked", "unlock"),
        (f.DeviceLocked(), "locked", "unlock"),
        (f.DeviceLocked(since_start=True), "locked", "unlock"),
        (f.DeveloperModeOff(), "Developer Mode is off", "Privacy & Security"),
        (f.LowBattery(), "battery", "charge"),
    ],
    ids=["pending", "denied", "password", "locked", "never unlocked", "mode", "battery"],
)
@BOTH
def test_a_phone_that_is_not_ready_says_what_to_press(
    bench: Bench, spec: VirtualIPhoneSpec, fault: f.Fault, sentence: str, advice: str
) -> None:
    phone = bench.phone(spec, fault)
    with pytest.raises(DeviceNotReadyError) as caught:
        bench.block(bench.device(phone))
    assert sentence in caught.value.message
    assert advice in (caught.value.next_step or "")
    assert not [item for item in phone.requests if item.kind == "installation"]


def test_an_image_that_does_not_mount_is_told_before_anything_is_installed(bench: Bench) -> None:
    phone = bench.phone(OLD, f.ImageMissing())
    with pytest.raises(DeviceNotReadyError, match="disk image") as caught:
        bench.block(bench.device(phone))
    assert "mounter auto-mount" in (caught.value.next_step or "")


def test_a_refused_tunnel_is_told(bench: Bench) -> None:
    phone = bench.phone(NEW, f.TunnelRefused())
    with pytest.raises(DeviceNotReadyError, match="tunnel"):
        bench.block(bench.device(phone))


def test_two_processes_cannot_use_one_phone(bench: Bench) -> None:
    phone = bench.phone()
    bench.device(phone)
    with pytest.raises(DeviceNotReadyError, match="another ortlab command"):
        bench.device(phone)


# ------------------------------------------------------------------------------ installing


def test_a_refused_app_gives_the_phones_own_code(bench: Bench) -> None:
    phone = bench.phone(OLD, f.InstallRefused())
    with pytest.raises(InstallError) as caught:
        bench.block(bench.device(phone))
    assert caught.value.code == "0xe8008018"
    assert "app.team" in (caught.value.next_step or "")


def test_an_app_is_installed_once(bench: Bench) -> None:
    phone = bench.phone()
    with contextlib.closing(bench.device(phone)) as device:
        succeeded(bench.block(device))
    succeeded(bench.block(bench.device(phone)))
    assert len([item for item in bench.said if item.startswith("installing") and "MB" in item]) == 1


def test_a_full_phone_is_told(bench: Bench) -> None:
    phone = bench.phone(OLD, f.StorageFull(path="/PublicStaging", times=None))
    with pytest.raises(OrtlabError) as caught:
        bench.block(bench.device(phone))
    assert "storage is full" in caught.value.message


def test_the_app_goes_on_when_it_was_deployed_and_started(bench: Bench) -> None:
    phone = bench.phone(NEW)
    bench.device(phone).deploy(bench.app(), start=True)
    assert [item for item in phone.requests if item.kind == "installation"]


# ------------------------------------------------------------------------------ what befalls blocks


@BOTH
def test_files_are_sent_once_and_sent_again_when_damaged(
    bench: Bench, spec: VirtualIPhoneSpec
) -> None:
    phone = bench.phone(spec)
    device = bench.device(phone)
    succeeded(bench.block(device))
    (model,) = bench.inside(spec).rglob("ortlab/files/*/content.onnx")
    first = model.stat().st_mtime_ns
    succeeded(bench.block(device, block_id="second"))
    assert model.stat().st_mtime_ns == first
    model.write_bytes(b"x" * model.stat().st_size)
    succeeded(bench.block(device, block_id="third"))
    assert any("was damaged" in item for item in bench.said)
    assert not [*bench.inside(spec).rglob("ortlab/blocks/*"), *bench.inside(spec).rglob("*.part")]


@pytest.mark.parametrize(
    ("crash", "kind", "signal"),
    [
        (f.CrashKind.BAD_ACCESS, DeathKind.SIGNAL, "SIGSEGV"),
        (f.CrashKind.ABORT, DeathKind.SIGNAL, "SIGABRT"),
        (f.CrashKind.JETSAM, DeathKind.OUT_OF_MEMORY, "SIGKILL"),
    ],
)
@BOTH
def test_a_crash_is_explained_by_the_systems_report(
    bench: Bench, spec: VirtualIPhoneSpec, crash: f.CrashKind, kind: DeathKind, signal: str
) -> None:
    device = bench.device(bench.phone(spec, f.AppDies(stage=Stage.MEASURE, crash=crash)))
    death = bench.block(device, Purpose.LATENCY, stop=StopRule(min_ns=3000 * MS, max_ns=4000 * MS))
    assert isinstance(death, Death)
    assert (death.kind, death.signal_name) == (kind, signal)
    assert death.last_stage is Stage.MEASURE
    assert list((bench.directory / "out").glob("*.ips"))
    succeeded(bench.block(device, block_id="after"))


def test_an_end_that_nobody_told_is_found_by_looking(bench: Bench) -> None:
    device = bench.device(bench.phone(OLD, f.ExitUnreported(times=None), f.OutputLost(times=2)))
    with pytest.raises(DeviceError, match="cannot tell what"):
        _ = device.info  # its words were lost
    assert succeeded(bench.block(device))


def test_an_app_that_hangs_is_ended(bench: Bench) -> None:
    device = bench.device(bench.phone(NEW, f.AppHangs(stage=Stage.MEASURE)))
    rule = StopRule(min_ns=3000 * MS, max_ns=4000 * MS)
    death = bench.block(device, Purpose.LATENCY, stop=rule, deadline_s=2)
    assert isinstance(death, Death)
    assert (death.kind, death.last_stage) == (DeathKind.DEADLINE, Stage.MEASURE)
    succeeded(bench.block(device, block_id="after"))


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (f.Damage.MISSING, DeathKind.NO_RESULT),
        (f.Damage.TRUNCATED, DeathKind.GARBLED_RESULT),
    ],
)
def test_a_result_that_is_none_is_not_taken(
    bench: Bench, damage: f.Damage, kind: DeathKind
) -> None:
    device = bench.device(bench.phone(OLD, f.ResultDamaged(damage=damage)))
    death = bench.block(device)
    assert isinstance(death, Death)
    assert death.kind is kind
    succeeded(bench.block(device, block_id="after"))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (f.LaunchRefused(), "VPN & Device Management"),
        (f.LaunchRefused(reason="Locked", explanation="could not be, unlocked"), "unlock"),
    ],
)
@BOTH
def test_a_refused_launch_says_what_to_press(
    bench: Bench, spec: VirtualIPhoneSpec, fault: f.Fault, advice: str
) -> None:
    with pytest.raises(DeviceNotReadyError) as caught:
        bench.block(bench.device(bench.phone(spec, fault)))
    assert advice in (caught.value.next_step or "")


@BOTH
def test_a_cable_pulled_while_measuring_is_told_and_the_next_block_works(
    bench: Bench, spec: VirtualIPhoneSpec
) -> None:
    phone = bench.phone(spec, f.CablePulledAtStage(stage=Stage.MEASURE, stays_out=True))
    device = bench.device(phone)
    rule = StopRule(min_ns=2000 * MS, max_ns=3000 * MS)
    with pytest.raises(DeviceLostError) as caught:
        bench.block(device, Purpose.LATENCY, stop=rule)
    assert "unplugged" in caught.value.message
    assert "plug the iPhone in again" in (caught.value.next_step or "")
    assert not (bench.directory / "out/result.json").exists()
    phone.plug()
    succeeded(bench.block(device, block_id="after"))


@BOTH
def test_a_cable_pulled_while_sending_is_told(bench: Bench, spec: VirtualIPhoneSpec) -> None:
    phone = bench.phone(
        spec, f.CablePulled(service="house_arrest", after_bytes=300, stays_out=True)
    )
    device = bench.device(phone)
    with pytest.raises(DeviceLostError):
        bench.block(device)
    phone.plug()
    succeeded(bench.block(device, block_id="after"))


def test_a_worker_that_was_killed_is_told_and_started_anew(bench: Bench) -> None:
    device = bench.device(bench.phone())
    succeeded(bench.block(device))
    number = device.worker_number
    assert number is not None
    os.kill(number, 9)
    time.sleep(0.2)
    with contextlib.suppress(DeviceLostError):
        bench.block(device, block_id="lost")
    succeeded(bench.block(device, block_id="after"))


def test_the_worker_ends_with_the_device(bench: Bench) -> None:
    device = bench.device(bench.phone(NEW))
    succeeded(bench.block(device))
    number = device.worker_number
    device.close()
    assert not Path(f"/proc/{number}").exists()


def test_an_interrupted_block_leaves_no_app_running(bench: Bench) -> None:
    phone = bench.phone(NEW)
    device = bench.device(phone)
    succeeded(bench.block(device))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    seen = set(phone.process_numbers)
    once_it_runs = _when(
        lambda: bool(set(phone.process_numbers) - seen),
        lambda: os.kill(os.getpid(), signal.SIGALRM),
    )
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.block(device, Purpose.LATENCY, stop=StopRule(min_ns=10**13, max_ns=10**13))
    finally:
        once_it_runs.join()
        signal.signal(signal.SIGALRM, before)
    assert phone.process_numbers
    device.close()
    deadline = time.monotonic() + 10
    while phone.process_numbers and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not phone.process_numbers


@pytest.mark.parametrize(("state", "raises"), [("fair", False), ("serious", True)])
def test_a_warm_phone_is_waited_for_by_what_its_app_reports(
    bench: Bench, state: str, *, raises: bool
) -> None:
    device = bench.device(bench.phone())
    told = f'{{"thermal_status": "{state}"}}'
    cases = f"--conditions) echo '{told}';; *) sleep 0.5; exit 3;;"
    script = f'#!/bin/sh\ncase "$1" in {cases} esac\n'
    path = runner_bundle(bench.directory / "warm.ipa", PythonRunner(), script=script)
    arm = replace(make_arm(MODEL), runtime=str(path))
    request = make_request(arm, bench.directory)
    if raises:
        with pytest.raises(DeviceNotReadyError, match="too hot"):
            device.run_block(request, arm)
        return
    death = device.run_block(request, arm)
    assert isinstance(death, Death)
    assert (death.kind, death.exit_code) == (DeathKind.EXIT, 3)
    assert any("still warm" in item for item in bench.said)


@BOTH
def test_memory_of_a_short_block_is_cross_checked_from_outside(
    bench: Bench, spec: VirtualIPhoneSpec
) -> None:
    device = bench.device(bench.phone(spec))
    result = succeeded(bench.block(device, Purpose.MEMORY, settle_ns=0))
    outside = [point for point in result.memory if "outside" in point.scope]
    assert [(point.metric, point.kind) for point in outside] == [("physFootprint", MemoryKind.PEAK)]
    assert outside[0].size_bytes > 1 << 20


def test_a_person_may_open_the_app_once_instead(bench: Bench) -> None:
    phone = bench.phone(OLD, f.DeveloperModeOff())
    device = bench.device(phone, by_hand=True, by_hand_poll_s=0.1)
    app = bench.app().application_id
    opening = _when(
        lambda: any(item.startswith("open the app") for item in bench.said),
        lambda: phone.open_by_hand(app),
    )
    version, providers = device.runtime_of(make_arm(MODEL))
    opening.join()
    assert "CPUExecutionProvider" in providers
    for name in ("first", "second"):
        result = succeeded(bench.block(device, block_id=name))
        assert result.runtime is not None
        assert result.runtime.shared_process
        assert result.runtime.ort_version == version
    assert len([item for item in bench.said if item.startswith("open the app")]) == 1


def test_an_app_that_was_closed_is_to_be_opened_again(bench: Bench) -> None:
    phone = bench.phone(OLD)
    device = bench.device(phone, by_hand=True, by_hand_poll_s=0.1)
    app = bench.app().application_id

    def asked() -> int:
        return len([item for item in bench.said if item.startswith("open the app")])

    first = _when(lambda: asked() == 1, lambda: phone.open_by_hand(app))
    device.runtime_of(make_arm(MODEL))
    first.join()
    phone.processes.end(app)
    again = _when(lambda: asked() == 2, lambda: phone.open_by_hand(app))
    succeeded(bench.block(device, deadline_s=1))
    again.join()


def test_nobody_opens_the_app(bench: Bench) -> None:
    device = bench.device(bench.phone(), by_hand=True, by_hand_s=1.0, by_hand_poll_s=0.2)
    with pytest.raises(DeviceNotReadyError, match="nobody opened the app"):
        bench.block(device, deadline_s=1)


def _when(condition: Callable[[], bool], then: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + 30
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
