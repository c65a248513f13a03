"""A phone over real adb passes what every device must, and is left as it was found."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import android_phones as phones
import pytest
from device_contract import MODEL, DeviceContract, make_arm, make_request

from adb_server import adb_programs, own_adb
from ortlab.devices.android import AndroidDevice, AndroidOptions, Limits, phone_findings
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.android.files import FILES
from ortlab.devices.journal import changes_left
from ortlab.devices.virtual import KotlinCore, VirtualAndroidPhone, VirtualPhoneSpec
from ortlab.devices.virtual.android import faults as fault
from ortlab.devices.virtual.android.faults import Faults
from ortlab.devices.virtual.programs import find_java
from ortlab.domain import Device, DeviceKind
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    InstallError,
    UsageError,
)
from ortlab.wire import BlockResult, Death, DeathKind, ModelReference, Purpose, Stage, StopRule

pytestmark = pytest.mark.requires("adb")

STAY_ON = "stay_on_while_plugged_in"
ENDLESS = StopRule(min_ns=10**12, max_ns=10**13)
Bench = Callable[..., BlockResult | Death]


@pytest.fixture(scope="module")
def server() -> Iterator[AdbServer]:
    with phones.adb_server() as server:
        yield server


@pytest.fixture(scope="module")
def phone(server: AdbServer) -> Iterator[VirtualAndroidPhone]:
    with phones.connected_phone(server) as phone:
        yield phone


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def clean(phone: VirtualAndroidPhone) -> Iterator[VirtualAndroidPhone]:
    """The phone, without the faults of the test before."""
    phone.faults = Faults()
    yield phone
    phone.faults = Faults()


@pytest.fixture
def opened(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path, said: list[str]
) -> Iterator[AndroidDevice]:
    with phones.opened(server, clean, tmp_path, said=said) as device:
        yield device


@pytest.fixture
def bench(opened: AndroidDevice, tmp_path: Path) -> Bench:
    def run(purpose: Purpose = Purpose.PARITY, **changes: object) -> BlockResult | Death:
        arm = make_arm(MODEL)
        return opened.run_block(make_request(arm, tmp_path, purpose, **changes), arm)

    return run


def died(answer: BlockResult | Death) -> Death:
    assert isinstance(answer, Death), answer
    return answer


# ------------------------------------------------------------------------------ contract


@pytest.fixture(scope="module", params=[24, 30, 35])
def device(
    request: pytest.FixtureRequest, server: AdbServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    spec = VirtualPhoneSpec(api_level=request.param)
    directory = tmp_path_factory.mktemp(f"api{request.param}")
    with (
        phones.connected_phone(server, spec) as phone,
        phones.opened(server, phone, directory) as device,
    ):
        yield device


class TestVirtualPhone(DeviceContract):
    """A virtual phone passes what every device must, old system or new."""


@pytest.mark.requires("kotlin")
class TestVirtualPhoneWithTheKotlinCore(DeviceContract):
    """Likewise with the program that real phones run."""

    @pytest.fixture(scope="class")
    @classmethod
    def device(
        cls, server: AdbServer, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Device]:
        from android.core import core_classpath

        program = KotlinCore(find_java() or "java", core_classpath())
        with (
            phones.connected_phone(server, program=program) as phone,
            phones.opened(server, phone, tmp_path_factory.mktemp("kotlin")) as device,
        ):
            yield device


def test_a_phone_describes_itself(opened: AndroidDevice, phone: VirtualAndroidPhone) -> None:
    info = opened.info
    assert info.kind is DeviceKind.ANDROID
    assert info.device_id == phone.serial
    assert info.os_version == "Android 14 (API 34)"
    assert info.architecture == "arm64-v8a"
    assert info.virtual
    assert not info.emulator
    conditions = opened.conditions()
    assert conditions.thermal_status == "none"
    assert conditions.temperature_c is not None
    assert conditions.low_power_mode is False


# ------------------------------------------------------------------------------ apps and files


def test_an_app_is_sent_once(server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        with phones.opened(server, clean, tmp_path, said=said) as device:
            assert device.info.ort_version
    assert sum("installing" in line for line in said) <= 1
    newer = phones.bench_app(tmp_path, version_code=2)
    with phones.opened(server, clean, tmp_path, app=newer, said=said) as device:
        assert device.info.ort_version
    assert sum("installing" in line for line in said) >= 1
    older = phones.bench_app(tmp_path, version_code=1)
    with phones.opened(server, clean, tmp_path, app=older, said=said) as device:
        assert device.info.ort_version  # the newer one of ours was removed first


def test_a_foreign_install_is_noticed(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    said: list[str] = []
    with phones.opened(server, clean, tmp_path) as device:
        assert device.info.ort_version
    server.phone(clean.serial).install([phones.bench_app(tmp_path).files[0]], deadline_s=60)
    time.sleep(1.1)  # the system tells the time of an update in whole seconds
    server.phone(clean.serial).install([phones.bench_app(tmp_path).files[0]], deadline_s=60)
    with phones.opened(server, clean, tmp_path, said=said) as device:
        assert device.info.ort_version
    assert any("installing" in line for line in said)


def test_an_app_is_deployed_and_opened(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    app = phones.bench_app(tmp_path)
    with phones.opened(server, clean, tmp_path, app=app) as device:
        device.deploy(app, start=True)
        clean.faults = Faults(fault.CommandFails(command="monkey", message="no such app"))
        with pytest.raises(DeviceError, match="cannot open"):
            device.deploy(app, start=True)


def test_an_app_of_ours_in_the_way_is_removed_once(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    refused = fault.InstallRefused(code="INSTALL_FAILED_UPDATE_INCOMPATIBLE", times=1)
    clean.faults = Faults(refused)
    app = phones.bench_app(tmp_path, version_code=11)
    with phones.opened(server, clean, tmp_path, app=app) as device:
        device.deploy(app, start=False)
        now = clean.packages.find(phones.APP_ID)
        assert now is not None
        assert now.package.version_code == 11
        clean.faults = Faults(replace(refused, times=None))
        with pytest.raises(InstallError):
            device.deploy(app, start=False)


def test_another_apps_data_is_never_removed(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    clean.faults = Faults(fault.InstallRefused(code="INSTALL_FAILED_UPDATE_INCOMPATIBLE"))
    app = replace(phones.bench_app(tmp_path), application_id="com.example.reader")
    with phones.opened(server, clean, tmp_path, app=app) as device:
        with pytest.raises(InstallError) as caught:
            device.deploy(app, start=False)
        assert caught.value.code == "INSTALL_FAILED_UPDATE_INCOMPATIBLE"


def test_what_a_person_refused_is_not_tried_again(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    clean.faults = Faults(fault.InstallRefused(code="INSTALL_FAILED_USER_RESTRICTED", times=1))
    app = phones.bench_app(tmp_path, version_code=9)
    with (
        phones.opened(server, clean, tmp_path, app=app) as device,
        pytest.raises(InstallError) as caught,
    ):
        assert device.info
    assert caught.value.code == "INSTALL_FAILED_USER_RESTRICTED"
    assert caught.value.next_step


def test_wrong_content_is_sent_again(
    server: AdbServer, clean: VirtualAndroidPhone, bench: Bench
) -> None:
    assert isinstance(bench(), BlockResult)
    shell = server.phone(clean.serial).shell
    listed = shell("ls", FILES, deadline_s=20).stdout.split()
    for name in listed:
        held = shell("ls", f"{FILES}/{name}", deadline_s=20).stdout.strip()
        path = f"{FILES}/{name}/{held}"
        if held.endswith(".onnx"):
            server.phone(clean.serial).push(b"damaged", path, deadline_s=20)
    answer = bench()
    assert isinstance(answer, BlockResult)
    assert answer.failure is None


def test_a_system_without_sha256sum_verifies_all_the_same(
    server: AdbServer, tmp_path: Path
) -> None:
    missing = fault.CommandFails(command="^sha256sum", exit_code=127, message="not found")
    other = tmp_path / "other.onnx"
    other.write_bytes(MODEL.read_bytes() + b" ")
    with phones.connected_phone(server, VirtualPhoneSpec(api_level=24)) as phone:
        arm = make_arm(MODEL)
        with phones.opened(server, phone, tmp_path) as device:
            phone.faults = Faults(missing, fault.WrongContent(path="/files/"))
            assert device.info.ort_version
            answer = device.run_block(make_request(arm, tmp_path), arm)
            phone.faults = Faults(missing, fault.WrongContent(path="/files/", times=None))
            with pytest.raises(DeviceError, match="not what was sent"):
                device.run_block(make_request(make_arm(other), tmp_path), make_arm(other))
    assert isinstance(answer, BlockResult)
    assert answer.failure is None


def test_the_same_content_under_two_names_is_one_file(
    opened: AndroidDevice, tmp_path: Path, said: list[str]
) -> None:
    """Two variants of a small model may be the same to the byte."""
    for name in ("fixed.onnx", "runtime.onnx"):
        model = tmp_path / name
        model.write_bytes(MODEL.read_bytes())
        arm = make_arm(model, arm_id=name)
        answer = opened.run_block(make_request(arm, tmp_path), arm)
        assert isinstance(answer, BlockResult)
        assert answer.failure is None
    assert not [line for line in said if "damaged" in line]


@pytest.mark.parametrize("always", [False, True])
def test_a_large_model_that_arrives_wrong_never_runs(
    clean: VirtualAndroidPhone, opened: AndroidDevice, tmp_path: Path, *, always: bool
) -> None:
    """No checksum is asked of the phone for it: the benchmark program refuses what it reads."""
    model = tmp_path / "large.onnx"
    ignored = b"\xc2\x3e\x80\x80\x80\x05" + bytes([always]) * (10 << 20)  # an unknown field
    model.write_bytes(MODEL.read_bytes() + ignored)
    arm = make_arm(model)
    assert opened.info.ort_version
    clean.faults = Faults(fault.WrongContent(path="/files/", times=None if always else 1))
    if always:
        with pytest.raises(DeviceError, match="not what was sent"):
            opened.run_block(make_request(arm, tmp_path), arm)
        return
    answer = opened.run_block(make_request(arm, tmp_path), arm)
    assert isinstance(answer, BlockResult)
    assert answer.failure is None


def test_a_phone_that_is_full_makes_room_of_ours_only(server: AdbServer, tmp_path: Path) -> None:
    with phones.connected_phone(server, VirtualPhoneSpec(storage_bytes=400 << 20)) as phone:
        own = server.phone(phone.serial)
        own.push(b"\0" * (60 << 20), f"{FILES}/{'0' * 64}/old.onnx", deadline_s=60)
        own.push(b"theirs", "/data/local/tmp/theirs.txt", deadline_s=60)
        model = tmp_path / "large.onnx"
        model.write_bytes(MODEL.read_bytes() + b"\0" * (30 << 20))
        arm = make_arm(model)
        phone.faults = Faults(fault.StorageFull(path="/files/", times=1))
        with phones.opened(server, phone, tmp_path) as device:
            device.run_block(make_request(arm, tmp_path), arm)
        assert own.stat(f"{FILES}/{'0' * 64}", deadline_s=20) is None
        assert own.stat("/data/local/tmp/theirs.txt", deadline_s=20) is not None


HOSTILE = ("a'b;reboot.onnx", "$(touch pwned) `id`.onnx", '"x" && y |z.onnx', "模型 😀 %s.onnx")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_no_shell(
    server: AdbServer,
    clean: VirtualAndroidPhone,
    opened: AndroidDevice,
    tmp_path: Path,
    name: str,
) -> None:
    model = tmp_path / name
    model.write_bytes(MODEL.read_bytes())
    arm = make_arm(model, arm_id=name)
    before = len(clean.opened)
    unknown = clean.unmodelled
    request = make_request(arm, tmp_path, block_id=f"b {name}")
    answer = opened.run_block(request, arm)
    assert isinstance(answer, BlockResult)
    assert answer.failure is None
    assert answer.block_id == request.block_id
    words = [shlex.split(line) for line in clean.opened[before:] if line.startswith("shell")]
    remote = f"{FILES}/{arm.model_sha256}/content{Path(name).suffix}"
    assert any(remote in line for line in words)
    assert clean.unmodelled == unknown  # neither reboot nor touch nor z was called
    found = server.phone(clean.serial).shell("find", "/", "-name", "pwned", deadline_s=20)
    assert found.stdout.strip() == ""


# ------------------------------------------------------------------------------ deaths


@pytest.mark.parametrize(
    ("crash", "kind", "words"),
    [
        (fault.CrashKind.JAVA, DeathKind.EXIT, "IllegalStateException"),
        (fault.CrashKind.NATIVE, DeathKind.SIGNAL, "SIGSEGV"),
        (fault.CrashKind.OUT_OF_MEMORY, DeathKind.OUT_OF_MEMORY, "low-memory killer"),
    ],
)
def test_a_crash_is_told_with_its_cause_and_stage(
    clean: VirtualAndroidPhone,
    bench: Bench,
    tmp_path: Path,
    crash: fault.CrashKind,
    kind: DeathKind,
    words: str,
) -> None:
    clean.faults = Faults(fault.AppDies(stage=Stage.MEASURE, crash=crash))
    death = died(bench(Purpose.LATENCY, stop=ENDLESS))
    assert death.kind is kind
    assert words in death.message
    assert death.last_stage is Stage.MEASURE
    log = (tmp_path / "out" / "logcat.txt").read_text()
    assert phones.APP_ID in log
    if kind is DeathKind.SIGNAL:
        assert death.signal_name == "SIGSEGV"
        assert "backtrace" in log or "SIGSEGV" in (tmp_path / "out" / "tombstone.txt").read_text()
    answer = bench()
    assert isinstance(answer, BlockResult)
    assert answer.failure is None


def test_a_death_is_not_told_of_the_next_block(clean: VirtualAndroidPhone, bench: Bench) -> None:
    """Phones tell the time in whole seconds; several blocks may die within one."""
    expected = {fault.CrashKind.OUT_OF_MEMORY: "memory", fault.CrashKind.JAVA: "IllegalState"}
    for crash, words in [*expected.items(), *expected.items()]:
        clean.faults = Faults(fault.AppDies(stage=Stage.MEASURE, crash=crash))
        assert words in died(bench(Purpose.LATENCY, stop=ENDLESS)).message


def test_heat_that_ends_the_app_is_told_and_waited_out(
    clean: VirtualAndroidPhone, bench: Bench
) -> None:
    clean.faults = Faults(fault.AppDies(stage=Stage.MEASURE, crash=fault.CrashKind.THERMAL))
    assert "hot" in died(bench(Purpose.LATENCY, stop=ENDLESS)).message
    clean.power.set_state(temperature_c=30.0)
    assert isinstance(bench(), BlockResult)


def test_a_phone_that_refuses_instrumentation_starts_the_activity(
    clean: VirtualAndroidPhone, opened: AndroidDevice, bench: Bench, said: list[str]
) -> None:
    clean.faults = Faults(fault.CommandFails(command="am instrument"))
    assert opened.info.ort_version
    for purpose in (Purpose.PARITY, Purpose.LATENCY):
        answer = bench(purpose)
        assert isinstance(answer, BlockResult)
        assert answer.failure is None
    assert sum("activity" in line for line in said) == 1
    dies = fault.AppDies(stage=Stage.MEASURE, crash=fault.CrashKind.NATIVE)
    clean.faults = Faults(fault.CommandFails(command="am instrument"), dies)
    death = died(bench(Purpose.LATENCY, stop=ENDLESS))
    assert (death.kind, death.signal_name) == (DeathKind.SIGNAL, "SIGSEGV")
    assert death.last_stage is Stage.MEASURE


def test_a_block_that_hangs_ends_at_its_deadline(
    clean: VirtualAndroidPhone, bench: Bench, server: AdbServer
) -> None:
    clean.faults = Faults(fault.CommandHangs(command="am instrument", times=1))
    started = time.monotonic()
    death = died(bench(deadline_s=1.0))
    assert death.kind is DeathKind.DEADLINE
    assert time.monotonic() - started < 60
    said = server.phone(clean.serial).shell("pidof", phones.APP_ID, deadline_s=20)
    assert said.stdout.strip() == ""


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (fault.Damage.TRUNCATED, DeathKind.GARBLED_RESULT),
        (fault.Damage.GARBLED, DeathKind.GARBLED_RESULT),
        (fault.Damage.MISSING, DeathKind.NO_RESULT),
    ],
)
def test_a_damaged_result_is_never_taken(
    clean: VirtualAndroidPhone, bench: Bench, damage: fault.Damage, kind: DeathKind
) -> None:
    clean.faults = Faults(fault.ResultDamaged(damage=damage))
    assert died(bench()).kind is kind
    answer = bench()
    assert isinstance(answer, BlockResult)
    assert answer.block_id == "parity-1"


# ------------------------------------------------------------------------------ the phone goes


def test_a_cable_pulled_in_a_block(
    server: AdbServer, clean: VirtualAndroidPhone, bench: Bench
) -> None:
    assert isinstance(bench(), BlockResult)
    clean.faults = Faults(fault.CablePulled(service="am instrument", stays_out=True))
    with pytest.raises(DeviceLostError) as caught:
        bench()
    assert caught.value.next_step
    clean.plug()
    server.phone(clean.serial).wait(deadline_s=20)
    assert isinstance(bench(), BlockResult)


STAGES = {
    "look": "dumpsys battery",
    "settings": "settings put",
    "install": "package.install",
    "probe": "instrument.*probe",
    "verify": "^shell.*sha256sum .*onnx$",
    "push": "^sync:",
    "place": "^shell.*chmod 644",
    "run": "instrument.*request",
    "clear": r"force-stop [a-z.]+ ; rm -rf \S+ \S+$",
}


@pytest.mark.parametrize("stays_out", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_a_cable_pulled_at_any_stage_leaves_nothing_behind(
    server: AdbServer, tmp_path: Path, stage: str, stays_out: bool
) -> None:
    """The error is the device's, settings come back, and the same work then succeeds."""
    arm = make_arm(MODEL)

    with phones.connected_phone(server) as phone:

        def work() -> BlockResult | Death:
            with phones.opened(server, phone, tmp_path) as device:
                assert device.info.ort_version
                return device.run_block(make_request(arm, tmp_path), arm)

        shell = server.phone(phone.serial).shell
        shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
        sends = stage in ("install", "push")
        pulled = fault.CablePulled(
            service=STAGES[stage],
            stays_out=stays_out,
            direction=fault.Direction.TO_PHONE if sends else fault.Direction.FROM_PHONE,
        )
        phone.faults = Faults(pulled)
        with pytest.raises(DeviceError) as caught:
            work()
        assert isinstance(caught.value, DeviceLostError | DeviceNotReadyError)
        assert caught.value.next_step
        assert not (tmp_path / "out" / "result.json").exists() or stage == "clear"
        phone.plug()
        server.phone(phone.serial).wait(deadline_s=20)
        answer = work()
        assert isinstance(answer, BlockResult)
        assert answer.failure is None
        assert phones.setting(server, phone, STAY_ON) == "0"
        assert changes_left(tmp_path / "state", phone.serial) == ()


