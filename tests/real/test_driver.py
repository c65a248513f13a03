"""Whole experiments on this machine: real ORT, real processes, real files."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ortlab.bench import (
    ArmOptions,
    PlanOptions,
    cross_arms,
    find_run,
    is_finished,
    load_run,
    plan_experiment,
    run_experiment,
)
from ortlab.bench.run_directory import ARTIFACTS, LOCK_FILE
from ortlab.codec import to_json
from ortlab.devices import HostDevice
from ortlab.domain import (
    Arm,
    Block,
    BlockCounts,
    Device,
    Experiment,
    OptimizationStyle,
    Outcome,
    ParityStatus,
    PreparedModel,
    ReplayProof,
    Run,
)
from ortlab.errors import StorageError
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models
from ortlab.process import SystemProcesses
from ortlab.replay import prove_replay
from ortlab.rounds import exclusions
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Death,
    DeathKind,
    LoadMode,
    MemoryPhase,
    Purpose,
)

HERE = Path(__file__).parent
SMALL = HERE.parent / "data/ort_formats/small.onnx"
SIDE_ONLY = BlockCounts(parity=1, profile=1, memory=0, cold_start=1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedModel, Path]:
    home = tmp_path_factory.mktemp("prepared")
    summary = prepare_models([SMALL], home, PrepareOptions(predictions=False, configs=False))
    assert summary.error is None
    directory = summary.results[0].directory
    assert directory is not None
    return load_prepared(directory), directory


@pytest.fixture(scope="module")
def host() -> HostDevice:
    return HostDevice(SystemProcesses())


def planned(
    prepared: tuple[PreparedModel, Path],
    device: Device,
    *,
    looks: tuple[int, ...] = (2,),
    counts: BlockCounts = SIDE_ONLY,
    arms: ArmOptions | None = None,
) -> Experiment:
    """Plan short blocks, at fixed looks, whose rounds are not repeated on a busy machine."""
    model, path = prepared
    crossed = cross_arms(model, path, arms or ArmOptions(), device)
    options = PlanOptions(block_s=0.01, seed=1, counts=counts)
    experiment = plan_experiment(crossed, model, path, device.info, options)
    return replace(experiment, rule=replace(experiment.rule, looks=looks, extra_attempts=0))


def carry_out(directory: Path, experiment: Experiment, device: Device) -> Run:
    return run_experiment(
        directory, experiment, device, progress=lambda _: None, should_stop=lambda: False
    )


def drive(directory: Path, plan: Path, kind: str, *limit: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "drive.py"), str(directory), str(plan), kind, *limit],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---------------------------------------------------------------- an honest run


@pytest.fixture(scope="module")
def finished(
    prepared: tuple[PreparedModel, Path],
    host: HostDevice,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Run the four default arms for two rounds."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    return carry_out(directory, planned(prepared, host), host)


def of(run: Run, purpose: Purpose) -> dict[str, Block]:
    return {block.arm_id: block for block in run.blocks if block.purpose is purpose}


def test_every_planned_block_is_there_and_succeeded(finished: Run) -> None:
    assert {block.outcome for block in finished.blocks} == {Outcome.OK}
    purposes = Counter(block.purpose for block in finished.blocks)
    assert purposes == {
        Purpose.PARITY: 4,
        Purpose.PROFILE: 4,
        Purpose.LATENCY: 8,
        Purpose.COLD_START: 4,
    }
    assert is_finished(finished)


def test_outputs_passed_parity_on_the_device(finished: Run) -> None:
    for block in of(finished, Purpose.PARITY).values():
        assert block.parity is not None
        assert block.parity.status is ParityStatus.PASSED
        assert block.result is not None
        for tensor in block.result.outputs:
            assert (finished.directory / tensor.path).stat().st_size > 0


def test_executed_operators_prove_each_arm(finished: Run) -> None:
    fused = {
        arm_id: sum(item.count for item in block.executed if item.operator == "FusedConv")
        for arm_id, block in of(finished, Purpose.PROFILE).items()
    }
    assert fused["runtime-replay-on"] == 6
    assert fused["runtime-replay-off"] == 0
    proofs = {
        arm.arm_id: prove_replay(arm, of(finished, Purpose.PROFILE)[arm.arm_id].executed)
        for arm in finished.experiment.arms
    }
    assert proofs == {
        "onnx": ReplayProof.NOT_APPLICABLE,
        "fixed": ReplayProof.NOT_APPLICABLE,
        "runtime-replay-on": ReplayProof.ON,
        "runtime-replay-off": ReplayProof.OFF,
    }


def test_samples_are_on_record(finished: Run) -> None:
    for block in of(finished, Purpose.LATENCY).values():
        assert block.result is not None
        assert len(block.result.timing.measured_ns) >= 30
        assert min(block.result.timing.measured_ns) > 0


def test_one_arm_is_measured_without_comparison_and_its_memory_by_phase(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    counts = BlockCounts(parity=0, profile=0, memory=1, cold_start=0)
    onnx = ArmOptions(styles=(OptimizationStyle.ONNX,))
    experiment = planned(prepared, host, arms=onnx, counts=counts, looks=(1,))
    run = carry_out(tmp_path / "run", experiment, host)
    assert [block.purpose for block in run.blocks] == [Purpose.LATENCY, Purpose.MEMORY]
    result = run.blocks[1].result
    assert result is not None
    phases = {point.phase for point in result.memory}
    assert {MemoryPhase.BASELINE, MemoryPhase.LOADED, MemoryPhase.END} <= phases


def test_the_finished_run_is_found_by_its_experiment(
    finished: Run, prepared: tuple[PreparedModel, Path], host: HostDevice
) -> None:
    again = replace(planned(prepared, host), seed=77)
    assert find_run(finished.directory.parent, again) == finished.directory
    assert carry_out(finished.directory, again, host).blocks == finished.blocks


def test_direct_bytes_run_an_ort_file(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    options = ArmOptions(
        styles=(OptimizationStyle.FIXED,),
        load_modes=(LoadMode.PATH, LoadMode.BYTES, LoadMode.DIRECT_BYTES),
        threads=(1,),
    )
    run = carry_out(tmp_path / "run", planned(prepared, host, arms=options), host)
    assert len(run.experiment.arms) == 3
    assert {block.outcome for block in run.blocks} == {Outcome.OK}


def test_an_arm_whose_replay_is_not_as_asked_is_never_timed(
    prepared: tuple[PreparedModel, Path], tmp_path: Path
) -> None:
    """A device that forgets the config entries leaves replay off, as ORT 1.31 does by default."""

    class Forgetful(HostDevice):
        def run_block(self, request: BlockRequest, arm: Arm) -> BlockResult | Death:
            session = replace(request.session, config_entries={})
            return super().run_block(replace(request, session=session), arm)

    device = Forgetful(SystemProcesses())
    run = carry_out(tmp_path / "run", planned(prepared, device), device)
    reason = exclusions(run.experiment, run.blocks)["runtime-replay-on"]
    assert reason == "it asks for replay on, but the executed operators say off"
    timed = {block.arm_id for block in run.blocks if block.purpose is Purpose.LATENCY}
    assert timed == {"onnx", "fixed", "runtime-replay-off"}


# ---------------------------------------------------------------- hostile runners


def test_whatever_a_runner_does_is_a_row_and_the_experiment_goes_on(
    prepared: tuple[PreparedModel, Path], tmp_path: Path
) -> None:
    device = HostDevice(SystemProcesses(), runner_path=HERE / "hostile_runner.py")
    expected = {
        "segfaults": DeathKind.SIGNAL,
        "exits": DeathKind.EXIT,
        "says-nothing": DeathKind.NO_RESULT,
        "rambles": DeathKind.GARBLED_RESULT,
        "out-of-memory": DeathKind.OUT_OF_MEMORY,
        "mistakes": DeathKind.WRONG_BLOCK,
        "hangs": DeathKind.DEADLINE,
    }
    only_onnx = ArmOptions(styles=(OptimizationStyle.ONNX,))
    counts = BlockCounts(parity=1, profile=0, memory=0, cold_start=1)
    experiment = planned(prepared, device, arms=only_onnx, counts=counts, looks=(3,))
    (onnx,) = experiment.arms
    arms = (onnx, *(replace(onnx, arm_id=name, label=name) for name in expected))
    run = carry_out(tmp_path / "run", replace(experiment, arms=arms, block_deadline_s=2.0), device)
    deaths = {
        arm_id: [b.death.kind for b in run.blocks if b.arm_id == arm_id and b.death]
        for arm_id in expected
    }
    assert deaths == {arm_id: [kind] * 2 for arm_id, kind in expected.items()}
    assert set(exclusions(run.experiment, run.blocks)) == set(expected)
    good = [block for block in run.blocks if block.arm_id == "onnx"]
    assert [block.outcome for block in good] == [Outcome.OK] * 5
    assert is_finished(load_run(run.directory))


# ---------------------------------------------------------------- two drivers, full disk


def test_a_second_driver_is_refused_while_the_first_measures(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    experiment = planned(prepared, host, looks=(50,))
    directory = tmp_path / "run"
    plan = tmp_path / "experiment.json"
    plan.write_text(to_json(experiment))
    first = drive(directory, plan, "host")
    try:
        assert first.stdout is not None
        assert first.stdout.readline()  # its first block begins: it holds the lock
        holder = (directory / LOCK_FILE).read_text().strip()
        assert holder == str(first.pid)
        with pytest.raises(StorageError, match=f"process {first.pid} is measuring"):
            carry_out(directory, experiment, host)
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    finally:
        first.kill()
        first.wait()
    short = replace(experiment, rule=replace(experiment.rule, looks=(1,)))
    with pytest.raises(StorageError, match="another one"):
        carry_out(directory, short, host)


def test_a_full_disk_is_told_and_what_was_measured_is_intact(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    """The limit of file sizes lets some lines through and refuses the next one."""
    counts = BlockCounts(parity=0, profile=0, memory=0, cold_start=0)
    experiment = planned(prepared, host, counts=counts, looks=(4,))
    plan = tmp_path / "experiment.json"
    plan.write_text(to_json(experiment))
    directory = tmp_path / "run"
    limit = max(3 * 4096, len(to_json(experiment, indent=1)) + 4096)
    limited = drive(directory, plan, "host", str(limit))
    _, told = limited.communicate(timeout=120)
    assert limited.returncode == StorageError.exit_code, told
    assert "cannot record block" in told
    assert "Traceback" not in told
    before = load_run(directory).blocks
    assert 0 < len(before) < 16
    assert {block.outcome for block in before} == {Outcome.OK}
    run = carry_out(directory, experiment, host)
    assert run.blocks[: len(before)] == before
    assert len(run.blocks) == 16


def test_a_directory_that_cannot_be_made_is_a_storage_error(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write into run directory"):
        carry_out(tmp_path / "file" / "run", planned(prepared, host), host)
    with pytest.raises(StorageError, match="cannot write into run directory"):
        carry_out(Path("/proc/ortlab-run"), planned(prepared, host), host)


def test_ctrl_c_ends_the_runner_too_and_the_same_command_goes_on(
    prepared: tuple[PreparedModel, Path], host: HostDevice, tmp_path: Path
) -> None:
    experiment = planned(prepared, host)
    plan = tmp_path / "experiment.json"
    plan.write_text(to_json(experiment))
    directory = tmp_path / "run"
    driver = drive(directory, plan, "host")
    assert driver.stdout is not None
    for _ in range(4):
        driver.stdout.readline()
    time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    _, told = driver.communicate(timeout=60)
    assert driver.returncode == 130, told
    assert "on record" in told
    recorded = {block.block_id for block in load_run(directory).blocks}
    assert {path.name for path in (directory / ARTIFACTS).iterdir()} == recorded
    run = carry_out(directory, experiment, host)
    assert is_finished(run)
    assert {block.outcome for block in run.blocks} == {Outcome.OK}
