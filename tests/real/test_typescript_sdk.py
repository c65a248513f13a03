"""The generated TypeScript SDK, compiled and linted as it is shipped, run with onnxruntime-web."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from sdk_models import HOSTILE, sdk_models, unsigned_inputs
from sdk_prepared import check_outputs, counted, prepared_models

from ortlab.domain import ClassificationKind, PreparedModel, TensorSpec
from ortlab.errors import ModelError
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.typescript_sdk import typescript_sources
from ortlab.tensors import decode
from web import packages, projects
from web.projects import RUN_S

pytestmark = pytest.mark.requires("node")

MODELS = {
    name: proto
    for name, proto in {**sdk_models(), **unsigned_inputs()}.items()
    if name != "type-bfloat16"
}


@dataclass(frozen=True)
class Workspace:
    """A project with all the models' classes, and what was prepared."""

    directory: Path
    prepared: dict[str, PreparedModel]
    models: tuple[ModelForSdk, ...]

    @property
    def project(self) -> Path:
        return self.directory / "project"

    @property
    def outputs(self) -> Path:
        return self.directory / "outputs"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    directory = tmp_path_factory.mktemp("sdk")
    prepared, models = prepared_models(MODELS, directory)
    projects.write_project(directory / "project", models, directory / "assets", "sdk_driver")
    return Workspace(directory=directory, prepared=prepared, models=models)


def test_generated_sources_are_the_same_twice_and_plain_text(workspace: Workspace) -> None:
    first, second = typescript_sources(workspace.models), typescript_sources(workspace.models)
    assert dict(first) == dict(second)
    for text in first.values():
        assert text.isascii()
        assert "DO NOT EDIT" in text.splitlines()[0]


def test_all_classes_compile_in_one_run_of_the_compiler(workspace: Workspace) -> None:
    """`strict` and more, as the template's tsconfig.json says; the drivers use the classes."""
    assert len(workspace.models) >= 12
    said = packages.run("tsc", "--noEmit", directory=workspace.project, deadline_s=RUN_S).stdout
    assert said == ""


def test_the_compiler_sees_what_does_not_fit(workspace: Workspace) -> None:
    """Else the run before it would prove nothing."""
    wrong = workspace.project / "src" / "wrong.ts"
    wrong.write_text(
        'import { Product } from "./generated/models";\n'
        "export const size = Product.allocate({ rows: 1 });\n"
        "export const sum = async (model: Product): Promise<Uint8Array> =>\n"
        "  (await model.run(Product.allocate({ rows: 1, inner: 2 }))).sum.data;\n"
    )
    try:
        done = packages.run(
            "tsc", "--noEmit", directory=workspace.project, deadline_s=RUN_S, check=False
        )
    finally:
        wrong.unlink()
    assert not done.succeeded
    places = set(re.findall(r"^src/wrong\.ts\((\d+),", done.stdout, re.MULTILINE))
    assert places == {"2", "4"}


def test_all_classes_are_clean_to_the_linter(workspace: Workspace) -> None:
    packages.run(
        *("eslint", "--max-warnings", "0", "src/generated"),
        directory=workspace.project,
        deadline_s=RUN_S,
    )


def test_every_hostile_name_has_a_property_of_its_own(workspace: Workspace) -> None:
    text = (workspace.project / "src/generated/models/Hostile.ts").read_text()
    found = re.search(r"export interface HostileInput \{(.+?)\n\}", text, re.DOTALL)
    assert found
    names = re.findall(r"^  readonly (\w+): ", found[1], re.MULTILINE)
    assert len({name.casefold() for name in names}) == len(HOSTILE)


WORDS = (
    *("abstract", "any", "apply", "arguments", "as", "async", "await", "bind", "call", "caller"),
    *("case", "class", "const", "constructor", "create", "declare", "default", "delete", "eval"),
    *("enum", "export", "from", "function", "get", "global", "globalThis", "hasOwnProperty", "if"),
    *("import", "in", "infer", "interface", "is", "keyof", "length", "let", "module", "name"),
    *("namespace", "never", "new", "null", "number", "object", "of", "outputs", "package"),
    *("private", "prototype", "public", "readonly", "require", "reset", "return", "run", "set"),
    *(
        "sizes",
        "static",
        "string",
        "super",
        "symbol",
        "then",
        "this",
        "type",
        "typeof",
        "undefined",
    ),
    *("undefined", "unique", "var", "void", "while", "with", "yield", "zeros", "labels", "report"),
    *("Array", "Function", "NaN", "Object", "Partial", "Promise", "Record", "Symbol", "URL"),
    *("index", "model session", "input", "picture tensor", "descriptor", "close", "allocate"),
)
ALPHABETS = ("abcXYZ019_$", "\"'`\\/*<!-{}[]() \n\t", "éüß中文😀\u202e\u2028\ufeff\x00\x1b\x7f")


