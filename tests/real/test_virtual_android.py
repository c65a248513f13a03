"""The virtual Android phone, as real adb of two generations sees it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import adbutils
import numpy as np
import pytest
from device_contract import MODEL, VALUES, DeviceContract, make_arm, make_request

from apk_writer import Element, Writer, make_apk, signing_block
from ortlab import codec
from ortlab.devices.virtual import (
    KotlinCore,
    PythonRunner,
    SleepingProgram,
    VirtualAndroidPhone,
    VirtualPhoneSpec,
    open_virtual,
    runner_package,
)
from ortlab.devices.virtual.android.faults import (
    AppDies,
    CablePulled,
    CommandFails,
    CommandHangs,
    CrashKind,
    Damage,
    Direction,
    Fault,
    Faults,
    InstallRefused,
    LowBattery,
    NoHandshake,
    OtherState,
    PhoneHangs,
    ResultDamaged,
    ScreenLocked,
    SlowPhone,
    StorageFull,
    Unauthorized,
    WrongContent,
)
from ortlab.devices.virtual.power import HeatModel
from ortlab.domain import Device
from ortlab.errors import DeviceError, UsageError
from ortlab.tensors import read_tensor
from ortlab.wire import BlockResult, Purpose, Stage

PACKAGE = "com.example.reader.bench"
COMPONENT = f"{PACKAGE}/dev.ortlab.bench.BenchInstrumentation"
INSTRUMENT = ("shell", "am", "instrument", "-w", "-r", "-e")
MEDIA = f"/sdcard/Android/media/{PACKAGE}"
BUNDLED = Path(adbutils.__file__).parent / "binaries" / "adb"
PYTHON = PythonRunner(sys.executable)

pytestmark = pytest.mark.requires("adb")


@dataclass
class Adb:
    """An adb program with a server, keys and temporary files of its own."""

    program: str
    environment: dict[str, str]

    def __call__(
        self, *arguments: str | Path, serial: str | None = None, deadline_s: float = 30
    ) -> subprocess.CompletedProcess[str]:
        chosen = ("-s", serial) if serial else ()
        return subprocess.run(
            [self.program, *chosen, *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=deadline_s,
        )

    def output(self, *arguments: str | Path) -> str:
        done = self(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def shell(self, command: str) -> str:
        return self.output("shell", command)

    def state(self, serial: str) -> str:
        found = re.search(rf"^{re.escape(serial)}\s+(.*)$", self.output("devices"), re.MULTILINE)
        return found[1].strip() if found else "absent"

    def connect(self, phone: VirtualAndroidPhone) -> None:
        def connected() -> bool:
            # adb may still take a phone that it just let go of for connected.
            self("connect", phone.address)
            return self.state(phone.serial) == "device"

        until(connected)


def until(condition: Callable[[], bool], deadline_s: float = 30) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@contextlib.contextmanager
def adb_server(program: str, home: Path) -> Iterator[Adb]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    own = {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "HOME": str(home),
        "TMPDIR": str(home),
        "ADB_LIBUSB": "0",
        "ADB_MDNS": "0",
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
    }
    adb = Adb(program, {**os.environ, **own})
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [program, "-P", str(port), "nodaemon", "server"],
            env=adb.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        until(answers)
        yield adb
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module", params=["system", "bundled"])
def adb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adb]:
    program = shutil.which("adb") if request.param == "system" else str(BUNDLED)
    assert program is not None
    with adb_server(program, tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture(scope="module")
def new_adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adb]:
    with adb_server(str(BUNDLED), tmp_path_factory.mktemp("adb")) as server:
        yield server


@contextlib.contextmanager
def connected(
    adb: Adb, *faults: Fault, expected: tuple[str, ...] = (), **changes: Any
) -> Iterator[VirtualAndroidPhone]:
    """Run a phone, connect to it, and see that everything asked of it was known to it."""
    spec = VirtualPhoneSpec(**changes)
    with VirtualAndroidPhone(spec, program=PYTHON, faults=Faults(*faults)) as phone:
        adb.connect(phone)
        adb.environment["ANDROID_SERIAL"] = phone.serial
        try:
            yield phone
        finally:
            adb("disconnect", phone.address)
        assert phone.unmodelled == expected


@pytest.fixture(params=[24, 28, 30, 34])
def phone(adb: Adb, request: pytest.FixtureRequest) -> Iterator[VirtualAndroidPhone]:
    with connected(adb, api_level=request.param) as made:
        yield made


def install_runner(adb: Adb, directory: Path, version_code: int = 1) -> str:
    path = runner_package(directory / f"{version_code}.apk", PACKAGE, version_code)
    return adb("install", "-r", "-t", path).stdout


def block_request(adb: Adb, directory: Path, **changes: Any) -> str:
    """Send a block of the doubling model and return the phone's path of its request."""
    top = "/data/local/tmp/ortlab"
    arm = make_arm(MODEL)
    purpose = changes.pop("purpose", Purpose.PARITY)
    request = make_request(arm, directory, purpose, **changes)
    plain = codec.to_plain(request)
    plain["model"]["path"] = f"{top}/{MODEL.name}"
    plain["inputs"][0]["path"] = f"{top}/x.bin"
    plain["output_directory"] = f"{MEDIA}/blocks/b"
    path = directory / "request.json"
    path.write_text(json.dumps(plain))
    adb.shell(f"rm -rf {top}; mkdir -p {top}")
    for file in (MODEL, directory / "x.bin", path):
        adb.output("push", file, f"{top}/{file.name}")
        adb.shell(f"chmod 644 {top}/{file.name}")
    return f"{top}/request.json"