def test_an_adb_server_that_ends_in_a_block(tmp_path: Path) -> None:
    arm = make_arm(MODEL)
    with (
        own_adb(next(iter(adb_programs().values()))) as adb,
        phones.connected_phone(adb.server) as phone,
    ):
        shell = adb.server.phone(phone.serial).shell
        shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
        with phones.opened(adb.server, phone, tmp_path) as device:
            assert device.info.ort_version
            killer = threading.Timer(1.5, adb.kill)
            killer.start()
            with pytest.raises(DeviceLostError):
                device.run_block(make_request(arm, tmp_path, Purpose.LATENCY, stop=ENDLESS), arm)
            killer.join()
        assert phones.setting(adb.server, phone, STAY_ON) == "0"
        assert changes_left(tmp_path / "state", phone.serial) == ()


def test_a_phone_that_hangs_is_lost_within_the_deadline(server: AdbServer, tmp_path: Path) -> None:
    with (
        phones.connected_phone(server) as phone,
        phones.opened(server, phone, tmp_path) as device,
    ):
        arm = make_arm(MODEL)
        assert isinstance(device.run_block(make_request(arm, tmp_path), arm), BlockResult)
        phone.faults = Faults(
            fault.PhoneHangs(service=r"am instrument|am force-stop [a-z.]+$", times=None)
        )
        with pytest.raises(DeviceLostError):
            device.run_block(make_request(arm, tmp_path, deadline_s=1.0), arm)
        phone.faults = Faults()


