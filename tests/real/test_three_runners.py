"""The runners in Python, Kotlin and Swift: the same outputs, and no field of a request ignored."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from core_contract import DOUBLING, FIXED_STYLE
from device_contract import make_arm, make_request
from onnx import TensorProto, helper
from runner_contract import FORMATS, SCHEMAS, Program, save

from android import core as kotlin
from ios import core as swift
from ortlab import codec, tensors
from ortlab.devices.host import RUNNER_PATH, HostDevice
from ortlab.process import SystemProcesses
from ortlab.runner.measuring import WarmUp, stop_reason
from ortlab.wire import BlockResult, FailureKind, MemoryPhase, Purpose, StopReason

pytestmark = [pytest.mark.requires("kotlin"), pytest.mark.requires("swift")]

LANGUAGES = ("python", "kotlin", "swift")
MS = 1_000_000
MIB = 1 << 20
FAR = 1 << 61
MANY = 1 << 40
"""More threads than fit the runtime's integers."""

Json = dict[str, Any]


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    def python_arguments(*questions: object) -> tuple[str, ...]:
        return (sys.executable, str(RUNNER_PATH), *map(str, questions))

    return {
        "python": Program(python_arguments, HostDevice(SystemProcesses())),
        "kotlin": Program(kotlin.core_arguments, kotlin.CoreDevice()),
        "swift": Program(swift.core_arguments, swift.CoreDevice()),
    }


def run_all(program: Program, directory: Path, requests: list[Json]) -> list[BlockResult]:
    """Run requests as one batch; paths in the results are absolute."""
    directory.mkdir(parents=True)
    numbered = [
        {**request, "output_directory": f"out-{number}"} for number, request in enumerate(requests)
    ]
    done = program.run_batch(directory, numbered)
    assert done.exit_code == 0, done.stderr
    results = []
    for request in numbered:
        home = directory / request["output_directory"]
        text = (home / "result.json").read_text(encoding="utf-8")
        result = codec.from_json(BlockResult, text, source=str(home))
        outputs = tuple(replace(item, path=str(home / item.path)) for item in result.outputs)
        profile = str(home / result.profile_path) if result.profile_path else None
        results.append(replace(result, outputs=outputs, profile_path=profile))
    return results


# ------------------------------------------------------------------------------ outputs


def test_they_give_the_same_outputs(programs: dict[str, Program], tmp_path: Path) -> None:
    generator = np.random.default_rng(5)

    def values(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32)

    made = {
        "convolutions": (small_models.convolutions(), {"x": values(1, 8, 16, 16)}),
        "branches": (
            small_models.branches(),
            {"x": np.asarray([0, 1, 2], np.float32), "flag": np.asarray(True)},
        ),
        "integers": (small_models.integers(), {"x": np.asarray([1, -2, 1 << 40])}),
        "products": (small_models.products(), {"x": values(3, 64)}),
    }
    image = {"x": values(1, 3, 16, 16)}
    cases = [(FORMATS / FIXED_STYLE, image), (FORMATS / "small.onnx", image)]
    for name, (model, feeds) in made.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
        cases.append((tmp_path / f"{name}.onnx", feeds))
    requests = []
    for number, (path, feeds) in enumerate(cases):
        inputs = tuple(
            tensors.write_tensor(tmp_path / f"{number}-{name}.bin", name, value)
            for name, value in feeds.items()
        )
        requests.append(codec.to_plain(make_request(make_arm(path), tmp_path, inputs=inputs)))
    outputs = {}
    for language, program in programs.items():
        results = run_all(program, tmp_path / language, requests)
        assert [result.failure for result in results] == [None] * len(cases)
        outputs[language] = [
            [(item.name, tensors.read_tensor(item)) for item in result.outputs]
            for result in results
        ]
    for one, other in itertools.pairwise(LANGUAGES):
        for mine, theirs in zip(outputs[one], outputs[other], strict=True):
            for (name, left), (other_name, right) in zip(mine, theirs, strict=True):
                assert (name, left.dtype) == (other_name, right.dtype)
                np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)


