"""The generated Swift SDK, compiled as it is shipped and run on Linux with real ONNX Runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import constant, model, value
from onnx import TensorProto, helper
from sdk_models import ONNX_TYPES, UNSIGNED, sdk_models, unsigned_inputs
from sdk_prepared import (
    check_operators,
    check_outputs,
    counted,
    prepared_models,
    prepared_operators,
    python_symbols,
)

from ios import sdk, swift
from ortlab.domain import OptimizationStyle, PreparedModel, TargetPlatform
from ortlab.errors import ModelError
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.process import Command, SystemProcesses
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.swift_sdk import swift_sources
from ortlab.tensors import decode

pytestmark = pytest.mark.requires("swift")

MODELS = {**sdk_models(), **unsigned_inputs()}


@dataclass(frozen=True)
class Workspace:
    """The driver on the SDK, the assets it was built with, and what was prepared."""

    directory: Path
    program: Path
    prepared: dict[str, PreparedModel]
    models: tuple[ModelForSdk, ...]

    @property
    def assets(self) -> Path:
        return self.directory / "assets"

    def drive(
        self,
        *arguments: str | Path,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        completed = SystemProcesses().run(
            Command(
                arguments=swift.program(self.program, *arguments),
                deadline_s=300,
                environment={
                    "XDG_CACHE_HOME": str(self.directory / "cache"),
                    **(environment or {}),
                },
            )
        )
        said = completed.stdout + completed.stderr
        assert completed.succeeded or not check, said
        return said


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    directory = tmp_path_factory.mktemp("sdk")
    prepared, models = prepared_models(MODELS, directory)
    program = sdk.build_sdk(models, directory / "assets", "sdk", sdk.DRIVER)
    return Workspace(directory=directory, program=program, prepared=prepared, models=models)


def test_generated_sources_are_the_same_twice_and_plain_text(workspace: Workspace) -> None:
    first, second = swift_sources(workspace.models), swift_sources(workspace.models)
    assert dict(first) == dict(second)
    for text in first.values():
        assert text.isascii()
        assert "DO NOT EDIT" in text.splitlines()[0]


def test_sources_are_clean_to_the_linter(workspace: Workspace) -> None:
    generated = workspace.directory / "generated"
    generated.mkdir()
    settings = swift.TEMPLATE / ".swift-format"
    (generated / ".swift-format").write_bytes(settings.read_bytes())
    for path, text in swift_sources(workspace.models).items():
        (generated / path).write_text(text)
    swift.format_lint([generated], generated)
    swift.format_lint(sorted(sdk.SOURCES.glob("*.swift")), swift.TEMPLATE)
    lint = ("swift", "format", "lint", "--strict", "--recursive")
    swift.run([*lint, "--configuration", settings, sdk.DRIVER], directory=sdk.DRIVER)


FORCED = re.compile(r"[\w)\]]!(?!=)|\btry!|\bas!|fatalError")
"""What ends the app where something is not as it should be."""


def test_nothing_ends_the_app(workspace: Workspace) -> None:
    sources = {path.name: path.read_text() for path in sdk.SOURCES.glob("*.swift")}
    for path, text in (sources | dict(swift_sources(workspace.models))).items():
        code = re.sub(r'"(\\.|[^"\\])*"|//.*', "", text)
        assert FORCED.findall(code) == [], path


@pytest.fixture(scope="module")
def outputs(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Each model's outputs of its sample, by the model's and the tensor's name."""
    target = workspace.directory / "outputs"
    workspace.drive("outputs", workspace.assets, target)
    found: dict[str, dict[str, Any]] = {}
    for entry in json.loads((target / "index.json").read_text(encoding="utf-8")):
        data = (target / entry["file"]).read_bytes()
        shape = tuple(map(int, filter(None, entry["shape"].split(","))))
        array = decode(data, entry["type"], shape, source=entry["file"])
        found.setdefault(entry["model"], {})[entry["name"]] = array
    return found


@pytest.mark.parametrize("name", [name for name in MODELS if name != "counter"])
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


