"""Our adb adapter on virtual phones, over both generations of adb, with everything that fails."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adb_server import OwnAdb, adb_programs, free_port, own_adb
from ortlab.devices.android.adb import AdbPhone, AdbServer, PhoneState, Raw, describe_attached
from ortlab.devices.virtual import (
    SleepingProgram,
    VirtualAndroidPhone,
    VirtualPhoneSpec,
    runner_package,
)
from ortlab.devices.virtual.android.faults import (
    CablePulled,
    CommandFails,
    CommandHangs,
    Direction,
    Fault,
    Faults,
    InstallRefused,
    NoHandshake,
    OtherState,
    PhoneHangs,
    StorageFull,
    Unauthorized,
    WrongContent,
)
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    InstallError,
    StorageError,
    ToolchainError,
    UsageError,
)

PROGRAMS = adb_programs()
GENERATIONS = [
    pytest.param(name, marks=pytest.mark.requires("adb") if name == "system" else ())
    for name in ("system", "carried")
]
APP = "dev.ortlab.test"
HOME = "/data/local/tmp/ortlab"
SLACK_S = 8.0
"""How long after its deadline an error may come on a busy machine."""


@pytest.fixture(scope="module", params=GENERATIONS)
def adb(request: pytest.FixtureRequest) -> Iterator[OwnAdb]:
    if request.param not in PROGRAMS:
        pytest.skip(f"adbutils carries no adb here ({request.param})")
    with own_adb(PROGRAMS[request.param]) as running:
        yield running


@pytest.fixture(scope="module")
def carried() -> Iterator[OwnAdb]:
    """One generation, where they cannot differ."""
    with own_adb(PROGRAMS.get("carried") or PROGRAMS["system"]) as running:
        yield running


@contextlib.contextmanager
def plugged(
    adb: OwnAdb, *faults: Fault, spec: VirtualPhoneSpec | None = None
) -> Iterator[tuple[AdbPhone, VirtualAndroidPhone]]:
    virtual = VirtualAndroidPhone(
        spec or VirtualPhoneSpec(), program=SleepingProgram(0.1), faults=Faults()
    )
    with virtual:
        serial = adb.server.connect(virtual.address, deadline_s=20)
        try:
            phone = adb.server.phone(serial)
            phone.features()
            virtual.faults = Faults(*faults)
            yield phone, virtual
        finally:
            virtual.faults = Faults()
            with contextlib.suppress(ToolchainError):
                adb.server.disconnect(serial)


def in_time(deadline_s: float, act: Callable[[], Any]) -> Any:
    """Call it; a call that outlives its deadline fails the test, whatever it raises."""
    began = time.monotonic()
    try:
        return act()
    finally:
        assert time.monotonic() - began < deadline_s + SLACK_S


def left_behind(phone: AdbPhone, directory: str = HOME) -> list[str]:
    listing = phone.shell("ls", "-A", directory, deadline_s=20)
    return listing.stdout.split() if listing.exit_code == 0 else []


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    return runner_package(tmp_path / "app.apk", APP)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(os.urandom(3_000_001))
    return path


# ---------------------------------------------------------------- what a run needs


@pytest.mark.parametrize("api_level", [24, 28, 30, 35])
def test_our_adapter_does_all_that_a_run_needs(
    adb: OwnAdb, api_level: int, content: Path, apk: Path, tmp_path: Path
) -> None:
    with plugged(adb, spec=VirtualPhoneSpec(api_level=api_level)) as (phone, virtual):
        said = phone.shell(
            "echo", "out", Raw(";"), "echo", "err", Raw(">&2; exit 7"), deadline_s=20
        )
        assert (said.exit_code, said.stdout, said.stderr) == (7, "out\n", "err\n")
        level = phone.shell("getprop", "ro.build.version.sdk", deadline_s=20)
        assert level.stdout == f"{api_level}\n"

        told: list[tuple[int, int]] = []
        place = f"{HOME}/files/a b/model.onnx"
        phone.push(
            content,
            place,
            deadline_s=60,
            verify=True,
            progress=lambda done, total: told.append((done, total)),
        )
        size = content.stat().st_size
        assert told[-1] == (size, size)
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        there = phone.stat(place, deadline_s=20)
        assert there is not None
        assert (there.size_bytes, there.mode, there.is_directory) == (size, 0o100644, False)
        assert left_behind(phone, f"{HOME}/files/a b") == ["model.onnx"]
        assert phone.pull(place, tmp_path / "back", deadline_s=60) == size
        assert (tmp_path / "back").read_bytes() == content.read_bytes()

        phone.push(b"", place, mode=0o600, deadline_s=20)
        emptied = phone.stat(place, deadline_s=20)
        assert emptied is not None
        assert (emptied.size_bytes, emptied.mode & 0o777) == (0, 0o600)
        assert phone.stat(f"{HOME}/absent", deadline_s=20) is None
        assert phone.stat(f"{place}/below", deadline_s=20) is None
        directory = phone.stat(HOME, deadline_s=20)
        assert directory is not None
        assert directory.is_directory

        phone.install([apk], deadline_s=60)
        assert APP in phone.shell("pm", "list", "packages", deadline_s=20).stdout
        assert phone.uninstall(APP, deadline_s=20)
        assert not phone.uninstall(APP, deadline_s=20)
        assert virtual.unmodelled == ()


@pytest.mark.parametrize("api_level", [24, 30, 35])
def test_the_plain_program_does_the_same(
    adb: OwnAdb, api_level: int, content: Path, apk: Path, tmp_path: Path
) -> None:
    with plugged(adb, spec=VirtualPhoneSpec(api_level=api_level)) as (phone, _):

        def run(*arguments: str) -> str:
            ended = adb.command(*arguments, serial=phone.serial)
            assert ended.succeeded, ended.stdout + ended.stderr
            return ended.stdout + ended.stderr

        assert adb.command("shell", "exit 7", serial=phone.serial).exit_code == 7
        assert run("shell", "echo", "hello") == "hello\n"
        run("push", str(content), f"{HOME}/model.onnx")
        run("pull", f"{HOME}/model.onnx", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content.read_bytes()
        assert "Success" in run("install", "-r", "-t", str(apk))
        assert APP in run("shell", "pm", "list", "packages")
        assert "Success" in run("uninstall", APP)


def test_input_is_any_bytes_and_output_any_bytes(carried: OwnAdb) -> None:
    data = bytes(range(256)) * 2000
    heard = bytearray()
    with plugged(carried) as (phone, _):
        result = phone.shell("cat", deadline_s=30, input_bytes=data, on_output=heard.extend)
    assert bytes(heard) == data
    assert result.stdout == data.decode(errors="replace")
    assert result.exit_code == 0


def test_output_comes_while_the_command_runs(carried: OwnAdb) -> None:
    class Heard(Exception):  # noqa: N818
        pass

    def listen(data: bytes) -> None:
        assert data == b"ready\n"
        raise Heard

    with plugged(carried) as (phone, _), pytest.raises(Heard):
        in_time(
            0,
            lambda: phone.shell(
                "echo", "ready", Raw(";"), "sleep", "60", deadline_s=50, on_output=listen
            ),
        )


class OldSpec(VirtualPhoneSpec):
    """A phone whose shell tells no exit codes."""

    @property
    def features(self) -> tuple[str, ...]:
        return ("cmd",)


def test_a_phone_without_shell_packets_tells_exit_codes_too(carried: OwnAdb) -> None:
    with plugged(carried, spec=OldSpec(api_level=24)) as (phone, virtual):
        heard = bytearray()
        result = phone.shell(
            "printf", "no newline", Raw("; exit 9"), deadline_s=30, on_output=heard.extend
        )
        assert (result.exit_code, result.stdout, bytes(heard)) == (9, "no newline", b"no newline")
        fed = phone.shell("cat", deadline_s=30, input_bytes=b"\0fed\n")
        assert (fed.exit_code, fed.stdout) == (0, "\0fed\n")
        assert not [name for name in left_behind(phone, "/data/local/tmp") if "part" in name]
        virtual.faults = Faults(CablePulled(direction=Direction.FROM_PHONE, service="^shell:"))
        with pytest.raises(DeviceLostError):
            in_time(20, lambda: phone.shell("echo", "x", deadline_s=20))


@pytest.mark.parametrize(
    "name",
    [
        *("it's", '"x"', "$(touch pwned)", "`touch pwned`", "a\nb", "a;touch pwned", "-rf"),
        *("🙂 é", "%s%n", "a,420", "\\", "*", "~", " ", "&& touch pwned", "if"),
    ],
)
def test_hostile_names_are_only_names(carried: OwnAdb, name: str, tmp_path: Path) -> None:
    with plugged(carried) as (phone, _):
        place = f"{HOME}/{name}"
        phone.push(b"content", place, deadline_s=30, verify=True)
        there = phone.stat(place, deadline_s=20)
        assert there is not None
        assert there.size_bytes == 7
        phone.pull(place, tmp_path / "back", deadline_s=20)
        assert (tmp_path / "back").read_bytes() == b"content"
        echoed = phone.shell("echo", name, deadline_s=20)
        assert echoed.stdout == name + "\n"
        assert phone.shell("rm", "--", place, deadline_s=20).exit_code == 0
        assert left_behind(phone) == []
        assert "pwned" not in " ".join(left_behind(phone, "/data/local/tmp"))
        assert not phone.uninstall(f"dev.x{shlex.quote(name)}", deadline_s=20)
        for use in (
            phone.stat,
            lambda path, deadline_s: phone.push(b"", path, deadline_s=deadline_s),
        ):
            with pytest.raises(UsageError):
                use(f"{HOME}/a\0b", deadline_s=20)


def test_places_that_cannot_be_used_are_told(carried: OwnAdb, tmp_path: Path) -> None:
    with plugged(carried) as (phone, _):
        phone.push(b"x", f"{HOME}/file", deadline_s=20)
        with pytest.raises(DeviceError, match="it is a directory"):
            phone.push(b"x", HOME, deadline_s=20)
        with pytest.raises(DeviceError, match="cannot push"):
            phone.push(b"x", f"{HOME}/file/below", deadline_s=20)
        for source, why in ((f"{HOME}/absent", "no such file"), (HOME, "it is a directory")):
            with pytest.raises(DeviceError, match=why):
                phone.pull(source, tmp_path / "back", deadline_s=20)
        with pytest.raises(StorageError, match="cannot read"):
            phone.push(tmp_path / "absent", f"{HOME}/new", deadline_s=20)
        with pytest.raises(StorageError, match="cannot read"):
            phone.install([tmp_path / "absent.apk"], deadline_s=20)
        with pytest.raises(StorageError, match="cannot write"):
            phone.pull(f"{HOME}/file", tmp_path / "absent" / "back", deadline_s=20)
        assert list(tmp_path.iterdir()) == []
        assert left_behind(phone) == ["file"]


# ---------------------------------------------------------------- the phone hangs


CALLS: dict[str, tuple[str, Callable[[AdbPhone, Path, Path, float], object]]] = {
    "shell": ("echo x", lambda phone, _, __, limit: phone.shell("echo", "x", deadline_s=limit)),
    "push": (
        "^sync:",
        lambda phone, content, _, limit: phone.push(content, f"{HOME}/new", deadline_s=limit),
    ),
    "pull": (
        "^sync:",
        lambda phone, content, _, limit: phone.pull(
            f"{HOME}/old", content.with_name("pulled"), deadline_s=limit
        ),
    ),
    "stat": ("^sync:", lambda phone, _, __, limit: phone.stat(f"{HOME}/old", deadline_s=limit)),
    "install": ("install", lambda phone, _, apk, limit: phone.install([apk], deadline_s=limit)),
    "uninstall": ("uninstall", lambda phone, _, __, limit: phone.uninstall(APP, deadline_s=limit)),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_phone_that_hangs_with_its_socket_open_ends_at_the_deadline(
    adb: OwnAdb, call: str, content: Path, apk: Path
) -> None:
    service, act = CALLS[call]
    with plugged(adb) as (phone, virtual):
        phone.push(content, f"{HOME}/old", deadline_s=60)
        virtual.faults = Faults(PhoneHangs(after_bytes=-1, service=service))
        with pytest.raises(DeviceTimeoutError) as caught:
            in_time(0.5, lambda: act(phone, content, apk, 0.5))
        assert "not done within 0.5 s" in str(caught.value)
        assert caught.value.next_step
        assert not content.with_name("pulled").exists()


@pytest.mark.parametrize(
    ("call", "direction"),
    [
        ("push", Direction.TO_PHONE),
        ("pull", Direction.FROM_PHONE),
        ("install", Direction.TO_PHONE),
        ("shell", Direction.FROM_PHONE),
    ],
)
def test_a_phone_that_hangs_in_the_middle_ends_at_the_deadline(
    carried: OwnAdb, call: str, direction: Direction, content: Path, apk: Path
) -> None:
    service, act = CALLS[call]
    grow(apk, 2_000_000)
    after_bytes = 3 if call == "shell" else 1_000_000
    with plugged(carried) as (phone, virtual):
        phone.push(content, f"{HOME}/old", deadline_s=60)
        virtual.faults = Faults(
            PhoneHangs(after_bytes=after_bytes, direction=direction, service=service)
        )
        with pytest.raises(DeviceTimeoutError):
            in_time(1.0, lambda: act(phone, content, apk, 1.0))
        assert not content.with_name("pulled").exists()
        assert virtual.opened  # it is the same phone that still is connected


def test_a_command_that_never_ends_is_ended(carried: OwnAdb) -> None:
    with plugged(carried, CommandHangs(command="dumpsys")) as (phone, _):
        with pytest.raises(DeviceTimeoutError):
            in_time(0.3, lambda: phone.shell("dumpsys", "battery", deadline_s=0.3))
        assert phone.shell("echo", "alive", deadline_s=20).stdout == "alive\n"


def test_no_time_left_is_told_as_such(carried: OwnAdb, apk: Path, content: Path) -> None:
    with plugged(carried) as (phone, _):
        for name, (_, act) in CALLS.items():
            with pytest.raises(DeviceTimeoutError, match=f"cannot {name[:3]}|cannot"):
                act(phone, content, apk, 0.0)


# ---------------------------------------------------------------- the cable is pulled


@pytest.mark.parametrize("after_bytes", [-1, 0, 5, 70_000, 1_000_000, 2_999_000])
def test_a_cable_pulled_in_a_push_leaves_nothing(
    adb: OwnAdb, after_bytes: int, content: Path
) -> None:
    fault = CablePulled(after_bytes=after_bytes, service="^sync:")
    with plugged(adb, fault) as (phone, _):
        with pytest.raises(DeviceLostError) as caught:
            in_time(20, lambda: phone.push(content, f"{HOME}/new", deadline_s=20))
        assert "cannot push" in str(caught.value)
        phone.wait(deadline_s=20)
        assert left_behind(phone) == []
        phone.push(content, f"{HOME}/new", deadline_s=60, verify=True)
        assert left_behind(phone) == ["new"]


@pytest.mark.parametrize("after_bytes", [0, 100, 70_000, 2_900_000])
def test_a_cable_pulled_in_a_pull_leaves_the_local_file_as_it_was(
    adb: OwnAdb, after_bytes: int, content: Path, tmp_path: Path
) -> None:
    with plugged(adb) as (phone, virtual):
        phone.push(content, f"{HOME}/old", deadline_s=60)
        here = tmp_path / "here" / "back"
        here.parent.mkdir()
        for before in (None, b"from before"):
            if before:
                here.write_bytes(before)
            virtual.faults = Faults(
                CablePulled(
                    after_bytes=after_bytes, direction=Direction.FROM_PHONE, service="^sync:"
                )
            )
            with pytest.raises(DeviceLostError):
                in_time(20, lambda: phone.pull(f"{HOME}/old", here, deadline_s=20))
            assert [path.read_bytes() for path in here.parent.iterdir()] == [before][: bool(before)]
            phone.wait(deadline_s=20)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("after_bytes", [-1, 0, 1])
def test_a_cable_pulled_in_a_command_is_never_an_empty_answer(
    adb: OwnAdb, direction: Direction, after_bytes: int
) -> None:
    fault = CablePulled(after_bytes=after_bytes, direction=direction, service="^shell")
    with plugged(adb, fault) as (phone, _):
        with pytest.raises(DeviceLostError):
            in_time(20, lambda: phone.shell("cat", deadline_s=20, input_bytes=b"x" * 100))
        phone.wait(deadline_s=20)
        assert phone.shell("echo", "back", deadline_s=20).stdout == "back\n"


@pytest.mark.parametrize("api_level", [24, 34])
@pytest.mark.parametrize("after_bytes", [-1, 0, 100, 200_000])
def test_a_cable_pulled_in_an_install_installs_nothing(
    adb: OwnAdb, after_bytes: int, api_level: int, tmp_path: Path
) -> None:
    large = runner_package(tmp_path / "large.apk", APP)
    grow(large, 1_000_000)
    fault = CablePulled(after_bytes=after_bytes, service="install")
    with plugged(adb, fault, spec=VirtualPhoneSpec(api_level=api_level)) as (phone, _):
        with pytest.raises(DeviceLostError):
            in_time(20, lambda: phone.install([large], deadline_s=20))
        phone.wait(deadline_s=20)
        assert APP not in phone.shell("pm", "list", "packages", deadline_s=20).stdout
        phone.install([large], deadline_s=60)
        assert APP in phone.shell("pm", "list", "packages", deadline_s=20).stdout


def grow(package: Path, size: int) -> None:
    """Add content to a zip."""
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr("assets/weights.bin", os.urandom(size))


def test_a_phone_that_stays_away_is_lost(carried: OwnAdb) -> None:
    fault = CablePulled(service="^shell", stays_out=True)
    with plugged(carried, fault) as (phone, virtual):
        with pytest.raises(DeviceLostError):
            in_time(20, lambda: phone.shell("cat", deadline_s=20, input_bytes=b"x"))
        with pytest.raises(DeviceError):
            in_time(20, lambda: phone.shell("echo", "x", deadline_s=20))
        with pytest.raises((DeviceLostError, DeviceNotReadyError)) as caught:
            in_time(0.5, lambda: phone.wait(deadline_s=0.5))
        assert caught.value.next_step
        virtual.plug()
        phone.wait(deadline_s=30)
        assert phone.shell("echo", "back", deadline_s=20).stdout == "back\n"


def test_a_phone_that_was_never_there_is_told(carried: OwnAdb) -> None:
    with pytest.raises(DeviceLostError, match="not connected"):
        carried.server.phone("R5CT00X").shell("echo", "x", deadline_s=20)


# ---------------------------------------------------------------- the server


@pytest.mark.parametrize("call", ["shell", "push"])
def test_a_server_that_is_killed_is_told_and_comes_back(
    adb: OwnAdb, call: str, content: Path
) -> None:
    with plugged(adb, CommandHangs(command="sleep"), PhoneHangs(service="^sync:")) as (phone, _):
        killer = threading.Timer(0.3, adb.kill)
        killer.start()
        try:
            act = {
                "shell": lambda: phone.shell("sleep", "60", deadline_s=30),
                "push": lambda: phone.push(content, f"{HOME}/new", deadline_s=30),
            }
            with pytest.raises(DeviceLostError) as caught:
                in_time(30, act[call])
        finally:
            killer.join()
        assert "adb server" in str(caught.value)
        assert "adb start-server" in (caught.value.next_step or "")
        phone.wait(deadline_s=30)
        assert phone.shell("echo", "back", deadline_s=20).stdout == "back\n"


def test_without_a_server_phones_are_lost_and_lists_tell_why(tmp_path: Path) -> None:
    server = AdbServer("127.0.0.1", free_port(), adb=tmp_path / "no-adb")
    with pytest.raises(ToolchainError, match="no adb server answers") as caught:
        server.phones()
    assert caught.value.next_step == "adb start-server"
    with pytest.raises(DeviceLostError, match="is gone"):
        server.phone("R5").shell("echo", deadline_s=5)
    with pytest.raises(ToolchainError, match="cannot start"):
        server.start()


def test_a_remote_server_is_never_started_here() -> None:
    """The machine's own name stands for another machine: it is no loopback address."""
    port = free_port()
    server = AdbServer(socket.gethostname(), port, adb=Path("/bin/false"))
    assert not server.is_local
    for use in (server.start, server.phones, lambda: server.connect("h:5555", deadline_s=5)):
        with pytest.raises(ToolchainError, match="no adb server answers") as caught:
            use()
        assert "start it there" in (caught.value.next_step or "")
    with pytest.raises(DeviceLostError):
        server.phone("R5").wait(deadline_s=0.3)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Run something that is no adb server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1 << 12)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no adb server"),
        (b"", "no adb server"),
        (b"OKAYzzzz", "no adb server"),
        (b"OKAY0004zzzz", "no adb server"),
        (b"FAIL0003no!", "no adb server"),
        (b"OKAY0004001f", "older than"),
    ],
)
def test_what_answers_may_be_no_adb_server_or_one_too_old(answer: bytes, why: str) -> None:
    with answering(answer) as port, pytest.raises(ToolchainError, match=why):
        AdbServer("127.0.0.1", port).start()


