"""From a model to a report on phones: generated project, real APK, Kotlin core, real adb."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from small_models import convolutions
from stories import (
    answer_of,
    check_computed,
    check_found_again,
    check_measured_at_once,
    check_says_virtual,
    ortlab,
    runs_of,
)

from android import packaging
from ortlab.build import read_apk

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
    return answer_of(project, "run", "ortlab.toml")


pytestmark = [pytest.mark.requires("kotlin"), pytest.mark.requires("apk")]


def test_the_app_is_a_release_of_its_own_id(project: Path) -> None:
    app = read_apk([project / "bench.apk"])
    assert app.application_id == "dev.example.reader.bench"
    assert not app.debuggable
    assert app.minimum_api_level == 24


def test_two_phones_of_different_versions_are_measured_in_one_command(
    answer: dict[str, Any],
) -> None:
    check_measured_at_once(answer)
    levels = [re.search(r"API (\d+)", e["device"]["os_version"]) for e, _ in runs_of(answer)]
    assert [int(level[1]) for level in levels if level] == [28, 34]


def test_the_kotlin_core_measured_and_computed(answer: dict[str, Any]) -> None:
    for _, blocks in runs_of(answer):
        check_computed(blocks, "kotlin")


def test_the_report_says_virtual_and_shows_placement_and_memory(answer: dict[str, Any]) -> None:
    for run in answer["runs"]:
        check_says_virtual(run)


def test_the_same_command_again_finds_the_finished_runs(
    project: Path, answer: dict[str, Any]
) -> None:
    check_found_again(project, answer)
