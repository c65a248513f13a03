"""Schemas, vectors and the host runner's own check of a request say the same."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ortlab import codec
from ortlab.runner import request_check, tensor_files
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Failure,
    FailureKind,
    Purpose,
    Stage,
)

PROTOCOL = Path(__file__).parents[2] / "bench_protocol"
SCRIPT = PROTOCOL.parent / "scripts/make_protocol_vectors.py"


def load(name: str) -> Any:
    return json.loads((PROTOCOL / name).read_text(encoding="utf-8"))


SCHEMAS = {path.name: load(f"schemas/{path.name}") for path in (PROTOCOL / "schemas").iterdir()}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[f"{name}.schema.json"], registry=REGISTRY)


RESULTS = sorted(path.name for path in (PROTOCOL / "vectors/results").iterdir())
FAILURES = load("vectors/failures.json")
TENSORS = load("vectors/tensor_files/tensors.json")


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def change(request: dict[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply the changes of a failure vector."""
    changed: dict[str, Any] = json.loads(json.dumps(request))
    for item in changes:
        owner: Any = changed
        *path, last = item["at"]
        for key in path:
            owner = owner[int(key) if isinstance(owner, list) else key]
        if item.get("remove"):
            del owner[last]
        else:
            owner[last] = item["value"]
    return changed


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_vectors_are_those_that_the_script_makes() -> None:
    made = runpy.run_path(str(SCRIPT))["make_files"]()
    stored = {
        path.relative_to(PROTOCOL / "vectors").as_posix(): path.read_bytes()
        for path in (PROTOCOL / "vectors").rglob("*")
        if path.is_file()
    }
    assert stored.keys() == made.keys()
    assert [name for name in made if made[name] != stored[name]] == []


@pytest.mark.parametrize("name", RESULTS)
def test_result_vectors_are_results(name: str) -> None:
    plain = load(f"vectors/results/{name}")
    validator("block_result").validate(plain)
    result = codec.from_json(BlockResult, json.dumps(plain), source=name)
    assert _holds(codec.to_plain(result), plain)


def _holds(whole: Any, part: Any) -> bool:
    """Say whether ``whole`` says everything that ``part`` says."""
    if isinstance(part, dict):
        return all(_holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


def test_result_vectors_cover_every_purpose_and_failure_kind() -> None:
    assert {f"ok-{purpose}.json" for purpose in Purpose} <= set(RESULTS)
    assert {f"failed-{kind}.json" for kind in FailureKind} <= set(RESULTS)


def test_failure_vectors_name_known_stages_and_kinds() -> None:
    for case in FAILURES["cases"]:
        Failure(stage=Stage(case["stage"]), kind=FailureKind(case["kind"]), message="")


@pytest.mark.parametrize("case", named(FAILURES["cases"]))
def test_schema_and_runner_refuse_the_same_requests(case: dict[str, Any]) -> None:
    request = change(FAILURES["request"], case["changes"])
    problem = request_check.find_problem(request)
    if case["name"] == "an input twice":  # the one rule that JSON Schema cannot say
        assert "twice" in problem
        return
    assert validator("block_request").is_valid(request) is (problem == "")
    assert (case["kind"] == "invalid_request") is (problem != "")


def test_the_request_of_the_vectors_is_sound() -> None:
    request = FAILURES["request"]
    validator("block_request").validate(request)
    assert request_check.find_problem(request) == ""
    codec.from_json(BlockRequest, json.dumps(request), source="vectors")
    batch = {"schema": "ortlab.batch_request/1", "batch_id": "b", "requests": [request, request]}
    validator("batch_request").validate(batch)
    assert request_check.batch_of(batch) == [request, request]


@pytest.mark.parametrize(
    "request_", [None, [], "x", {}, {"block_id": "a"}, {"block_id": "", "output_directory": "o"}]
)
def test_nobody_can_be_answered_without_id_and_directory(request_: Any) -> None:
    assert request_check.answerable(request_) is None


@pytest.mark.parametrize("case", named(TENSORS["valid"]))
def test_runner_reads_and_writes_the_bytes_of_the_vectors(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    array = tensor_files.decode(data, case["element_type"], case["shape"])
    assert list(array.shape) == case["shape"]
    assert tensor_files.encode(array, case["element_type"]) == data
    assert hashlib.sha256(data).hexdigest() == case["sha256"]
    values = array.ravel().tolist()
    if case["element_type"] == "bfloat16":
        return  # numpy holds its bits: equal bytes are all there is to say
    wanted = [_value(value, case["element_type"]) for value in case["values"]]
    assert [repr(value) for value in values] == [repr(value) for value in wanted]


@pytest.mark.parametrize("case", named(TENSORS["invalid"]))
def test_runner_refuses_broken_tensor_files(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        tensor_files.decode(bytes.fromhex(case["hex"]), case["element_type"], case["shape"])


def _value(value: Any, element_type: str) -> Any:
    if element_type in {"int64", "uint64"}:
        return int(value)
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def test_readme_names_every_failure_kind_stage_and_file() -> None:
    text = (PROTOCOL / "README.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([^`]+)`", text))
    assert {str(kind) for kind in FailureKind} <= words
    assert {str(stage) for stage in Stage} <= words
    assert {str(purpose) for purpose in Purpose} <= words
    for name in SCHEMAS:
        assert f"schemas/{name}" in text
