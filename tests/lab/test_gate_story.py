"""A night on this machine: a planted slower model is found, its twin is not, and CI is told.

Real models, real processes, the command line as people use it; the agent runs beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "real"))

from small_models import convolutions
from stories import answer_of, ortlab

pytestmark = pytest.mark.real

GATE = (
    *("lab", "gate", "tonight", "--against", "release", "--max-slowdown", "10%"),
    *("--rounds", "8", "--block-s", "0.1", "--name", "2026-11-21", "--platform", "host"),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with two releases of two models; one of tonight's is slower."""
    directory = tmp_path_factory.mktemp("lab")
    layers = {"release": {"reader": 6, "twin": 6}, "tonight": {"reader": 18, "twin": 6}}
    for release, models in layers.items():
        for name, count in models.items():
            onnx.save(convolutions(count=count), directory / f"{name}.onnx")
        files = [f"{name}.onnx" for name in models]
        done = ortlab(
            directory, "prepare", *files, "-o", release, "--style", "onnx", "--no-configs"
        )
        assert done.succeeded, done.stderr
    assert ortlab(directory, "lab", "init", "--host-device").succeeded
    return directory


@pytest.fixture(scope="module")
def agent(lab: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent as long as the tests of this module do."""
    with (lab / "agent.log").open("wb") as log:
        process = start(lab, "lab", "agent", "--look-every-s", "1", log=log)
        deadline = time.monotonic() + 60
        while not answer_of(lab, "lab", "phones")["phones"]:
            assert process.poll() is None, (lab / "agent.log").read_text()
            assert time.monotonic() < deadline, "the agent saw no phone"
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) is not None


def start(directory: Path, *arguments: str, log: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ortlab", *arguments],
        cwd=directory,
        env={**os.environ, "XDG_STATE_HOME": str(directory / "state")},
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )


def test_without_a_phone_that_fits_nothing_is_submitted(lab: Path) -> None:
    done = ortlab(lab, *GATE, "--soc", "unheard of", "--json")
    assert done.exit_code == 5
    assert "cannot gate" in json.loads(done.stdout)["error"]["message"]
    assert answer_of(lab, "lab", "status")["jobs"] == []


def test_a_night_is_stopped_and_found_again_and_finds_the_slower_model(
    lab: Path, agent: subprocess.Popen[bytes]
) -> None:
    # Ctrl-C as soon as the jobs are submitted: the lab goes on with them.
    with (lab / "gate.log").open("wb") as log:
        first = start(lab, *GATE, log=log)
        deadline = time.monotonic() + 120
        while not answer_of(lab, "lab", "status")["jobs"]:
            assert first.poll() is None, (lab / "gate.log").read_text()
            assert time.monotonic() < deadline, "nothing was submitted"
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    assert "the lab goes on measuring" in (lab / "gate.log").read_text()

    done = ortlab(lab, *GATE, "--junit", "gate.xml", "--summary", "gate.md", "--json")
    assert done.exit_code == 7, f"{done.stdout}\n{done.stderr}\n{(lab / 'agent.log').read_text()}"
    answer = json.loads(done.stdout)
    cells = {cell["screening"]["model_name"]: cell for cell in answer["verdict"]["cells"]}
    assert cells["reader"]["outcome"] == "slower"
    assert cells["reader"]["ratio"] > 1.1
    assert cells["reader"]["rerun_p"] < 0.05
    assert cells["twin"]["outcome"] in ("no slowdown seen", "not confirmed")
    assert {len(cell["screening"]["log_ratios"]) for cell in cells.values()} == {8}
    # Nothing was submitted twice.
    assert (len(answer["screening_jobs"]), len(answer["rerun_jobs"])) == (1, 1)
    assert len(answer_of(lab, "lab", "status")["jobs"]) == 2
    assert agent.poll() is None


def test_the_same_command_says_the_same_again(lab: Path) -> None:
    done = ortlab(lab, *GATE)
    assert done.exit_code == 7
    assert "fail: 1 of 2 cells slower by more than 10 %" in " ".join(done.stdout.split())


def test_ci_is_told(lab: Path) -> None:
    suite = ET.parse(lab / "gate.xml").find("testsuite")
    assert suite is not None
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert len(failed) == 1
    assert str(failed[0]).startswith("reader on ")
    assert suite.get("tests") == "2"
    summary = (lab / "gate.md").read_text()
    assert summary.startswith("### ortlab lab gate: fail\n")
    assert "| reader |" in summary


def test_the_night_stands_in_the_history_against_its_control(lab: Path) -> None:
    (reader,) = answer_of(lab, "lab", "history", "reader")["histories"]
    (segment,) = reader["segments"]
    nights = segment["nights"]
    assert sum(night["experiments"] for night in nights) == 2  # the screening and the rerun
    assert all(night["ratio"] > 1.1 and night["band"] is None for night in nights)
    assert segment["control_label"].startswith("base")
    shown = ortlab(lab, "lab", "history", "reader")
    assert "no band yet" in " ".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert ortlab(lab, "lab", "history", "nobody").exit_code == 2
