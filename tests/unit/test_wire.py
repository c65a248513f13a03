"""The Python values and the JSON Schemas of the protocol say the same."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ortlab import codec, wire
from ortlab.errors import StorageError
from ortlab.runner import request_check
from ortlab.tensors import ELEMENT_TYPES

SCHEMAS = Path(__file__).parents[2] / "bench_protocol/schemas"
NAMES = {
    wire.BlockRequest: "block_request",
    wire.BatchRequest: "batch_request",
    wire.BlockResult: "block_result",
}
LOADED = {
    kind: json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    for kind, name in NAMES.items()
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in LOADED.values()
)
VALIDATORS = {
    kind: Draft202012Validator(schema, registry=REGISTRY) for kind, schema in LOADED.items()
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.integers(0, 2**62 - 1)
positive = st.integers(1, 2**62 - 1)
seconds = st.floats(0, 1e9, exclude_max=True)

# What the types alone do not say: field name to values, for all classes or for one.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "sha256": hashes,
    "path": names,
    "block_id": names,
    "batch_id": names,
    "output_directory": names,
    "profile_path": st.none() | names,
    "custom_op_library": st.none() | names,
    "element_type": st.sampled_from(ELEMENT_TYPES),
    "shape": st.lists(counts, max_size=4).map(tuple),
    "window_min_runs": positive,
    "min_runs": positive,
    "floor_runs": positive,
    "measured_runs": positive,
    "agreement": seconds,
    "deadline_s": seconds,
    "battery_percent": st.none() | st.floats(0, 100),
    "busy_fraction": st.none() | st.floats(0, 1),
    "metric": names,
    "scope": names,
}


def values_of(kind: Any, field: str = "") -> st.SearchStrategy[Any]:
    """Build values from the annotations of a frozen dataclass."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {name: _field(kind, name, hint) for name, hint in hints.items()}
        return st.builds(kind, **fields)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(argument, field) for argument in arguments])
    if origin is tuple:
        return st.lists(values_of(arguments[0], field), max_size=3).map(tuple)
    if origin is typing.Literal:
        return st.just(arguments[0])
    if origin is not None:  # a mapping of texts
        return st.dictionaries(texts, texts, max_size=3)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: counts,
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: texts,
    }
    return plain[kind]


def _field(kind: Any, name: str, hint: Any) -> st.SearchStrategy[Any]:
    if kind is wire.TensorFile and name == "sha256":
        return st.none() | hashes
    if kind in (wire.TensorFile, wire.RuntimeFacts) and name == "name":
        return texts
    if name == "name":
        return names
    if kind is wire.BlockRequest and name == "providers":
        return st.lists(values_of(wire.ProviderRequest), min_size=1, max_size=2).map(tuple)
    if kind is wire.BlockRequest and name == "inputs":
        tensors = values_of(wire.TensorFile)
        return st.lists(tensors, max_size=2, unique_by=lambda tensor: tensor.name).map(tuple)
    if name in FIELDS:
        return FIELDS[name]
    return values_of(hint, name)


requests = values_of(wire.BlockRequest)
results = values_of(wire.BlockResult)


@given(requests)
def test_every_request_is_one_to_schema_runner_and_codec(request_: wire.BlockRequest) -> None:
    text = codec.to_json(request_)
    plain = json.loads(text)
    VALIDATORS[wire.BlockRequest].validate(plain)
    assert request_check.find_problem(plain) == ""
    assert request_check.answerable(plain) is not None
    assert codec.from_json(wire.BlockRequest, text, source="it") == request_


@given(results)
def test_every_result_is_one_to_schema_and_codec(result: wire.BlockResult) -> None:
    text = codec.to_json(result)
    VALIDATORS[wire.BlockResult].validate(json.loads(text))
    assert codec.from_json(wire.BlockResult, text, source="it") == result


