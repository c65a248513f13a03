"""Export, backup and pruning, on a real SQLite file and a real PostgreSQL server."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import find_postgres
from device_lab import archive
from device_lab.archive import exporting, tables
from device_lab.store import LabStore
from device_lab.values import CellResult, JobSpec, LabPhone, Outcome
from lab.page_samples import HOSTILE, NOW, fill, fill_hostile, make_phone, make_result, nights
from lab.postgres import server, with_new_database
from ortlab.codec import from_json, to_json
from ortlab.errors import StorageError, UsageError
from report_samples import make_sample

pytestmark = pytest.mark.real
FILES = {"jobs", "cells", "phones", "attempts", "blocks", "results", "comparisons", "events"}
SAMPLE = make_sample(rounds=8, samples=20)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgres"))]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LabStore]:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    if request.param == "postgresql":
        url = with_new_database(request.getfixturevalue("postgres"))
    opened = LabStore(url)
    yield opened
    opened.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[LabStore]:
    opened = LabStore(f"sqlite:///{tmp_path / 'lab.db'}")
    yield opened
    opened.close()


def measured(
    store: LabStore,
    phone: LabPhone,
    name: str,
    at: datetime,
    *,
    model_name: str = "m",
    control: str = "c" * 64,
    lines: tuple[str, ...] = ("{}", "{}"),
) -> tuple[str, str]:
    """Carry out a job of one cell and return the ids of both."""
    job_id = store.submit(JobSpec(name=name, models=(model_name,)), at)
    here = make_phone(phone.phone_id, seen_at=at)
    store.see_phones("rack-1", [here], at)
    lease = store.claim("agent", phone.phone_id, at)
    assert lease is not None
    for index, line in enumerate(lines):
        store.record_block(lease, f"b{index}", line, at)
    result = make_result(lease.cell_id, job_id, phone, model_name, at, control=control)
    store.finish(lease, Outcome.DONE, at, result=result)
    return job_id, lease.cell_id


def read(directory: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: pq.read_table(path).to_pylist() for path in directory.glob("*.parquet")}


# ------------------------------------------------------------------------------ export


def test_what_was_stored_is_read_back(store: LabStore, tmp_path: Path) -> None:
    lines = tuple(to_json(block) for block in SAMPLE.run.blocks)
    phone = make_phone("p")
    job_id, cell_id = measured(store, phone, "night", NOW, lines=lines)
    written = archive.export(store, tmp_path / "out", NOW)
    found = read(tmp_path / "out")
    assert set(found) == FILES
    assert {table.name: table.rows for table in written} == {k: len(v) for k, v in found.items()}
    assert [row["line"] for row in found["blocks"]] == list(lines)
    for row, block in zip(found["blocks"], SAMPLE.run.blocks, strict=True):
        assert (row["cell_id"], row["phone_id"], row["arm_id"]) == (cell_id, "p", block.arm_id)
        assert (row["purpose"], row["outcome"]) == (str(block.purpose), str(block.outcome))
        assert (row["round_index"], row["attempt"]) == (block.round_index, block.attempt)
        assert row["duration_s"] == block.duration_s
        assert row["started_at"] == datetime.fromisoformat(block.started_at)
        timing = block.result.timing if block.result else None
        assert row["measured_ns"] == (None if timing is None else list(timing.measured_ns))
        assert row["session_creation_ns"] == (timing and timing.session_creation_ns)
    (result,) = store.results()
    (told,) = found["results"]
    (comparison,) = found["comparisons"]
    assert told["finished_at"] == result.finished_at
    assert (told["control"], told["trust"]) == (result.control, result.trust)
    assert comparison["log_ratios"] == list(result.comparisons[0].log_ratios)
    assert comparison["ratio"] == result.comparisons[0].ratio
    (job,) = found["jobs"]
    assert from_json(JobSpec, job["spec"], source="export") == store.job(job_id).spec
    assert job["submitted_at"] == NOW
    (attempt,) = found["attempts"]
    assert (attempt["outcome"], attempt["ended_at"]) == ("done", NOW)
    described = json.loads((tmp_path / "out" / "export.json").read_text())
    assert described["rows"] == {name: len(rows) for name, rows in found.items()}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_hostile_names_come_back_as_they_are(embedded: LabStore, tmp_path: Path) -> None:
    fill_hostile(embedded)
    archive.export(embedded, tmp_path / "out", NOW)
    found = read(tmp_path / "out")
    assert {row["phone_id"] for row in found["phones"]} == set(HOSTILE)
    assert {row["model_name"] for row in found["results"]} == set(HOSTILE)
    assert len(found["blocks"]) == 2 * 2 * len(HOSTILE)


def test_an_empty_store_gives_empty_tables_with_columns(embedded: LabStore, tmp_path: Path) -> None:
    archive.export(embedded, tmp_path / "out", NOW)
    schemas = tables.schemas()
    for path in (tmp_path / "out").glob("*.parquet"):
        assert pq.read_schema(path).equals(schemas[path.stem])
        assert pq.read_metadata(path).num_rows == 0


def test_rows_go_out_in_groups(
    embedded: LabStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_GROUP_ROWS", 7)
    nights(embedded, make_phone("p"), "m", [1.0] * 10)
    archive.export(embedded, tmp_path / "out", NOW)
    meta = pq.read_metadata(tmp_path / "out" / "blocks.parquet")
    assert (meta.num_rows, meta.num_row_groups) == (20, 3)
    numbers = [row["number"] for row in read(tmp_path / "out")["blocks"]]
    assert numbers == sorted(numbers)


def test_long_lines_make_smaller_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_GROUP_CHARACTERS", 100)
    groups = list(exporting._groups({"line": "x" * 60, "n": i} for i in range(5)))
    assert [len(group) for group in groups] == [2, 2, 1]


@pytest.mark.parametrize("there", ["directory", "file", "link"])
def test_nothing_is_written_over(embedded: LabStore, tmp_path: Path, there: str) -> None:
    target = tmp_path / "out"
    if there == "directory":
        target.mkdir()
    elif there == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UsageError, match="there already"):
        archive.export(embedded, target, NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    with pytest.raises(UsageError, match="no directory"):
        archive.export(embedded, tmp_path / "no" / "out", NOW)


def test_an_export_that_fails_leaves_nothing(embedded: LabStore, tmp_path: Path) -> None:
    fill(embedded)
    place = tmp_path / "place"
    place.mkdir()

    def stop(text: str) -> None:
        if text.startswith("exporting jobs"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.export(embedded, place / "out", NOW, progress=stop)
    assert list(place.iterdir()) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
names = st.sampled_from([field for schema in tables.schemas().values() for field in schema.names])


@given(st.dictionaries(names | st.just("result") | st.just("timing"), json_values))
def test_an_odd_line_is_kept_and_its_columns_are_null_or_right(block: dict[str, Any]) -> None:
    line = json.dumps(block)
    row = {"number": 1, "cell_id": "c", "phone_id": "p", "block_id": "b", "token": 1, "line": line}
    (made,) = tables._block(row)
    schema = tables.schemas()["blocks"]
    for name, kind in zip(schema.names, schema.types, strict=True):
        pa.array([tables.cleaner(kind)(made.get(name))], type=kind)
    assert made["line"] == line
    assert made["cell_id"] == "c"


@pytest.mark.parametrize(
    ("samples", "kept"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([], []),
        ([-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ([1, 2**63], None),
        ([1, None], None),
        ([1, True], None),
        ([1, 1.5], None),
        ([[1]], None),
        ("12", None),
    ],
)
def test_samples_are_whole_or_not_there(samples: object, kept: list[int] | None) -> None:
    line = json.dumps({"result": {"timing": {"measured_ns": samples}}})
    (made,) = tables._block({"line": line})
    assert tables.cleaner(pa.list_(pa.int64()))(made["measured_ns"]) == kept


# ------------------------------------------------------------------------------ prune


def remaining(store: LabStore) -> set[str]:
    return set(store.block_sizes())


def test_age_removes_whole_jobs_but_no_baseline(store: LabStore) -> None:
    phone = make_phone("p")
    old = NOW - timedelta(days=200)
    gone, gone_cell = measured(store, phone, "old", old)
    _, newest_of_old_control = measured(
        store, phone, "last of an old control", old + timedelta(days=1), control="d" * 64
    )
    named, named_cell = measured(store, phone, "release", old)
    store.set_baseline(named, baseline=True)
    kept, kept_cell = measured(store, phone, "last night", NOW - timedelta(days=1))
    plan = archive.plan_prune(store, NOW, older_than=timedelta(days=90), keep_bytes=None)
    assert [removal.job_id for removal in plan.removals] == [gone]
    assert plan.removals[0].cell_id is None
    assert plan.baseline_cells == 3
    before = [job.job_id for job in store.jobs()]
    assert gone in before  # planning removes nothing
    answer = archive.carry_out(store, plan)
    assert (answer.jobs, answer.blocks, answer.kept) == (1, 2, ())
    assert {job.job_id for job in store.jobs()} == set(before) - {gone}
    assert remaining(store) == {newest_of_old_control, named_cell, kept_cell}
    assert {result.cell_id for result in store.results()} == remaining(store)
    assert gone_cell not in remaining(store)
    assert kept in {job.job_id for job in store.jobs()}
    assert store.integrity_check() == ()
    assert store.overview(NOW).block_count == 6


def test_the_newest_result_is_a_baseline_however_old(store: LabStore) -> None:
    phone = make_phone("p")
    for index in range(4):
        measured(store, phone, f"n{index}", NOW - timedelta(days=900 - index))
    other = make_phone("q")
    measured(store, other, "other phone", NOW - timedelta(days=950))
    plan = archive.plan_prune(store, NOW, older_than=timedelta(days=1), keep_bytes=0)
    archive.carry_out(store, plan)
    left = store.results()
    assert {(r.phone_id, r.finished_at) for r in left} == {
        ("p", NOW - timedelta(days=897)),
        ("q", NOW - timedelta(days=950)),
    }
    assert len(remaining(store)) == 2
    assert "baselines" in plan.sentence


def test_size_removes_the_oldest_blocks_and_keeps_their_results(store: LabStore) -> None:
    phone = make_phone("p")
    cells = [
        measured(store, phone, f"n{i}", NOW - timedelta(days=9 - i), lines=("x" * 1000,) * 2)[1]
        for i in range(5)
    ]
    plan = archive.plan_prune(store, NOW, older_than=None, keep_bytes=6500)
    assert [removal.cell_id for removal in plan.removals] == cells[:2]
    assert (plan.size_bytes, plan.left_bytes) == (10_000, 6000)
    archive.carry_out(store, plan)
    assert remaining(store) == set(cells[2:])
    assert len(store.results()) == 5
    assert store.integrity_check() == ()
    again = archive.plan_prune(store, NOW, older_than=None, keep_bytes=6500)
    assert again.removals == ()


def test_bytes_are_counted_not_characters(store: LabStore) -> None:
    _, cell_id = measured(store, make_phone("p"), "n", NOW, lines=("日本語",))
    assert store.block_sizes() == {cell_id: (1, 9)}


def test_what_is_not_over_stays(store: LabStore) -> None:
    old = NOW - timedelta(days=400)
    store.see_phones("rack-1", [make_phone("p", seen_at=old)], old)
    waiting = store.submit(JobSpec(name="waits", models=("a", "b")), old)
    lease = store.claim("agent", "p", old)
    assert lease is not None
    store.record_block(lease, "b", "{}", old)
    plan = archive.plan_prune(store, NOW, older_than=timedelta(days=1), keep_bytes=0)
    assert plan.removals == ()
    assert "not over" in plan.sentence
    store.cancel(waiting, old)
    store.finish(lease, Outcome.CANCELLED, old)
    plan = archive.plan_prune(store, NOW, older_than=timedelta(days=1), keep_bytes=0)
    assert [removal.job_id for removal in plan.removals] == [waiting]
    archive.carry_out(store, plan)
    assert store.jobs() == ()


def test_a_job_that_became_a_baseline_meanwhile_is_left_and_told(store: LabStore) -> None:
    phone = make_phone("p")
    old = NOW - timedelta(days=200)
    named, _ = measured(store, phone, "old", old)
    measured(store, phone, "new", NOW)
    plan = archive.plan_prune(store, NOW, older_than=timedelta(days=90), keep_bytes=None)
    store.set_baseline(named, baseline=True)
    answer = archive.carry_out(store, plan)
    assert answer.jobs == 0
    assert "baseline" in answer.kept[0]
    assert store.job(named).baseline


def test_neither_age_nor_size_is_refused(embedded: LabStore) -> None:
    with pytest.raises(UsageError, match="neither"):
        archive.plan_prune(embedded, NOW, older_than=None, keep_bytes=None)


def test_run_directories_go_with_their_cells_and_nothing_else_does(
    embedded: LabStore, tmp_path: Path
) -> None:
    phone = make_phone("p")
    _, gone = measured(embedded, phone, "old", NOW - timedelta(days=200))
    _, stays = measured(embedded, phone, "new", NOW)
    runs, outside = tmp_path / "runs", tmp_path / "outside"
    outside.mkdir()
    for name in (gone, stays, "fedcba9876543210-0-0", "0123456789abcdef-0-0"):
        (runs / name).mkdir(parents=True)
        (runs / name / "blocks.jsonl").write_text("{}")
    ancient = (NOW - timedelta(days=300)).timestamp()
    os.utime(runs / "fedcba9876543210-0-0", (ancient, ancient))
    fresh = NOW.timestamp()
    os.utime(runs / "0123456789abcdef-0-0", (fresh, fresh))
    (runs / "link").symlink_to(outside)
    (runs / "notes.txt").write_text("mine")
    plan = archive.plan_prune(
        embedded, NOW, older_than=timedelta(days=90), keep_bytes=None, runs=runs
    )
    answer = archive.carry_out(embedded, plan)
    assert answer.run_directories == 2
    left = {path.name for path in runs.iterdir()}
    assert left == {stays, "0123456789abcdef-0-0", "link", "notes.txt"}
    assert outside.is_dir()


# ------------------------------------------------------------------------------ backup


def test_a_backup_taken_while_the_lab_writes_is_whole(embedded: LabStore, tmp_path: Path) -> None:
    phone = make_phone("p")
    embedded.see_phones("rack-1", [phone], NOW)
    embedded.submit(JobSpec(name="n", models=("m",)), NOW)
    lease = embedded.claim("agent", "p", NOW)
    assert lease is not None
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.is_set():
            embedded.record_block(lease, f"b{len(written)}", "x" * 2000, NOW)
            written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for index in range(3):
            least = len(written)
            target = tmp_path / f"copy{index}.db"
            size = archive.back_up(f"sqlite:///{tmp_path / 'lab.db'}", target)
            assert target.stat().st_size == size
            copy = LabStore(f"sqlite:///{target}")
            assert copy.integrity_check() == ()
            count = copy.overview(NOW).block_count
            assert least <= count == len(copy.blocks(lease.cell_id))
            copy.close()
    finally:
        stop.set()
        thread.join(30)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_backup_writes_over_nothing_and_needs_sqlite(embedded: LabStore, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        archive.back_up(url, target)
    assert target.read_text() == "mine"
    with pytest.raises(UsageError, match="no store"):
        archive.back_up(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "c.db")
    with pytest.raises(UsageError) as caught:
        archive.back_up("postgresql+psycopg://lab:hunter2@db/lab", tmp_path / "c.db")
    assert "pg_dump" in str(caught.value.next_step)
    assert "hunter2" not in f"{caught.value}{caught.value.next_step}"
    with pytest.raises(StorageError, match="cannot back up"):
        archive.back_up(url, tmp_path / "missing" / "c.db")
    assert embedded.jobs() == ()


def test_a_damaged_store_is_not_backed_up_as_if_it_were_sound(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    store = LabStore(f"sqlite:///{path}")
    nights(store, make_phone("p"), "m", [1.0] * 30)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[20_480:28_672] = b"\xff" * 8192
    path.write_bytes(content)
    with pytest.raises(StorageError):
        archive.back_up(f"sqlite:///{path}", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_compacting_gives_the_space_back(embedded: LabStore, tmp_path: Path) -> None:
    phone = make_phone("p")
    for index in range(4):
        at = NOW - timedelta(days=9 - index)
        measured(embedded, phone, f"n{index}", at, lines=("x" * 400_000,))
    plan = archive.plan_prune(embedded, NOW, older_than=None, keep_bytes=400_000)
    archive.carry_out(embedded, plan)
    before, after = archive.compact(f"sqlite:///{tmp_path / 'lab.db'}")
    assert after < before - 1_000_000
    assert embedded.integrity_check() == ()


# ------------------------------------------------------------------------------ commands


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ortlab", "lab", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(home), "ORTLAB_LAB_STORE": ""},
        timeout=120,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    directory = place / "ortlab" / "lab"
    directory.mkdir(parents=True)
    store = LabStore(f"sqlite:///{directory / 'lab.db'}")
    phone = make_phone("p")
    now = datetime.now(UTC)
    for index in range(5):
        measured(store, phone, f"night {index}", now - timedelta(days=200 - 45 * index))
    store.close()
    return place


def test_the_commands_tell_what_they_do(home: Path, tmp_path: Path) -> None:
    done = run(home, "prune", "--older-than", "90d", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would be removed" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    names = re.findall(r"night \d", done.stdout)
    assert names == ["night 0", "night 1", "night 2"]
    done = run(home, "prune", "--older-than", "90d", "--keep-bytes", "1MB", "--compact", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [removal["job_name"] for removal in told["plan"]["removals"]] == names
    assert told["done"]["jobs"] == 3
    out = tmp_path / "out"
    done = run(home, "export", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert {table["name"] for table in json.loads(done.stdout)["tables"]} == FILES
    assert len(read(out)["results"]) == 2
    done = run(home, "backup", str(tmp_path / "copy.db"))
    assert done.returncode == 0, done.stderr
    assert run(home, "check").stdout == "the store is sound\n"
    copy = LabStore(f"sqlite:///{tmp_path / 'copy.db'}")
    results: tuple[CellResult, ...] = copy.results()
    copy.close()
    assert len(results) == 2


def test_a_job_that_was_marked_is_not_pruned(tmp_path: Path) -> None:
    directory = tmp_path / "ortlab" / "lab"
    directory.mkdir(parents=True)
    store = LabStore(f"sqlite:///{directory / 'lab.db'}")
    for name in ("old", "older"):
        measured(store, make_phone("p"), name, NOW)
    store.close()

    def kept() -> int:
        done = run(tmp_path, "prune", "--older-than", "1d", "--dry-run", "--json")
        return int(json.loads(done.stdout)["plan"]["baseline_cells"])

    before = kept()
    assert "nothing prunes it" in run(tmp_path, "baseline", "old").stdout
    assert run(tmp_path, "baseline", "older").returncode == 0
    assert kept() == 2 > before
    assert run(tmp_path, "baseline", "old", "--remove").returncode == 0
    assert run(tmp_path, "baseline", "older", "--remove").returncode == 0
    assert kept() == before
    assert run(tmp_path, "baseline", "nobody").returncode == 2


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), "neither"),
        (("--older-than", "soon"), "time span"),
        (("--older-than", "-1d"), "time span"),
        (("--keep-bytes", "10 parsecs"), "size"),
    ],
)
def test_what_means_nothing_is_refused(home: Path, options: tuple[str, ...], word: str) -> None:
    done = run(home, "prune", *options)
    assert done.returncode == 2
    assert word in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_check_finds_what_is_wrong(tmp_path: Path) -> None:
    directory = tmp_path / "ortlab" / "lab"
    directory.mkdir(parents=True)
    store = LabStore(f"sqlite:///{directory / 'lab.db'}")
    measured(store, make_phone("p"), "n", NOW)
    store.close()
    with sqlite3.connect(directory / "lab.db") as connection:
        connection.execute("UPDATE cells SET state = 'leased'")
    done = run(tmp_path, "check", "--json")
    assert done.returncode == StorageError.exit_code
    told = json.loads(done.stdout)
    assert not told["sound"]
    assert any("nobody holds it" in problem for problem in told["problems"])