def instrument(adb: Adb, request: str) -> str:
    return adb(*INSTRUMENT, "request", request, COMPONENT, deadline_s=60).stdout


# ------------------------------------------------------------------------------ the cable


@pytest.mark.usefixtures("phone")
def test_both_generations_of_adb_move_files(adb: Adb, tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    source, back = tmp_path / "a b'$x.bin", tmp_path / "back.bin"
    source.write_bytes(content)
    adb.output("push", source, "/data/local/tmp/d/é 1.bin")
    adb.output("pull", "/data/local/tmp/d/é 1.bin", back)
    assert back.read_bytes() == content
    assert "é 1.bin" in adb.output("ls", "/data/local/tmp/d")
    digest = adb.shell("sha256sum '/data/local/tmp/d/é 1.bin'").split()[0]
    assert digest == hashlib.sha256(content).hexdigest()
    size, mode = adb.shell("stat -c '%s %a' '/data/local/tmp/d/é 1.bin'").split()
    assert int(size) == len(content)
    assert mode in ("644", "664", "666")


@pytest.mark.usefixtures("phone")
def test_empty_files_and_directories_travel(adb: Adb, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "in").mkdir(parents=True)
    (tree / "empty").write_bytes(b"")
    (tree / "in" / "deep").write_bytes(b"x" * 65536)
    adb.output("push", tree, "/sdcard/")
    adb.output("pull", "/sdcard/tree", tmp_path / "back")
    assert (tmp_path / "back" / "empty").read_bytes() == b""
    assert (tmp_path / "back" / "in" / "deep").read_bytes() == b"x" * 65536


def test_what_may_not_be_written_or_is_not_there_is_refused(
    adb: Adb, phone: VirtualAndroidPhone, tmp_path: Path
) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(1 << 20))
    done = adb("push", source, "/system/bin/a")
    assert done.returncode != 0
    assert "Read-only file system" in done.stdout + done.stderr
    done = adb("pull", "/data/local/tmp/none", tmp_path / "b")
    assert done.returncode != 0
    assert adb("push", source, "/data/local/tmp/../../../../escaped").returncode != 0
    assert not (phone.files.root / "escaped").exists()


