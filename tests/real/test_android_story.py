"""From a model to a report on phones: generated project, real APK, Kotlin core, real adb."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from small_models import convolutions

from android import packaging
from ortlab.build import read_apk
from ortlab.process import Command, Completed, SystemProcesses

CONFIG = """
[model]
path = "conv.onnx"

[prepare]
predictions = false

[app]
name = "Tom's $(reboot) \\"reader\\""
id = "dev.example.reader"
android = "android"

[bench]
device = ["virtual:android:28", "virtual:android:34"]
app = "bench.apk"
style = ["onnx", "runtime"]
threads = [1]
min_rounds = 2
max_rounds = 2
block_s = 0.05
memory_blocks = 1
cold_start_blocks = 1
seed = 3

[report]
format = ["html", "markdown", "json"]
"""


def ortlab(directory: Path, *arguments: str) -> Completed:
    return SystemProcesses().run(
        Command(
            arguments=(sys.executable, "-m", "ortlab", *arguments),
            working_directory=directory,
            environment={"XDG_STATE_HOME": str(directory / "state")},
            deadline_s=400,
        )
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model, a prepared model, a generated project and its packaged app."""
    directory = tmp_path_factory.mktemp("story")
    onnx.save(convolutions(), directory / "conv.onnx")
    (directory / "ortlab.toml").write_text(CONFIG)
    for command in (
        ("prepare", "conv.onnx", "--no-predictions"),
        ("generate", "prepared/conv", "--config", "ortlab.toml"),
    ):
        done = ortlab(directory, *command)
        assert done.succeeded, done.stderr
    apk = packaging.build_apk(directory / "android", "bench")
    (directory / "bench.apk").write_bytes(apk.read_bytes())
    return directory


@pytest.fixture(scope="module")
def answer(project: Path) -> dict[str, Any]:
    done = ortlab(project, "run", "ortlab.toml", "--json")
    assert done.succeeded, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def runs_of(answer: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    found = []
    for run in answer["runs"]:
        directory = Path(run["directory"])
        experiment = json.loads((directory / "experiment.json").read_text())
        lines = (directory / "blocks.jsonl").read_text().splitlines()
        found.append((experiment, [json.loads(line) for line in lines]))
    return found


pytestmark = [pytest.mark.requires("kotlin"), pytest.mark.requires("apk")]


def test_the_app_is_a_release_of_its_own_id(project: Path) -> None:
    app = read_apk([project / "bench.apk"])
    assert app.application_id == "dev.example.reader.bench"
    assert not app.debuggable
    assert app.minimum_api_level == 24


def test_two_phones_of_different_versions_are_measured_in_one_command(
    answer: dict[str, Any],
) -> None:
    runs = runs_of(answer)
    assert answer["failures"] == {}
    assert [run["virtual"] for run in answer["runs"]] == [True, True]
    levels = [re.search(r"API (\d+)", e["device"]["os_version"]) for e, _ in runs]
    assert [int(level[1]) for level in levels if level] == [28, 34]
    for experiment, blocks in runs:
        assert {block["outcome"] for block in blocks} == {"ok"}
        purposes = {block["purpose"] for block in blocks}
        assert purposes == {"parity", "profile", "latency", "memory", "cold_start"}
        assert len(experiment["arms"]) >= 2
    spans = [[block["started_at"] for block in blocks] for _, blocks in runs]
    assert max(min(span) for span in spans) < min(max(span) for span in spans), "one after another"


def test_the_kotlin_core_measured_and_computed(answer: dict[str, Any]) -> None:
    for _, blocks in runs_of(answer):
        assert {b["result"]["runtime"]["language"] for b in blocks} == {"kotlin"}
        for block in blocks:
            if block["purpose"] == "parity":
                assert block["parity"]["status"] == "passed"
            if block["purpose"] == "profile":
                assert sum(item["count"] for item in block["executed"]) > 0
            if block["purpose"] == "latency":
                assert len(block["result"]["timing"]["measured_ns"]) >= 5
            if block["purpose"] == "memory":
                phases = {point["phase"] for point in block["result"]["memory"]}
                assert {"baseline", "loaded", "first_run", "end", "closed"} <= phases


def test_the_report_says_virtual_and_shows_placement_and_memory(answer: dict[str, Any]) -> None:
    for run in answer["runs"]:
        page = Path(run["report"]["html"]).read_text()
        assert "virtual" in page.lower()
        assert "VmHWM" in page or "Peak" in page
        assert "CPUExecutionProvider" in page or "CPU" in page
        assert run["analysis"]["grade"] == "none"
        assert {c["verdict"] for c in run["analysis"]["comparisons"]} == {"no verdict"}


def test_the_same_command_again_finds_the_finished_runs(
    project: Path, answer: dict[str, Any]
) -> None:
    done = ortlab(project, "run", "ortlab.toml", "--json")
    assert done.succeeded, done.stderr
    again = json.loads(done.stdout)
    assert [run["directory"] for run in again["runs"]] == [
        run["directory"] for run in answer["runs"]
    ]
    assert all(run["found"] for run in again["runs"])
