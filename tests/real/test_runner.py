"""The Python benchmark program against real ORT: the contract, and what is its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from device_contract import make_arm
from runner_contract import (
    FAILURES,
    FORMATS,
    VECTORS,
    Program,
    RunnerContract,
    executed,
    small_request,
)

from ortlab import codec
from ortlab.devices.host import RUNNER_PATH, HostDevice
from ortlab.domain import Device
from ortlab.process import SystemProcesses
from ortlab.wire import (
    BlockResult,
    FailureKind,
    GraphOptimizationLevel,
    LoadMode,
    Purpose,
    RuntimeFacts,
    SessionSettings,
)

REPLAY_KEY = "session.enable_saved_runtime_optimizations"


def arguments(*questions: object) -> tuple[str, ...]:
    return (sys.executable, str(RUNNER_PATH), *map(str, questions))


PROGRAM = Program(arguments, HostDevice(SystemProcesses()))


@pytest.fixture
def device() -> Device:
    return PROGRAM.device


class TestPythonRunner(RunnerContract):
    LOAD_MODES = (LoadMode.PATH, LoadMode.BYTES, LoadMode.DIRECT_BYTES)

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return PROGRAM


# ------------------------------------------------------------------------------ its own


@pytest.mark.parametrize(
    ("model", "settings", "fused"),
    [
        ("small.runtime.ort-1.31.1.ort", {"config_entries": {REPLAY_KEY: "1"}}, 6),
        ("small.runtime.ort-1.31.1.ort", {"config_entries": {REPLAY_KEY: "0"}}, 0),
        (
            "small.runtime.ort-1.31.1.ort",
            {
                "config_entries": {REPLAY_KEY: "1"},
                "graph_optimization_level": GraphOptimizationLevel.BASIC,
            },
            0,
        ),
        ("small.fixed.ort-1.31.1.ort", {}, 6),
    ],
)
def test_options_reach_the_runtime_as_the_executed_operators_prove(
    device: Device, tmp_path: Path, model: str, settings: dict[str, Any], fused: int
) -> None:
    counts = executed(device, tmp_path, FORMATS / model, SessionSettings(**settings))
    assert counts["FusedConv"] == fused
    assert counts["Conv"] + counts["FusedConv"] == 6


def test_weights_left_in_freed_bytes_are_refused(device: Device, tmp_path: Path) -> None:
    path = FORMATS / "small.runtime.ort-1.31.1.ort"
    key = "session.use_ort_model_bytes_for_initializers"
    request = small_request(
        tmp_path, path, Purpose.PARITY, session=SessionSettings(config_entries={key: "1"})
    )
    asked = replace(request, model=replace(request.model, load_mode=LoadMode.DIRECT_BYTES))
    result = device.run_block(asked, make_arm(path))
    assert isinstance(result, BlockResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNSUPPORTED


def test_it_runs_where_ortlab_is_not(tmp_path: Path) -> None:
    """The directory is copied to a board; neither ortlab nor what ortlab needs is found there."""
    board = tmp_path / "board"
    shutil.copytree(RUNNER_PATH.parent, board, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(VECTORS / "models", tmp_path / "models")
    request = tmp_path / "models/request.json"
    request.write_text(json.dumps(FAILURES["request"]), encoding="utf-8")
    guard = tmp_path / "guard.py"
    guard.write_text(
        "import sys, runpy, importlib.abc\n"
        "class Guard(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'ortlab', 'onnx', 'pydantic', 'scipy', 'pandas'}:\n"
        "            raise ImportError('this board has no ' + name)\n"
        "sys.meta_path.insert(0, Guard())\n"
        f"sys.path.insert(0, {str(board)!r})\n"
        f"sys.argv = ['block_runner.py', {str(request)!r}]\n"
        f"runpy.run_path({str(board / 'block_runner.py')!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(guard)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "models/out/result.json").read_text(encoding="utf-8")
    assert codec.from_json(BlockResult, text, source="board").failure is None


def test_probe_tells_machine_and_runtime(tmp_path: Path) -> None:
    told = json.loads(PROGRAM.start("--probe", directory=tmp_path).stdout)
    facts = codec.from_json(RuntimeFacts, json.dumps(told["runtime"]), source="probe")
    assert facts.ort_version == onnxruntime.__version__
    assert list(facts.available_providers) == onnxruntime.get_available_providers()