def made_up(seed: int) -> list[str]:
    """Return names of any characters, from a seed; no two are equal."""
    random = Random(seed)
    alphabet = "".join(ALPHABETS).replace("\x00", "")
    lengths = (random.choice((1, 2, 5, 40)) for _ in range(12))
    names = ("".join(random.choices(alphabet, k=length)) for length in lengths)
    return list(dict.fromkeys(names))


def named(model: ModelForSdk, name: str, names: list[str]) -> ModelForSdk:
    """Return a model whose inputs, outputs, dimensions, labels and own name are these."""
    prepared = model.prepared
    inputs = tuple(
        TensorSpec(name=text, element_type="float", shape=(text, None, 2)) for text in names
    )
    outputs = tuple(replace(tensor, shape=(1, len(names))) for tensor in inputs)
    changed = replace(prepared.original, inputs=inputs, outputs=outputs)
    kinds = {names[0]: ClassificationKind(labels=tuple(names))}
    prepared = replace(prepared, name=name, original=changed, samples=())
    return replace(model, prepared=prepared, kinds=kinds, sample=())


def test_whatever_names_a_model_has_its_class_compiles_and_lints(
    workspace: Workspace, tmp_path: Path
) -> None:
    base = workspace.models[0]
    models = [named(base, word, [word, f"{word} input", "x"]) for word in WORDS]
    models += [named(base, names[0], names) for names in map(made_up, range(20))]
    models.append(named(base, "all words", list(WORDS)))
    project = tmp_path / "project"
    projects.write_project(project, models, workspace.directory / "assets", "none")
    packages.run("tsc", "--noEmit", directory=project, deadline_s=RUN_S)
    packages.run("eslint", "src/generated", directory=project, deadline_s=RUN_S)


# ------------------------------------------------------------------------------ answers


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> str:
    return projects.run_driver(workspace.project, workspace.outputs)


def test_the_drivers_pass(run: str) -> None:
    assert "errors" not in run


@pytest.fixture(scope="module")
def outputs(workspace: Workspace, run: str) -> Mapping[str, list[dict[str, Any]]]:
    """Each model's outputs of its sample, one dictionary for each style that is packaged."""
    assert run
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in workspace.outputs.glob("*.json"):
        told = json.loads(entry.read_text(encoding="utf-8"))
        arrays = {
            output["name"]: decode(
                (workspace.outputs / output["file"]).read_bytes(),
                output["type"],
                tuple(output["shape"]),
                source=output["file"],
            )
            for output in told["outputs"]
        }
        found.setdefault(told["model"], []).append(arrays)
    return found


@pytest.mark.parametrize("name", [name for name in MODELS if name != "counter"])
def test_outputs_are_those_of_python(
    name: str, workspace: Workspace, outputs: Mapping[str, list[dict[str, Any]]]
) -> None:
    prepared = workspace.prepared[name]
    answers = outputs[prepared.name]
    assert answers
    for answer in answers:
        check_outputs(prepared, workspace.models, workspace.directory, answer)


def test_a_state_is_carried_through_a_hundred_runs(workspace: Workspace, run: str) -> None:
    assert run
    answered = [float(text) for text in (workspace.outputs / "steps.txt").read_text().split()]
    np.testing.assert_allclose(answered[:100], counted(100), rtol=1e-4, atol=1e-5)
    assert answered[100] == pytest.approx(answered[0])


def test_a_type_that_onnxruntime_web_lacks_is_refused(tmp_path: Path) -> None:
    protos = {"type-bfloat16": sdk_models()["type-bfloat16"]}
    _, models = prepared_models(protos, tmp_path)
    with pytest.raises(ModelError, match="bfloat16, and onnxruntime-web cannot create"):
        typescript_sources(models)