CHECKS = [
    name
    for path in sorted(sdk.DRIVER.glob("*Checks.swift"))
    for name in re.findall(r'^ +await check\("([^"]+)"\)', path.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def checks(workspace: Workspace) -> str:
    return workspace.drive("checks", workspace.assets, check=False)


def test_the_program_survives_all_checks(checks: str) -> None:
    assert checks.rstrip().endswith("end of checks"), checks


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str, checks: str) -> None:
    """What the driver checks by itself; it prints a line for each."""
    assert f"ok: {name}" in checks.splitlines(), checks


def test_a_thousand_sessions_leave_no_memory_behind(workspace: Workspace) -> None:
    lines = workspace.drive("soak", workspace.assets, "1000").splitlines()
    samples = [int(line.removeprefix("RssAnon ")) for line in lines if line.startswith("RssAnon ")]
    assert len(samples) == 20
    # The first half fills the allocator's arenas.
    late = samples[10:]
    slope_kb = np.polyfit(np.arange(len(late)), late, 1)[0]
    # A sample follows 50 times three sessions with their tensors; one of them holds some 10 kB.
    assert slope_kb / 150 < 0.5, samples


def test_weights_are_used_where_the_file_is_mapped(workspace: Workspace, tmp_path: Path) -> None:
    rows, columns = 8192, 1024
    table = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    proto = model(
        [helper.make_node("Gather", ["table", "rows"], ["y"])],
        [value("rows", TensorProto.INT64, [2])],
        [value("y", TensorProto.FLOAT, [2, columns])],
        [constant("table", table)],
    )
    onnx.save(proto, tmp_path / "table.onnx")
    options = PrepareOptions(
        styles=(OptimizationStyle.FIXED,),
        targets=(TargetPlatform.AMD64,),
        configs=False,
        predictions=False,
    )
    (result,) = prepare_models([tmp_path / "table.onnx"], tmp_path / "p", options).results
    assert result.prepared
    assert result.directory
    path = next(v.path for v in result.prepared.variants if v.path.endswith(".ort"))
    last, grown_kb = workspace.drive("mapped", result.directory, path).split()
    assert float(last) == table[-1, -1]
    # The table alone is 33,554 kB.
    assert int(grown_kb) < 12_000


@pytest.mark.requires("custom_ops")
def test_a_library_with_the_models_own_operators_goes_along(
    workspace: Workspace, tmp_path: Path
) -> None:
    directory, path, library = prepared_operators(tmp_path)
    said = workspace.drive("operators", directory, path, library, environment=python_symbols())
    check_operators(said)


@pytest.mark.parametrize("name", ["complex64", "float8e4m3fn", "int4"])
def test_inputs_that_have_no_swift_type_are_refused_with_the_reason(
    name: str, workspace: Workspace
) -> None:
    given = workspace.models[0]
    tensor = replace(given.prepared.original.inputs[0], name="we*/ird\u202e", element_type=name)
    original = replace(given.prepared.original, inputs=(tensor,))
    broken = replace(given, prepared=replace(given.prepared, original=original))
    with pytest.raises(ModelError) as refusal:
        swift_sources([broken])
    assert name in refusal.value.message
    assert "cannot create" in refusal.value.message
    assert "\u202e" not in refusal.value.message


@pytest.mark.parametrize("name", ["sequence(float)", "optional(float)", "map(int64, float)"])
def test_what_is_no_tensor_is_refused(name: str, workspace: Workspace) -> None:
    given = workspace.models[0]
    tensor = replace(given.prepared.original.outputs[0], element_type=name)
    original = replace(given.prepared.original, outputs=(tensor,))
    broken = replace(given, prepared=replace(given.prepared, original=original))
    with pytest.raises(ModelError, match="dense tensors"):
        swift_sources([broken])


def test_the_templates_own_tests_pass() -> None:
    said = sdk.run_template_tests()
    counts = re.findall(r"Executed (\d+) tests, with 0 failures", said)
    assert counts, said
    assert max(map(int, counts)) >= 10, said


def test_every_type_of_the_c_api_is_an_input_here(workspace: Workspace) -> None:
    declared = {
        tensor.element_type
        for given in workspace.models
        for tensor in given.prepared.original.inputs
    }
    assert declared == {*ONNX_TYPES, *UNSIGNED}
    assert len(workspace.models) >= 12