@pytest.mark.usefixtures("phone")
def test_commands_have_exit_codes_and_two_outputs(adb: Adb) -> None:
    done = adb("shell", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert adb("shell", "exit 255").returncode == 255
    assert adb("exec-out", "echo raw").stdout == "raw\n"
    read = subprocess.run(
        [adb.program, "shell", "cat > /sdcard/typed; wc -c < /sdcard/typed"],
        env=adb.environment,
        input=b"typed\n",
        capture_output=True,
        timeout=30,
    )
    assert read.stdout == b"6\n"


def test_it_says_what_it_is(adb: Adb, phone: VirtualAndroidPhone) -> None:
    assert adb.output("get-state") == "device\n"
    properties = adb.shell("getprop")
    assert "[ro.ortlab.virtual]: [1]" in properties
    assert f"[ro.build.version.sdk]: [{phone.spec.api_level}]" in properties
    assert "ro.kernel.qemu" not in properties
    assert "mWakefulness=Awake" in adb.shell("dumpsys power")
    assert "level: 87" in adb.shell("dumpsys battery")
    thermal = adb.shell("dumpsys thermalservice")
    assert ("Thermal Status: 0" in thermal) is (phone.spec.api_level >= 29)


def test_its_log_can_be_read_cleared_and_followed(adb: Adb, phone: VirtualAndroidPhone) -> None:
    assert "this is a virtual phone" in adb.output("logcat", "-d")
    adb.output("logcat", "-c")
    assert "this is a virtual phone" not in adb.output("logcat", "-d")
    adb.shell("log -p w -t reader first")
    assert adb.output("logcat", "-d", "-v", "brief", "reader:W", "*:S").splitlines()[-1] == (
        "W/reader  ( 1000): first"
    )
    assert "first" not in adb.output("logcat", "-d", "reader:E", "*:S")
    with subprocess.Popen(
        [adb.program, "logcat", "-v", "raw", "-s", "reader"],
        env=adb.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "first\n"
        phone.log.write("I", "reader", "second")
        assert following.stdout.readline() == "second\n"
        following.terminate()


@pytest.mark.usefixtures("phone")
def test_forwards_and_reverses(adb: Adb) -> None:
    port = int(adb.output("forward", "tcp:0", "localabstract:nobody"))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        assert client.recv(1) == b""
    adb.output("forward", "--remove-all")
    adb.output("reverse", "tcp:7000", "tcp:7001")
    assert "tcp:7000 tcp:7001" in adb.output("reverse", "--list")
    adb.output("reverse", "--remove-all")
    assert adb.output("reverse", "--list").strip() == ""


def test_settings_and_screen(adb: Adb) -> None:
    with connected(adb, screen_on=False, locked=True):
        assert "mWakefulness=Asleep" in adb.shell("dumpsys power")
        adb.shell("input keyevent KEYCODE_WAKEUP; wm dismiss-keyguard")
        assert "mWakefulness=Awake" in adb.shell("dumpsys power")
        assert "showing=false" in adb.shell("dumpsys window policy")
        assert adb.shell("settings get global nothing") == "null\n"
        adb.shell("svc power stayon usb")
        assert adb.shell("settings get global stay_on_while_plugged_in") == "2\n"
        adb.shell("settings delete global stay_on_while_plugged_in")
        assert adb.shell("settings get global stay_on_while_plugged_in") == "null\n"


def test_an_unknown_command_is_noted(new_adb: Adb) -> None:
    with connected(new_adb, expected=("frobnicate --now",)):
        assert new_adb("shell", "frobnicate", "--now").returncode == 127


# ------------------------------------------------------------------------------ apps


def test_apps_are_installed_replaced_and_removed(
    adb: Adb, phone: VirtualAndroidPhone, tmp_path: Path
) -> None:
    assert "Success" in install_runner(adb, tmp_path)
    assert f"package:{PACKAGE}\n" in adb.shell("pm list packages")
    path = adb.shell(f"pm path {PACKAGE}").strip().removeprefix("package:")
    adb.output("pull", path, tmp_path / "back.apk")
    assert (tmp_path / "back.apk").read_bytes() == (tmp_path / "1.apk").read_bytes()
    assert "Success" in install_runner(adb, tmp_path, 2)
    assert "versionCode=2 " in adb.shell(f"dumpsys package {PACKAGE}")
    done = adb("install", "-r", tmp_path / "1.apk")
    assert "INSTALL_FAILED_VERSION_DOWNGRADE" in done.stdout + done.stderr
    assert "Success" in adb.output("uninstall", PACKAGE)
    assert adb.shell("pm list packages") == ""
    assert "DELETE_FAILED" in adb("uninstall", PACKAGE).stdout
    assert "Success" in adb.output("install-multiple", tmp_path / "1.apk")
    assert phone.files.used_bytes() == (tmp_path / "1.apk").stat().st_size


def test_what_is_no_app_is_refused(adb: Adb, phone: VirtualAndroidPhone, tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(b"PK no app" * 1000)
    done = adb("install", path)
    assert "INSTALL_PARSE_FAILED_NOT_APK" in done.stdout + done.stderr
    assert phone.files.used_bytes() == 0


def test_an_app_that_does_not_fit_is_refused(new_adb: Adb, tmp_path: Path) -> None:
    path = runner_package(tmp_path / "a.apk", PACKAGE)
    path.write_bytes(path.read_bytes() + bytes(2 << 20))
    with connected(new_adb, storage_bytes=1 << 20) as phone:
        done = new_adb("install", path)
        assert "not enough space" in done.stdout + done.stderr
        assert phone.files.used_bytes() == 0


@pytest.mark.parametrize(
    "code", ["INSTALL_FAILED_USER_RESTRICTED", "INSTALL_FAILED_INSUFFICIENT_STORAGE"]
)
def test_a_refusal_acts_once(new_adb: Adb, tmp_path: Path, code: str) -> None:
    with connected(new_adb, InstallRefused(code=code)):
        done = new_adb("install", runner_package(tmp_path / "a.apk", PACKAGE))
        assert code in done.stdout + done.stderr
        assert "Success" in install_runner(new_adb, tmp_path)


# ------------------------------------------------------------------------------ blocks


def result_in(said: str) -> dict[str, Any]:
    found = re.search(r"RESULT: ortlab=(.*)", said)
    assert found is not None
    result: dict[str, Any] = json.loads(found[1])
    return result


@pytest.mark.usefixtures("phone")
def test_results_are_measured_by_the_real_runner(adb: Adb, tmp_path: Path) -> None:
    install_runner(adb, tmp_path)
    said = instrument(adb, block_request(adb, tmp_path))
    assert [line for line in said.splitlines() if "stage=" in line][-1:] == [
        "INSTRUMENTATION_STATUS: stage=close"
    ]
    answer = result_in(said)
    assert said.endswith("INSTRUMENTATION_CODE: -1\n")
    assert answer["block_id"] == "parity-1"
    adb.output("pull", answer["result"].rpartition("/")[0], tmp_path / "b")
    text = (tmp_path / "b" / "result.json").read_bytes()
    result = codec.from_json(BlockResult, text, source="the result")
    assert result.failure is None
    assert result.runtime is not None
    assert result.runtime.language == "python"
    here = tmp_path / "here"
    request = make_request(make_arm(MODEL), here)
    (here / "request.json").write_text(codec.to_json(request))
    subprocess.run(PYTHON.arguments(str(here / "request.json")), check=True, timeout=60)
    (name,) = (Path(output.path).name for output in result.outputs)
    assert (tmp_path / "b" / name).read_bytes() == (here / "out" / name).read_bytes()


def test_operators_are_those_that_ran(new_adb: Adb, tmp_path: Path) -> None:
    with connected(new_adb):
        install_runner(new_adb, tmp_path)
        instrument(new_adb, block_request(new_adb, tmp_path, purpose=Purpose.PROFILE))
        new_adb.output("pull", f"{MEDIA}/blocks/b/profile.json", tmp_path / "profile.json")
    events = json.loads((tmp_path / "profile.json").read_text())
    kernels = [e for e in events if e.get("name", "").endswith("_kernel_time")]
    assert len(kernels) == 4
    assert {e["args"]["provider"] for e in kernels} == {"CPUExecutionProvider"}


def test_a_probe_tells_the_runtime(new_adb: Adb, tmp_path: Path) -> None:
    import onnxruntime

    with connected(new_adb):
        install_runner(new_adb, tmp_path)
        said = new_adb.output(*INSTRUMENT, "probe", "true", COMPONENT)
    facts = result_in(said)["runtime"]
    assert facts["ort_version"] == onnxruntime.__version__
    assert facts["language"] == "python"


def test_an_app_reads_only_what_it_may_and_writes_only_its_own(
    new_adb: Adb, tmp_path: Path
) -> None:
    with connected(new_adb):
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path)
        new_adb.shell(f"chmod 600 /data/local/tmp/ortlab/{MODEL.name}")
        instrument(new_adb, request)
        result = json.loads(new_adb.shell(f"cat {MEDIA}/blocks/b/result.json"))
        assert result["failure"]["kind"] == "model_missing"
        new_adb.shell(f"chmod 600 {request}")
        assert "EACCES" in instrument(new_adb, request)
        assert "shortMsg=java.io.FileNotFoundException" in instrument(new_adb, request)


def test_an_app_that_is_not_there_cannot_be_instrumented(new_adb: Adb) -> None:
    with connected(new_adb):
        done = new_adb("shell", "am", "instrument", "-w", "-r", COMPONENT)
        assert done.returncode == 1
        assert "INSTRUMENTATION_FAILED" in done.stdout + done.stderr
        assert "Unable to find instrumentation info" in done.stdout


def test_force_stop_ends_the_real_process(new_adb: Adb, tmp_path: Path) -> None:
    with VirtualAndroidPhone(program=SleepingProgram(60)) as phone:
        new_adb.connect(phone)
        new_adb.environment["ANDROID_SERIAL"] = phone.serial
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path)
        new_adb.shell(f"am instrument -r -e request {request} {COMPONENT}")
        pid = int(new_adb.shell(f"pidof {PACKAGE}"))
        assert Path(f"/proc/{pid}").exists()
        new_adb.shell(f"am force-stop {PACKAGE}")
        until(lambda: not Path(f"/proc/{pid}").exists())
        until(lambda: phone.process_numbers == ())
        assert new_adb("shell", "pidof", PACKAGE).returncode == 1
        new_adb("disconnect", phone.address)


def test_running_heats_the_phone(new_adb: Adb, tmp_path: Path) -> None:
    heat = HeatModel(heating_c=1000, time_constant_s=1)
    with connected(new_adb, heat=heat) as phone:
        install_runner(new_adb, tmp_path)
        instrument(new_adb, block_request(new_adb, tmp_path))
        assert phone.power.temperature_c > 60
        assert "Thermal Status: 6" in new_adb.shell("dumpsys thermalservice")


# ------------------------------------------------------------------------------ faults

CRASHES = {
    CrashKind.JAVA: ("shortMsg=java.lang.IllegalStateException", "FATAL EXCEPTION", "(CRASH)"),
    CrashKind.NATIVE: ("shortMsg=Native crash", "Fatal signal 11 (SIGSEGV)", "(CRASH_NATIVE)"),
    CrashKind.OUT_OF_MEMORY: ("Process crashed.", "lowmemorykiller: Kill", "(LOW_MEMORY)"),
    CrashKind.THERMAL: ("Process crashed.", "thermal shutdown", "thermal"),
}


@pytest.mark.parametrize("kind", list(CrashKind))
@pytest.mark.parametrize("stage", [Stage.START, Stage.MEASURE])
def test_an_app_dies_at_its_stage_and_the_system_tells(
    new_adb: Adb, tmp_path: Path, kind: CrashKind, stage: Stage
) -> None:
    shown, logged, remembered = CRASHES[kind]
    with connected(new_adb, AppDies(stage=stage, crash=kind)) as phone:
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path, purpose=Purpose.LATENCY)
        said = instrument(new_adb, request)
        assert shown in said
        assert said.endswith("INSTRUMENTATION_CODE: 0\n")
        assert logged in new_adb.output("logcat", "-d")
        assert remembered in new_adb.shell(f"dumpsys activity exit-info {PACKAGE}")
        assert new_adb("shell", f"cat {MEDIA}/blocks/b/result.json").returncode != 0
        hot = "Thermal Status: 4" in new_adb.shell("dumpsys thermalservice")
        assert hot is (kind is CrashKind.THERMAL)
        assert phone.process_numbers == ()
        assert "INSTRUMENTATION_CODE: -1" in instrument(new_adb, request)


