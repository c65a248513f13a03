"""The generated Kotlin SDK, compiled as it is shipped and run on a JVM with real ONNX Runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sdk_models import ONNX_TYPES, UNSIGNED, sdk_models
from sdk_prepared import (
    check_operators,
    check_outputs,
    counted,
    prepared_models,
    prepared_operators,
    python_symbols,
)

from android import sdk, toolchain
from ortlab.domain import PreparedModel
from ortlab.errors import ModelError
from ortlab.scaffold.kotlin_sdk import kotlin_sources
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.tensors import decode

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


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return build(tmp_path_factory.mktemp("sdk"))


def build(directory: Path) -> Workspace:
    """Prepare all models, generate their classes, compile them with the SDK and the driver."""
    prepared, models = prepared_models(sdk_models(), directory)
    sdk.compile_sdk(models, directory, DRIVER)
    return Workspace(directory=directory, prepared=prepared, models=models)


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
    check_outputs(prepared, workspace.models, workspace.directory, outputs[prepared.name])


def test_a_state_is_carried_through_a_hundred_runs(workspace: Workspace) -> None:
    answered = [float(line) for line in workspace.drive("steps", workspace.assets).split()]
    np.testing.assert_allclose(answered[:100], counted(100), rtol=1e-4, atol=1e-5)
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


@pytest.mark.requires("custom_ops")
def test_a_library_with_the_models_own_operators_goes_along(
    workspace: Workspace, tmp_path: Path
) -> None:
    directory, path, library = prepared_operators(tmp_path)
    said = workspace.drive("operators", directory, path, library, environment=python_symbols())
    check_operators(said)


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
