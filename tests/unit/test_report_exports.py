"""Tables and JSON: complete, tidy, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ortlab.codec import from_json
from ortlab.domain import Analysis, Experiment
from ortlab.errors import StorageError
from ortlab.report import ReportFiles, ReportFormat, write_report
from ortlab.report.exports import csv_text, report_json
from ortlab.wire import Purpose
from report_samples import ReportSample, hostile, make_sample, very_hostile

TABLES = frozenset({ReportFormat.CSV, ReportFormat.PARQUET})
MACHINES = frozenset({ReportFormat.JSON, ReportFormat.BENCHMARK})


def write(sample: ReportSample, directory: Path, formats: frozenset[ReportFormat]) -> ReportFiles:
    return write_report(
        sample.run,
        sample.analysis,
        sample.prepared,
        directory,
        formats=formats,
    )


def test_samples_hold_every_sample_in_order(tmp_path: Path) -> None:
    sample = make_sample(samples=40)
    files = write(sample, tmp_path, TABLES)
    rows = pq.read_table(tmp_path / "samples.parquet").to_pylist()
    expected = [
        (block.arm_id, block.block_id, block.round_index, index, phase, value)
        for block in sample.run.blocks
        if block.result is not None
        for phase, values in (
            ("warm-up", block.result.timing.warm_up_ns),
            ("measured", block.result.timing.measured_ns),
        )
        for index, value in enumerate(values)
    ]
    columns = ("arm", "block", "round", "index", "phase", "latency_ns")
    assert [tuple(row[name] for name in columns) for row in rows] == expected
    assert {row["run"] for row in rows} == {sample.run.experiment.experiment_id}
    assert {row["purpose"] for row in rows} == {"latency"}
    with (tmp_path / "samples.csv").open(encoding="utf-8", newline="") as file:
        told = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    assert told == [tuple(str(value) for value in row) for row in expected]
    assert {path.name for path in files.csv} == {
        "samples.csv",
        "blocks.csv",
        "memory.csv",
        "operators.csv",
    }


def test_blocks_tell_outcome_and_failure(tmp_path: Path) -> None:
    sample = make_sample(samples=30)
    write(sample, tmp_path, TABLES)
    rows = {row["block"]: row for row in pq.read_table(tmp_path / "blocks.parquet").to_pylist()}
    assert len(rows) == len(sample.run.blocks)
    died = rows["memory-003-0-runtime-amd64-off"]
    assert (died["outcome"], died["failure_kind"]) == ("died", "signal")
    failed = rows["cold_start-005-0-runtime-amd64-off"]
    assert (failed["failure_stage"], failed["failure_kind"]) == ("create_session", "runtime_error")
    disturbed = [row for row in rows.values() if row["disturbances"]]
    assert [(row["arm"], row["round"], row["attempt"]) for row in disturbed] == [
        ("fixed-amd64", 4, 0)
    ]
    fused = [
        (row["arm"], row["count"])
        for row in pq.read_table(tmp_path / "operators.parquet").to_pylist()
        if row["operator"] == "FusedConv"
    ]
    assert fused == [("onnx", 24), ("fixed-amd64", 5), ("runtime-amd64-on", 24)]


def test_a_run_without_blocks_still_has_its_files(tmp_path: Path) -> None:
    sample = make_sample(rounds=2, samples=5)
    empty = replace(sample, run=replace(sample.run, blocks=()))
    files = write(empty, tmp_path, TABLES)
    assert all(path.exists() for path in files.paths)
    assert pq.read_table(tmp_path / "samples.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "␉=1"),
        ("fixed-amd64", "fixed-amd64"),
        ("a\nb\x00", "a↵b␀"),
    ],
)
def test_csv_text(text: str, cell: str) -> None:
    assert csv_text(text) == cell


def test_csv_of_hostile_names_runs_no_formula_and_keeps_a_row_a_line(tmp_path: Path) -> None:
    sample = make_sample(rename=lambda name: f"=cmd|'{name}'!A0\n\x00", rounds=2, samples=5)
    write(sample, tmp_path, TABLES)
    for name in ("blocks.csv", "operators.csv"):
        raw = (tmp_path / name).read_text(encoding="utf-8")
        rows = list(csv.reader(raw.splitlines()))
        assert len({len(row) for row in rows}) == 1
        cells = [cell for row in rows[1:] for cell in row]
        assert any("cmd" in cell for cell in cells)
        assert not any(cell.lstrip().startswith(("=", "+", "@", "\t", "\r")) for cell in cells)
        assert "\x00" not in raw
    exact = pq.read_table(tmp_path / "operators.parquet")["operator"].to_pylist()
    assert "=cmd|'Add'!A0\n\x00" in exact


def test_json_gives_back_the_values() -> None:
    sample = make_sample(rename=hostile, rounds=3, samples=5)
    told = json.loads(report_json(sample.run, sample.analysis, sample.prepared))
    assert told["schema"] == "ortlab.report/1"
    assert told["virtual"] is False
    analysis = from_json(Analysis, json.dumps(told["analysis"]), source="the report")
    assert analysis == sample.analysis
    experiment = from_json(Experiment, json.dumps(told["experiment"]), source="the report")
    assert experiment == sample.run.experiment


def test_json_keeps_an_interval_without_end() -> None:
    sample = make_sample(rounds=3, samples=5)
    comparison = sample.analysis.comparisons[0]
    assert comparison.effect is not None
    wild = replace(comparison, effect=replace(comparison.effect, low=0.0, high=float("inf")))
    analysis = replace(sample.analysis, comparisons=(wild,))
    told = json.loads(report_json(sample.run, analysis, None))
    assert from_json(Analysis, json.dumps(told["analysis"]), source="the report") == analysis


def test_benchmark_entries(tmp_path: Path) -> None:
    sample = make_sample(samples=30)
    files = write(sample, tmp_path, MACHINES)
    assert files.benchmark is not None
    entries = json.loads(files.benchmark.read_text(encoding="utf-8"))
    assert len({entry["name"] for entry in entries}) == len(entries) == 16
    for entry in entries:
        assert {"name", "unit", "value", "extra"} <= entry.keys()
        assert isinstance(entry["value"], float)
    first = entries[0]
    assert first["name"] == "ch_ppocr_mobile_v2.0_cls / .onnx / lab-bench-3 / median latency"
    latency = sample.analysis.arms[0].latency
    assert latency is not None
    assert first["value"] == pytest.approx(latency.median_ns / 1e6, rel=1e-5)
    assert first["range"].startswith("± ")


def test_benchmark_entries_say_virtual(tmp_path: Path) -> None:
    files = write(make_sample(rounds=2, samples=5, virtual=True), tmp_path, MACHINES)
    assert files.benchmark is not None
    entries = json.loads(files.benchmark.read_text(encoding="utf-8"))
    assert all("(virtual)" in entry["name"] for entry in entries)


def test_file_names_are_fixed_and_only_what_was_asked_for_is_written(tmp_path: Path) -> None:
    sample = make_sample(rename=very_hostile, rounds=2, samples=5)
    directory = tmp_path / "deep" / "report"
    files = write(sample, directory, MACHINES)
    assert sorted(path.name for path in directory.iterdir()) == ["benchmark.json", "report.json"]
    assert files.html is None
    assert files.csv == ()
    assert sorted(files.paths) == sorted(directory.iterdir())
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", [ReportFormat.JSON, ReportFormat.CSV, ReportFormat.PARQUET])
def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, kind: ReportFormat) -> None:
    small = write(make_sample(rounds=2, samples=2), tmp_path, frozenset({kind}))
    before = {path: path.read_bytes() for path in small.paths}
    big = make_sample(rounds=12, samples=400)
    with largest_file(512), pytest.raises(StorageError) as caught:
        write(big, tmp_path, frozenset({kind}))
    assert str(tmp_path) in caught.value.message
    assert caught.value.next_step
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(StorageError, match="report"):
        write(make_sample(rounds=2, samples=2), tmp_path / "report", MACHINES)
    assert (tmp_path / "report").read_text() == "mine"


def test_purposes_other_than_latency_have_no_samples() -> None:
    blocks = make_sample(rounds=2, samples=2).run.blocks
    assert {b.purpose for b in blocks if b.result and b.result.timing.measured_ns} == {
        Purpose.LATENCY
    }