@given(st.lists(requests, max_size=2).map(tuple), names)
def test_every_batch_is_one(batch: tuple[wire.BlockRequest, ...], batch_id: str) -> None:
    plain = codec.to_plain(wire.BatchRequest(batch_id=batch_id, requests=batch))
    VALIDATORS[wire.BatchRequest].validate(plain)
    assert request_check.batch_of(plain) == plain["requests"]


def _schemas_of_classes() -> dict[str, tuple[Any, dict[str, Any]]]:
    request, result = LOADED[wire.BlockRequest], LOADED[wire.BlockResult]
    properties = request["properties"]
    return {
        "request": (wire.BlockRequest, request),
        "model": (wire.ModelReference, properties["model"]),
        "session": (wire.SessionSettings, properties["session"]),
        "warm_up": (wire.WarmUpRule, properties["warm_up"]),
        "stop": (wire.StopRule, properties["stop"]),
        "provider": (wire.ProviderRequest, request["$defs"]["provider"]),
        "tensor": (wire.TensorFile, request["$defs"]["tensor"]),
        "batch": (wire.BatchRequest, LOADED[wire.BatchRequest]),
        "result": (wire.BlockResult, result),
        "clock": (wire.Clock, result["properties"]["clock"]),
        "failure": (wire.Failure, result["$defs"]["failure"]),
        "runtime": (wire.RuntimeFacts, result["$defs"]["runtime"]),
        "timing": (wire.Timing, result["$defs"]["timing"]),
        "memory": (wire.MemoryPoint, result["$defs"]["memory_point"]),
        "conditions": (wire.Conditions, result["$defs"]["conditions"]),
        "browser": (wire.BrowserFacts, result["$defs"]["browser"]),
    }


@pytest.mark.parametrize("name", sorted(_schemas_of_classes()))
def test_schema_and_class_have_the_same_fields(name: str) -> None:
    kind, schema = _schemas_of_classes()[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    assert schema["properties"].keys() == fields.keys()
    without_default = {
        field.name
        for field in fields.values()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    required = set(schema["required"])
    in_request = kind not in (wire.Timing, wire.Conditions, wire.RuntimeFacts, wire.BlockResult)
    assert required == (set(fields) if in_request else without_default | (required & {"schema"}))
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (wire.Stage, "failure.stage"),
        (wire.FailureKind, "failure.kind"),
        (wire.MemoryKind, "memory_point.kind"),
        (wire.MemoryPhase, "memory_point.phase"),
        (wire.StopReason, "timing.stop_reason"),
    ],
)
def test_schema_and_enumeration_have_the_same_words(kind: type[StrEnum], place: str) -> None:
    name, field = place.split(".")
    words = LOADED[wire.BlockResult]["$defs"][name]["properties"][field]["enum"]
    assert [word for word in words if word is not None] == list(kind)


@given(results, st.data())
def test_a_result_without_a_required_field_is_refused_by_both(
    result: wire.BlockResult, data: st.DataObject
) -> None:
    plain = codec.to_plain(result)
    field = data.draw(
        st.sampled_from(sorted(set(LOADED[wire.BlockResult]["required"]) - {"schema"}))
    )
    del plain[field]
    assert not VALIDATORS[wire.BlockResult].is_valid(plain)
    with pytest.raises(StorageError, match=field):
        codec.from_json(wire.BlockResult, json.dumps(plain), source="it")


@given(requests, st.data())
def test_runner_and_schema_refuse_the_same_changes(
    request_: wire.BlockRequest, data: st.DataObject
) -> None:
    plain = codec.to_plain(request_)
    owner: Any = plain
    while True:
        key = data.draw(st.sampled_from(sorted(owner) if isinstance(owner, dict) else [0]))
        if not isinstance(owner[key], (dict, list)) or not owner[key] or data.draw(st.booleans()):
            break
        owner = owner[key]
    owner[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(0.1, 0.9)  # JSON Schema takes 1.0 for an integer, the protocol does not
        | texts
        | st.just([])
        | st.just({})
    )
    valid = VALIDATORS[wire.BlockRequest].is_valid(plain)
    assert (request_check.find_problem(plain) == "") is valid