# ---------------------------------------------------------------- not ready


@pytest.mark.parametrize(
    ("fault", "state", "advice"),
    [
        (Unauthorized(), PhoneState.UNAUTHORIZED, "Allow"),
        (OtherState(state="recovery"), PhoneState.RECOVERY, "Reboot system now"),
        (OtherState(state="sideload"), PhoneState.SIDELOAD, "Reboot system now"),
    ],
    ids=str,
)
def test_a_phone_that_needs_a_person_says_what_to_press(
    adb: OwnAdb, fault: Fault, state: PhoneState, advice: str
) -> None:
    with VirtualAndroidPhone(
        VirtualPhoneSpec(), program=SleepingProgram(0.1), faults=Faults(fault)
    ) as virtual:
        try:
            with pytest.raises(DeviceNotReadyError) as caught:
                in_time(30, lambda: adb.server.connect(virtual.address, deadline_s=30))
            assert advice in (caught.value.next_step or "")
            attached = next(
                phone for phone in adb.server.phones() if phone.serial == virtual.serial
            )
            told, sentence, step = describe_attached(attached)
            assert told is state
            assert virtual.serial in sentence
            assert advice in step
            with pytest.raises(DeviceNotReadyError, match="cannot run 'echo'"):
                in_time(20, lambda: adb.server.phone(virtual.serial).shell("echo", deadline_s=20))
            with pytest.raises(DeviceNotReadyError):
                in_time(0.3, lambda: adb.server.phone(virtual.serial).wait(deadline_s=0.3))
        finally:
            adb.server.disconnect(virtual.address)


