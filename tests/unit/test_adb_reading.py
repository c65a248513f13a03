"""What adb lists, what package managers answer, what goes to a phone's shell: read and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ortlab.devices.android as package
from ortlab.devices.android import adb_program, installing
from ortlab.devices.android.adb import AdbServer
from ortlab.devices.android.attached import (
    AttachedPhone,
    PhoneState,
    describe_attached,
    is_address,
    not_ready,
    parse_phones,
)
from ortlab.devices.android.quoting import Raw, command_line, device_path
from ortlab.errors import ToolchainError, UsageError

LISTING = """\
1A2B3C                 device usb:1-1 product:shiba model:Pixel_8 device:shiba transport_id:4
192.168.1.20:5555      offline product:x model:Y device:z transport_id:5
[fe80::1]:5555         device transport_id:6
emulator-5554          unauthorized transport_id:7
adb-3A-x._adb-tls-connect._tcp device product:a model:B_C device:d transport_id:8
????????????           no permissions (user in plugdev group; are your udev rules wrong?); see \
[http://developer.android.com/tools/device.html] usb:1-2 transport_id:9
00f                    no permissions usb:1-3
R5                     sideload usb:1-4 product:p
R6                     recovery
"""


def test_every_state_of_a_listing_is_read() -> None:
    phones = parse_phones(LISTING)
    assert [(phone.serial, phone.state.value) for phone in phones] == [
        ("1A2B3C", "device"),
        ("192.168.1.20:5555", "offline"),
        ("[fe80::1]:5555", "device"),
        ("emulator-5554", "unauthorized"),
        ("adb-3A-x._adb-tls-connect._tcp", "device"),
        ("????????????", "no permissions"),
        ("00f", "no permissions"),
        ("R5", "sideload"),
        ("R6", "recovery"),
    ]
    assert (phones[0].model, phones[0].product, phones[0].transport_id) == ("Pixel 8", "shiba", 4)
    assert "udev rules" in phones[5].detail
    assert [phone.by_network for phone in phones[:4]] == [False, True, True, False]


@given(
    serial=st.from_regex(r"[A-Za-z0-9._:\[\]-]{1,40}", fullmatch=True),
    state=st.sampled_from(PhoneState),
    model=st.from_regex(r"[A-Za-z0-9_-]{0,20}", fullmatch=True),
    number=st.integers(0, 10**6),
)
def test_a_line_that_adb_writes_is_read_back(
    serial: str, state: PhoneState, model: str, number: int
) -> None:
    line = f"{serial:<22} {state.value} usb:1-1 product:p model:{model} transport_id:{number}\n"
    assert parse_phones(line) == (
        AttachedPhone(
            serial=serial,
            state=state,
            model=model.replace("_", " "),
            product="p",
            transport_id=number,
        ),
    )


@given(st.text())
def test_no_listing_breaks_the_reader(text: str) -> None:
    for phone in parse_phones(text):
        assert phone.serial


@pytest.mark.parametrize("state", PhoneState)
@pytest.mark.parametrize("serial", ["R5", "10.0.0.2:5555"])
def test_every_state_is_described_with_what_to_do(state: PhoneState, serial: str) -> None:
    phone = AttachedPhone(serial=serial, state=state, model="Pixel 8")
    told, sentence, step = describe_attached(phone)
    assert told is state
    assert sentence.startswith(f"Pixel 8 ({serial}) ")
    assert bool(step) == (state is not PhoneState.DEVICE)
    assert "{" not in step
    if state is not PhoneState.DEVICE:
        error = not_ready("install a.apk", phone)
        assert str(error) == f"cannot install a.apk: {sentence}"
        assert error.next_step == step


def test_offline_by_network_is_advised_to_connect_again() -> None:
    phone = AttachedPhone(serial="10.0.0.2:5555", state=PhoneState.OFFLINE)
    assert "adb connect 10.0.0.2:5555" in describe_attached(phone)[2]
    phone = AttachedPhone(serial="R5", state=PhoneState.OFFLINE)
    assert "unplug" in describe_attached(phone)[2]


def test_addresses() -> None:
    good = ("10.0.0.2:5555", "pixel.local:37011", "[fe80::1%wlan0]:5555", "localhost:1")
    assert all(map(is_address, good))
    assert not any(map(is_address, ("R5", "emulator-5554", "a:b", "::1", "[::1]", "x:123456")))


@pytest.mark.parametrize(
    "address", ["", " ", "a b", "host:99999", "host:0", "host:5555;reboot", "a\0b", "häst", "a:b"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="address"):
        AdbServer("127.0.0.1", 1).connect(address, deadline_s=1)


# ---------------------------------------------------------------- package managers


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            "Failure [INSTALL_FAILED_NO_MATCHING_ABIS: Failed to extract libraries, res=-113]",
            "INSTALL_FAILED_NO_MATCHING_ABIS",
        ),
        (
            "Failure [INSTALL_FAILED_USER_RESTRICTED: Install canceled by user]",
            "INSTALL_FAILED_USER_RESTRICTED",
        ),
        (
            "Exception occurred:\njava.io.IOException: Requested internal, but not enough space",
            "INSTALL_FAILED_INSUFFICIENT_STORAGE",
        ),
        (
            "Error: Failed to parse APK file: android.content.pm.PackageParser$Exception",
            "INSTALL_FAILED_INVALID_APK",
        ),
        ("Failure [-99]", None),
        ("cmd: Can't find service: package", None),
        ("", None),
    ],
)
def test_a_refusal_keeps_the_platforms_code(answer: str, code: str | None) -> None:
    error = installing.refusal(answer, what="a.apk", serial="R5")
    assert error.code == code
    assert str(error).startswith("cannot install a.apk on R5: ")
    assert error.next_step
    assert "{" not in error.next_step
    if code:
        assert code in str(error) or "not enough space" in str(error) or "parse" in str(error)


def test_a_conflict_advises_to_uninstall_that_package() -> None:
    answer = (
        "Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: Existing package dev.x.y signatures do not "
        "match newer version; ignoring!]"
    )
    error = installing.refusal(answer, what="a.apk", serial="R5;reboot")
    assert error.next_step is not None
    assert error.next_step.startswith("adb -s 'R5;reboot' uninstall dev.x.y ")
    named = installing.refusal(answer, what="a.apk", serial="R5", package="dev.mine")
    assert "uninstall dev.mine " in (named.next_step or "")


@given(st.text())
def test_no_answer_of_a_package_manager_breaks_the_reader(answer: str) -> None:
    error = installing.refusal(answer, what="a.apk", serial="R5")
    assert len(str(error)) < 800
    assert error.code is None or error.code in answer or error.code.startswith("INSTALL_FAILED")


def test_success_must_be_said_at_the_start_of_a_line() -> None:
    assert installing.succeeded("Performing Streamed Install\nSuccess\n")
    assert installing.succeeded("Success: streamed 5 bytes\n")
    assert not installing.succeeded("Failure [Success]")
    assert not installing.succeeded("Successful?")


class Manager:
    """A package manager that takes sessions and refuses one verb."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, arguments: Sequence[str], apk: Path | None) -> str:
        assert (apk is not None) == (arguments[0] in {"install", "install-write"})
        self.asked.append(tuple(arguments))
        if arguments[0] == self.refused:
            return "Failure [INSTALL_FAILED_MISSING_SPLIT]"
        created = arguments[0] == "install-create"
        return "Success: created install session [77]" if created else "Success"


@pytest.mark.parametrize("refused", ["", "install-create", "install-write", "install-commit"])
def test_a_session_that_fails_is_abandoned(tmp_path: Path, refused: str) -> None:
    apks = [tmp_path / "base.apk", tmp_path / "split config;x.apk"]
    for size, apk in enumerate(apks, 3):
        apk.write_bytes(b"x" * size)
    manager = Manager(refused)
    abandoned: list[Sequence[str]] = []

    def install() -> None:
        installing.install(apks, ("-r",), ask=manager, abandon=abandoned.append)

    if refused:
        with pytest.raises(installing.RefusedInstallError, match="INSTALL_FAILED_MISSING_SPLIT"):
            install()
    else:
        install()
    assert manager.asked[0] == ("install-create", "-r", "-S", "7")
    session_began = refused not in {"", "install-create"}
    assert abandoned == ([("install-abandon", "77")] if session_began else [])
    if not refused:
        assert manager.asked[1:] == [
            ("install-write", "-S", "3", "77", "0_base.apk", "-"),
            ("install-write", "-S", "4", "77", "1_split_config_x.apk", "-"),
            ("install-commit", "77"),
        ]


# ---------------------------------------------------------------- shell text


def test_only_what_is_marked_raw_reaches_the_shell_unquoted() -> None:
    line = command_line(("rm", "-f", "/data/a b", Raw("&&"), "echo", "$(x)", "", "it's", "A=1"))
    assert line == "rm -f '/data/a b' && echo '$(x)' '' 'it'\"'\"'s' 'A=1'"


@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
def test_what_no_shell_can_be_given_is_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        command_line(("echo", bad))
    with pytest.raises(UsageError):
        device_path("/" + bad)


@pytest.mark.parametrize("path", ["", "a", "-rf", "./x", "/" + "x" * 1024])
def test_a_path_on_a_phone_is_absolute_and_short(path: str) -> None:
    with pytest.raises(UsageError):
        device_path(path)
    assert device_path("/data/local/tmp/ä b") == "/data/local/tmp/ä b"


# ---------------------------------------------------------------- where the server is


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("127.0.0.1", 5037)),
        ({"ANDROID_ADB_SERVER_PORT": "6000"}, ("127.0.0.1", 6000)),
        ({"ANDROID_ADB_SERVER_ADDRESS": "lab"}, ("lab", 5037)),
        ({"ADB_SERVER_SOCKET": "tcp:lab:6001"}, ("lab", 6001)),
        ({"ADB_SERVER_SOCKET": "tcp:6002"}, ("127.0.0.1", 6002)),
        ({"ADB_SERVER_SOCKET": "tcp:[::1]:6003"}, ("::1", 6003)),
        ({"ADB_SERVER_SOCKET": "tcp:lab:1", "ANDROID_ADB_SERVER_PORT": "2"}, ("lab", 1)),
    ],
)
def test_the_environment_names_the_server(
    environment: dict[str, str], expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, environment)
    server = AdbServer()
    assert (server.host, server.port) == expected
    assert server.is_local == (expected[0] in {"127.0.0.1", "::1"})
    explicit = AdbServer("10.0.0.9", 7000)
    assert (explicit.address, explicit.is_local) == ("10.0.0.9:7000", False)


