"""The Kotlin benchmark core on a JVM: the contracts of runners and devices, and what is its own."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from device_contract import CPU, DeviceContract, make_arm, make_request
from onnx import TensorProto, helper, numpy_helper
from runner_contract import (
    FAILURES,
    FORMATS,
    VECTORS,
    Program,
    RunnerContract,
    executed,
    save,
    small_request,
)

from android import core, toolchain
from ortlab import codec, tensors
from ortlab.devices.answers import PROGRESS, RESULT, last_stage
from ortlab.domain import Device
from ortlab.process import Command, SystemProcesses
from ortlab.runner.request_check import find_problem
from ortlab.wire import (
    BlockResult,
    FailureKind,
    GraphOptimizationLevel,
    LoadMode,
    MemoryPhase,
    ProviderRequest,
    Purpose,
    RuntimeFacts,
    SessionSettings,
    Stage,
    StopRule,
)

pytestmark = pytest.mark.requires("kotlin")

DOUBLING = VECTORS / "models/doubling.onnx"
REPLAY_KEY = "session.enable_saved_runtime_optimizations"
IN_PLACE_KEY = "session.use_ort_model_bytes_for_initializers"
RUNTIME_STYLE, FIXED_STYLE = "small.runtime.ort-1.31.1.ort", "small.fixed.ort-1.31.1.ort"
MIB = 1 << 20


@pytest.fixture
def device() -> Device:
    return core.CoreDevice()


@pytest.fixture
def program() -> Program:
    return Program(core.core_arguments, core.CoreDevice())


class TestKotlinRunner(RunnerContract):
    # The Java API has no unsigned integers of more than 8 bits, and JNI on this machine mangles
    # characters beyond U+FFFF, of which this vector of strings has one.
    REFUSED = frozenset({"uint16", "uint32", "uint64", "string"})

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())

    @pytest.fixture
    def custom_ops_device(self) -> Device:
        """The operators' library is one for Python: it needs the symbols of an interpreter."""
        names = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
        return core.CoreDevice(f"LD_PRELOAD={Path(*names)}")


class TestKotlinDevice(DeviceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()


def test_its_sources_are_in_the_official_style() -> None:
    toolchain.ktlint(["src/**/*.kt", "*.kts"], core.CORE)


def test_its_own_tests_pass(tmp_path: Path) -> None:
    said = core.run_unit_tests(tmp_path)
    found = re.search(r"(\d+) tests successful", said)
    assert found is not None, said
    assert int(found[1]) > 80
    assert re.search(r"\b0 tests aborted", said), said
    assert re.search(r"\b0 tests skipped", said), said


NEWER_THAN_MIN_SDK = (
    "java/nio/file/",
    "java/time/",
    "java/lang/ProcessHandle",
    "readAllBytes:",
    "readNBytes:",
    "transferTo:(Ljava/io/OutputStream;)",
)
"""What Android 7 lacks and D8 does not rewrite; the JDK that compiles this has all of it."""


def test_it_needs_nothing_that_the_oldest_android_lacks() -> None:
    jar = core.core_jar()
    with zipfile.ZipFile(jar) as archive:
        classes = [name[:-6] for name in archive.namelist() if name.endswith(".class")]
    said = toolchain.run(["javap", "-c", "-p", "-cp", jar, *classes]).stdout
    lines = [line for line in said.splitlines() if "// " in line]
    assert any("dev/ortlab/benchcore/" in line for line in lines)
    found = [line for line in lines if any(word in line for word in NEWER_THAN_MIN_SDK)]
    assert found == []


# ------------------------------------------------------------------------------ requests


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each value of a JSON document is, itself aside."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*above, key)
        yield from places(inner, (*above, key))


HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    1e3,
    (1 << 62) - 1,
    1 << 62,
    1 << 70,
    float("nan"),
    float("inf"),
    "",
    "1",
    "\ud800",
    "a\0b",
    [],
    [1],
    {},
    {"a": "b"},
    {"a": 1},
)