@pytest.mark.parametrize("damage", list(Damage))
def test_a_result_is_damaged_once(new_adb: Adb, tmp_path: Path, damage: Damage) -> None:
    with connected(new_adb, ResultDamaged(damage=damage)):
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path)
        results = []
        for _ in range(2):
            instrument(new_adb, request)
            results.append(new_adb("shell", f"cat {MEDIA}/blocks/b/result.json").stdout)
    with pytest.raises(json.JSONDecodeError):
        json.loads(results[0])
    assert json.loads(results[1])["failure"] is None


@pytest.mark.parametrize("keeps", [False, True])
def test_a_cable_pulled_while_a_file_is_sent(new_adb: Adb, tmp_path: Path, keeps: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(os.urandom(4 << 20))
    fault = CablePulled(after_bytes=1_000_000, service="^sync:", keeps_partial_file=keeps)
    with connected(new_adb, fault) as phone:
        assert new_adb("push", path, "/data/local/tmp/a").returncode != 0
        until(lambda: new_adb.state(phone.serial) == "device")
        size = new_adb("shell", "stat -c %s /data/local/tmp/a").stdout
        assert (0 < int(size) < 1_000_000) if keeps else size == ""
        new_adb.output("push", path, "/data/local/tmp/a")
        assert new_adb.shell("stat -c %s /data/local/tmp/a") == f"{4 << 20}\n"


def test_a_cable_pulled_while_a_file_is_fetched(new_adb: Adb, tmp_path: Path) -> None:
    fault = CablePulled(
        after_bytes=1_000_000, service="^sync:", direction=Direction.FROM_PHONE, stays_out=True
    )
    with connected(new_adb) as phone:
        phone.files.write("/data/local/tmp/a", bytes(4 << 20))
        phone.faults = Faults(fault)
        assert new_adb("pull", "/data/local/tmp/a", tmp_path / "a").returncode != 0
        until(lambda: new_adb.state(phone.serial) != "device")
        assert not phone.power.charging
        phone.plug()
        new_adb("disconnect", phone.address)
        new_adb.connect(phone)
        new_adb.output("pull", "/data/local/tmp/a", tmp_path / "a")
        assert (tmp_path / "a").stat().st_size == 4 << 20


def test_a_phone_hangs_with_the_socket_open(new_adb: Adb) -> None:
    fault = PhoneHangs(service="getprop", direction=Direction.FROM_PHONE, after_bytes=10)
    with connected(new_adb, fault) as phone:
        with pytest.raises(subprocess.TimeoutExpired):
            new_adb("shell", "getprop", deadline_s=1)
        assert new_adb.state(phone.serial) == "device"
        new_adb("disconnect", phone.address)
        new_adb.connect(phone)
        assert "ro.ortlab.virtual" in new_adb.shell("getprop")


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Unauthorized(), "unauthorized"),
        (NoHandshake(), "offline"),
        (OtherState(state="recovery"), "recovery"),
    ],
)
def test_a_phone_that_is_not_ready_shows_its_state(new_adb: Adb, fault: Fault, state: str) -> None:
    with VirtualAndroidPhone(program=PYTHON, faults=Faults(fault)) as phone:
        connecting = threading.Thread(target=new_adb, args=("connect", phone.address))
        connecting.start()
        until(lambda: new_adb.state(phone.serial) == state)
        phone.faults = Faults()
        connecting.join(30)
        new_adb("disconnect", phone.address)
        new_adb.connect(phone)
        new_adb("disconnect", phone.address)