# ------------------------------------------------------------------------------ fields


def fields_of(schema: Json, above: str = "") -> Iterator[str]:
    """Yield the places of a request's values: `session.execution_mode`, `inputs[].shape`."""
    for name, inner in schema["properties"].items():
        place = f"{above}{name}"
        items = inner.get("items", {})
        if "properties" in inner:
            yield from fields_of(inner, f"{place}.")
        elif "$ref" in items:
            shape = REQUEST_SCHEMA["$defs"][items["$ref"].removeprefix("#/$defs/")]
            yield from fields_of(shape, f"{place}[].")
        else:
            yield place


REQUEST_SCHEMA: Json = json.loads(
    (SCHEMAS / "block_request.schema.json").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Probe:
    """Requests that differ in a field, and what their results show of it.

    Attributes:
        requests: What to run.
        check: Fails where the field made no difference.
    """

    requests: list[Json]
    check: Callable[[list[BlockResult]], None]


class Probes:
    """Builds the probe of each field; models and inputs are written to a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wide = wide_model(directory)
        self.fan = fan_model(directory)

    def all(self) -> dict[str, Probe]:
        """Return the probes by field."""
        return {
            **self._of_the_block(),
            **self._of_the_model(),
            **self._of_the_session(),
            **self._of_providers(),
            **self._of_inputs(),
            **self._of_warm_up(),
            **self._of_the_stop_rule(),
        }

    def request(self, purpose: Purpose = Purpose.PARITY, **changes: Any) -> Json:
        """Return a request of the doubling model; ``a__b`` is the field ``a.b``."""
        plain: Json = codec.to_plain(make_request(make_arm(DOUBLING), self.directory, purpose))
        return changed(plain, changes)

    def request_of(self, model: Path, values: np.ndarray, purpose: Purpose, **changes: Any) -> Json:
        """Return a request of another model."""
        path = self.directory / f"{model.stem}.bin"
        inputs = (tensors.write_tensor(path, "x", values),)
        plain: Json = codec.to_plain(
            make_request(make_arm(model), self.directory, purpose, inputs=inputs)
        )
        return changed(plain, changes)

    def refused(self, *kinds: FailureKind, **changes: Any) -> Probe:
        """Return a probe for a value that leads to a failure; without it the block succeeds."""

        def check(results: list[BlockResult]) -> None:
            good, bad = results
            assert good.failure is None
            assert bad.failure is not None
            assert bad.failure.kind in kinds

        return Probe([self.request(), self.request(**changes)], check)

    # -------------------------------------------------------------------------- fields

    def _of_the_block(self) -> dict[str, Probe]:
        def repeated(results: list[BlockResult]) -> None:
            assert [result.block_id for result in results] == ["one", "two"]

        def purposes(results: list[BlockResult]) -> None:
            for purpose, result in zip(Purpose, results, strict=True):
                assert result.failure is None
                assert bool(result.memory) is (purpose is Purpose.MEMORY)
                assert bool(result.outputs) is (purpose is Purpose.PARITY)
                assert bool(result.profile_path) is (purpose is Purpose.PROFILE)
                assert bool(result.timing.warm_up_ns) is (purpose is Purpose.LATENCY)

        def runs(results: list[BlockResult]) -> None:
            assert [len(result.timing.measured_ns) for result in results] == [3, 9]

        def written(results: list[BlockResult]) -> None:
            assert [Path(result.outputs[0].path).parent.name for result in results] != []
            assert len({Path(result.outputs[0].path).parent for result in results}) == 2

        counted = [self.request(Purpose.MEMORY, measured_runs=count) for count in (3, 9)]
        return {
            "schema": self.refused(FailureKind.INVALID_REQUEST, schema="ortlab.block_request/2"),
            "block_id": Probe([self.request(block_id=name) for name in ("one", "two")], repeated),
            "purpose": Probe([self.request(purpose) for purpose in Purpose], purposes),
            "measured_runs": Probe(counted, runs),
            "output_directory": Probe([self.request(), self.request()], written),
            "deadline_s": self.refused(FailureKind.DEADLINE, deadline_s=0),
        }

    def _of_the_model(self) -> dict[str, Probe]:
        return {
            "model.path": self.refused(FailureKind.MODEL_MISSING, model__path="none.onnx"),
            "model.sha256": self.refused(FailureKind.MODEL_CHANGED, model__sha256="0" * 64),
            "model.load_mode": self.refused(
                FailureKind.UNSUPPORTED, model__load_mode="direct-bytes"
            ),
            "model.custom_op_library": self.refused(
                FailureKind.CUSTOM_OPS_FAILED, model__custom_op_library="none.so"
            ),
        }

    def _of_the_session(self) -> dict[str, Probe]:
        refusals = (FailureKind.UNSUPPORTED, FailureKind.RUNTIME_ERROR)
        return {
            "session.graph_optimization_level": self._fusions(
                {"session__graph_optimization_level": "disabled"},
                {"session__graph_optimization_level": "extended"},
            ),
            "session.config_entries": self._fusions(
                {
                    "session__graph_optimization_level": "extended",
                    "session__config_entries": {
                        "optimization.disable_specified_optimizers": "ConvActivationFusion"
                    },
                },
                {"session__graph_optimization_level": "extended"},
            ),
            "session.intra_op_num_threads": self.refused(
                *refusals, session__intra_op_num_threads=MANY
            ),
            "session.inter_op_num_threads": self._threads(
                [("parallel", 1), ("parallel", 3)], [1, 2]
            ),
            "session.execution_mode": self._threads([("sequential", 3), ("parallel", 3)], [1, 2]),
            "session.cpu_memory_arena": self._kept_memory("cpu_memory_arena", "memory_pattern"),
            "session.memory_pattern": self._kept_memory("memory_pattern", "cpu_memory_arena"),
        }

    def _fusions(self, without: Json, with_them: Json) -> Probe:
        image = np.ones((1, 3, 16, 16), np.float32)

        def check(results: list[BlockResult]) -> None:
            counts = [
                Counter(event["args"]["op_name"] for event in kernels(result))["FusedConv"]
                for result in results
            ]
            assert counts[0] == 0
            assert counts[1] > 0

        model = FORMATS / "small.onnx"
        requests = [
            self.request_of(model, image, Purpose.PROFILE, **changes)
            for changes in (without, with_them)
        ]
        return Probe(requests, check)

    def _threads(self, settings: list[tuple[str, int]], least: list[int]) -> Probe:
        """Operators of branches run on several threads in parallel mode alone."""

        def check(results: list[BlockResult]) -> None:
            used = [len({event["tid"] for event in kernels(result)}) for result in results]
            assert used[0] == least[0]
            assert used[1] >= least[1]

        requests = [
            self.request_of(
                self.fan,
                np.ones(1 << 18, np.float32),
                Purpose.PROFILE,
                session__execution_mode=mode,
                session__inter_op_num_threads=threads,
                measured_runs=8,
            )
            for mode, threads in settings
        ]
        return Probe(requests, check)

    def _kept_memory(self, setting: str, other: str) -> Probe:
        """An arena keeps what a run took, and with patterns takes as much again at once."""

        def check(results: list[BlockResult]) -> None:
            kept = [
                size_of(result, "RssAnon", MemoryPhase.END)
                - size_of(result, "RssAnon", MemoryPhase.LOADED)
                for result in results
            ]
            assert kept[0] - kept[1] > 100 * MIB

        requests = [
            self.request_of(
                self.wide,
                np.ones(1, np.float32),
                Purpose.MEMORY,
                **{f"session__{setting}": value, f"session__{other}": True},
            )
            for value in (True, False)
        ]
        return Probe(requests, check)

    def _of_providers(self) -> dict[str, Probe]:
        nobody = [{"name": "NobodysExecutionProvider", "options": {}}]
        unknown = [{"name": "CPUExecutionProvider", "options": {"nonsense": "1"}}]
        return {
            "providers[].name": self.refused(FailureKind.PROVIDER_UNAVAILABLE, providers=nobody),
            "providers[].options": self.refused(FailureKind.PROVIDER_FAILED, providers=unknown),
        }

    def _of_inputs(self) -> dict[str, Probe]:
        def with_input(kind: FailureKind, **changes: Any) -> Probe:
            (tensor,) = self.request()["inputs"]
            return self.refused(kind, inputs=[{**tensor, **changes}])

        return {
            "inputs[].name": with_input(FailureKind.INVALID_INPUT, name="z"),
            "inputs[].element_type": with_input(FailureKind.INVALID_INPUT, element_type="int32"),
            "inputs[].shape": with_input(FailureKind.INVALID_INPUT, shape=[3, 2]),
            "inputs[].path": with_input(FailureKind.INPUT_MISSING, path="none.bin"),
            "inputs[].sha256": with_input(FailureKind.INVALID_INPUT, sha256="0" * 64),
        }

    def _of_warm_up(self) -> dict[str, Probe]:
        """Two windows of three runs agree at once; each change makes another decision."""
        rule: Json = {
            "window_min_runs": 3,
            "window_ns": 0,
            "agreement": 1e8,
            "min_ns": 0,
            "max_ns": FAR,
            "max_runs": 1,
            "hard_limit_ns": FAR,
        }
        never = {"agreement": 0.0, "window_min_runs": 10**6}
        changes: dict[str, Json] = {
            "window_min_runs": {"window_min_runs": 20},
            "window_ns": {"window_ns": 5 * MS},
            "agreement": {"agreement": 0.0, "window_min_runs": 50, "hard_limit_ns": 200 * MS},
            "min_ns": {"min_ns": 20 * MS},
            "max_ns": {**never, "max_ns": 2 * MS},
            "max_runs": {**never, "max_ns": 0, "max_runs": 37},
            "hard_limit_ns": {**never, "hard_limit_ns": 2 * MS},
        }

        def check(results: list[BlockResult], rules: list[Json]) -> None:
            for result, asked in zip(results, rules, strict=True):
                assert result.failure is None
                assert result.timing.first_run_ns is not None
                decision = WarmUp(asked, result.timing.first_run_ns)
                decisions = [decision.add(duration) for duration in result.timing.warm_up_ns]
                assert decisions[:-1] == [None] * (len(decisions) - 1)
                assert decisions[-1] is result.timing.warm_up_converged
            assert len(results[0].timing.warm_up_ns) == 6

        return self._of_rule("warm_up", rule, changes, check)

    def _of_the_stop_rule(self) -> dict[str, Probe]:
        rule: Json = {"min_runs": 5, "min_ns": 0, "max_ns": FAR, "floor_runs": 1}
        never = {"min_runs": 10**9}
        changes: dict[str, Json] = {
            "min_runs": {"min_runs": 50},
            "min_ns": {"min_ns": 10 * MS},
            "max_ns": {**never, "max_ns": 2 * MS},
            "floor_runs": {**never, "max_ns": 0, "floor_runs": 41},
        }

        def check(results: list[BlockResult], rules: list[Json]) -> None:
            for result, asked in zip(results, rules, strict=True):
                assert result.failure is None
                elapsed_ns, reasons = 0, []
                for runs, duration in enumerate(result.timing.measured_ns, start=1):
                    elapsed_ns += duration
                    reasons.append(stop_reason(runs, elapsed_ns, asked))
                assert reasons[:-1] == [None] * (len(reasons) - 1)
                assert reasons[-1] == result.timing.stop_reason
            assert results[0].timing.stop_reason is StopReason.COMPLETE

        return self._of_rule("stop", rule, changes, check)

    def _of_rule(
        self,
        name: str,
        rule: Json,
        changes: dict[str, Json],
        check: Callable[[list[BlockResult], list[Json]], None],
    ) -> dict[str, Probe]:
        probes = {}
        for key, change in changes.items():
            rules = [rule, {**rule, **change}]
            requests = [self.request(Purpose.LATENCY, **{name: asked}) for asked in rules]

            def check_rules(results: list[BlockResult], rules: list[Json] = rules) -> None:
                check(results, rules)

            probes[f"{name}.{key}"] = Probe(requests, check_rules)
        return probes


def changed(request: Json, changes: Json) -> Json:
    """Return a request with other values; ``a__b`` is the field ``a.b``."""
    request = json.loads(json.dumps(request))
    for place, value in changes.items():
        *owners, key = place.split("__")
        owner = request
        for name in owners:
            owner = owner[name]
        assert key in owner
        owner[key] = value
    return request


def wide_model(directory: Path) -> Path:
    """Return a model that takes 64 MiB twice for a moment and gives a number back."""
    nodes = [
        helper.make_node("Expand", ["x", "s"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Neg", ["b"], ["c"]),
        helper.make_node("ReduceMax", ["c"], ["y"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [helper.make_tensor("s", TensorProto.INT64, [1], [16 << 20])],
    )
    return save(directory / "wide.onnx", graph)


def fan_model(directory: Path) -> Path:
    """Return a model of sixteen branches that do not need each other."""
    branches = [helper.make_node("Exp", ["x"], [f"b{at}"]) for at in range(16)]
    joined = helper.make_node("Sum", [f"b{at}" for at in range(16)], ["y"])
    graph = helper.make_graph(
        [*branches, joined],
        "fan",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1 << 18])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1 << 18])],
    )
    return save(directory / "fan.onnx", graph)


def kernels(result: BlockResult) -> list[Json]:
    """Return the profile's events of operators."""
    assert result.failure is None
    assert result.profile_path is not None
    events = json.loads(Path(result.profile_path).read_text(encoding="utf-8"))
    return [event for event in events if event["name"].endswith("_kernel_time")]


def size_of(result: BlockResult, metric: str, phase: MemoryPhase) -> int:
    (size,) = (
        point.size_bytes
        for point in result.memory
        if (point.metric, point.phase) == (metric, phase)
    )
    return size


SEEN_FROM_OUTSIDE = {"settle_ns"}
PLACES = sorted(set(fields_of(REQUEST_SCHEMA)) - SEEN_FROM_OUTSIDE)

Answers = dict[str, Callable[[], None]]


@pytest.fixture(scope="module", params=LANGUAGES)
def answers(
    request: pytest.FixtureRequest,
    programs: dict[str, Program],
    tmp_path_factory: pytest.TempPathFactory,
) -> Answers:
    """Run the probes of all fields as one batch; return each one's check."""
    directory = tmp_path_factory.mktemp("probes")
    probes = Probes(directory).all()
    requests = [request for probe in probes.values() for request in probe.requests]
    results = iter(run_all(programs[request.param], directory / "batch", requests))
    taken = {
        place: list(itertools.islice(results, len(probe.requests)))
        for place, probe in probes.items()
    }

    def check_of(place: str) -> Callable[[], None]:
        return lambda: probes[place].check(taken[place])

    return {place: check_of(place) for place in probes}


@pytest.mark.parametrize("place", PLACES)
def test_no_field_of_a_request_is_ignored(answers: Answers, place: str) -> None:
    answers[place]()


def test_every_field_of_the_schema_has_a_probe(tmp_path: Path) -> None:
    assert sorted(Probes(tmp_path).all()) == PLACES
    assert set(fields_of(REQUEST_SCHEMA)) >= SEEN_FROM_OUTSIDE


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pause_before_the_last_reading_of_memory_is_kept(
    programs: dict[str, Program], tmp_path: Path, language: str
) -> None:
    """It shows in nothing but the time that the block takes, which it can only lengthen."""
    settle_ns = 1500 * MS
    request = Probes(tmp_path).request(Purpose.MEMORY, settle_ns=settle_ns)
    started_ns = time.monotonic_ns()
    (result,) = run_all(programs[language], tmp_path / "batch", [request])
    assert result.failure is None
    assert time.monotonic_ns() - started_ns >= settle_ns
