"""The generated Kotlin SDK, compiled as it is shipped and run on a JVM with real ONNX Runtime."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import constant, model, value
from onnx import TensorProto, helper
from sdk_models import KINDS, ONNX_TYPES, UNSIGNED, counter, sdk_models

from android import sdk, toolchain
from ortlab.domain import OptimizationStyle, PreparedModel, TargetPlatform
from ortlab.errors import ModelError
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.scaffold.kotlin_sdk import kotlin_sources
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.tensors import decode, numpy_type, read_tensor, write_tensor
from ortlab.wire import TensorFile

pytestmark = pytest.mark.requires("kotlin")

DRIVER = toolchain.ROOT / "tests/android/kotlin/SdkDriver.kt"


@dataclass(frozen=True)
class Workspace:
    """Compiled classes, the assets beside them, and what was prepared."""

    directory: Path
    prepared: dict[str, PreparedModel]
    models: tuple[ModelForSdk, ...]

    @property
    def assets(self) -> Path:
        return self.directory / "assets"

    def drive(
        self,
        *arguments: str | Path,
        check: bool = True,
        options: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> str:
        completed = toolchain.java(
            "dev.ortlab.sdkdriver.SdkDriverKt",
            *arguments,
            classes=(self.directory / "classes", *toolchain.RUNTIME, toolchain.ONNXRUNTIME),
            options=("-Xmx300m", "-XX:+UseSerialGC", *options),
            environment=environment,
            check=check,
        )
        return completed.stdout + completed.stderr


def model_for_sdk(prepared: PreparedModel, directory: Path, assets: Path) -> ModelForSdk:
    """Copy a model's files where the SDK finds them, with a sample of our own where it has none."""
    inputs = prepared.samples[0].inputs if prepared.samples else made_up(prepared, directory)
    kinds = KINDS.get(prepared.name, {})
    hostile = prepared.name == "hostile"
    return sdk.shipped(prepared, directory, assets, inputs=inputs, kinds=kinds, with_onnx=hostile)


def made_up(prepared: PreparedModel, directory: Path) -> tuple[TensorFile, ...]:
    """Write inputs of shape 2×3 where `prepare` made none, which is so with bfloat16."""
    tensors = []
    for index, tensor in enumerate(prepared.original.inputs):
        numbers: Any = np.random.default_rng(index).integers(0, 2, (2, 3))
        array = numbers.astype(numpy_type(tensor.element_type))
        path = f"made-up-{index}.bin"
        tensors.append(write_tensor(directory / path, tensor.name, array, tensor.element_type))
    return tuple(replace(tensor, path=Path(tensor.path).name) for tensor in tensors)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(tmp_path_factory.mktemp("sdk"))


def build(directory: Path) -> Workspace:
    """Prepare all models, generate their classes, compile them with the SDK and the driver."""
    sources = []
    for name, proto in sdk_models().items():
        path = directory / f"{name}.onnx"
        onnx.save(proto, path)
        sources.append(path)
    options = PrepareOptions(
        targets=(TargetPlatform.AMD64,),
        allow_failures=True,
        configs=False,
        predictions=False,
    )
    summary = prepare_models(sources, directory / "prepared", options)
    assert not [result.error for result in summary.results if result.error]
    prepared, models = {}, []
    for result in summary.results:
        assert result.prepared
        assert result.directory
        prepared[result.source.stem] = result.prepared
        models.append(model_for_sdk(result.prepared, result.directory, directory / "assets"))
    sdk.compile_sdk(models, directory, DRIVER)
    return Workspace(directory=directory, prepared=prepared, models=tuple(models))


def test_generated_sources_are_the_same_twice_and_plain_text(workspace: Workspace) -> None:
    first, second = kotlin_sources(workspace.models), kotlin_sources(workspace.models)
    assert dict(first) == dict(second)
    for text in first.values():
        assert text.isascii()
        assert "DO NOT EDIT" in text.splitlines()[0]
        assert max(map(len, text.splitlines())) <= 140


def test_sources_are_clean_to_the_linter(workspace: Workspace) -> None:
    toolchain.ktlint(["**/*.kt"], workspace.directory / "generated")
    toolchain.ktlint(["dev/ortlab/sdk/*.kt"], sdk.SOURCES)
    toolchain.ktlint([DRIVER], toolchain.ROOT)