def test_storage_runs_out_by_fault_and_by_quota(new_adb: Adb, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(3 << 20))
    fault = StorageFull(after_bytes=1 << 20, path="/data/local/tmp/a")
    with connected(new_adb, fault, storage_bytes=8 << 20) as phone:
        done = new_adb("push", path, "/data/local/tmp/a")
        assert "No space left on device" in done.stdout + done.stderr
        assert not phone.files.exists("/data/local/tmp/a")
        for name in ("a", "b"):
            new_adb.output("push", path, f"/data/local/tmp/{name}")
        done = new_adb("push", path, "/data/local/tmp/c")
        assert "No space left on device" in done.stdout + done.stderr
        free = new_adb.shell("df -k /data").splitlines()[-1].split()[3]
        assert int(free) == (8 - 6) << 10
        assert new_adb("shell", "dd if=/dev/zero of=/sdcard/z bs=3M").returncode != 0


def test_flash_keeps_another_byte_than_was_sent(new_adb: Adb, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100_000))
    with connected(new_adb, WrongContent(path="/a$")) as phone:
        new_adb.output("push", path, "/data/local/tmp/a")
        assert phone.files.read("/data/local/tmp/a") != bytes(100_000)
        new_adb.output("push", path, "/data/local/tmp/a")
        assert phone.files.read("/data/local/tmp/a") == bytes(100_000)


