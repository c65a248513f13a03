"""What the compiled cores on phones must do beyond :mod:`runner_contract`.

A core's tests subclass :class:`CoreContract` and give the ``program`` and ``device`` fixtures.
"""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import small_models
from device_contract import CPU, make_arm, make_request
from onnx import TensorProto, helper, numpy_helper
from runner_contract import FAILURES, FORMATS, VECTORS, Program, executed, save, small_request

from ortlab import codec, tensors
from ortlab.devices.answers import PROGRESS, RESULT, last_stage
from ortlab.domain import Device
from ortlab.runner.request_check import find_problem
from ortlab.wire import (
    BlockResult,
    FailureKind,
    GraphOptimizationLevel,
    LoadMode,
    MemoryPhase,
    ProviderRequest,
    Purpose,
    SessionSettings,
    Stage,
    StopRule,
)

DOUBLING = VECTORS / "models/doubling.onnx"
REPLAY_KEY = "session.enable_saved_runtime_optimizations"
IN_PLACE_KEY = "session.use_ort_model_bytes_for_initializers"
RUNTIME_STYLE, FIXED_STYLE = "small.runtime.ort-1.31.1.ort", "small.fixed.ort-1.31.1.ort"
MIB = 1 << 20


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


def identity(directory: Path, name: str, kind: int, shape: list[int]) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["y"])],
        "identity",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    return save(directory / "identity.onnx", graph)


class CoreContract:
    """Tests that need nothing but the fixtures ``program`` and ``device``.

    Attributes:
        REFUSED_NAMES: Names of inputs that the core's language cannot pass on.
        BYTES_STAY_IN_PLACE: Whether bytes that were read stay where they are as long as they are
            kept; they do not in the heap of a virtual machine.
    """

    REFUSED_NAMES: ClassVar[frozenset[str]] = frozenset()
    BYTES_STAY_IN_PLACE: ClassVar[bool] = True

    # ------------------------------------------------------------------------------ requests

    def test_it_refuses_the_requests_that_the_python_runner_refuses(
        self, program: Program, tmp_path: Path
    ) -> None:
        for name in ("doubling.onnx", "x.bin"):
            (tmp_path / name).write_bytes((VECTORS / "models" / name).read_bytes())
        requests: list[dict[str, Any]] = []
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

    def test_a_block_that_is_killed_leaves_its_last_stage_and_no_result(
        self, program: Program, tmp_path: Path
    ) -> None:
        endless = StopRule(min_ns=10**15, max_ns=10**16)
        request = make_request(make_arm(DOUBLING), tmp_path, Purpose.LATENCY, stop=endless)
        path = tmp_path / "request.json"
        path.write_text(codec.to_json(request), encoding="utf-8")
        process = subprocess.Popen(program.arguments(path))
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

    def test_it_works_among_names_that_are_not_ascii(self, device: Device, tmp_path: Path) -> None:
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
        self, device: Device, tmp_path: Path, model: str, settings: dict[str, Any], fused: int
    ) -> None:
        counts = executed(device, tmp_path, FORMATS / model, SessionSettings(**settings))
        assert counts["FusedConv"] == fused
        assert counts["Conv"] + counts["FusedConv"] == 6

    def test_weights_are_left_in_bytes_only_where_these_stay(
        self, device: Device, tmp_path: Path
    ) -> None:
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
            LoadMode.BYTES: None if self.BYTES_STAY_IN_PLACE else FailureKind.UNSUPPORTED,
            LoadMode.DIRECT_BYTES: None,
            LoadMode.INITIALIZERS_FROM_BYTES: None,
        }

    def test_load_modes_differ_in_the_memory_that_the_weights_take(
        self, device: Device, tmp_path: Path
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
                point.phase: point.size_bytes
                for point in result.memory
                if point.metric == "RssAnon"
            }
            private[mode] = sizes[MemoryPhase.END] - sizes[MemoryPhase.ENVIRONMENT]
        assert private[LoadMode.INITIALIZERS_FROM_BYTES] < 32 * MIB
        assert 48 * MIB < private[LoadMode.PATH] < 96 * MIB
        assert 112 * MIB < private[LoadMode.DIRECT_BYTES] < 160 * MIB
        # Where bytes stay in place, those that were copied can be given back; a heap keeps them.
        assert (private[LoadMode.BYTES] < 96 * MIB) is self.BYTES_STAY_IN_PLACE

    @pytest.mark.parametrize("mode", list(Purpose))
    def test_outputs_that_are_allocated_at_each_run_are_measured_too(
        self, device: Device, tmp_path: Path, mode: Purpose
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
        self, device: Device, tmp_path: Path
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

    def test_outputs_are_those_of_python(self, device: Device, tmp_path: Path) -> None:
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
                np.testing.assert_allclose(
                    tensors.read_tensor(actual), expected, rtol=1e-4, atol=1e-6
                )

    # ------------------------------------------------------------------------------ element types

    @pytest.mark.parametrize("kind", ["uint16", "uint32", "uint64"])
    def test_outputs_of_unsigned_integers_keep_their_bits(
        self, device: Device, tmp_path: Path, kind: str
    ) -> None:
        largest = np.asarray([0, 1, np.iinfo(kind).max], kind)
        graph = helper.make_graph(
            [
                helper.make_node("Identity", ["c"], ["y"]),
                helper.make_node("Identity", ["x"], ["z"]),
            ],
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

    @pytest.mark.parametrize("name", ["x🎈", "a b/c$'\"", "größe", "n" * 300])
    def test_names_are_passed_or_refused_and_never_changed(
        self, device: Device, tmp_path: Path, name: str
    ) -> None:
        model = identity(tmp_path, name, TensorProto.FLOAT, [1])
        inputs = (tensors.write_tensor(tmp_path / "one.bin", name, np.ones(1, np.float32)),)
        result = device.run_block(
            make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
        )
        assert isinstance(result, BlockResult)
        if name in self.REFUSED_NAMES:
            assert result.failure is not None
            assert (result.failure.stage, result.failure.kind) == (
                Stage.START,
                FailureKind.UNSUPPORTED,
            )
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
        self, device: Device, tmp_path: Path, provider: ProviderRequest
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
        self, device: Device, tmp_path: Path, options: dict[str, str], kind: FailureKind | None
    ) -> None:
        provider = ProviderRequest(name=CPU.name, options=options)
        request = make_request(make_arm(DOUBLING), tmp_path, providers=(provider,))
        result = device.run_block(request, make_arm(DOUBLING))
        assert isinstance(result, BlockResult)
        assert (result.failure.kind if result.failure else None) is kind
        assert result.registered_providers == (() if kind else (CPU.name,))