NEWER_THAN_ANDROID_7 = re.compile(
    r"java/nio/file/|java/time/|java/lang/ProcessHandle|java/lang/invoke/VarHandle"
    r"|java/util/(List|Map|Set)\.(of|copyOf)|String\.(isBlank|strip|repeat):|readAllBytes:"
    r"|(Byte|Short|Int|Long|Float|Double)Buffer\."
    r"(flip|rewind|limit|position|clear|mark|reset):\([^)]*\)Ljava/nio/(?!Buffer;)"
)
"""What API level 24 lacks and D8 does not rewrite; the JDK that compiles this has all of it."""


def test_it_needs_nothing_that_the_oldest_android_lacks(workspace: Workspace) -> None:
    classes = [
        path
        for path in (workspace.directory / "classes/dev/ortlab/sdk").rglob("*.class")
        if path.name != "SdkDriverKt.class"
    ]
    said = toolchain.run(["javap", "-c", "-p", *classes]).stdout
    lines = [line for line in said.splitlines() if "// " in line]
    assert any("java/nio/ByteBuffer" in line for line in lines)
    assert [line for line in lines if NEWER_THAN_ANDROID_7.search(line)] == []


@pytest.fixture(scope="module")
def outputs(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Each model's outputs of its sample, by the model's and the tensor's name."""
    target = workspace.directory / "outputs"
    workspace.drive("outputs", workspace.assets, target)
    found: dict[str, dict[str, Any]] = {}
    for line in (target / "index.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        data = (target / entry["file"]).read_bytes()
        array = decode(data, entry["type"], tuple(entry["shape"]), source=entry["file"])
        found.setdefault(entry["model"], {})[entry["name"]] = array
    return found


@pytest.mark.parametrize("name", [name for name in sdk_models() if name != "counter"])
def test_outputs_are_those_of_python(
    name: str, workspace: Workspace, outputs: dict[str, dict[str, Any]]
) -> None:
    prepared = workspace.prepared[name]
    directory = workspace.directory / "prepared" / prepared.name
    if prepared.samples:
        expected = {t.name: read_tensor(t, directory) for t in prepared.samples[0].outputs}
    else:
        expected = reference(workspace, name)
    actual = outputs[prepared.name]
    assert list(actual) == list(expected)
    for tensor, array in expected.items():
        assert actual[tensor].dtype == array.dtype
        assert actual[tensor].shape == array.shape
        if array.dtype.kind == "f":
            np.testing.assert_allclose(actual[tensor], array, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(actual[tensor], array)


def reference(workspace: Workspace, name: str) -> dict[str, Any]:
    """Run Python's ONNX Runtime on made-up inputs.

    It takes bfloat16 only as bits and gives none: what the model hands on unchanged is its input.
    """
    import onnxruntime

    given = next(m for m in workspace.models if m.prepared == workspace.prepared[name])
    session = onnxruntime.InferenceSession(str(workspace.directory / f"{name}.onnx"))
    (asset,) = given.sample
    array = read_tensor(replace(asset.tensor, path=asset.asset_path), workspace.assets)
    bits = {}
    if asset.tensor.element_type == "bfloat16":
        bits = {"y": array}
        kind = TensorProto.BFLOAT16
        value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), kind)
    else:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    feeds = {asset.tensor.name: value}
    names = [output.name for output in session.get_outputs()]
    wanted = [name for name in names if name not in bits]
    found = session.run_with_ort_values(wanted, feeds)
    answers = bits | {n: answer.numpy() for n, answer in zip(wanted, found, strict=True)}
    return {name: answers[name] for name in names}


def test_a_state_is_carried_through_a_hundred_runs(workspace: Workspace) -> None:
    import onnxruntime

    answered = [float(line) for line in workspace.drive("steps", workspace.assets).split()]
    session = onnxruntime.InferenceSession(counter().SerializeToString())
    memory, expected = np.zeros((2, 4), np.float32), []
    for step in range(100):
        x = (np.arange(8, dtype=np.float32).reshape(2, 4) - 3) * np.float32(0.125 * (step % 5))
        y, memory = session.run(None, {"x": x, "memory": memory})
        expected.append(float(y))
    np.testing.assert_allclose(answered[:100], expected, rtol=1e-4, atol=1e-5)
    # The driver resets and repeats the first step.
    assert answered[100] == pytest.approx(answered[0])


CHECKS = re.findall(r'^ +check\("([^"]+)"\)', DRIVER.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def checks(workspace: Workspace) -> str:
    return workspace.drive("checks", workspace.assets, check=False)


def test_the_jvm_survives_all_checks(checks: str) -> None:
    assert checks.rstrip().endswith("end of checks"), checks


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str, checks: str) -> None:
    """What the driver checks by itself; it prints a line for each."""
    assert f"ok: {name}" in checks.splitlines(), checks


def test_a_thousand_sessions_leave_no_memory_behind(workspace: Workspace) -> None:
    # A heap that is there from the start cannot be taken for growth of native memory.
    heap = ("-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1")
    lines = workspace.drive("soak", workspace.assets, "1000", options=heap).splitlines()
    samples = [int(line.removeprefix("RssAnon ")) for line in lines if line.startswith("RssAnon ")]
    assert len(samples) == 20
    # The first half warms up the JVM: classes, compiled code, allocator arenas.
    late = samples[10:]
    slope_kb = np.polyfit(np.arange(len(late)), late, 1)[0]
    # A sample follows 50 times two sessions with their tensors; one of them holds some 10 kB.
    assert slope_kb / 100 < 0.5, samples


def python_symbols() -> dict[str, str]:
    """Let a library that was made for Python load into another process."""
    directory, name = map(sysconfig.get_config_var, ("LIBDIR", "INSTSONAME"))
    python = Path(directory or "") / (name or "none")
    if not python.is_file() or ".so" not in python.name:
        pytest.skip("this Python has no shared library, which the operator library needs")
    return {"LD_PRELOAD": str(python)}


@pytest.mark.requires("custom_ops")
def test_a_library_with_the_models_own_operators_goes_along(
    workspace: Workspace, tmp_path: Path
) -> None:
    import onnxruntime_extensions

    rng = np.random.default_rng(0)
    weight = rng.standard_normal((32, 40)).astype(np.float32)
    nodes = [
        helper.make_node("NegPos", ["x"], ["n", "p"], domain="ai.onnx.contrib"),
        helper.make_node("Sub", ["p", "n"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    x, y = value("x", TensorProto.FLOAT, [4, 32]), value("y", TensorProto.FLOAT, [4, 40])
    proto = model(nodes, [x], [y], [constant("w", weight)], domains=[("ai.onnx.contrib", 1)])
    onnx.save(proto, tmp_path / "operators.onnx")
    library = Path(onnxruntime_extensions.get_library_path())
    options = PrepareOptions(
        styles=(OptimizationStyle.FIXED,),
        targets=(TargetPlatform.AMD64,),
        custom_op_library=library,
        configs=False,
        predictions=False,
    )
    (result,) = prepare_models([tmp_path / "operators.onnx"], tmp_path / "p", options).results
    assert result.prepared
    assert result.directory
    path = result.prepared.variants[0].path
    said = workspace.drive(
        "operators", result.directory, path, library, environment=python_symbols()
    )
    given = (np.arange(128, dtype=np.float32).reshape(4, 32) - 64) / 8
    found = np.array(said.split(), np.float32).reshape(4, 40)
    np.testing.assert_allclose(found, np.abs(given) @ weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*UNSIGNED, "complex64", "float8e4m3fn"])
def test_inputs_that_cannot_be_created_are_refused_with_the_reason(
    name: str, workspace: Workspace
) -> None:
    given = workspace.models[0]
    tensor = replace(given.prepared.original.inputs[0], name="we*/ird\u202e", element_type=name)
    original = replace(given.prepared.original, inputs=(tensor,))
    broken = replace(given, prepared=replace(given.prepared, original=original))
    with pytest.raises(ModelError) as refusal:
        kotlin_sources([broken])
    assert name in refusal.value.message
    assert "Java API cannot create" in refusal.value.message
    assert "\u202e" not in refusal.value.message


@pytest.mark.parametrize("name", ["sequence(float)", "optional(float)", "map(int64, float)"])
def test_what_is_no_tensor_is_refused(name: str, workspace: Workspace) -> None:
    given = workspace.models[0]
    tensor = replace(given.prepared.original.outputs[0], element_type=name)
    original = replace(given.prepared.original, outputs=(tensor,))
    broken = replace(given, prepared=replace(given.prepared, original=original))
    with pytest.raises(ModelError, match="dense tensors"):
        kotlin_sources([broken])


def test_every_type_that_java_creates_is_an_input_here(workspace: Workspace) -> None:
    declared = {
        tensor.element_type
        for given in workspace.models
        for tensor in given.prepared.original.inputs
    }
    assert declared == set(ONNX_TYPES)
    assert len(workspace.models) >= 12