def test_commands_hang_fail_and_dawdle_as_told(new_adb: Adb) -> None:
    faults = (
        CommandHangs(command="^dumpsys battery", times=1),
        CommandFails(command="^svc ", message="SecurityException", exit_code=137),
        SlowPhone(delay_s=0.3, service="getprop"),
        LowBattery(percent=4),
        ScreenLocked(),
    )
    with connected(new_adb, *faults):
        with pytest.raises(subprocess.TimeoutExpired):
            new_adb("shell", "dumpsys battery", deadline_s=0.5)
        assert "level: 4\n" in new_adb.shell("dumpsys battery")
        done = new_adb("shell", "svc power stayon true")
        assert (done.returncode, done.stderr) == (137, "SecurityException\n")
        started = time.monotonic()
        new_adb.shell("getprop")
        assert time.monotonic() - started >= 0.3
        new_adb.shell("wm dismiss-keyguard")
        policy = new_adb.shell("dumpsys window policy")
        assert "showing=true" in policy
        assert "secure=true" in policy


def test_an_app_goes_on_when_the_cable_is_pulled(new_adb: Adb, tmp_path: Path) -> None:
    with VirtualAndroidPhone(program=SleepingProgram(1.0)) as phone:
        new_adb.connect(phone)
        new_adb.environment["ANDROID_SERIAL"] = phone.serial
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path)
        watching = threading.Thread(target=instrument, args=(new_adb, request))
        watching.start()
        until(lambda: phone.process_numbers != ())
        phone.unplug()
        watching.join(30)
        assert not watching.is_alive()
        result = phone.files.root / "storage/emulated/0/Android/media" / PACKAGE / "blocks/b"
        until((result / "result.json").exists)
        assert json.loads((result / "result.json").read_text())["runtime"]["language"] == "sleep"
        new_adb("disconnect", phone.address)


# ------------------------------------------------------------------------------ living together