def test_a_phone_that_never_greets_is_offline(carried: OwnAdb) -> None:
    with VirtualAndroidPhone(
        VirtualPhoneSpec(), program=SleepingProgram(0.1), faults=Faults(NoHandshake())
    ) as virtual:
        try:
            with pytest.raises(DeviceTimeoutError, match="cannot connect"):
                in_time(1, lambda: carried.server.connect(virtual.address, deadline_s=1))
            with pytest.raises(DeviceError) as caught:
                in_time(1, lambda: carried.server.phone(virtual.serial).shell("ls", deadline_s=1))
            assert caught.value.next_step
        finally:
            carried.server.disconnect(virtual.address)


def test_nothing_listens_at_an_address(adb: OwnAdb) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(DeviceNotReadyError, match="cannot connect") as caught:
        in_time(20, lambda: adb.server.connect(address, deadline_s=20))
    assert "Wireless debugging" in (caught.value.next_step or "")
    assert address not in [phone.serial for phone in adb.server.phones()]
    adb.server.disconnect(address)


def test_a_full_phone_says_so(adb: OwnAdb, content: Path, apk: Path) -> None:
    with plugged(adb, StorageFull(after_bytes=100_000, path="ortlab")) as (phone, virtual):
        with pytest.raises(DeviceNotReadyError, match="No space left on device") as caught:
            in_time(20, lambda: phone.push(content, f"{HOME}/new", deadline_s=20))
        assert "df /data" in (caught.value.next_step or "")
        assert left_behind(phone) == []
        virtual.faults = Faults(StorageFull(path="/data/app"))
        with pytest.raises(InstallError) as refused:
            in_time(20, lambda: phone.install([apk], deadline_s=20))
        assert refused.value.code == "INSTALL_FAILED_INSUFFICIENT_STORAGE"


