"""From a model to a report on iPhones, and on phones of both platforms in one report."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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

CONFIG = """
[model]
path = "conv.onnx"

[prepare]
predictions = false

[app]
name = "Tom's $(reboot) \\"reader\\""
id = "dev.example.reader"
android = "android"
ios = "ios"

[bench]
device = [{devices}]
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

pytestmark = pytest.mark.requires("ios")


def directory_with(path: Path, *devices: str) -> Path:
    onnx.save(convolutions(), path / "conv.onnx")
    listed = ", ".join(f'"{device}"' for device in devices)
    (path / "ortlab.toml").write_text(CONFIG.format(devices=listed))
    return path


@pytest.fixture(scope="module")
def two_iphones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return directory_with(tmp_path_factory.mktemp("ios"), "virtual:ios:16.7", "virtual:ios:26.1")


@pytest.fixture(scope="module")
def prepared(two_iphones: Path) -> Path:
    done = ortlab(two_iphones, "prepare", "conv.onnx", "--no-predictions")
    assert done.succeeded, done.stderr
    return two_iphones


@pytest.fixture(scope="module")
def answer(two_iphones: Path) -> dict[str, Any]:
    return answer_of(two_iphones, "run", "ortlab.toml")


@pytest.mark.requires("swift")
def test_an_old_and_a_new_iphone_are_measured_in_one_command(answer: dict[str, Any]) -> None:
    check_measured_at_once(answer)
    versions = [experiment["device"]["os_version"] for experiment, _ in runs_of(answer)]
    assert ["16.7" in versions[0], "26.1" in versions[1]] == [True, True]
    assert {experiment["device"]["kind"] for experiment, _ in runs_of(answer)} == {"ios"}


@pytest.mark.requires("swift")
def test_the_swift_core_measured_and_computed(answer: dict[str, Any]) -> None:
    for _, blocks in runs_of(answer):
        check_computed(blocks, "swift")


@pytest.mark.requires("swift")
def test_the_report_says_virtual_and_shows_placement_and_memory(answer: dict[str, Any]) -> None:
    for run in answer["runs"]:
        check_says_virtual(run)


@pytest.mark.requires("swift")
def test_the_same_command_again_finds_the_finished_runs(
    two_iphones: Path, answer: dict[str, Any]
) -> None:
    check_found_again(two_iphones, answer)


@pytest.mark.requires("adb")
def test_phones_of_both_platforms_stand_in_one_report(tmp_path: Path) -> None:
    directory = directory_with(tmp_path, "virtual:android:34", "virtual:ios")
    answer = answer_of(directory, "run", "ortlab.toml")
    check_measured_at_once(answer)
    kinds = [experiment["device"]["kind"] for experiment, _ in runs_of(answer)]
    assert kinds == ["android", "ios"]
    page = Path(answer["index"]).read_text()
    for run in answer["runs"]:
        check_says_virtual(run)
        assert Path(run["directory"]).name in page
    assert (directory / "android/app.properties").is_file()
    assert (directory / "ios/App.xcconfig").is_file()


def test_ctrl_c_with_several_phones_says_so_and_ends_all_of_it(prepared: Path) -> None:
    command = ("bench", "prepared/conv", "--device", "virtual:ios,virtual:ios:16.7", "--new")
    with subprocess.Popen(
        [sys.executable, "-m", "ortlab", *command, "--output", "interrupted"],
        cwd=prepared,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "")
        assert any("latency" in line for line in lines)
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=60)[0]
    assert running.returncode == 130
    assert "stopped" in rest
    assert "run the same command again" in rest
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def test_without_a_mac_building_says_what_to_do_there(prepared: Path) -> None:
    generated = ortlab(
        prepared, "generate", "prepared/conv", "--ios", "mac", "--id", "dev.example.reader"
    )
    assert generated.succeeded, generated.stderr
    built = ortlab(prepared, "build", "mac")
    assert built.exit_code == 4
    assert "Mac" in built.stderr
    assert "ortlab build" in built.stderr