# ------------------------------------------------------------------------------ readiness


def test_a_secure_lock_needs_a_person(server: AdbServer, tmp_path: Path) -> None:
    spec = VirtualPhoneSpec(screen_on=False, locked=True, secure_lock=True)
    with (
        phones.connected_phone(server, spec) as phone,
        phones.opened(server, phone, tmp_path) as device,
        pytest.raises(DeviceNotReadyError, match="locked"),
    ):
        assert device.info


def test_a_sleeping_phone_is_woken_and_put_to_sleep_again(
    server: AdbServer, tmp_path: Path
) -> None:
    spec = VirtualPhoneSpec(screen_on=False, locked=True)
    with phones.connected_phone(server, spec) as phone:
        shell = server.phone(phone.serial).shell
        with phones.opened(server, phone, tmp_path) as device:
            assert device.info.ort_version
            assert "mWakefulness=Awake" in shell("dumpsys", "power", deadline_s=20).stdout
        assert "mWakefulness=Asleep" in shell("dumpsys", "power", deadline_s=20).stdout


def test_an_empty_battery_and_battery_saver_need_a_person(
    server: AdbServer, tmp_path: Path
) -> None:
    spec = VirtualPhoneSpec(battery_percent=5, low_power_mode=True)
    with phones.connected_phone(server, spec) as phone:
        with (
            phones.opened(server, phone, tmp_path) as device,
            pytest.raises(DeviceNotReadyError, match="5 %"),
        ):
            assert device.info
        (attached,) = [item for item in server.phones() if item.serial == phone.serial]
        found = phone_findings(attached, server=server)
        blocked = [item.subject for item in found if item.state == "missing"]
        assert blocked == ["battery", "battery saver"]
        assert all(item.next_step for item in found if item.state == "missing")