@pytest.mark.parametrize(
    "environment",
    [
        {"ANDROID_ADB_SERVER_PORT": "x"},
        {"ANDROID_ADB_SERVER_PORT": "70000"},
        {"ADB_SERVER_SOCKET": "localfilesystem:/tmp/adb"},
        {"ADB_SERVER_SOCKET": "tcp:lab:0"},
    ],
)
def test_an_address_that_cannot_be_one_is_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, environment)
    with pytest.raises(UsageError) as caught:
        AdbServer()
    assert caught.value.next_step == f"unset {next(iter(environment))}"


def set_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_the_named_adb_comes_before_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "adb"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(tmp_path / "named"))
    assert adb_program.find() == tmp_path / "named"
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(tmp_path / "absent"))
    with pytest.raises(ToolchainError, match="ADBUTILS_ADB_PATH"):
        adb_program.find()
    monkeypatch.delenv("ADBUTILS_ADB_PATH")
    assert adb_program.find() == tmp_path / "adb"
    (tmp_path / "adb").chmod(0o644)
    assert adb_program.find().parent.name == "binaries"  # what adbutils carries


def test_one_module_imports_adbutils() -> None:
    directory = Path(package.__file__).parents[2]
    users = [
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*.py")
        if "from adbutils" in (text := path.read_text("utf-8")) or "import adbutils" in text
    ]
    assert users == ["devices/android/adb.py"]