def test_two_phones_at_once_keep_apart(new_adb: Adb, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        phones = [
            stack.enter_context(
                VirtualAndroidPhone(
                    VirtualPhoneSpec(api_level=level, model=f"Phone {level}"), program=PYTHON
                )
            )
            for level in (26, 33)
        ]
        for phone in phones:
            new_adb.connect(phone)
            path = tmp_path / f"{phone.spec.api_level}"
            path.write_bytes(os.urandom(1 << 20))
        threads = [
            threading.Thread(
                target=new_adb,
                args=("push", tmp_path / str(phone.spec.api_level), "/sdcard/f"),
                kwargs={"serial": phone.serial},
            )
            for phone in phones
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        for phone in phones:
            sent = (tmp_path / str(phone.spec.api_level)).read_bytes()
            assert phone.files.read("/sdcard/f") == sent
            assert phone.unmodelled == ()
            new_adb("disconnect", phone.address)


def test_nothing_is_left_when_it_is_stopped(new_adb: Adb, tmp_path: Path) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    with VirtualAndroidPhone(program=SleepingProgram(60)) as phone:
        new_adb.connect(phone)
        new_adb.environment["ANDROID_SERIAL"] = phone.serial
        install_runner(new_adb, tmp_path)
        request = block_request(new_adb, tmp_path)
        new_adb.shell(f"am instrument -r -e request {request} {COMPONENT}")
        (pid,) = phone.process_numbers
        root, port = phone.files.root, int(phone.address.rpartition(":")[2])
        new_adb("disconnect", phone.address)
    assert not Path(f"/proc/{pid}").exists()
    assert not root.exists()
    assert {thread.ident for thread in threading.enumerate()} <= before
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        pass
    phone.stop()


# ------------------------------------------------------------------------------ as a device


@pytest.fixture(scope="module", params=["virtual:android:24", "virtual:android"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with contextlib.closing(open_virtual(request.param, program=PYTHON)) as made:
        yield made


class TestVirtualDevice(DeviceContract):
    def test_it_says_that_it_is_virtual(self, device: Device) -> None:
        assert device.info.virtual
        assert device.info.device_id.startswith("virtual:android")


def test_there_is_no_other_virtual_device() -> None:
    for name in ("virtual:android:", "virtual:android:x", "virtual:nothing", "virtual"):
        with pytest.raises(UsageError, match="no such virtual device"):
            open_virtual(name)
    with pytest.raises(UsageError, match="API level 12"):
        open_virtual("virtual:android:12")


def test_closing_the_device_ends_all_of_it() -> None:
    before = _children()
    device = open_virtual("virtual:android", program=PYTHON)
    assert _children() - before
    device.close()
    assert _children() <= before
    with pytest.raises(DeviceError):
        device.conditions()
    device.close()


KILLED = """
import contextlib, os, signal, sys
from pathlib import Path
from ortlab.devices.virtual import SleepingProgram, open_virtual
from device_contract import MODEL, make_arm, make_request
import threading, time

program = SleepingProgram(60)
device = open_virtual("virtual:android", program=program)
arm = make_arm(MODEL)
request = make_request(arm, Path(sys.argv[1]))
threading.Thread(target=device.run_block, args=(request, arm), daemon=True).start()
own = Path("/proc/self/cmdline").read_bytes()

def begun(number):
    # A child is first a copy of us, then its guard.
    try:
        line = Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False
    return line not in (b"", own) and b"setpriv" not in line

found = set()
while len(found) < 2 or not all(map(begun, found)):  # the adb server and the program
    time.sleep(0.02)
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found |= set(path.read_text().split())
print(" ".join(found), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_a_killed_host_leaves_no_process(tmp_path: Path) -> None:
    path = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[1])))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    numbers = done.stdout.split()
    assert len(numbers) == 2, done.stderr
    until(lambda: not any(_runs(number) for number in numbers))


def _runs(number: str) -> bool:
    """Whether a process still does anything; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _children() -> set[int]:
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= set(map(int, path.read_text().split()))
    return found


# ------------------------------------------------------------------------------ real packages


def make_app(path: Path, certificate: bytes | None = b"mine", **changes: Any) -> Path:
    """Write an APK with the benchmark's instrumentation, as far as a phone looks at it."""
    options: dict[str, str | int] = {"package": PACKAGE, "versionCode": 1, "versionName": "1"}
    files = changes.pop("files", {"classes.dex": b"dex\n035\0"})
    application = {"testOnly": bool(changes.pop("test_only", False))}
    minimum = changes.pop("min_sdk", 24)
    element = Element(
        "manifest",
        {**options, **changes},
        (
            Element("uses-sdk", {"minSdkVersion": minimum}),
            Element("instrumentation", {"name": "dev.ortlab.bench.BenchInstrumentation"}),
            Element("application", application),
        ),
    )
    block = signing_block(0xF05368C0, certificate) if certificate else b""
    return make_apk(path, Writer().write(element), files=files, block=block)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("INSTALL_FAILED_UPDATE_INCOMPATIBLE", {"certificate": b"another's"}),
        ("INSTALL_FAILED_VERSION_DOWNGRADE", {"versionCode": 0}),
        ("INSTALL_FAILED_OLDER_SDK", {"min_sdk": 35}),
        ("INSTALL_FAILED_TEST_ONLY", {"test_only": True}),
        ("INSTALL_FAILED_NO_MATCHING_ABIS", {"files": {"lib/mips/libx.so": b"x"}}),
        ("INSTALL_FAILED_MISSING_SPLIT", {"split": "config.en"}),
        ("INSTALL_PARSE_FAILED_BAD_PACKAGE_NAME", {"package": "../../../../data/local/tmp"}),
        ("INSTALL_PARSE_FAILED_BAD_PACKAGE_NAME", {"package": "a.b; reboot"}),
        ("INSTALL_PARSE_FAILED_NO_CERTIFICATES", {"certificate": None}),
    ],
)
def test_it_refuses_what_android_refuses(
    new_adb: Adb, tmp_path: Path, code: str, changes: dict[str, Any]
) -> None:
    with connected(new_adb, api_level=34) as phone:
        phone.preinstall(make_app(tmp_path / "old.apk"))
        used = phone.files.used_bytes()
        done = new_adb("install", "-r", make_app(tmp_path / "new.apk", **changes))
        assert done.returncode != 0
        assert f"Failure [{code}: " in done.stdout + done.stderr
        assert phone.files.used_bytes() == used
        assert phone.packages.find(PACKAGE) is not None


def test_split_packages_install_together_or_not_at_all(new_adb: Adb, tmp_path: Path) -> None:
    base, again = make_app(tmp_path / "base.apk"), make_app(tmp_path / "again.apk")
    native = {"lib/arm64-v8a/libx.so": b"x"}
    split = make_app(tmp_path / "split.apk", split="config.arm64_v8a", files=native)
    stranger = make_app(tmp_path / "stranger.apk", b"another's", split="config.en")
    other = make_app(tmp_path / "other.apk", split="config.de", versionCode=2)
    with connected(new_adb, api_level=34) as phone:
        for wrong in (stranger, other, again):
            done = new_adb("install-multiple", base, wrong)
            assert "INSTALL_FAILED_INVALID_APK" in done.stdout + done.stderr
        assert phone.files.used_bytes() == 0
        assert "Success" in new_adb.output("install-multiple", base, split)
        paths = new_adb.shell(f"pm path {PACKAGE}").splitlines()
        assert [path.rpartition("/")[2] for path in paths] == [
            "base.apk",
            "split_config.arm64_v8a.apk",
        ]
        assert "splits=[base, config.arm64_v8a]" in new_adb.shell(f"dumpsys package {PACKAGE}")


def test_a_real_package_runs_the_program_of_the_phone(new_adb: Adb, tmp_path: Path) -> None:
    with connected(new_adb):
        new_adb.output("install", make_app(tmp_path / "app.apk"))
        said = instrument(new_adb, block_request(new_adb, tmp_path))
        assert "INSTRUMENTATION_CODE: -1" in said
        result = json.loads(new_adb.shell(f"cat {MEDIA}/blocks/b/result.json"))
        assert result["runtime"]["language"] == "python"
        assert "the benchmark is the python program" in new_adb.output("logcat", "-d")


@pytest.mark.requires("kotlin")
def test_the_kotlin_core_runs_as_the_app(new_adb: Adb, tmp_path: Path) -> None:
    from android import core, toolchain

    java = shutil.which("java")
    assert java is not None
    program = KotlinCore(java, toolchain.classpath(*core.core_jars()))
    with VirtualAndroidPhone(program=program) as phone:
        new_adb.connect(phone)
        new_adb.environment["ANDROID_SERIAL"] = phone.serial
        new_adb.output("install", make_app(tmp_path / "app.apk"))
        said = instrument(new_adb, block_request(new_adb, tmp_path))
        assert "INSTRUMENTATION_STATUS: stage=close\n" in said
        new_adb.output("pull", f"{MEDIA}/blocks/b", tmp_path / "b")
        text = (tmp_path / "b" / "result.json").read_bytes()
        result = codec.from_json(BlockResult, text, source="the result")
        assert result.runtime is not None
        assert result.runtime.language == "kotlin"
        (output,) = (replace(o, path=str(tmp_path / "b" / o.path)) for o in result.outputs)
        np.testing.assert_array_equal(read_tensor(output), VALUES * 2)
        assert "the benchmark is the kotlin program" in new_adb.output("logcat", "-d")
        new_adb("disconnect", phone.address)
        assert phone.unmodelled == ()


# ------------------------------------------------------------------------------ strangers


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(30),
        os.urandom(2000),
        struct.pack("<6I", 0x4E45504F, 1, 0, 6, 0, 0x4E45504F ^ 0xFFFFFFFF) + b"sync:\0",
        struct.pack("<6I", 0x45545257, 1, 1, 1 << 31, 0, 0x45545257 ^ 0xFFFFFFFF),
    ],
    ids=["http", "noise", "no greeting", "too large"],
)
def test_strangers_are_turned_away(sent: bytes) -> None:
    with VirtualAndroidPhone(program=PYTHON) as phone:
        host, _, port = phone.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
        assert phone.opened == ()
        assert phone.unmodelled == ()
