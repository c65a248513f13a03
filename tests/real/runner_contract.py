"""What every benchmark program must do: vectors, load modes, memory, element types, trouble.

A program's tests subclass :class:`RunnerContract` and give the ``program`` fixture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import numpy as np
import onnx
import onnxruntime
import pytest
from device_contract import CPU, make_arm, make_request
from onnx import TensorProto, helper

from ortlab import codec, tensors
from ortlab.domain import Device
from ortlab.process import Command, Completed, SystemProcesses
from ortlab.wire import (
    BatchRequest,
    BlockRequest,
    BlockResult,
    FailureKind,
    GraphOptimizationLevel,
    LoadMode,
    MemoryKind,
    MemoryPhase,
    Purpose,
    SessionSettings,
    Stage,
    StopRule,
)

VECTORS = Path(__file__).parents[2] / "bench_protocol/vectors"
SCHEMAS = VECTORS.parent / "schemas"
FORMATS = Path(__file__).parents[1] / "data/ort_formats"
FAILURES = json.loads((VECTORS / "failures.json").read_text(encoding="utf-8"))
TENSORS = json.loads((VECTORS / "tensor_files/tensors.json").read_text(encoding="utf-8"))["valid"]


@dataclass(frozen=True)
class Program:
    """A benchmark program and the device that runs blocks with it.

    Attributes:
        arguments: Makes the command that asks a question: a request's path, or an option.
        device: Runs blocks with the program on this machine.
    """

    arguments: Callable[..., tuple[str, ...]]
    device: Device

    def start(self, *questions: object, directory: Path, **changes: Any) -> Completed:
        command = Command(
            arguments=self.arguments(*questions),
            deadline_s=120,
            working_directory=directory,
            **changes,
        )
        return SystemProcesses().run(command)

    def run_batch(self, directory: Path, requests: list[Any]) -> Completed:
        batch = {"schema": "ortlab.batch_request/1", "batch_id": "b", "requests": requests}
        (directory / "batch.json").write_text(json.dumps(batch), encoding="utf-8")
        return self.start(directory / "batch.json", directory=directory)


# ------------------------------------------------------------------------------ own operators


def upper_request(directory: Path) -> tuple[Path, BlockRequest]:
    """Return a model whose operator is not ORT's, and a request that lacks its library."""
    graph = helper.make_graph(
        [helper.make_node("StringUpper", ["x"], ["y"], domain="ai.onnx.contrib")],
        "upper",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [2])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2])],
    )
    model = save(directory / "u.onnx", graph, helper.make_opsetid("ai.onnx.contrib", 1))
    texts = np.asarray(["ab", "grüße"], dtype=object)
    inputs = (tensors.write_tensor(directory / "t.bin", "x", texts),)
    return model, make_request(make_arm(model), directory, inputs=inputs)


def check_registered(device: Device, directory: Path, library: str) -> None:
    """The model runs once its operators are registered under this name."""
    model, request = upper_request(directory)
    request = replace(request, model=replace(request.model, custom_op_library=library))
    result = device.run_block(request, make_arm(model))
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    assert tensors.read_tensor(result.outputs[0])[0] == "AB"


# ------------------------------------------------------------------------------ helpers


def small_request(directory: Path, model: Path, purpose: Purpose, **changes: Any) -> Any:
    generator = np.random.default_rng(7)
    request = make_request(make_arm(model), directory, purpose)
    values = generator.random((1, 3, 16, 16), np.float32)
    inputs = (tensors.write_tensor(directory / "small.bin", "x", values),)
    return replace(request, inputs=inputs, **changes)


def executed(
    device: Device, directory: Path, model: Path, settings: SessionSettings
) -> Counter[str]:
    """Return operators that ran in one of two runs, from the profile."""
    request = small_request(directory, model, Purpose.PROFILE, session=settings, measured_runs=2)
    result = device.run_block(request, make_arm(model))
    assert isinstance(result, BlockResult)
    assert result.failure is None
    assert result.profile_path is not None
    events = json.loads(Path(result.profile_path).read_text(encoding="utf-8"))
    runs = sum(event["name"] == "model_run" for event in events)
    assert runs == 2
    counts = Counter(
        event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time")
    )
    return Counter({operator: count // runs for operator, count in counts.items()})


def save(path: Path, graph: onnx.GraphProto, *opsets: onnx.OperatorSetIdProto) -> Path:
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13), *opsets], ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