def test_other_content_than_was_sent_never_takes_the_name(carried: OwnAdb, content: Path) -> None:
    with plugged(carried) as (phone, virtual):
        phone.push(b"good", f"{HOME}/model", deadline_s=20, verify=True)
        virtual.faults = Faults(WrongContent(path="ortlab"))
        with pytest.raises(DeviceError, match="not what was sent"):
            phone.push(content, f"{HOME}/model", deadline_s=20, verify=True)
        assert left_behind(phone) == ["model"]
        assert phone.shell("cat", f"{HOME}/model", deadline_s=20).stdout == "good"


def test_a_known_checksum_is_what_arrives_is_compared_with(carried: OwnAdb) -> None:
    known = {"sha256": hashlib.sha256(b"meant").hexdigest()}
    with plugged(carried) as (phone, _):
        phone.push(b"meant", f"{HOME}/model", deadline_s=20, verify=True, checksums=known)
        with pytest.raises(DeviceError, match="not what was sent"):
            phone.push(b"other", f"{HOME}/model", deadline_s=20, verify=True, checksums=known)
        assert phone.shell("cat", f"{HOME}/model", deadline_s=20).stdout == "meant"


def test_an_old_phone_compares_by_md5(carried: OwnAdb, content: Path) -> None:
    missing = CommandFails(command="sha256sum", exit_code=127, message="not found")
    with plugged(carried, missing) as (phone, virtual):
        phone.push(content, f"{HOME}/model", deadline_s=20, verify=True)
        virtual.faults = Faults(missing, WrongContent(path="ortlab"))
        with pytest.raises(DeviceError, match="not what was sent"):
            phone.push(content, f"{HOME}/model", deadline_s=20, verify=True)
        virtual.faults = Faults(missing, CommandFails(command="md5sum", exit_code=127))
        with pytest.raises(DeviceError, match="neither sha256sum nor md5sum"):
            phone.push(content, f"{HOME}/other", deadline_s=20, verify=True)
        assert left_behind(phone) == ["model"]


