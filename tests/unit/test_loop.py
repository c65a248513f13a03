"""The driver's loop against a device that answers at once: stop, resume, lose, refuse."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from simulated import make_arm, make_experiment, make_rule

from instant_device import INFO, Answer, InstantDevice
from ortlab.bench import Done, RunProgress, is_finished, load_run, next_block, run_experiment
from ortlab.bench.run_directory import ARTIFACTS, BLOCKS_FILE
from ortlab.domain import Block, Device, Experiment, Outcome, Run
from ortlab.errors import BenchmarkError, DeviceError, InterruptedRunError, StorageError
from ortlab.wire import BlockRequest, BlockResult, Conditions, Death, DeathKind

EXPERIMENT = make_experiment(
    [make_arm("a"), make_arm("b")],
    device=INFO,
    rule=make_rule(looks=(4,), floor=None),
)


def carry_out(
    directory: Path,
    device: Device,
    experiment: Experiment = EXPERIMENT,
    *,
    stop_after: int | None = None,
    seen: list[RunProgress] | None = None,
) -> Run:
    told = seen if seen is not None else []

    def should_stop() -> bool:
        return stop_after is not None and len(told) >= stop_after

    return run_experiment(
        directory, experiment, device, progress=told.append, should_stop=should_stop
    )


def artifacts(directory: Path) -> set[str]:
    return {path.name for path in (directory / ARTIFACTS).iterdir()}


def test_a_run_is_carried_out_as_planned_and_told_block_by_block(tmp_path: Path) -> None:
    seen: list[RunProgress] = []
    device = InstantDevice()
    run = carry_out(tmp_path, device, seen=seen)
    assert [block.block_id for block in run.blocks] == device.asked
    assert is_finished(run)
    assert load_run(tmp_path).blocks == run.blocks
    assert artifacts(tmp_path) == set(device.asked)
    assert [told.blocks_done for told in seen] == list(range(len(run.blocks) + 1))
    assert seen[-1].step is None
    assert {block.outcome for block in run.blocks} == {Outcome.OK}
    assert len({block.session_id for block in run.blocks}) == 1
    assert all(block.started_at and block.duration_s >= 0 for block in run.blocks)


def test_the_order_on_disk_is_that_of_the_planner(tmp_path: Path) -> None:
    run = carry_out(tmp_path, InstantDevice())
    for length, block in enumerate(run.blocks):
        step = next_block(EXPERIMENT, run.blocks[:length])
        assert not isinstance(step, Done)
        assert step.block_id == block.block_id


def test_a_finished_run_is_only_found_even_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = carry_out(tmp_path, InstantDevice())
    monkeypatch.setattr(Path, "mkdir", lambda *_a, **_k: pytest.fail("it was written to"))
    device = InstantDevice()
    again = carry_out(tmp_path, device, replace(EXPERIMENT, seed=9, experiment_id="new"))
    assert again.blocks == run.blocks
    assert device.asked == []


@pytest.mark.parametrize("stop_after", [0, 1, 5, 9])
def test_stopping_keeps_what_was_measured_and_the_same_command_goes_on(
    tmp_path: Path, stop_after: int
) -> None:
    with pytest.raises(InterruptedRunError, match=f"{stop_after} blocks") as stopped:
        carry_out(tmp_path, InstantDevice(), stop_after=stop_after)
    assert stopped.value.exit_code == 130
    before = load_run(tmp_path).blocks
    assert len(before) == stop_after
    device = InstantDevice()
    run = carry_out(tmp_path, device)
    assert run.blocks[:stop_after] == before
    assert [block.block_id for block in run.blocks[stop_after:]] == device.asked
    assert is_finished(run)


def test_ctrl_c_in_a_block_loses_that_block_only(tmp_path: Path) -> None:
    def interrupt(request: BlockRequest, result: BlockResult) -> Answer:
        if request.block_id.startswith("latency-001"):
            raise KeyboardInterrupt
        return result

    with pytest.raises(InterruptedRunError, match="on record"):
        carry_out(tmp_path, InstantDevice(interrupt))
    recorded = {block.block_id for block in load_run(tmp_path).blocks}
    assert artifacts(tmp_path) == recorded
    assert is_finished(carry_out(tmp_path, InstantDevice()))


def test_a_lost_device_is_no_crash_of_the_arm(tmp_path: Path) -> None:
    def lose(request: BlockRequest, result: BlockResult) -> Answer:
        if request.block_id.startswith("latency-002"):
            return Death(kind=DeathKind.DEVICE_LOST, message="the cable was pulled")
        return result

    with pytest.raises(DeviceError, match="the cable was pulled"):
        carry_out(tmp_path, InstantDevice(lose))
    before = load_run(tmp_path).blocks
    assert {block.outcome for block in before} == {Outcome.OK}
    run = carry_out(tmp_path, InstantDevice())
    assert run.blocks[: len(before)] == before
    assert is_finished(run)


def test_deaths_are_rows_and_the_experiment_goes_on(tmp_path: Path) -> None:
    def die(request: BlockRequest, result: BlockResult) -> Answer:
        if request.block_id.startswith("latency-001") and request.block_id.endswith("-b"):
            return Death(kind=DeathKind.SIGNAL, message="died of SIGSEGV")
        return result

    run = carry_out(tmp_path, InstantDevice(die))
    died = [block for block in run.blocks if block.outcome is Outcome.DIED]
    assert [block.block_id for block in died] == ["latency-001-0-b"]
    assert is_finished(run)


def test_an_update_of_the_runtime_is_not_pooled_with_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        carry_out(tmp_path, InstantDevice(), stop_after=6)
    with pytest.raises(BenchmarkError, match=r"ORT 1\.31\.1, and now it is 1\.32\.0"):
        carry_out(tmp_path, InstantDevice(version="1.32.0"))
    assert len(load_run(tmp_path).blocks) == 6


def test_another_experiment_does_not_touch_the_directory(tmp_path: Path) -> None:
    carry_out(tmp_path, InstantDevice())
    before = (tmp_path / BLOCKS_FILE).read_bytes()
    other = replace(EXPERIMENT, baseline="b")
    with pytest.raises(StorageError, match="another one"):
        carry_out(tmp_path, InstantDevice(), other)
    assert (tmp_path / BLOCKS_FILE).read_bytes() == before


def test_a_disturbed_round_is_repeated_and_both_attempts_are_kept(tmp_path: Path) -> None:
    def disturb(request: BlockRequest, result: BlockResult) -> Answer:
        if request.block_id == "latency-002-0-a":
            return replace(result, conditions_after=Conditions(busy_fraction=0.8))
        return result

    run = carry_out(tmp_path, InstantDevice(disturb))
    ids = {block.block_id for block in run.blocks}
    assert {"latency-002-0-a", "latency-002-1-a", "latency-002-1-b"} <= ids
    assert "latency-001-1-a" not in ids
    (disturbed,) = [block for block in run.blocks if block.disturbances]
    assert disturbed.block_id == "latency-002-0-a"


def test_stopping_anywhere_gives_the_same_set_of_blocks(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    whole = {b.block_id for b in carry_out(tmp_path / "whole", InstantDevice()).blocks}
    for trial in range(5):
        directory = tmp_path / str(trial)
        while True:
            try:
                run = carry_out(directory, InstantDevice(), stop_after=generator.randint(1, 7))
                break
            except InterruptedRunError:
                continue
        ids = [block.block_id for block in run.blocks]
        assert len(ids) == len(set(ids))
        assert set(ids) == whole


def test_each_block_is_handed_on_once_it_is_on_disk_and_before_the_next(tmp_path: Path) -> None:
    device = InstantDevice()
    handed: list[Block] = []

    def hand_on(block: Block) -> None:
        assert load_run(tmp_path).blocks[-1] == block
        assert device.asked[-1] == block.block_id
        handed.append(block)

    run = run_experiment(
        tmp_path,
        EXPERIMENT,
        device,
        progress=lambda _: None,
        should_stop=lambda: False,
        on_block=hand_on,
    )
    assert tuple(handed) == run.blocks


def test_what_takes_the_blocks_may_end_the_run_and_the_block_stays(tmp_path: Path) -> None:
    def refuse(block: Block) -> None:
        if block.block_id.startswith("latency-001"):
            message = f"nobody takes {block.block_id}"
            raise StorageError(message)

    device = InstantDevice()
    with pytest.raises(StorageError, match="nobody takes latency-001"):
        run_experiment(
            tmp_path,
            EXPERIMENT,
            device,
            progress=lambda _: None,
            should_stop=lambda: False,
            on_block=refuse,
        )
    recorded = [block.block_id for block in load_run(tmp_path).blocks]
    assert recorded == device.asked
    assert recorded[-1].startswith("latency-001")
    handed: list[Block] = []
    run = run_experiment(
        tmp_path,
        EXPERIMENT,
        InstantDevice(),
        progress=lambda _: None,
        should_stop=lambda: False,
        on_block=handed.append,
    )
    assert tuple(handed) == run.blocks[len(recorded) :]