class RunnerContract:
    """Tests that need nothing but a ``program`` fixture.

    Attributes:
        LOAD_MODES: Those that the program has for models in ORT format.
        REFUSED: Tensor vectors that the program's runtime cannot take.
    """

    LOAD_MODES: ClassVar[tuple[LoadMode, ...]] = tuple(LoadMode)
    REFUSED: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls, program: Program) -> Device:
        return program.device

    @pytest.fixture
    def custom_ops_device(self, device: Device) -> Device:
        return device

    # ------------------------------------------------------------------------------ vectors

    @pytest.fixture(scope="class")
    @classmethod
    def failures(cls, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Run all failure vectors as one batch, each into a directory of its own."""
        directory = tmp_path_factory.mktemp("vectors") / "models"
        shutil.copytree(VECTORS / "models", directory)
        requests = []
        for number, case in enumerate(FAILURES["cases"]):
            request = json.loads(json.dumps(FAILURES["request"]))
            request["output_directory"] = f"out-{number}"
            for item in case["changes"]:
                owner: Any = request
                for key in item["at"][:-1]:
                    owner = owner[int(key) if isinstance(owner, list) else key]
                if item.get("remove"):
                    del owner[item["at"][-1]]
                else:
                    owner[item["at"][-1]] = item["value"]
            requests.append(request)
        done = program.run_batch(
            directory, [*requests, {**FAILURES["request"], "output_directory": "good"}]
        )
        assert done.exit_code == 0, done.stderr
        return directory

    @pytest.mark.parametrize(
        "number", range(len(FAILURES["cases"])), ids=[case["name"] for case in FAILURES["cases"]]
    )
    def test_each_failure_has_the_stage_and_kind_of_the_vectors(
        self, failures: Path, number: int
    ) -> None:
        case = FAILURES["cases"][number]
        text = (failures / f"out-{number}/result.json").read_text(encoding="utf-8")
        result = codec.from_json(BlockResult, text, source=case["name"])
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (case["stage"], case["kind"]), result
        assert result.failure.message
        assert result.block_id == "vector"

    def test_one_failure_does_not_disturb_the_next_block_of_a_batch(self, failures: Path) -> None:
        text = (failures / "good/result.json").read_text(encoding="utf-8")
        result = codec.from_json(BlockResult, text, source="good")
        assert result.failure is None
        assert result.runtime is not None
        assert result.runtime.shared_process
        data = (failures / "good" / result.outputs[0].path).read_bytes()
        assert np.frombuffer(data, "<f4").tolist() == [0, 2, 4, 6, 8, 10]
        marks = (failures / "good/progress").read_text().split()
        assert marks == [
            "start",
            "load_model",
            "create_session",
            "first_run",
            "read_output",
            "close",
        ]

    def test_results_fit_the_schema(self, program: Program, failures: Path, tmp_path: Path) -> None:
        schema = json.loads((SCHEMAS / "block_result.schema.json").read_text(encoding="utf-8"))
        requests = [
            codec.to_plain(
                make_request(
                    make_arm(VECTORS / "models/doubling.onnx"),
                    tmp_path,
                    purpose,
                    output_directory=str(tmp_path / purpose),
                )
            )
            for purpose in Purpose
        ]
        done = program.run_batch(tmp_path, requests)
        assert done.exit_code == 0, done.stderr
        results = [*tmp_path.glob("*/result.json"), *failures.glob("*/result.json")]
        assert len(results) == len(Purpose) + len(FAILURES["cases"]) + 1
        for path in results:
            jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "{}", '{"block_id": "a"}', '{"block_id": "a", "output_directory": ""}'],
    )
    def test_what_cannot_be_answered_is_said_on_standard_error(
        self, program: Program, text: str, tmp_path: Path
    ) -> None:
        (tmp_path / "request.json").write_text(text)
        done = program.start("request.json", directory=tmp_path)
        assert done.exit_code == 2
        assert "request" in done.stderr
        assert "Traceback" not in done.stderr

    # ------------------------------------------------------------------------------ what ran

    @pytest.mark.parametrize("model", ["small.onnx", "small.runtime.ort-1.31.1.ort"])
    def test_every_load_mode_gives_the_outputs_of_ort(
        self, device: Device, tmp_path: Path, model: str
    ) -> None:
        path = FORMATS / model
        request = small_request(tmp_path, path, Purpose.PARITY)
        feeds = {"x": tensors.read_tensor(request.inputs[0])}
        session = onnxruntime.InferenceSession(str(path), providers=[CPU.name])
        (expected,) = session.run(None, feeds)
        modes = self.LOAD_MODES if path.suffix == ".ort" else (LoadMode.PATH, LoadMode.BYTES)
        for mode in modes:
            asked = replace(request, model=replace(request.model, load_mode=mode))
            result = device.run_block(asked, make_arm(path))
            assert isinstance(result, BlockResult)
            assert result.failure is None, result.failure
            actual = tensors.read_tensor(result.outputs[0])
            np.testing.assert_allclose(actual, expected, rtol=1e-5)
            assert (result.timing.load_model_ns is None) is (mode is LoadMode.PATH)

    def test_memory_is_read_at_every_phase_and_is_possible(
        self, device: Device, tmp_path: Path
    ) -> None:
        path = FORMATS / "small.onnx"
        request = small_request(tmp_path, path, Purpose.MEMORY, measured_runs=12)
        result = device.run_block(request, make_arm(path))
        assert isinstance(result, BlockResult)
        assert result.failure is None
        current: dict[tuple[str, MemoryPhase], int] = {}
        peak: dict[MemoryPhase, int] = {}
        for point in result.memory:
            assert point.size_bytes >= 0
            if point.kind is MemoryKind.CURRENT:
                current[point.metric, point.phase] = point.size_bytes
            elif point.scope == "process":
                peak[point.phase] = point.size_bytes
        phases = list(MemoryPhase)
        assert [point.phase for point in result.memory] == sorted(
            (point.phase for point in result.memory), key=phases.index
        )
        assert set(peak) == set(phases)
        assert list(peak.values()) == sorted(peak.values())
        for phase in phases:
            assert peak[phase] >= current["VmRSS", phase] > 1 << 20
            anonymous, file = current["RssAnon", phase], current["RssFile", phase]
            assert anonymous + file <= current["VmRSS", phase] * 1.01 + (1 << 20)
            assert current["Pss", phase] <= current["VmRSS", phase] * 1.1 + (1 << 20)
        assert current["VmRSS", MemoryPhase.ENVIRONMENT] > current["VmRSS", MemoryPhase.BASELINE]
        assert current["VmRSS", MemoryPhase.LOADED] > current["VmRSS", MemoryPhase.BASELINE]
        assert len(result.timing.measured_ns) == 12

    def test_a_large_buffer_shows_in_the_peak_of_its_phase(
        self, device: Device, tmp_path: Path
    ) -> None:
        """A model that makes 256 MB for a moment raises the peak of its phase, not the value."""
        node = helper.make_node("Expand", ["x", "s"], ["big"])
        reduced = helper.make_node("ReduceMax", ["big"], ["y"], keepdims=0)
        shape = helper.make_tensor("s", TensorProto.INT64, [1], [64 << 20])
        model = save(
            tmp_path / "big.onnx",
            helper.make_graph(
                [node, reduced],
                "big",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
                [shape],
            ),
        )
        inputs = (tensors.write_tensor(tmp_path / "one.bin", "x", np.ones(1, np.float32)),)
        settings = SessionSettings(
            cpu_memory_arena=False,
            graph_optimization_level=GraphOptimizationLevel.DISABLED,
        )
        request = make_request(
            make_arm(model), tmp_path, Purpose.MEMORY, inputs=inputs, session=settings
        )
        result = device.run_block(request, make_arm(model))
        assert isinstance(result, BlockResult)
        assert result.failure is None
        sizes = {
            (point.metric, point.scope, point.phase): point.size_bytes for point in result.memory
        }
        grown = (
            sizes["VmHWM", "process", MemoryPhase.FIRST_RUN]
            - sizes["VmHWM", "process", MemoryPhase.LOADED]
        )
        assert 250 << 20 < grown < 300 << 20
        scope = "process, since the phase before"
        if ("VmHWM", scope, MemoryPhase.LOADED) in sizes:
            assert sizes["VmHWM", scope, MemoryPhase.FIRST_RUN] > 256 << 20
            closed = sizes["VmHWM", scope, MemoryPhase.CLOSED]
            assert closed < sizes["VmHWM", "process", MemoryPhase.CLOSED] - (200 << 20)

    # ------------------------------------------------------------------------------ element types

    @pytest.fixture(scope="class")
    @classmethod
    def identities(cls, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Send every tensor of the vectors through a model that gives it back, as one batch."""
        directory = tmp_path_factory.mktemp("identities")
        requests = []
        for number, case in enumerate(TENSORS):
            kind = getattr(TensorProto, case["element_type"].upper())
            graph = helper.make_graph(
                [helper.make_node("Identity", ["x"], ["y"])],
                "identity",
                [helper.make_tensor_value_info("x", kind, case["shape"])],
                [helper.make_tensor_value_info("y", kind, case["shape"])],
            )
            model = save(directory / f"{number}.onnx", graph)
            (directory / f"{number}.bin").write_bytes(bytes.fromhex(case["hex"]))
            request = codec.to_plain(make_request(make_arm(model), directory))
            request["output_directory"] = f"out-{number}"
            request["inputs"] = [
                {
                    "name": "x",
                    "element_type": case["element_type"],
                    "shape": case["shape"],
                    "path": f"{number}.bin",
                    "sha256": case["sha256"],
                }
            ]
            requests.append(request)
        done = program.run_batch(directory, requests)
        assert done.exit_code == 0, done.stderr
        return directory

    @pytest.mark.parametrize("number", range(len(TENSORS)), ids=[case["name"] for case in TENSORS])
    def test_every_element_type_goes_through_the_runtime(
        self, identities: Path, number: int
    ) -> None:
        case, directory = TENSORS[number], identities / f"out-{number}"
        text = (directory / "result.json").read_text(encoding="utf-8")
        result = codec.from_json(BlockResult, text, source=case["name"])
        if case["name"] in self.REFUSED:
            assert result.failure is not None
            assert (result.failure.stage, result.failure.kind) == (
                Stage.START,
                FailureKind.UNSUPPORTED,
            )
            return
        assert result.failure is None, result.failure
        (output_file,) = result.outputs
        assert (output_file.element_type, list(output_file.shape)) == (
            case["element_type"],
            case["shape"],
        )
        assert (directory / output_file.path).read_bytes().hex() == case["hex"]

    # ------------------------------------------------------------------------------ trouble

    def test_a_block_stops_at_its_deadline_and_tells_what_it_had(
        self, device: Device, tmp_path: Path
    ) -> None:
        path = FORMATS / "small.onnx"
        endless = StopRule(min_ns=10**15, max_ns=10**16)
        request = small_request(tmp_path, path, Purpose.LATENCY, stop=endless, deadline_s=2)
        result = device.run_block(request, make_arm(path))
        assert isinstance(result, BlockResult)
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (Stage.MEASURE, FailureKind.DEADLINE)
        assert len(result.timing.measured_ns) > 0
        assert result.timing.stop_reason is None

    def test_outputs_that_do_not_fit_the_disk_are_a_failure(
        self, program: Program, tmp_path: Path
    ) -> None:
        graph = helper.make_graph(
            [helper.make_node("Expand", ["x", "s"], ["y"])],
            "wide",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1 << 20])],
            [helper.make_tensor("s", TensorProto.INT64, [1], [1 << 20])],
        )
        model = save(tmp_path / "wide.onnx", graph)
        inputs = (tensors.write_tensor(tmp_path / "one.bin", "x", np.ones(1, np.float32)),)
        request = make_request(make_arm(model), tmp_path, inputs=inputs)
        (tmp_path / "request.json").write_text(codec.to_json(request), encoding="utf-8")
        done = program.start("request.json", directory=tmp_path, file_size_limit_bytes=1 << 20)
        assert done.exit_code == 0, done.stderr
        text = (tmp_path / "out/result.json").read_text(encoding="utf-8")
        result = codec.from_json(BlockResult, text, source="it")
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (
            Stage.READ_OUTPUT,
            FailureKind.STORAGE,
        )

    def test_memory_that_the_runtime_does_not_get_is_told_as_such(
        self, device: Device, tmp_path: Path
    ) -> None:
        graph = helper.make_graph(
            [helper.make_node("Expand", ["x", "s"], ["y"])],
            "huge",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
                helper.make_tensor_value_info("s", TensorProto.INT64, [1]),
            ],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        )
        model = save(tmp_path / "huge.onnx", graph)
        inputs = (
            tensors.write_tensor(tmp_path / "one.bin", "x", np.ones(1, np.float32)),
            tensors.write_tensor(tmp_path / "s.bin", "s", np.asarray([1 << 44])),
        )
        request = make_request(make_arm(model), tmp_path, inputs=inputs)
        result = device.run_block(request, make_arm(model))
        assert isinstance(result, BlockResult)
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (
            Stage.FIRST_RUN,
            FailureKind.OUT_OF_MEMORY,
        )

    def test_an_output_that_is_no_tensor_is_refused(self, device: Device, tmp_path: Path) -> None:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
        sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
        node = helper.make_node("SequenceConstruct", ["x"], ["y"])
        model = save(tmp_path / "s.onnx", helper.make_graph([node], "s", [value], [sequence]))
        inputs = (tensors.write_tensor(tmp_path / "one.bin", "x", np.ones(1, np.float32)),)
        result = device.run_block(
            make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
        )
        assert isinstance(result, BlockResult)
        assert result.failure is not None
        assert (result.failure.stage, result.failure.kind) == (
            Stage.READ_OUTPUT,
            FailureKind.UNSUPPORTED,
        )

    @pytest.mark.requires("custom_ops")
    def test_a_custom_op_library_is_registered(
        self, custom_ops_device: Device, tmp_path: Path
    ) -> None:
        from onnxruntime_extensions import get_library_path

        model, request = upper_request(tmp_path)
        without = custom_ops_device.run_block(request, make_arm(model))
        assert isinstance(without, BlockResult)
        assert without.failure is not None
        assert without.failure.kind is FailureKind.UNSUPPORTED
        check_registered(custom_ops_device, tmp_path, get_library_path())

    def test_a_batch_of_the_wire_type_is_understood(self, program: Program, tmp_path: Path) -> None:
        model = VECTORS / "models/doubling.onnx"
        requests = tuple(
            make_request(
                make_arm(model), tmp_path, purpose, block_id=purpose, output_directory=str(purpose)
            )
            for purpose in Purpose
        )
        batch = BatchRequest(batch_id="b", requests=requests)
        (tmp_path / "batch.json").write_text(codec.to_json(batch), encoding="utf-8")
        done = program.start("batch.json", directory=tmp_path)
        assert done.exit_code == 0, done.stderr
        for purpose in Purpose:
            text = (tmp_path / purpose / "result.json").read_text(encoding="utf-8")
            result = codec.from_json(BlockResult, text, source=purpose)
            assert (result.block_id, result.failure) == (purpose, None)

    def test_the_users_files_are_only_read(self, device: Device, tmp_path: Path) -> None:
        path = FORMATS / "small.onnx"
        copy = tmp_path / "model.onnx"
        shutil.copy(path, copy)
        copy.chmod(0o400)
        before = hashlib.sha256(copy.read_bytes()).hexdigest()
        for purpose in (Purpose.PROFILE, Purpose.PARITY):
            request = small_request(tmp_path / purpose, copy, purpose)
            result = device.run_block(request, make_arm(copy))
            assert isinstance(result, BlockResult)
            assert result.failure is None
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == before
        assert sorted(entry.name for entry in tmp_path.iterdir()) == [
            "model.onnx",
            "parity",
            "profile",
        ]