def test_it_refuses_the_requests_that_the_python_runner_refuses(
    program: Program, tmp_path: Path
) -> None:
    for name in ("doubling.onnx", "x.bin"):
        (tmp_path / name).write_bytes((VECTORS / "models" / name).read_bytes())
    requests = []
    for place in places(FAILURES["request"]):
        if place[0] in ("block_id", "output_directory"):
            continue
        for value in HOSTILE:
            request = copy.deepcopy(FAILURES["request"])
            request["output_directory"] = f"out-{len(requests)}"
            owner = request
            for key in place[:-1]:
                owner = owner[key]
            owner[place[-1]] = value
            requests.append(request)
    done = program.run_batch(tmp_path, requests)
    assert done.exit_code == 0, done.stderr
    refused = 0
    for request in requests:
        text = (tmp_path / request["output_directory"] / RESULT).read_text(encoding="utf-8")
        failure = codec.from_json(BlockResult, text, source="it").failure
        is_refused = failure is not None and failure.kind is FailureKind.INVALID_REQUEST
        assert is_refused is bool(find_problem(request)), (request, failure)
        refused += is_refused
    assert len(requests) * 0.5 < refused < len(requests)


def test_the_runtime_is_not_started_while_telemetry_is_on(tmp_path: Path) -> None:
    request = make_request(make_arm(DOUBLING), tmp_path)
    path = tmp_path / "request.json"
    path.write_text(codec.to_json(request), encoding="utf-8")
    arguments = [word for word in core.core_arguments(path) if "TELEMETRY" not in word]
    done = SystemProcesses().run(Command(arguments=tuple(arguments), deadline_s=60))
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "out" / RESULT).read_text(encoding="utf-8")
    result = codec.from_json(BlockResult, text, source="it")
    assert result.runtime is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNSUPPORTED
    assert "ORT_DISABLE_TELEMETRY=1" in result.failure.message


def test_a_block_that_is_killed_leaves_its_last_stage_and_no_result(tmp_path: Path) -> None:
    endless = StopRule(min_ns=10**15, max_ns=10**16)
    request = make_request(make_arm(DOUBLING), tmp_path, Purpose.LATENCY, stop=endless)
    path = tmp_path / "request.json"
    path.write_text(codec.to_json(request), encoding="utf-8")
    process = subprocess.Popen(core.core_arguments(path))
    try:
        marks = tmp_path / "out" / PROGRESS
        deadline = time.monotonic() + 60
        while not (marks.is_file() and "measure" in marks.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(timeout=30) == -signal.SIGKILL
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert last_stage(tmp_path / "out") is Stage.MEASURE
    assert not list((tmp_path / "out").glob(RESULT + "*"))


def test_it_works_among_names_that_are_not_ascii(device: Device, tmp_path: Path) -> None:
    directory = tmp_path / "größe 日本"
    directory.mkdir()
    model = directory / "modèle.onnx"
    model.write_bytes(DOUBLING.read_bytes())
    for mode in (LoadMode.PATH, LoadMode.BYTES):
        request = make_request(make_arm(model), directory)
        asked = replace(request, model=replace(request.model, load_mode=mode))
        result = device.run_block(asked, make_arm(model))
        assert isinstance(result, BlockResult), result
        assert result.failure is None, result.failure


def test_probe_tells_machine_and_runtime(program: Program, tmp_path: Path) -> None:
    told = json.loads(program.start("--probe", directory=tmp_path).stdout)
    facts = codec.from_json(RuntimeFacts, json.dumps(told["runtime"]), source="probe")
    assert facts.ort_version == "1.29.0"
    assert facts.language == "kotlin"
    assert facts.available_providers == (CPU.name,)
    assert told["memory_bytes"] > 1 << 20


# ------------------------------------------------------------------------------ what ran


@pytest.mark.parametrize(
    ("model", "settings", "fused"),
    [
        (FIXED_STYLE, {}, 6),
        (RUNTIME_STYLE, {"config_entries": {REPLAY_KEY: "1"}}, 6),
        (RUNTIME_STYLE, {"graph_optimization_level": GraphOptimizationLevel.BASIC}, 0),
        (
            RUNTIME_STYLE,
            {
                "config_entries": {
                    "optimization.disable_specified_optimizers": "ConvActivationFusion"
                }
            },
            0,
        ),
        ("small.onnx", {"graph_optimization_level": GraphOptimizationLevel.DISABLED}, 0),
        ("small.onnx", {"graph_optimization_level": GraphOptimizationLevel.EXTENDED}, 6),
    ],
)
def test_options_reach_the_runtime_as_the_executed_operators_prove(
    device: Device, tmp_path: Path, model: str, settings: dict[str, Any], fused: int
) -> None:
    counts = executed(device, tmp_path, FORMATS / model, SessionSettings(**settings))
    assert counts["FusedConv"] == fused
    assert counts["Conv"] + counts["FusedConv"] == 6


def test_weights_are_left_in_bytes_only_where_these_stay(device: Device, tmp_path: Path) -> None:
    path = FORMATS / RUNTIME_STYLE
    settings = SessionSettings(config_entries={IN_PLACE_KEY: "1"})
    request = small_request(tmp_path, path, Purpose.PARITY, session=settings)
    kinds = {}
    for mode in LoadMode:
        asked = replace(request, model=replace(request.model, load_mode=mode))
        result = device.run_block(asked, make_arm(path))
        assert isinstance(result, BlockResult)
        kinds[mode] = result.failure.kind if result.failure else None
    assert kinds == {
        LoadMode.PATH: None,
        LoadMode.BYTES: FailureKind.UNSUPPORTED,
        LoadMode.DIRECT_BYTES: None,
        LoadMode.INITIALIZERS_FROM_BYTES: None,
    }


def test_load_modes_differ_in_the_memory_that_the_weights_take(
    device: Device, tmp_path: Path
) -> None:
    """A table of 64 MiB: twice in private memory, once, or only as pages of the file."""
    table = numpy_helper.from_array(np.ones((1 << 12, 1 << 12), np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "table",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1 << 12])],
        [table],
    )
    save(tmp_path / "table.onnx", graph)
    small_models.convert_with_ort(tmp_path / "table.onnx", tmp_path)
    model = tmp_path / "table.ort"
    inputs = (tensors.write_tensor(tmp_path / "i.bin", "x", np.asarray([0, 4095])),)
    private = {}
    for mode in LoadMode:
        request = make_request(make_arm(model), tmp_path, Purpose.MEMORY, inputs=inputs)
        asked = replace(request, model=replace(request.model, load_mode=mode))
        result = device.run_block(asked, make_arm(model))
        assert isinstance(result, BlockResult)
        assert result.failure is None, result.failure
        sizes = {
            point.phase: point.size_bytes for point in result.memory if point.metric == "RssAnon"
        }
        private[mode] = sizes[MemoryPhase.END] - sizes[MemoryPhase.ENVIRONMENT]
    assert private[LoadMode.INITIALIZERS_FROM_BYTES] < 32 * MIB
    assert 48 * MIB < private[LoadMode.PATH] < 96 * MIB
    assert 112 * MIB < private[LoadMode.DIRECT_BYTES] < 160 * MIB
    assert private[LoadMode.BYTES] > 112 * MIB


