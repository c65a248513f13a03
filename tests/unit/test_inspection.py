"""Inspection and content of model files; `.onnx` in particular."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mutations import mutants
from ortlab.codec import from_json, to_json
from ortlab.domain import ReplayAnswer, TensorSpec
from ortlab.errors import ModelError, UsageError
from ortlab.ort_releases import ModelKind
from ortlab.prepare.content import content_digest, read_model_file, semantic_difference
from ortlab.prepare.inspection import Inspection, inspect_file
from ortlab.prepare.onnx_format import read_onnx

DATA = Path(__file__).parents[1] / "data" / "ort_formats"

CONV = np.arange(12, dtype=np.float32).reshape(3, 4)


def linear(*, ir_version: int = 8, opset: int = 13) -> onnx.ModelProto:
    """MatMul by a constant, then If with a subgraph in each branch."""
    then = helper.make_graph(
        [helper.make_node("Relu", ["product"], ["r"])],
        "then",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, ["n", 4])],
    )
    otherwise = helper.make_graph(
        [helper.make_node("Neg", ["product"], ["m"])],
        "else",
        [],
        [helper.make_tensor_value_info("m", TensorProto.FLOAT, ["n", 4])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], name="matmul"),
        helper.make_node("If", ["flag"], ["y"], name="if", then_branch=then, else_branch=otherwise),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(CONV, "w")],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="by hand",
        producer_version="2",
    )
    model.ir_version = ir_version
    helper.set_model_props(model, {"license": "Apache-2.0"})
    return model


def saved(directory: Path, model: onnx.ModelProto, name: str = "m.onnx") -> Path:
    path = directory / name
    path.write_bytes(model.SerializeToString())
    return path


# ---------------------------------------------------------------------------------- inspect


def test_onnx_is_inspected(tmp_path: Path) -> None:
    path = saved(tmp_path, linear(ir_version=3))
    inspection = inspect_file(path)
    assert inspection.kind is ModelKind.ONNX
    assert inspection.format_version is None
    assert inspection.model.producer == "by hand 2"
    assert inspection.model.metadata == {"license": "Apache-2.0"}
    assert inspection.model.opsets == {"ai.onnx": 13}
    assert inspection.model.inputs == (  # without the initializer that IR 3 lists among them
        TensorSpec(name="x", element_type="float", shape=("n", 3)),
        TensorSpec(name="flag", element_type="bool", shape=()),
    )
    assert inspection.operator_counts == {
        "ai.onnx:MatMul": 1,
        "ai.onnx:If": 1,
        "ai.onnx:Relu": 1,
        "ai.onnx:Neg": 1,
    }
    assert inspection.initializer_bytes == {"float": 48}
    assert inspection.nodes_by_provider == {}
    assert inspection.saved_optimizations == ()
    assert {each.replay for each in inspection.releases} == {ReplayAnswer.NONE_SAVED}
    assert [each.release for each in inspection.releases if not each.loads] == ["1.5"]


def test_ort_is_inspected() -> None:
    inspection = inspect_file(DATA / "small_qdq.runtime-arm.ort-1.26.0.ort", releases=("1.31.1",))
    assert inspection.kind is ModelKind.ORT
    assert inspection.format_version == 6
    assert sum(inspection.nodes_by_provider["CPUExecutionProvider"].values()) == 14
    assert [record.optimizer for record in inspection.saved_optimizations] == [
        "ConvActivationFusion",
        "QDQSelectorActionTransformer",
        "QDQSelectorActionTransformer",
    ]
    sizes = [tensor.size_bytes for tensor in inspection.initializers]
    assert sizes == sorted(sizes, reverse=True)
    (verdict,) = inspection.releases
    assert (verdict.loads, verdict.replay) == (True, ReplayAnswer.FAILS)
    assert any("not in the record" in sentence for sentence in inspection.sentences)


def test_the_sentences_say_which_releases_load_it() -> None:
    sentences = inspect_file(DATA / "small.runtime.ort-1.13.1.ort").sentences
    assert any(s.startswith("Loads in ORT 1.13, 1.14, 1.15") for s in sentences)
    assert any(s.startswith("Replays by default in ORT 1.13") for s in sentences)
    assert "Replays only with a session config key in ORT 1.30, 1.31." in sentences


@pytest.mark.parametrize("name", ["small.onnx", "small_qdq.runtime-arm.ort-1.26.0.ort"])
def test_an_inspection_survives_json(name: str) -> None:
    inspection = inspect_file(DATA / name)
    assert from_json(Inspection, to_json(inspection), source="test") == inspection


def test_what_is_no_file_is_a_usage_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    for name in ("no.onnx", "pipe.onnx", "loop.onnx", "n" * 300, "."):
        with pytest.raises(UsageError, match="cannot inspect"):
            inspect_file(tmp_path / name)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"....TFL3....")
    with pytest.raises(ModelError, match=r"model\.tflite"):
        inspect_file(path)


def test_kind_is_told_by_content_before_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((DATA / "small.fixed.ort-1.31.1.ort").read_bytes())
    assert inspect_file(path).kind is ModelKind.ORT


# ------------------------------------------------------------------------------ external data


def external(directory: Path, **entries: str) -> Path:
    model = linear()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return saved(directory, model)


def test_external_data_is_hashed_but_not_loaded(tmp_path: Path) -> None:
    data = tmp_path / "weights" / "w.bin"
    data.parent.mkdir()
    data.write_bytes(b"....." + CONV.tobytes())
    path = external(tmp_path, location="weights/w.bin", offset="5", length="48")
    before = read_onnx(path, content=True)
    assert before.spec.size_bytes == path.stat().st_size + 53
    assert before.graph.initializers[0].size_bytes == 48
    plain = read_onnx(saved(tmp_path, linear(), "plain.onnx"), content=True)
    assert before.graph.initializers[0].data_sha256 == plain.graph.initializers[0].data_sha256
    digest = content_digest(path)
    data.write_bytes(b"....." + (CONV + 1).tobytes())
    assert read_onnx(path).spec.sha256 != before.spec.sha256
    assert content_digest(path) != digest


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "/etc/hostname", "a/../../w.bin", "", ".", "missing.bin", "link.bin", "a\0b"],
)
def test_external_data_outside_the_directory_is_refused(tmp_path: Path, location: str) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "w.bin").write_bytes(CONV.tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    path = external(inside, location=location)
    for content in (False, True):
        with pytest.raises(ModelError, match=r"m\.onnx"):
            read_onnx(path, content=content)


@pytest.mark.parametrize(
    "entries", [{"offset": "-5"}, {"offset": "9" * 30}, {"offset": "x"}, {"length": "49"}]
)
def test_external_data_beyond_its_file_is_refused(tmp_path: Path, entries: dict[str, str]) -> None:
    (tmp_path / "w.bin").write_bytes(CONV.tobytes())
    path = external(tmp_path, location="w.bin", **entries)
    with pytest.raises(ModelError, match=r"m\.onnx"):
        read_onnx(path)


# ----------------------------------------------------------------------------------- content


def _other_weight(model: onnx.ModelProto) -> None:
    changed = CONV.copy()
    changed[2, 3] = np.nextafter(changed[2, 3], np.float32(99))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(changed, "w"))


def _other_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [4, 3]


def _other_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Add"


def _other_subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[1].attribute[0].g.node[0].op_type = "Abs"


def _branches_swapped(model: onnx.ModelProto) -> None:
    first, second = model.graph.node[1].attribute
    first.name, second.name = second.name, first.name


def _attribute_added(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 1))


def _attribute_of_another_type(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 1.0))


def _inputs_swapped(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[:] = ["w", "x"]


def _opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 14


def _metadata(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = "MIT"


def _symbol(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def _ir_version(model: onnx.ModelProto) -> None:
    model.ir_version = 9


def _node_removed(model: onnx.ModelProto) -> None:
    del model.graph.node[1]


CHANGES: tuple[Callable[[onnx.ModelProto], None], ...] = (
    _other_weight, _other_shape, _other_operator, _other_subgraph, _branches_swapped,
    _attribute_added, _attribute_of_another_type, _inputs_swapped, _opset, _metadata, _symbol,
    _ir_version, _node_removed,
)  # fmt: skip


def test_every_change_changes_the_digest_and_is_told(tmp_path: Path) -> None:
    original = saved(tmp_path, linear())
    digests = {content_digest(original)}
    for change in CHANGES:
        model = linear()
        change(model)
        path = saved(tmp_path, model, f"{change.__name__}.onnx")
        digests.add(content_digest(path))
        assert semantic_difference(original, path), change.__name__
    assert len(digests) == len(CHANGES) + 1


def test_content_does_not_depend_on_order_or_encoding(tmp_path: Path) -> None:
    first = saved(tmp_path, linear())
    model = linear()
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [3, 4], CONV.ravel().tolist())
    assert not tensor.raw_data
    model.graph.initializer[0].CopyFrom(tensor)
    model.graph.node[1].attribute.reverse()
    second = saved(tmp_path, model, "other name.onnx")
    assert first.read_bytes() != second.read_bytes()
    assert semantic_difference(first, second) == ()
    assert content_digest(first) == content_digest(second)


@pytest.mark.parametrize(
    ("element_type", "values"),
    [
        (TensorProto.FLOAT, [1.5, -0.0]),
        (TensorProto.DOUBLE, [1e300]),
        (TensorProto.INT64, [-(2**63)]),
        (TensorProto.UINT64, [2**64 - 1]),
        (TensorProto.INT32, [-5]),
        (TensorProto.UINT32, [2**32 - 1]),
        (TensorProto.INT16, [-2]),
        (TensorProto.UINT8, [255]),
        (TensorProto.INT8, [-128, 127]),
        (TensorProto.BOOL, [True, False]),
        (TensorProto.FLOAT16, [1.5, -2.0]),
        (TensorProto.BFLOAT16, [1.5]),
    ],
)
def test_typed_and_raw_data_are_the_same(
    tmp_path: Path, element_type: int, values: list[float]
) -> None:
    typed = helper.make_tensor("t", element_type, [len(values)], values)
    raw = numpy_helper.from_array(numpy_helper.to_array(typed), "t")
    assert raw.raw_data
    assert not typed.raw_data
    hashes = set()
    for at, tensor in enumerate((typed, raw)):
        model = linear()
        model.graph.initializer.append(tensor)
        found = read_onnx(saved(tmp_path, model, f"{at}.onnx"), content=True).graph.initializers[1]
        hashes.add((found.element_type, found.shape, found.size_bytes, found.data_sha256))
    assert len(hashes) == 1


def test_strings_and_other_types_have_content(tmp_path: Path) -> None:
    digests = set()
    for texts in ([b"ab", b"c"], [b"a", b"bc"], [b"ab", b"d"]):
        model = linear()
        model.graph.initializer.append(numpy_helper.from_array(np.array(texts, object), "s"))
        digests.add(content_digest(saved(tmp_path, model)))
    assert len(digests) == 3


def test_a_changed_weight_of_an_ort_file_changes_its_digest(tmp_path: Path) -> None:
    original = DATA / "small.runtime.ort-1.31.1.ort"
    weights = numpy_helper.to_array(onnx.load(DATA / "small.onnx").graph.initializer[0]).tobytes()
    data = original.read_bytes()
    assert data.count(weights) == 1
    changed = tmp_path / "m.ort"
    changed.write_bytes(data.replace(weights, weights[:-1] + bytes([weights[-1] ^ 1])))
    assert content_digest(changed) != content_digest(original)
    (sentence,) = semantic_difference(original, changed)
    assert "initializer 'w0'" in sentence


def test_a_changed_saved_record_changes_the_digest(tmp_path: Path) -> None:
    original = DATA / "small.runtime.ort-1.31.1.ort"
    data = original.read_bytes()
    nodes = struct.pack("<III", 2, 10, 11)  # a vector of two node indices
    assert data.count(nodes) == 1
    changed = tmp_path / "m.ort"
    changed.write_bytes(data.replace(nodes, struct.pack("<III", 2, 10, 12)))
    assert content_digest(changed) != content_digest(original)
    (sentence,) = semantic_difference(original, changed)
    assert "saved optimizations" in sentence


def test_styles_differ_and_copies_do_not(tmp_path: Path) -> None:
    fixed, runtime = (DATA / f"small.{style}.ort-1.31.1.ort" for style in ("fixed", "runtime"))
    copy = tmp_path / "copy.ort"
    copy.write_bytes(fixed.read_bytes())
    assert content_digest(copy) == content_digest(fixed)
    assert semantic_difference(copy, fixed) == ()
    assert semantic_difference(fixed, runtime)


# ----------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "m.onnx"


def _survives(path: Path, data: bytes) -> bool:
    """Inspect damaged bytes; nothing but a ModelError that names the file may come."""
    path.write_bytes(data)
    try:
        inspect_file(path)
        content_digest(path)
    except ModelError as error:
        assert str(path) in error.message  # noqa: PT017
        return False
    return True


@settings(max_examples=300)
@given(
    name=st.sampled_from(("small_qdq.onnx", "small.onnx", "built")),
    cut=st.floats(0, 1) | st.none(),
    writes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12),
)
def test_damaged_onnx_is_survived(
    damaged: Path, name: str, cut: float | None, writes: list[tuple[float, int]]
) -> None:
    good = linear().SerializeToString() if name == "built" else (DATA / name).read_bytes()
    data = bytearray(good[: None if cut is None else int(cut * len(good))])
    for share, byte in writes if data else ():
        data[min(int(share * len(data)), len(data) - 1)] = byte
    _survives(damaged, bytes(data))


def test_mutants_are_survived(tmp_path: Path, seed: int) -> None:
    built = saved(tmp_path, linear(), "built.onnx")
    originals = [built, DATA / "small.onnx", DATA / "small_qdq.runtime-arm.ort-1.31.1.ort"]
    made = mutants(originals, 450, seed)
    outcomes = [_survives(tmp_path / mutant.name, mutant.data) for mutant in made]
    assert 0.05 < sum(outcomes) / len(outcomes) < 0.95


@pytest.mark.parametrize("data", [b"", b"\0", b"hello world", b"\x0a" * 1000, b"\x3a\x00"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    if data == b"\x3a\x00":  # an empty graph is a graph
        assert read_model_file(path).operator_counts() == {}
        return
    with pytest.raises(ModelError, match=r"m\.onnx"):
        read_model_file(path)


def _message(number: int, payload: bytes) -> bytes:
    """Encode a message field as protobuf does."""
    length, size = b"", len(payload)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


@pytest.mark.parametrize(("depth", "accepted"), [(20, True), (33, False), (300, False)])
def test_deep_subgraphs_are_refused(tmp_path: Path, depth: int, accepted: bool) -> None:
    graph = b""
    for _ in range(depth):
        attribute = _message(6, graph) + b"\xa0\x01\x05"  # g, and type GRAPH
        graph = _message(1, _message(5, attribute))  # a node of a graph
    path = tmp_path / "m.onnx"
    path.write_bytes(_message(7, graph))
    if accepted:
        assert sum(read_onnx(path).operator_counts().values()) == depth
        return
    with pytest.raises(ModelError, match=r"m\.onnx"):
        read_onnx(path)


def test_strings_that_are_not_utf8_are_survived(tmp_path: Path) -> None:
    data = linear().SerializeToString().replace(b"matmul", b"mat\xfful")
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert read_onnx(path).graph.nodes[0].name == "mat\\xfful"
    assert content_digest(path)


def test_names_may_be_anything(tmp_path: Path) -> None:
    model = linear()
    odd = "<script>\n$(x)\u202e../" + "n" * 300
    model.graph.node[0].name = odd
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "?"
    parsed = read_onnx(saved(tmp_path, model))
    assert parsed.graph.nodes[0].name == odd
    assert parsed.spec.inputs[0].shape == (None, 3)
