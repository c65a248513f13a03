"""An experiment goes on where its phone is now, and only with what it began with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adb_server import OwnAdb
from device_lab.store import LabStore
from device_lab.values import CellState, Outcome
from lab.lab_host import BENCH, LabHost, adb, bench_apk, convolutions, phone_on, wait_until

pytestmark = [pytest.mark.real, pytest.mark.requires("adb")]

JOB = 'models = ["prepared/model-0"]\n' + BENCH + 'app = "bench.apk"\n'


@pytest.fixture(scope="module")
def rack() -> Iterator[OwnAdb]:
    with adb() as running, phone_on(running, "MOVES001"):
        yield running


@pytest.fixture
def first(tmp_path: Path) -> LabHost:
    host = LabHost(tmp_path / "first")
    host.prepare(convolutions())
    bench_apk(host.directory / "models" / "bench.apk")
    return host


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabStore]:
    opened = LabStore(f"sqlite:///{tmp_path / 'shared.db'}")
    yield opened
    opened.close()


def url(tmp_path: Path) -> tuple[str, str]:
    return "--store", f"sqlite:///{tmp_path / 'shared.db'}"


def begun(host: LabHost, store: LabStore, *arguments: str) -> list[str]:
    """Measure some blocks of the job's cell, then die; return the lines of the store."""
    host.answer("submit", str(host.job(JOB)), *arguments)
    (cell,) = store.cells()
    with host.agent(*arguments, "--lease-s", "5", "--host-id", host.directory.name) as agent:
        wait_until(lambda: len(store.blocks(cell.cell_id)) >= 4, "blocks come in")
        agent.kill()
    return [block.line for block in store.blocks(cell.cell_id)]


@pytest.mark.usefixtures("rack")
def test_another_host_goes_on_with_the_experiment(
    tmp_path: Path, first: LabHost, store: LabStore
) -> None:
    before = begun(first, store, *url(tmp_path))
    second = LabHost(tmp_path / "second")
    second.directory.mkdir()
    done = second.answer("agent", *url(tmp_path), "--host-id", "second", "--until-done")
    assert done["outcomes"] == {"done": 1}
    (cell,) = store.cells()
    lines = [block.line for block in store.blocks(cell.cell_id)]
    assert lines[: len(before)] == before
    assert len({json.loads(line)["block_id"] for line in lines}) == len(lines)
    assert {json.loads(line)["outcome"] for line in lines} == {"ok"}
    runs = [next((host.runs / cell.cell_id).iterdir()) for host in (first, second)]
    assert runs[0].name == runs[1].name, "one experiment"
    assert (runs[1] / "blocks.jsonl").read_text().splitlines() == lines
    (phone,) = store.phones()
    assert (phone.phone.phone_id, phone.phone.host_id) == ("MOVES001", "second")
    assert [attempt.holder.partition(":")[0] for attempt in store.attempts()] == ["second", "first"]
    assert store.results()[0].phone_id == "MOVES001"
    assert store.integrity_check() == ()


@pytest.mark.usefixtures("rack")
def test_a_changed_model_is_not_pooled_with_the_old_one(
    tmp_path: Path, first: LabHost, store: LabStore
) -> None:
    before = begun(first, store, *url(tmp_path))
    first.prepare(convolutions(seed=5))  # other weights under the same path
    done = first.answer(
        "agent", *url(tmp_path), "--host-id", "first", "--until-done", "--look-every-s", "0.5"
    )
    assert set(done["outcomes"]) == {"failed"}
    (cell,) = store.cells()
    assert cell.state is CellState.FAILED
    newest = store.attempts(limit=1)[0]
    assert newest.outcome is Outcome.FAILED
    assert "changed" in (newest.reason or "")
    assert "next: submit the job anew under another name" in (newest.reason or "")
    assert [block.line for block in store.blocks(cell.cell_id)] == before
    assert store.results() == ()
