"""From a model to a report in a real browser, with the network off; trained models, too."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from small_models import convolutions
from stories import PURPOSES, answer_of, check_computed, ortlab, runs_of
from web_device import CACHE, built_page, open_browser

from ortlab.bench import ArmOptions, PlanOptions, cross_arms, plan_experiment, run_experiment
from ortlab.domain import BlockCounts, Outcome, ParityStatus
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models
from ortlab.process import Command, Completed, SystemProcesses
from ortlab.text import three_digits

pytestmark = pytest.mark.requires("chromium", "node")

BENCH = (
    *("bench", "out/conv", "--device", "web", "--min-rounds", "2", "--max-rounds", "2"),
    *("--block-s", "0.1", "--memory-blocks", "1", "--cold-start-blocks", "1", "--seed", "3"),
)
ALONE = ("unshare", "-r", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""Runs a command where there is no network but the loopback address."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built_page()
    directory = tmp_path_factory.mktemp("web")
    onnx.save(convolutions(), directory / "conv.onnx")
    done = ortlab(directory, "prepare", "conv.onnx", "--no-predictions", "--output", "out")
    assert done.succeeded, done.stderr
    return directory


def without_network(directory: Path, *arguments: str) -> Completed:
    command = (sys.executable, "-m", "ortlab", *arguments)
    tried = SystemProcesses().run(Command(arguments=(*ALONE, "true"), deadline_s=20))
    return SystemProcesses().run(
        Command(
            arguments=(*ALONE, *command) if tried.succeeded else command,
            working_directory=directory,
            environment={
                "XDG_STATE_HOME": str(directory / "state"),
                "XDG_CACHE_HOME": str(CACHE.parents[1]),
            },
            deadline_s=900,
        )
    )


@pytest.fixture(scope="module")
def answer(prepared: Path) -> dict[str, Any]:
    done = without_network(prepared, *BENCH, "--json")
    assert done.succeeded, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_block_of_every_purpose_ran_in_the_browser(answer: dict[str, Any]) -> None:
    ((experiment, blocks),) = runs_of(answer)
    assert experiment["device"]["kind"] == "web"
    assert experiment["device"]["device_id"] == "web:chromium"
    assert {block["outcome"] for block in blocks} == {"ok"}
    assert {block["purpose"] for block in blocks} == PURPOSES
    styles = {(arm["style"], arm["replay"]) for arm in experiment["arms"]}
    assert {("onnx", "default"), ("fixed", "default"), ("runtime", "on"), ("runtime", "off")} <= (
        styles
    )
    assert {arm["target"] for arm in experiment["arms"]} == {None, "arm"}
    check_computed(blocks, "typescript")
    for block in blocks:
        browser = block["result"]["browser"]
        assert browser["cross_origin_isolated"]
        assert browser["visible"]
        assert not block["result"]["runtime"]["shared_process"]


def test_replay_is_proven_by_what_ran(answer: dict[str, Any]) -> None:
    ((experiment, blocks),) = runs_of(answer)
    arms = {arm["arm_id"]: arm for arm in experiment["arms"]}
    for block in blocks:
        if block["purpose"] != "profile":
            continue
        fused = sum(item["count"] for item in block["executed"] if item["operator"] == "FusedConv")
        arm = arms[block["arm_id"]]
        assert bool(fused) is ((arm["style"], arm["replay"]) != ("runtime", "off"))


def test_the_report_names_the_browser_and_holds_no_verdict_of_a_phone(
    answer: dict[str, Any],
) -> None:
    (run,) = answer["runs"]
    page = Path(run["report"]["html"]).read_text()
    assert "Chromium" in page
    assert "WasmHeap" in page
    assert run["virtual"] is False
    rules = {finding["rule"] for finding in run["analysis"]["findings"]}
    assert not rules & {"not_isolated", "page_in_background", "parity_missing_or_failed"}


def test_the_report_tells_what_the_pages_told_of_the_browser(answer: dict[str, Any]) -> None:
    (run,) = answer["runs"]
    ((_, blocks),) = runs_of(answer)
    told = [block["result"]["browser"] for block in blocks]
    (threads,) = {facts["threads_got"] for facts in told}
    finest_us = min(facts["clock_step_ns"] for facts in told) / 1000
    agent = told[0]["user_agent"].rpartition(") ")[2]
    html = Path(run["report"]["html"])
    text = html.with_suffix(".md").read_text().partition("**Measured in a browser**")[2]
    for between, shown in (("</dt><dd>", html.read_text()), (": ", text)):
        assert agent in shown
        assert f"Page{between}cross-origin isolated, always visible" in shown
        assert f"Clock step{between}{three_digits(finest_us)} " in shown
        assert f"Threads{between}{threads}, as the runtime chose" in shown
        assert "WebGPU adapter" not in shown
    with html.with_name("blocks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["threads_got"]) for row in rows] == [facts["threads_got"] for facts in told]


def test_the_same_command_finds_the_run(prepared: Path, answer: dict[str, Any]) -> None:
    done = without_network(prepared, *BENCH, "--json")
    assert done.succeeded, done.stderr
    again = json.loads(done.stdout)
    assert [run["directory"] for run in again["runs"]] == [
        run["directory"] for run in answer["runs"]
    ]


def test_the_browser_is_listed_and_impossible_arms_are_refused_with_the_reason(
    prepared: Path,
) -> None:
    listed = {device["device_id"] for device in answer_of(prepared, "devices")["devices"]}
    assert "web:chromium" in listed
    for options, says in (
        (("--ep", "webgpu"), "webgpu"),
        (("--ep", "xnnpack"), "xnnpack"),
        (("--load", "initializers-from-bytes", "--style", "fixed"), "browser"),
    ):
        done = without_network(prepared, *BENCH, *options)
        assert done.exit_code == 2, done.stderr
        assert says in done.stderr
    assert ortlab(prepared, "bench", "out/conv", "--device", "web:lynx").exit_code == 2


@pytest.mark.requires("models")
@pytest.mark.parametrize("name", ["ch_ppocr_mobile_v2.0_cls_infer.onnx", "model.onnx"])
def test_every_variant_of_a_trained_model_computes_in_the_browser_what_python_does(
    tmp_path: Path, package_models: Callable[[str], Path], name: str
) -> None:
    model = tmp_path / "trained.onnx"
    shutil.copy(package_models(name), model)
    options = PrepareOptions(configs=False, predictions=False)
    (result,) = prepare_models([model], tmp_path / "out", options).results
    assert result.directory is not None
    prepared_model = load_prepared(result.directory)
    with open_browser(built_page()) as device:
        arms = cross_arms(prepared_model, result.directory, ArmOptions(), device)
        planned = plan_experiment(
            arms,
            prepared_model,
            result.directory,
            device.info,
            PlanOptions(
                min_rounds=2,
                max_rounds=2,
                block_s=0.05,
                counts=BlockCounts(memory=0, cold_start=0),
                seed=1,
            ),
        )
        # Only outputs are looked at here; repeats of disturbed blocks would stretch the test.
        planned = replace(planned, rule=replace(planned.rule, extra_attempts=0))
        run = run_experiment(
            tmp_path / "run", planned, device, progress=lambda _: None, should_stop=lambda: False
        )
    checked = {block.arm_id: block.parity for block in run.blocks if str(block.purpose) == "parity"}
    assert checked.keys() == {arm.arm_id for arm in arms}
    assert len(arms) >= 3
    for block in run.blocks:
        assert block.outcome is Outcome.OK, block.result
    for parity in checked.values():
        assert parity is not None
        assert parity.status is ParityStatus.PASSED, parity
