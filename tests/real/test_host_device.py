"""The host runs blocks in fresh processes and says what became of those that die."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_contract import MODEL, DeviceContract, make_arm, make_request

from ortlab.devices import HostDevice, device_ids, open_device
from ortlab.domain import Device
from ortlab.errors import DeviceError, StorageError, UsageError
from ortlab.process import SystemProcesses
from ortlab.wire import (
    BlockResult,
    Death,
    DeathKind,
    FailureKind,
    LoadMode,
    Purpose,
    SessionSettings,
    Stage,
)

HOSTILE = Path(__file__).parent / "hostile_runners"
Run = Callable[..., Death]


@pytest.fixture(scope="module")
def device() -> Device:
    return open_device("host")


class TestHost(DeviceContract):
    """The host passes what every device must."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a block on a hostile runner; it must be told apart from any answer."""

    def start(name: str, *, memory_limit_bytes: int | None = None, **changes: Any) -> Death:
        device = HostDevice(
            SystemProcesses(),
            runner_path=HOSTILE / f"{name}.py",
            memory_limit_bytes=memory_limit_bytes,
        )
        arm = make_arm(MODEL)
        death = device.run_block(make_request(arm, tmp_path, **changes), arm)
        assert isinstance(death, Death)
        return death

    return start


def test_a_segmentation_fault_is_told_with_its_stage(run: Run) -> None:
    death = run("segfault")
    assert (death.kind, death.signal_name) == (DeathKind.SIGNAL, "SIGSEGV")
    assert death.exit_code is None
    assert death.last_stage is Stage.CREATE_SESSION
    assert "segfault.py" in death.output_tail


def test_memory_that_runs_out_is_told_apart(run: Run) -> None:
    limited = run("allocate", memory_limit_bytes=1 << 30)
    assert limited.kind is DeathKind.OUT_OF_MEMORY
    assert run("bad_alloc").kind is DeathKind.OUT_OF_MEMORY
    killed = run("killed")
    assert (killed.kind, killed.signal_name) == (DeathKind.OUT_OF_MEMORY, "SIGKILL")


def _ends(pid: int, within_s: float = 10.0) -> bool:
    """Whether a killed process goes away; the kernel takes its time to tear it down."""
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_runner_that_hangs_is_ended_with_its_children(run: Run, tmp_path: Path) -> None:
    death = run("hang", deadline_s=0.5)
    assert death.kind is DeathKind.DEADLINE
    assert death.last_stage is Stage.FIRST_RUN
    assert death.exit_code is None
    child = int((tmp_path / "out/child").read_text())
    assert _ends(child)


@pytest.mark.parametrize("name", ["garbage", "torn"])
def test_a_result_that_cannot_be_read_is_no_result(run: Run, name: str) -> None:
    assert run(name).kind is DeathKind.GARBLED_RESULT


def test_a_result_that_was_never_finished_is_none(run: Run) -> None:
    death = run("staged_only")
    assert (death.kind, death.exit_code) == (DeathKind.NO_RESULT, 0)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("wrong_block", DeathKind.WRONG_BLOCK),
        ("leave", DeathKind.GARBLED_RESULT),
        ("absolute", DeathKind.GARBLED_RESULT),
        ("absent", DeathKind.GARBLED_RESULT),
        ("profile", DeathKind.GARBLED_RESULT),
        ("negative", DeathKind.GARBLED_RESULT),
    ],
)
def test_a_sound_answer_to_something_else_is_refused(run: Run, mode: str, kind: DeathKind) -> None:
    assert run("answer", session=SessionSettings(config_entries={"mode": mode})).kind is kind


def test_an_exit_code_is_kept_with_the_end_of_what_was_said(run: Run) -> None:
    death = run("exit_code")
    assert (death.kind, death.exit_code) == (DeathKind.EXIT, 7)
    assert death.output_tail.endswith("the reason\n")
    assert len(death.output_tail) < 10_000


def test_a_runner_sees_no_variable_that_changes_what_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LD_PRELOAD_X", "PYTHONPATH", "SECRET"):
        monkeypatch.setenv(name, "1")
    said = run("environment").output_tail
    assert "ORT_DISABLE_TELEMETRY=1" in said
    assert "PATH=" in said
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "LD_PRELOAD_X", "PYTHONPATH", "SECRET"):
        assert name not in said
    assert "ORT_DISABLE_TELEMETRY=1" in (tmp_path / "out/command.txt").read_text()


def test_memory_of_a_block_can_be_limited(tmp_path: Path) -> None:
    """Too little for the runtime itself: whichever library notices, memory is named."""
    device = HostDevice(SystemProcesses(), memory_limit_bytes=100 << 20)
    arm = make_arm(MODEL)
    answer = device.run_block(make_request(arm, tmp_path), arm)
    if isinstance(answer, Death):
        assert answer.kind is DeathKind.OUT_OF_MEMORY
    else:
        assert answer.failure is not None
        assert answer.failure.kind is FailureKind.OUT_OF_MEMORY


def test_an_arm_brings_its_own_interpreter(device: Device, tmp_path: Path) -> None:
    arm = make_arm(MODEL, runtime=sys.executable)
    assert device.runtime_of(arm) == (device.info.ort_version, device.info.available_providers)
    result = device.run_block(make_request(arm, tmp_path), arm)
    assert isinstance(result, BlockResult)
    assert result.failure is None


def test_an_interpreter_that_cannot_run_blocks_is_refused(device: Device, tmp_path: Path) -> None:
    absent = make_arm(MODEL, runtime=str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="no Python interpreter"):
        device.runtime_of(absent)
    with pytest.raises(DeviceError, match="no Python interpreter"):
        device.run_block(make_request(absent, tmp_path), absent)
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'no module named onnxruntime' >&2\nexit 1\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(DeviceError, match="no module named onnxruntime"):
        device.runtime_of(make_arm(MODEL, runtime=str(script)))
    script.write_text("#!/bin/sh\necho '{\"runtime\": []}'\n")
    with pytest.raises(DeviceError, match="cannot be read"):
        device.runtime_of(make_arm(MODEL, runtime=str(script)))


@pytest.mark.parametrize("name", ["<b>", "a b", "$(touch x)", "-rf", "\u202eevil", "new\nline"])
def test_hostile_directory_names_are_only_names(device: Device, name: str, tmp_path: Path) -> None:
    arm = make_arm(MODEL)
    result = device.run_block(make_request(arm, tmp_path / name), arm)
    assert isinstance(result, BlockResult), result
    assert result.failure is None
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_that_cannot_be_written_is_named(device: Device, tmp_path: Path) -> None:
    arm = make_arm(MODEL)
    (tmp_path / "file").write_text("")
    request = make_request(arm, tmp_path, output_directory=str(tmp_path / "file"))
    with pytest.raises(StorageError, match="file"):
        device.run_block(request, arm)


def test_initializers_from_bytes_are_refused_not_tried(device: Device, tmp_path: Path) -> None:
    arm = make_arm(MODEL)
    request = make_request(arm, tmp_path, Purpose.COLD_START)
    model = replace(request.model, load_mode=LoadMode.INITIALIZERS_FROM_BYTES)
    result = device.run_block(replace(request, model=model), arm)
    assert isinstance(result, BlockResult)
    assert result.failure is not None
    assert str(result.failure.kind) == "unsupported"


def test_devices_by_id() -> None:
    assert device_ids() == ("host",)
    with pytest.raises(UsageError, match="'phone'") as caught:
        open_device("phone")
    assert caught.value.next_step == "ortlab devices"