def test_a_name_that_cannot_be_taken_leaves_the_old_file(carried: OwnAdb) -> None:
    with plugged(carried) as (phone, virtual):
        phone.push(b"old", f"{HOME}/file", deadline_s=20)
        virtual.faults = Faults(CommandFails(command="^mv", exit_code=1, message="mv: refused"))
        with pytest.raises(DeviceError, match="mv: refused"):
            phone.push(b"new", f"{HOME}/file", deadline_s=20)
        assert left_behind(phone) == ["file"]
        assert phone.shell("cat", f"{HOME}/file", deadline_s=20).stdout == "old"


# ---------------------------------------------------------------- installing


@pytest.mark.parametrize("api_level", [24, 34])
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("INSTALL_FAILED_USER_RESTRICTED", "Install via USB"),
        ("INSTALL_FAILED_VERIFICATION_FAILURE", "Verify apps over USB"),
        ("INSTALL_FAILED_MADE_UP", "logcat"),
    ],
)
def test_a_refused_install_gives_the_code_and_advice(
    adb: OwnAdb, code: str, advice: str, api_level: int, apk: Path
) -> None:
    spec = VirtualPhoneSpec(api_level=api_level)
    with plugged(adb, InstallRefused(code=code), spec=spec) as (phone, _):
        with pytest.raises(InstallError, match=code) as caught:
            in_time(20, lambda: phone.install([apk], deadline_s=20))
        assert caught.value.code == code
        assert advice in (caught.value.next_step or "")
        phone.install([apk], deadline_s=20)


