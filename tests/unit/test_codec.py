"""Every value that is stored comes back as it was; what is not one is refused by name."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections.abc import Mapping
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortlab import domain, wire
from ortlab.codec import from_json, to_json, to_plain
from ortlab.domain import Effect, Run, StoppingRule
from ortlab.errors import StorageError
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Conditions,
    ModelReference,
    Purpose,
    SessionSettings,
)

# JSON text is UTF-8: a lone surrogate is no text.
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.floats(allow_nan=False)  # NaN never equals itself; it has a test of its own
st.register_type_strategy(str, TEXT)
st.register_type_strategy(float, NUMBERS)
st.register_type_strategy(
    Mapping, lambda kind: st.dictionaries(*map(st.from_type, get_args(kind)), max_size=2)
)
st.register_type_strategy(
    tuple,
    lambda kind: (
        st.lists(st.from_type(get_args(kind)[0]), max_size=2).map(tuple)
        if get_args(kind)[-1] is Ellipsis
        else st.tuples(*map(st.from_type, get_args(kind)))
    ),
)

VALUES = [
    kind
    for module in (wire, domain)
    for kind in vars(module).values()
    if inspect.isclass(kind)
    and dataclasses.is_dataclass(kind)
    and kind.__module__ == module.__name__
    and kind is not Run  # holds the directory it was read from; stored as experiment and blocks
]


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    text = to_json(value)
    assert from_json(kind, text, source="memory") == value
    assert from_json(kind, to_json(value, indent=2), source="memory") == value
    assert to_plain(value) == json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks_survive(number: float) -> None:
    effect = Effect(ratio=number, low=0.0, high=number, confidence=0.95, rounds=8)
    text = to_json(effect)
    json.loads(text, parse_constant=pytest.fail)
    back = from_json(Effect, text, source="memory")
    assert str(back.ratio) == str(number)
    assert back.sign_flip_p is None


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (BlockResult, "", "Invalid JSON"),
        (BlockResult, "{", "Invalid JSON"),
        (BlockResult, "null", "it holds null"),
        (BlockResult, "[]", "at the top level"),
        (BlockResult, "{}", "block_id"),
        (BlockRequest, b"\xff\xfe", "Invalid JSON"),
        (Conditions, '{"battery_percent": "full"}', "battery_percent"),
        (Conditions, '{"cpu_frequency_khz": [1, {}]}', "cpu_frequency_khz.1"),
        (StoppingRule, '{"looks": "eight"}', "looks"),
    ],
)
def test_what_is_no_such_value_is_refused_with_source_and_place(
    kind: type, text: str | bytes, said: str
) -> None:
    with pytest.raises(StorageError) as caught:
        from_json(kind, text, source="/runs/x/result.json")
    message = caught.value.message
    assert message.startswith(f"cannot read /runs/x/result.json as {kind.__name__}: ")
    assert said in message


def test_a_request_of_another_protocol_version_is_refused() -> None:
    request = BlockRequest(
        block_id="b",
        purpose=Purpose.LATENCY,
        model=ModelReference(path="m.onnx", sha256="0" * 64),
        session=SessionSettings(),
        providers=(),
        inputs=(),
        output_directory="out",
    )
    text = to_json(request)
    assert from_json(BlockRequest, text, source="memory") == request
    newer = text.replace("block_request/1", "block_request/2")
    with pytest.raises(StorageError, match=r"'ortlab\.block_request/1' at schema"):
        from_json(BlockRequest, newer, source="memory")
