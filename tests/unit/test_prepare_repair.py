"""What is repaired before conversion, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ortlab.errors import ModelError, UsageError
from ortlab.prepare.memory import LARGEST_WEIGHTS_BYTES, weight_bytes
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.repair import check, repair
from ortlab.prepare.source import (
    SourceModel,
    given_precision,
    model_bytes,
    model_inputs,
    read_model,
)

MAX_IR, MAX_OPSET = 13, 26
Dims = Sequence[int | str | None]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., SourceModel]:
    def write_and_read(
        shape: Dims = (1, 3, "?", "?"), *, out: Dims | None = (1, 3, None, None), ir: int = 8
    ) -> SourceModel:
        model = helper.make_model(
            helper.make_graph(
                [
                    helper.make_node("Relu", ["x"], ["r"]),
                    helper.make_node("Add", ["r", "w"], ["y"]),
                ],
                "g",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
                [helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])],
            ),
            opset_imports=[helper.make_opsetid("", 17)],
            ir_version=ir,
        )
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        return read_model(path)

    return write_and_read


def fix(source: SourceModel, **options: Any) -> tuple[str, ...]:
    chosen = PrepareOptions(**options)
    return repair(source, chosen, max_ir=MAX_IR, max_opset=MAX_OPSET)


def shape_of(value: onnx.ValueInfoProto) -> list[int | str | None]:
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in value.type.tensor_type.shape.dim
    ]


def test_a_sound_model_keeps_its_bytes(load: Callable[..., SourceModel]) -> None:
    source = load(("batch", 3, 8, 8), out=("batch", 3, 8, 8))
    assert fix(source) == ()
    assert model_bytes(source) == source.data
    assert check(source) == ()


@pytest.mark.parametrize("name", ["?", "-1", " ", ""])
def test_names_that_are_no_names_become_distinct_unknowns(
    name: str, load: Callable[..., SourceModel]
) -> None:
    source = load((1, 3, name, name))
    source.proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = name
    done = fix(source)
    assert shape_of(source.proto.graph.input[0]) == [1, 3, None, None]
    assert len(done) == 1
    assert "distinct" in done[0]


def test_unnamed_sizes_are_fixed_one_by_one_and_the_rest_follows(
    load: Callable[..., SourceModel],
) -> None:
    source = load((1, 3, "?", "?"))
    done = fix(source, input_shapes={"x": (1, 3, 48, 192)})
    assert shape_of(source.proto.graph.input[0]) == [1, 3, 48, 192]
    assert shape_of(source.proto.graph.output[0]) == [1, 3, 48, 192]
    assert any("48×192" in sentence for sentence in done)
    onnx.checker.check_model(source.proto, full_check=True)


@pytest.mark.parametrize("unknown", [0, -1, None, "?"])
def test_every_kind_of_unknown_can_be_fixed(
    unknown: int | str | None, load: Callable[..., SourceModel]
) -> None:
    source = load((unknown, 3), out=(None, 3))
    fix(source, input_shapes={"x": (5, 3)})
    assert shape_of(source.proto.graph.input[0]) == [5, 3]
    assert shape_of(source.proto.graph.output[0]) == [5, 3]


def test_a_symbol_is_fixed_everywhere(load: Callable[..., SourceModel]) -> None:
    source = load(("batch", 3), out=("batch", 3))
    done = fix(source, dims={"batch": 7})
    assert shape_of(source.proto.graph.input[0]) == [7, 3]
    assert shape_of(source.proto.graph.output[0]) == [7, 3]
    assert "dimension 'batch' was fixed to 7" in done


def test_an_inputs_shape_fixes_its_symbols_too(load: Callable[..., SourceModel]) -> None:
    source = load(("batch", 3), out=("batch", 3))
    fix(source, input_shapes={"x": (4, 3)})
    assert shape_of(source.proto.graph.output[0]) == [4, 3]


@given(st.integers(1, 64), st.integers(1, 64))
def test_two_sizes_for_one_symbol_are_refused(first: int, second: int) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "n"])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    source = SourceModel(path=Path("m"), data=b"", proto=proto, spec=None, external={})  # type: ignore[arg-type]
    if first == second:
        fix(source, input_shapes={"x": (first, second)})
        assert shape_of(proto.graph.input[0]) == [first, second]
    else:
        with pytest.raises(UsageError, match="'n'"):
            fix(source, input_shapes={"x": (first, second)})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"input_shapes": {"nope": (1,)}}, "'x'"),
        ({"input_shapes": {"x": (1, 3, 8)}}, "4 dimensions"),
        ({"input_shapes": {"x": (2, 3, 8, 8)}}, "is 1 in the model"),
        ({"dims": {"nope": 1}}, "symbolic dimensions"),
    ],
)
def test_what_cannot_be_fixed_is_refused(
    options: dict[str, object], word: str, load: Callable[..., SourceModel]
) -> None:
    source = load((1, 3, "?", "?"))
    with pytest.raises(UsageError, match=word):
        fix(source, **options)


def test_initializers_leave_the_inputs_of_old_models(load: Callable[..., SourceModel]) -> None:
    source = load((1, 3, 8, 8), out=(1, 3, 8, 8), ir=3)
    weight = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    source.proto.graph.input.append(weight)
    done = fix(source)
    assert [value.name for value in source.proto.graph.input] == ["x"]
    assert source.proto.ir_version == 4
    assert "IR version 3" in done[0]
    assert "1 initializers" in done[0]


def test_newer_ir_is_lowered_and_a_newer_opset_refused(load: Callable[..., SourceModel]) -> None:
    source = load((1, 3), out=(1, 3), ir=14)
    done = fix(source)
    assert source.proto.ir_version == MAX_IR
    assert "lowered" in done[0]
    source.proto.opset_import[0].version = MAX_OPSET + 1
    with pytest.raises(ModelError, match="opset 27") as refused:
        fix(source)
    assert str(MAX_OPSET) in (refused.value.next_step or "")


def test_an_output_without_a_shape_gets_one(load: Callable[..., SourceModel]) -> None:
    source = load((2, 3), out=None)
    assert any("'y'" in sentence for sentence in fix(source))
    assert shape_of(source.proto.graph.output[0]) == [2, 3]


def test_the_checker_is_heard_and_not_obeyed(load: Callable[..., SourceModel]) -> None:
    source = load()
    source.proto.graph.node[0].output[0] = "elsewhere"
    source.data = source.proto.SerializeToString()
    (finding,) = check(source)
    assert finding.startswith("onnx.checker finds a fault")
    assert "\n" not in finding


def test_what_the_model_says_of_itself(load: Callable[..., SourceModel]) -> None:
    source = load(("batch", 3, "?", -1))
    (spec,) = source.spec.inputs
    assert spec.shape == ("batch", 3, None, None)
    assert spec.element_type == "float"
    assert source.spec.opsets == {"ai.onnx": 17}
    assert model_inputs(source.proto) == source.spec.inputs


@pytest.mark.parametrize("data", [b"", b"\x00", b"garbage" * 9, b"\x08\x07", b"PK\x03\x04"])
def test_what_is_no_model_is_a_model_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        read_model(path)


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "missing.bin", ".", ""])
def test_external_data_elsewhere_is_refused(
    location: str, load: Callable[..., SourceModel], tmp_path: Path
) -> None:
    proto = load().proto
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "external.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="external data"):
        read_model(path)


@pytest.mark.parametrize(
    ("operator", "precision"),
    [
        ("Relu", "fp32"),
        ("QuantizeLinear", "int8-static"),
        ("DynamicQuantizeLinear", "int8-dynamic"),
        ("MatMulNBits", "int4"),
    ],
)
def test_the_given_precision_is_told_from_operators(
    operator: str, precision: str, load: Callable[..., SourceModel]
) -> None:
    source = load()
    source.proto.graph.node[0].op_type = operator
    assert given_precision(source.proto) == precision
    source.proto.graph.initializer[0].data_type = TensorProto.FLOAT16
    assert given_precision(source.proto) == "fp16"


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_constants_made_from_a_shape_count_as_weights(sizes: list[int]) -> None:
    shape = helper.make_tensor("s", TensorProto.INT64, [len(sizes)], sizes)
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"])]
    proto = helper.make_model(helper.make_graph(nodes, "g", [], [], [shape]))
    source = SourceModel(path=Path("m"), data=b"123", proto=proto, spec=None, external={})  # type: ignore[arg-type]
    count = 1
    for size in sizes:
        count *= size
    assert weight_bytes(source) == 3 + 4 * count
    assert LARGEST_WEIGHTS_BYTES < 2**31
