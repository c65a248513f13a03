"""What is on disk: appended whole or not at all, healed, locked, found again."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import (
    latency_block,
    make_arm,
    make_experiment,
    make_rule,
    side_block,
)

from ortlab.bench import experiment_key, find_run, load_run
from ortlab.bench.run_directory import ARTIFACTS, BLOCKS_FILE, EXPERIMENT_FILE, RunDirectory
from ortlab.codec import to_json
from ortlab.domain import Block, Experiment
from ortlab.errors import StorageError, UsageError
from ortlab.wire import Purpose

ARM = make_arm("arm")
EXPERIMENT = make_experiment([ARM, make_arm("other")])


def block(index: int) -> Block:
    return latency_block(ARM, index, [100 + index, 200])


def write(directory: Path, count: int, experiment: Experiment = EXPERIMENT) -> list[Block]:
    blocks = [block(index) for index in range(count)]
    with RunDirectory(directory, experiment) as record:
        for item in blocks:
            path = record.begin(item.block_id, "session")
            (path / "result.json").write_text("{}")
            record.record(item, path)
    return blocks


# ---------------------------------------------------------------- record and read


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    blocks = write(tmp_path / "run", 3)
    run = load_run(tmp_path / "run")
    assert run.experiment == EXPERIMENT
    assert list(run.blocks) == blocks
    kept = {path.name for path in (tmp_path / "run" / ARTIFACTS).iterdir()}
    assert kept == {item.block_id for item in blocks}


def test_a_run_goes_on_with_its_own_seed_and_id(tmp_path: Path) -> None:
    write(tmp_path, 2)
    again = replace(EXPERIMENT, seed=99, experiment_id="later", created_at="2027")
    with RunDirectory(tmp_path, again) as record:
        assert record.experiment == EXPERIMENT
        assert len(record.run.blocks) == 2
        path = record.begin("x", "session")
        record.record(block(2), path)
    assert len(load_run(tmp_path).blocks) == 3


def test_a_block_is_recorded_once(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with RunDirectory(tmp_path, EXPERIMENT) as record:
        path = record.begin("b", "session")
        with pytest.raises(StorageError, match="twice"):
            record.record(block(0), path)
    assert len(load_run(tmp_path).blocks) == 1


def test_another_experiment_is_kept_out(tmp_path: Path) -> None:
    write(tmp_path, 1)
    other = replace(EXPERIMENT, rule=make_rule(looks=(8,)))
    with pytest.raises(StorageError, match="another one"):
        RunDirectory(tmp_path, other)
    assert len(load_run(tmp_path).blocks) == 1


def test_a_directory_without_a_run_is_a_users_mistake(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", Path(__file__)):
        with pytest.raises(UsageError, match=r"no experiment\.json"):
            load_run(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    newer = replace(EXPERIMENT, schema_version=2)
    (tmp_path / EXPERIMENT_FILE).write_text(to_json(newer))
    with pytest.raises(StorageError, match="schema version is 2"):
        load_run(tmp_path)


# ---------------------------------------------------------------- torn and corrupt lines


@settings(max_examples=25)
@given(cut=st.integers(1, 400))
def test_a_torn_last_line_is_passed_over_and_healed(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    directory = tmp_path_factory.mktemp("run")
    blocks = write(directory, 3)
    file = directory / BLOCKS_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    torn = whole[:-cut].rpartition(b"\n")[2]
    assert list(load_run(directory).blocks) == blocks[:2]
    assert file.read_bytes() == whole[:-cut]
    with RunDirectory(directory, EXPERIMENT) as record:
        assert list(record.run.blocks) == blocks[:2]
        assert {p.name for p in (directory / ARTIFACTS).iterdir()} == {
            item.block_id for item in blocks[:2]
        }
        path = record.begin(blocks[2].block_id, "again")
        record.record(blocks[2], path)
    assert file.read_bytes() == whole
    kept = directory / (BLOCKS_FILE + ".torn")
    assert (kept.read_bytes() if kept.exists() else b"") == torn


def test_a_last_line_of_rubbish_is_torn_too(tmp_path: Path) -> None:
    blocks = write(tmp_path, 2)
    file = tmp_path / BLOCKS_FILE
    file.write_bytes(file.read_bytes() + b"\0\0\0\0\n")
    assert list(load_run(tmp_path).blocks) == blocks
    with RunDirectory(tmp_path, EXPERIMENT) as record:
        assert list(record.run.blocks) == blocks
    assert (tmp_path / (BLOCKS_FILE + ".torn")).read_bytes() == b"\0\0\0\0\n"


@pytest.mark.parametrize("rubbish", [b"{}", b"\xff\xfe", b"", b'{"block_id": 1}', b"[]"])
def test_a_corrupt_line_in_the_middle_is_named_and_left_alone(
    tmp_path: Path, rubbish: bytes
) -> None:
    write(tmp_path, 3)
    file = tmp_path / BLOCKS_FILE
    lines = file.read_bytes().split(b"\n")
    lines[1] = rubbish
    damaged = b"\n".join(lines)
    file.write_bytes(damaged)
    with pytest.raises(StorageError, match="line 2"):
        load_run(tmp_path)
    with pytest.raises(StorageError, match="line 2"):
        RunDirectory(tmp_path, EXPERIMENT)
    assert file.read_bytes() == damaged


def test_doubled_and_foreign_blocks_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 2)
    file = tmp_path / BLOCKS_FILE
    good = file.read_text()
    file.write_text(good + good.splitlines()[0] + "\n")
    with pytest.raises(StorageError, match=r"line 3 repeats"):
        load_run(tmp_path)
    foreign = to_json(side_block(make_arm("stranger"), Purpose.MEMORY))
    file.write_text(good + foreign + "\n")
    with pytest.raises(StorageError, match="names no known arm"):
        load_run(tmp_path)


# ---------------------------------------------------------------- artifacts


def test_artifacts_of_blocks_in_flight_are_cleared(tmp_path: Path) -> None:
    blocks = write(tmp_path, 1)
    stray = tmp_path / ARTIFACTS / "latency-001-0-arm.dead"
    stray.mkdir()
    (stray / "result.json").write_text("{}")
    (tmp_path / ARTIFACTS / "link").symlink_to(tmp_path / EXPERIMENT_FILE)
    with RunDirectory(tmp_path, EXPERIMENT):
        pass
    assert [path.name for path in (tmp_path / ARTIFACTS).iterdir()] == [blocks[0].block_id]
    assert (tmp_path / EXPERIMENT_FILE).exists()


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "a\0b", ".hidden", "x" * 400, "-a"])
def test_no_block_id_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with RunDirectory(tmp_path, EXPERIMENT) as record:
        with pytest.raises(StorageError, match="file name"):
            record.kept_path(name)
        if name not in ("", "-a"):
            with pytest.raises(StorageError, match="file name"):
                record.begin(name, "session")


# ---------------------------------------------------------------- lock and disk


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, EXPERIMENT):
        with pytest.raises(StorageError, match=f"process {os.getpid()} is measuring"):
            RunDirectory(tmp_path, EXPERIMENT)
        assert load_run(tmp_path).blocks == ()
    with RunDirectory(tmp_path, EXPERIMENT):
        pass


@pytest.mark.parametrize("failing", ["write", "short", "fsync"])
def test_a_full_disk_leaves_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    blocks = write(tmp_path, 2)
    before = (tmp_path / BLOCKS_FILE).read_bytes()
    real_write, real_fsync = os.write, os.fsync

    def full_write(file: int, data: bytes) -> int:
        if failing == "write":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(file, data[:10] if failing == "short" else data)

    def full_fsync(file: int) -> None:
        if failing == "fsync":
            raise OSError(errno.EIO, "Input/output error")
        real_fsync(file)

    with RunDirectory(tmp_path, EXPERIMENT) as record:
        path = record.begin("b", "session")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full_write)
            patch.setattr(os, "fsync", full_fsync)
            with pytest.raises(StorageError, match="cannot record block"):
                record.record(block(2), path)
        assert (tmp_path / BLOCKS_FILE).read_bytes() == before
        assert list(record.run.blocks) == blocks
    assert list(load_run(tmp_path).blocks) == blocks


# ---------------------------------------------------------------- finding


def test_the_same_experiment_is_found_whatever_its_id_seed_and_place(tmp_path: Path) -> None:
    write(tmp_path / "a", 1)
    moved = tuple(replace(arm, model_path="/else/where") for arm in EXPERIMENT.arms)
    again = replace(
        EXPERIMENT,
        experiment_id="x",
        seed=7,
        arms=moved,
        prepared_path="/moved",
        command="other words",
        created_at="2030",
    )
    assert find_run(tmp_path, again) == tmp_path / "a"


def test_the_newest_of_several_is_found(tmp_path: Path) -> None:
    newer = replace(EXPERIMENT, created_at="2026-12-01T00:00:00Z", experiment_id="n")
    write(tmp_path / "z", 1)
    write(tmp_path / "a", 0, newer)
    assert find_run(tmp_path, EXPERIMENT) == tmp_path / "a"


@pytest.mark.parametrize(
    "changes",
    [
        {"baseline": "other"},
        {"rule": make_rule(looks=(8, 12))},
        {"rule": make_rule(floor=0.5)},
        {"arms": (replace(ARM, model_sha256="f" * 64), EXPERIMENT.arms[1])},
        {"arms": (replace(ARM, intra_op_num_threads=2), EXPERIMENT.arms[1])},
        {"device": replace(EXPERIMENT.device, ort_version="1.30.0")},
        {"device": replace(EXPERIMENT.device, device_id="other")},
        {"sample": replace(EXPERIMENT.sample, origin="mine.npz")},
        {"stop": replace(EXPERIMENT.stop, min_ns=1)},
        {"counts": replace(EXPERIMENT.counts, memory=9)},
    ],
)
def test_what_is_measured_otherwise_is_another_experiment(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write(tmp_path / "a", 1)
    other = replace(EXPERIMENT, **changes)
    assert experiment_key(other) != experiment_key(EXPERIMENT)
    assert find_run(tmp_path, other) is None


def test_other_things_in_the_directory_of_runs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / EXPERIMENT_FILE).write_text("{")
    assert find_run(tmp_path, EXPERIMENT) is None
    assert find_run(tmp_path / "nowhere", EXPERIMENT) is None