def test_refusals_of_the_package_manager_itself(adb: OwnAdb, tmp_path: Path) -> None:
    new = runner_package(tmp_path / "new.apk", APP, version_code=5)
    old = runner_package(tmp_path / "old.apk", APP, version_code=4)
    broken = tmp_path / "broken.apk"
    broken.write_bytes(b"PK\3\4 no zip")
    with plugged(adb) as (phone, _):
        phone.install([new], deadline_s=20)
        with pytest.raises(InstallError) as caught:
            phone.install([old], deadline_s=20, package=APP)
        assert caught.value.code == "INSTALL_FAILED_VERSION_DOWNGRADE"
        assert f"uninstall {APP}" in (caught.value.next_step or "")
        with pytest.raises(InstallError) as caught:
            phone.install([broken], deadline_s=20)
        assert caught.value.code
        assert "APK" in str(caught.value)


@pytest.mark.parametrize("api_level", [24, 34])
def test_a_session_that_is_refused_is_abandoned(
    adb: OwnAdb, api_level: int, tmp_path: Path
) -> None:
    twice = [runner_package(tmp_path / name, APP) for name in ("a.apk", "b $(x).apk")]
    with plugged(adb, spec=VirtualPhoneSpec(api_level=api_level)) as (phone, virtual):
        with pytest.raises(InstallError) as caught:
            in_time(20, lambda: phone.install(twice, deadline_s=20))
        assert caught.value.code == "INSTALL_FAILED_INVALID_APK"
        asked = " ".join(map(str, virtual.requests))
        assert asked.count("install-create") == 1
        assert asked.count("install-write") == 2
        assert asked.count("install-abandon") == 1
        assert "vmdl" not in " ".join(left_behind(phone, "/data/app"))