def test_a_hot_phone_is_waited_for(server: AdbServer, tmp_path: Path) -> None:
    said: list[str] = []
    with phones.connected_phone(server) as phone:
        options = AndroidOptions(limits=Limits(cool_down_s=30, poll_s=0.1))
        with phones.opened(server, phone, tmp_path, options=options, said=said) as device:
            assert device.info.ort_version
            phone.power.set_state(temperature_c=44.0)
            cooler = threading.Timer(1.0, lambda: phone.power.set_state(temperature_c=26.0))
            cooler.start()
            arm = make_arm(MODEL)
            answer = device.run_block(make_request(arm, tmp_path), arm)
            cooler.join()
    assert isinstance(answer, BlockResult)
    assert any("waiting for the phone to cool down" in line for line in said)


def test_without_an_app_it_says_so(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    device = AndroidDevice(server.phone(clean.serial), None, tmp_path / "state")
    with pytest.raises(UsageError) as caught:
        assert device.info
    assert "ortlab build" in (caught.value.next_step or "")
    device.close()


# ------------------------------------------------------------------------------ settings


@contextmanager
def left_alone(server: AdbServer, phone: VirtualAndroidPhone, state: Path) -> Iterator[None]:
    """Hold that the phone's settings are the same afterwards, and that the journal is empty."""
    before = phones.setting(server, phone, STAY_ON)
    yield
    assert phones.setting(server, phone, STAY_ON) == before
    assert changes_left(state, phone.serial) == ()


@pytest.mark.parametrize("before", ["0", "3", "null"])
def test_settings_are_put_back(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path, before: str
) -> None:
    shell = server.phone(clean.serial).shell
    change = (
        ("delete", "global", STAY_ON) if before == "null" else ("put", "global", STAY_ON, before)
    )
    shell("settings", *change, deadline_s=20)
    with (
        left_alone(server, clean, tmp_path / "state"),
        phones.opened(server, clean, tmp_path) as device,
    ):
        assert device.info.ort_version
        assert phones.setting(server, clean, STAY_ON) == "7"
        assert changes_left(tmp_path / "state", clean.serial) == (STAY_ON,)


def test_settings_are_put_back_after_an_error(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    clean.faults = Faults(fault.CommandFails(command="am (instrument|start)"))
    with (
        left_alone(server, clean, tmp_path / "state"),
        pytest.raises(DeviceError, match="cannot start"),
        phones.opened(server, clean, tmp_path) as device,
    ):
        device.info  # noqa: B018


def test_what_a_person_changed_meanwhile_stays(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    shell = server.phone(clean.serial).shell
    shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
    with phones.opened(server, clean, tmp_path) as device:
        assert device.info.ort_version
        shell("settings", "put", "global", STAY_ON, "2", deadline_s=20)
    assert phones.setting(server, clean, STAY_ON) == "2"


def test_a_phone_that_refuses_a_setting_is_used_without_it(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    shell = server.phone(clean.serial).shell
    shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
    clean.faults = Faults(fault.CommandFails(command="settings put"))
    said: list[str] = []
    with phones.opened(server, clean, tmp_path, said=said) as device:
        assert device.info.ort_version
    assert any("refuses to change" in line for line in said)
    assert changes_left(tmp_path / "state", clean.serial) == ()


def test_the_fixed_performance_mode_is_opt_in_and_switched_off(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    options = replace(phones.QUICK, fixed_performance=True)
    before = len(clean.requests)
    with phones.opened(server, clean, tmp_path, options=options) as device:
        assert device.info.ort_version
    asked = " ".join(str(item) for item in clean.requests[before:])
    assert "set-fixed-performance-mode-enabled true" in asked
    assert "set-fixed-performance-mode-enabled false" in asked
    assert changes_left(tmp_path / "state", clean.serial) == ()


@contextmanager
def driver(
    server: AdbServer, phone: VirtualAndroidPhone, directory: Path
) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that is in the middle of a block."""
    phones.bench_app(directory)
    (directory / "app.json").write_text(json.dumps(phones.APP_ID))
    program = Path(__file__).parent / "android_drive.py"
    arguments = (sys.executable, str(program), str(server.port), phone.serial, str(directory))
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout
        while not process.stdout.readline().startswith("first block:"):
            assert process.poll() is None
        give_up = time.monotonic() + 60
        shell = server.phone(phone.serial).shell
        while not shell("pidof", phones.APP_ID, deadline_s=20).stdout.strip():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert phones.setting(server, phone, STAY_ON) == "7"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("refused", [(), ("am instrument",)], ids=["instrumentation", "activity"])
def test_ctrl_c_puts_settings_back_and_stops_the_app(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path, refused: tuple[str, ...]
) -> None:
    clean.faults = Faults(*(fault.CommandFails(command=command) for command in refused))
    shell = server.phone(clean.serial).shell
    shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
    with (
        left_alone(server, clean, tmp_path / "state"),
        driver(server, clean, tmp_path) as process,
    ):
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert "KeyboardInterrupt" in output
    assert shell("pidof", phones.APP_ID, deadline_s=20).stdout.strip() == ""


def test_a_killed_host_is_made_good_by_the_next_command(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    shell = server.phone(clean.serial).shell
    shell("settings", "put", "global", STAY_ON, "3", deadline_s=20)
    with driver(server, clean, tmp_path) as process:
        process.kill()
        process.wait()
    assert phones.setting(server, clean, STAY_ON) == "7"
    assert changes_left(tmp_path / "state", clean.serial) == (STAY_ON,)
    AndroidDevice(server.phone(clean.serial), None, tmp_path / "state").close()
    assert phones.setting(server, clean, STAY_ON) == "3"
    assert changes_left(tmp_path / "state", clean.serial) == ()


def test_what_cannot_be_put_back_is_said_and_tried_again(server: AdbServer, tmp_path: Path) -> None:
    said: list[str] = []
    with phones.connected_phone(server) as phone:
        shell = server.phone(phone.serial).shell
        shell("settings", "put", "global", STAY_ON, "0", deadline_s=20)
        with phones.opened(server, phone, tmp_path, said=said) as device:
            assert device.info.ort_version
            phone.faults = Faults(fault.CommandFails(command="settings put"))
        assert any(f"cannot put {STAY_ON}" in line for line in said)
        phone.faults = Faults()
        AndroidDevice(server.phone(phone.serial), None, tmp_path / "state").close()
        assert phones.setting(server, phone, STAY_ON) == "0"


# ------------------------------------------------------------------------------ several


def test_an_arm_may_bring_its_own_app(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    other = phones.bench_app(tmp_path, version_code=2)
    said: list[str] = []
    with phones.opened(server, clean, tmp_path, said=said) as device:
        arms = (make_arm(MODEL), make_arm(MODEL, runtime=str(other.files[0])))
        assert {device.runtime_of(arm)[0] for arm in arms} == {device.info.ort_version}
        for arm in (*arms, *arms):
            assert isinstance(device.run_block(make_request(arm, tmp_path), arm), BlockResult)
            now = clean.packages.find(phones.APP_ID)
            assert now is not None
            assert now.package.version_code == (1 if arm.runtime is None else 2)
        with pytest.raises(UsageError):
            device.runtime_of(make_arm(MODEL, runtime=str(tmp_path / "none.apk")))


def test_custom_operators_must_be_in_the_app(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    arm = make_arm(MODEL, custom_op_library="/opt/custom.so")
    model = ModelReference(
        path=arm.model_path, sha256=arm.model_sha256, custom_op_library="/opt/custom.so"
    )
    with (
        phones.opened(server, clean, tmp_path) as device,
        pytest.raises(DeviceError, match=r"custom\.so") as caught,
    ):
        device.run_block(make_request(arm, tmp_path, model=model), arm)
    assert "ort.customOps.arm64-v8a" in (caught.value.next_step or "")


@pytest.mark.usefixtures("opened")
def test_one_command_uses_a_phone_at_a_time(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    with pytest.raises(DeviceNotReadyError, match="another ortlab command"):
        AndroidDevice(server.phone(clean.serial), None, tmp_path / "state")


@pytest.mark.requires("custom_ops")
def test_custom_operators_that_are_in_the_app_are_used(
    server: AdbServer, clean: VirtualAndroidPhone, tmp_path: Path
) -> None:
    import numpy as np
    import onnx
    import onnxruntime_extensions
    from onnx import TensorProto, helper

    from ortlab.tensors import read_tensor, write_tensor

    library = Path(onnxruntime_extensions.get_library_path())
    app = phones.bench_app(tmp_path)
    with zipfile.ZipFile(app.files[0], "a") as package:
        package.write(library, f"lib/arm64-v8a/lib{library.name}")
        package.writestr("lib/arm64-v8a/libonnxruntime.so", b"")
    app = replace(app, sha256=hashlib.sha256(app.files[0].read_bytes()).hexdigest())
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "np"]
    node = helper.make_node("NegPos", ["x"], ["n", "p"], domain="ai.onnx.contrib")
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)]
    graph = helper.make_graph([node], "g", [x], outputs)
    model = tmp_path / "custom.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), model)
    arm = make_arm(model, custom_op_library=str(library))
    values = np.asarray([-2, -1, 1, 2], np.float32)
    request = make_request(
        arm,
        tmp_path,
        model=ModelReference(
            path=str(model), sha256=arm.model_sha256, custom_op_library=str(library)
        ),
        inputs=(write_tensor(tmp_path / "values.bin", "x", values),),
    )
    with phones.opened(server, clean, tmp_path, app=app) as device:
        answer = device.run_block(request, arm)
    assert isinstance(answer, BlockResult)
    assert answer.failure is None
    found = {output.name: read_tensor(output) for output in answer.outputs}
    np.testing.assert_array_equal(found["p"], [0, 0, 1, 2])


def test_two_phones_at_once(server: AdbServer, tmp_path: Path) -> None:
    specs = (VirtualPhoneSpec(api_level=24), VirtualPhoneSpec(api_level=34))
    answers: dict[int, list[BlockResult | Death]] = {24: [], 34: []}

    def work(spec: VirtualPhoneSpec) -> None:
        directory = tmp_path / str(spec.api_level)
        with (
            phones.connected_phone(server, spec) as phone,
            phones.opened(server, phone, directory) as device,
        ):
            for number in range(3):
                arm = make_arm(MODEL)
                request = make_request(arm, directory, block_id=f"b-{spec.api_level}-{number}")
                answers[spec.api_level].append(device.run_block(request, arm))

    threads = [threading.Thread(target=work, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for level, results in answers.items():
        ids = [item.block_id for item in results if isinstance(item, BlockResult)]
        assert ids == [f"b-{level}-{number}" for number in range(3)]