@pytest.mark.parametrize("mode", list(Purpose))
def test_outputs_that_are_allocated_at_each_run_are_measured_too(
    device: Device, tmp_path: Path, mode: Purpose
) -> None:
    """The batch is symbolic, so that no output can be made beforehand."""
    model = tmp_path / "products.onnx"
    onnx.save(small_models.products(), model)
    values = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    inputs = (tensors.write_tensor(tmp_path / "v.bin", "x", values),)
    request = make_request(make_arm(model), tmp_path, mode, inputs=inputs)
    result = device.run_block(request, make_arm(model))
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    if mode is Purpose.PARITY:
        (expected,) = small_models.run(model, {"x": values})
        np.testing.assert_allclose(tensors.read_tensor(result.outputs[0]), expected, rtol=1e-4)


def test_outputs_of_other_shapes_than_declared_are_measured_too(
    device: Device, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 4])],
    )
    model = save(tmp_path / "n.onnx", graph)
    values = np.asarray([1, 0, 2, 0], np.float32)
    inputs = (tensors.write_tensor(tmp_path / "v.bin", "x", values),)
    result = device.run_block(
        make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    assert tensors.read_tensor(result.outputs[0]).tolist() == [[0, 2]]


def test_outputs_are_those_of_python(device: Device, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    cases = {
        "convolutions": (
            small_models.convolutions(),
            {"x": generator.standard_normal((1, 8, 16, 16)).astype(np.float32)},
        ),
        "branches": (
            small_models.branches(),
            {"x": np.asarray([0, 1, 2], np.float32), "flag": np.asarray(True)},
        ),
        "integers": (small_models.integers(), {"x": np.asarray([1, -2, 1 << 40])}),
    }
    for name, (model, feeds) in cases.items():
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        inputs = tuple(
            tensors.write_tensor(tmp_path / f"{name}-{key}.bin", key, value)
            for key, value in feeds.items()
        )
        result = device.run_block(
            make_request(make_arm(path), tmp_path, inputs=inputs), make_arm(path)
        )
        assert isinstance(result, BlockResult)
        assert result.failure is None, (name, result.failure)
        for actual, expected in zip(result.outputs, small_models.run(path, feeds), strict=True):
            np.testing.assert_allclose(tensors.read_tensor(actual), expected, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------ element types


@pytest.mark.parametrize("kind", ["uint16", "uint32", "uint64"])
def test_outputs_of_types_that_java_lacks_keep_their_bits(
    device: Device, tmp_path: Path, kind: str
) -> None:
    largest = np.asarray([0, 1, np.iinfo(kind).max], kind)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["y"]), helper.make_node("Identity", ["x"], ["z"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor_value_info("y", getattr(TensorProto, kind.upper()), [3]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(largest, "c")],
    )
    model = save(tmp_path / "u.onnx", graph)
    inputs = (tensors.write_tensor(tmp_path / "one.bin", "x", np.ones(1, np.float32)),)
    result = device.run_block(
        make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    unsigned, one = result.outputs
    assert unsigned.element_type == kind
    assert tensors.read_tensor(unsigned).tolist() == largest.tolist()
    assert tensors.read_tensor(one).tolist() == [1]


def identity(directory: Path, name: str, kind: int, shape: list[int]) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])],
        "identity",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    return save(directory / "identity.onnx", graph)


def test_strings_that_jni_passes_go_through(device: Device, tmp_path: Path) -> None:
    model = identity(tmp_path, "x", TensorProto.STRING, [2, 3])
    texts = np.asarray([["", "a", "grüße"], ["日本語", "line\nbreak", "x" * 1000]], dtype=object)
    inputs = (tensors.write_tensor(tmp_path / "t.bin", "x", texts),)
    result = device.run_block(
        make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    assert tensors.read_tensor(result.outputs[0]).tolist() == texts.tolist()


@pytest.mark.parametrize("name", ["x🎈", "a b/c$'\"", "größe", "n" * 300])
def test_names_are_passed_or_refused_and_never_changed(
    device: Device, tmp_path: Path, name: str
) -> None:
    model = identity(tmp_path, name, TensorProto.FLOAT, [1])
    inputs = (tensors.write_tensor(tmp_path / "one.bin", name, np.ones(1, np.float32)),)
    result = device.run_block(
        make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    if "🎈" in name:
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (Stage.START, FailureKind.UNSUPPORTED)
    else:
        assert result.failure is None, result.failure


# ------------------------------------------------------------------------------ providers


@pytest.mark.parametrize(
    "provider",
    [
        ProviderRequest(name="NnapiExecutionProvider", options={"use_fp16": "1"}),
        ProviderRequest(name="XnnpackExecutionProvider", options={"intra_op_num_threads": "2"}),
        ProviderRequest(name="QNNExecutionProvider", options={"backend_path": "libQnnHtp.so"}),
        ProviderRequest(name="CoreMLExecutionProvider"),
    ],
    ids=lambda provider: provider.name,
)
def test_a_provider_that_the_runtime_lacks_is_told_and_never_replaced(
    device: Device, tmp_path: Path, provider: ProviderRequest
) -> None:
    request = make_request(make_arm(DOUBLING), tmp_path, providers=(provider, CPU))
    result = device.run_block(request, make_arm(DOUBLING))
    assert isinstance(result, BlockResult)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.PROVIDER_UNAVAILABLE
    assert result.failure.stage is Stage.CREATE_SESSION
    assert result.requested_providers == (provider, CPU)
    assert result.registered_providers == ()
    assert result.outputs == ()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"use_arena": "0"}, None),
        ({"use_arena": "1"}, None),
        ({"use_arena": "yes"}, FailureKind.PROVIDER_FAILED),
        ({"threads": "1"}, FailureKind.PROVIDER_FAILED),
    ],
)
def test_options_of_the_cpu_are_taken_or_refused(
    device: Device, tmp_path: Path, options: dict[str, str], kind: FailureKind | None
) -> None:
    provider = ProviderRequest(name=CPU.name, options=options)
    request = make_request(make_arm(DOUBLING), tmp_path, providers=(provider,))
    result = device.run_block(request, make_arm(DOUBLING))
    assert isinstance(result, BlockResult)
    assert (result.failure.kind if result.failure else None) is kind
    assert result.registered_providers == (() if kind else (CPU.name,))
