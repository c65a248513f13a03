"""The whole story through the command line: prepare → bench → report → gate, on real ORT."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SMALL = Path(__file__).parents[1] / "data/ort_formats/small.onnx"
ARMS = {"onnx", "fixed", "runtime-replay-on", "runtime-replay-off"}


SHORT = ("--block-s", "0.05", "--max-rounds", "8", "--cold-start-blocks", "1")


def ortlab(
    *arguments: str | Path, cwd: Path, deadline_s: float = 240
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ortlab", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        env={**os.environ, "COLUMNS": "80", "XDG_CACHE_HOME": str(cwd / "cache")},
        check=False,
    )


Answer = dict[str, Any]
Story = tuple[Path, Answer, Answer]


def answer(done: subprocess.CompletedProcess[str], expected: Sequence[int] = (0,)) -> Answer:
    assert done.returncode in expected, done.stdout + done.stderr
    parsed: Answer = json.loads(done.stdout)
    return parsed


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Prepare small.onnx and bench its four default arms in short blocks."""
    home = tmp_path_factory.mktemp("story")
    prepared = answer(ortlab("prepare", SMALL, "-o", "prepared", "--json", cwd=home))
    measured = answer(
        ortlab(
            *("bench", "prepared/small", *SHORT, "--memory-blocks", "1", "--json"),
            cwd=home,
        )
    )
    return home, prepared, measured


def test_prepare_makes_and_proves_every_variant(story: Story) -> None:
    _, prepared, _ = story
    (model,) = prepared["models"]
    variants = {variant["variant_id"]: variant for variant in model["prepared"]["variants"]}
    assert set(variants) >= {"onnx", "fixed-arm", "fixed-amd64", "runtime-arm", "runtime-amd64"}
    assert {variant["parity"]["status"] for variant in variants.values()} == {"passed"}
    assert variants["fixed-arm"]["operator_counts"]["com.microsoft:FusedConv"] == 6
    assert variants["runtime-arm"]["saved_optimizations"] == {"ConvActivationFusion": 6}


def test_bench_proves_replay_from_executed_operators(story: Story) -> None:
    _, _, measured = story
    (run,) = measured["runs"]
    fused = {
        arm["arm_id"]: sum(
            item["count"] for item in arm["executed"] if item["operator"].endswith("FusedConv")
        )
        for arm in run["analysis"]["arms"]
    }
    assert set(fused) == ARMS
    assert fused["runtime-replay-on"] == 6
    assert fused["runtime-replay-off"] == 0
    assert run["analysis"]["rounds"] == 8
    assert len(run["analysis"]["comparisons"]) == 3


def test_the_same_command_finds_the_finished_run(story: Story) -> None:
    home, _, measured = story
    again = answer(
        ortlab(
            *("bench", "prepared/small", *SHORT, "--memory-blocks", "1", "--json"),
            cwd=home,
        )
    )
    assert again["runs"][0]["found"] is True
    assert again["runs"][0]["directory"] == measured["runs"][0]["directory"]


def test_the_report_stands_where_the_command_says(story: Story) -> None:
    home, _, measured = story
    html = home / measured["runs"][0]["report"]["html"]
    assert "FusedConv" in html.read_text(encoding="utf-8")


def test_a_gate_answers_by_exit_code(story: Story) -> None:
    home, _, measured = story
    directory = measured["runs"][0]["directory"]
    generous = ortlab("gate", directory, "--max-slowdown", "1000%", cwd=home)
    assert generous.returncode == 0, generous.stdout + generous.stderr
    tight = ortlab("gate", directory, "--max-slowdown", "0.1%", "--json", cwd=home)
    status = answer(tight, expected=(0, 7, 8))["status"]
    assert tight.returncode == {"pass": 0, "fail": 7, "inconclusive": 8}[status]
    alone = ortlab("gate", directory, directory, "--max-slowdown", "2%", cwd=home)
    assert alone.returncode == 8
    assert "not interleaved" in alone.stdout


def test_an_impossible_arm_is_refused_before_the_first_block(
    story: Story,
) -> None:
    home, _, _ = story
    done = ortlab("bench", "prepared/small", "--ep", "nnapi", "-o", "none", cwd=home)
    assert done.returncode == 2
    assert "nnapi" in done.stderr.lower()
    assert not (home / "none").exists()


def test_a_missing_model_is_a_message_not_a_traceback(tmp_path: Path) -> None:
    done = ortlab("prepare", "no-such.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such.onnx" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_bad_model_is_of_the_model_family_and_named(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07garbage" * 10)
    done = ortlab("prepare", "bad.onnx", SMALL, "-o", "out", cwd=tmp_path)
    assert done.returncode == 3
    assert "bad.onnx" in done.stderr + done.stdout
    assert (tmp_path / "out/small/manifest.json").exists()


def test_one_file_drives_everything(tmp_path: Path) -> None:
    assert ortlab("init", SMALL, cwd=tmp_path).returncode == 0
    config = tmp_path / "ortlab.toml"
    text = config.read_text().replace(
        "max_rounds = 24", "max_rounds = 8\nblock_s = 0.05\nmemory_blocks = 0"
    )
    config.write_text(text)
    done = ortlab("run", "--json", cwd=tmp_path)
    assert answer(done)["runs"][0]["analysis"]["finished"] is True


@pytest.mark.parametrize("command", ["prepare", "inspect", "bench", "report", "gate", "run"])
def test_help_has_an_example_in_80_columns(command: str, tmp_path: Path) -> None:
    done = ortlab(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "ortlab " + command in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