# ---------------------------------------------------------------- several phones, other ways


def test_several_phones_are_used_at_once(adb: OwnAdb, content: Path) -> None:
    problems: list[BaseException] = []

    def use(phone: AdbPhone, number: int) -> None:
        try:
            for turn in range(5):
                phone.push(content, f"{HOME}/{number}", deadline_s=60, verify=True)
                said = phone.shell("echo", f"{number}.{turn}", deadline_s=60)
                assert said.stdout == f"{number}.{turn}\n"
        except BaseException as error:
            problems.append(error)

    with contextlib.ExitStack() as stack:
        levels = (24, 29, 33, 35)
        phones = [
            stack.enter_context(plugged(adb, spec=VirtualPhoneSpec(api_level=level)))[0]
            for level in levels
        ]
        assert {phone.serial for phone in phones} <= {phone.serial for phone in adb.server.phones()}
        users = [
            threading.Thread(target=use, args=[phone, number])
            for number, phone in enumerate([*phones, *phones])
        ]
        for user in users:
            user.start()
        for user in users:
            user.join(120)
        assert not problems
        for number, phone in enumerate(phones):
            assert sorted(left_behind(phone)) == [str(number), str(number + len(phones))]


def test_a_phone_is_reached_by_an_ipv6_address(adb: OwnAdb) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback address")
    with (
        VirtualAndroidPhone(VirtualPhoneSpec(), program=SleepingProgram(0.1)) as virtual,
        relayed_to(virtual.address) as port,
    ):
        serial = adb.server.connect(f"[::1]:{port}", deadline_s=20)
        try:
            said = adb.server.phone(serial).shell("echo", "six", deadline_s=20)
            assert said.stdout == "six\n"
            assert adb.server.connect(f"[::1]:{port}", deadline_s=20) == serial
        finally:
            adb.server.disconnect(serial)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@contextlib.contextmanager
def relayed_to(address: str) -> Iterator[int]:
    """Pass connections to the IPv6 loopback address on to another."""
    host, _, port = address.rpartition(":")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        open_sockets: list[socket.socket] = []

        def pass_on(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(1 << 16):
                    target.sendall(data)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.create_connection((host, int(port)))
                    open_sockets.extend((near, far))
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=pass_on, args=pair, daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for each in open_sockets:
                each.close()
