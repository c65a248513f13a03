"""The reader of `.ort` files: against the measured facts, the wheel's accessors, and damage."""

from __future__ import annotations

import importlib
import importlib.util
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortlab.errors import ModelError
from ortlab.prepare.content import content_digest
from ortlab.prepare.graph import ELEMENT_TYPES, ParsedModel
from ortlab.prepare.inspection import format_facts
from ortlab.prepare.ort_format import read_ort
from ortlab.prepare.saved_records import contradictions

DATA = Path(__file__).parents[1] / "data" / "ort_formats"
MATRIX: dict[str, Any] = json.loads((DATA / "matrix.json").read_text())
FILES = {file["name"]: file for file in MATRIX["files"]}


# ---------------------------------------------------------------------------------- good files


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_read(name: str) -> None:
    known, model = FILES[name], read_ort(DATA / name)
    assert model.format_version == int(known["ort_version"])
    assert model.spec.size_bytes == known["bytes"]
    counts: Counter[str] = Counter()
    for operator, count in model.operator_counts().items():
        counts[operator.partition(":")[2]] += count
    assert counts == known["ops"]
    assert model.saved_optimizations() == known["runtime_optimizations"]
    assert len(model.graph.unused_values) == known["unused_node_args"]
    size = 16 if known["model"] == "small" else 8
    assert [(each.name, each.element_type, each.shape) for each in model.spec.inputs] == [
        ("x", "float", (1, 3, size, size))
    ]
    assert [(each.name, each.element_type) for each in model.spec.outputs] == [("y", "float")]
    assert model.spec.producer == "ort_formats"
    assert model.spec.opsets["ai.onnx"] == (11 if known["model"] == "small" else 13)
    assert model.spec.ir_version == (6 if known["model"] == "small" else 7)
    assert {node.execution_provider for node in model.graph.nodes} == {"CPUExecutionProvider"}
    kernels = model.extra["kernels"]
    assert any("kernel" in entry for entry in kernels) == known["kernel_hashes"]
    assert bool(kernels)


def test_initializers_are_those_of_the_model() -> None:
    shapes = {
        each.name: (each.element_type, each.shape, each.size_bytes)
        for each in read_ort(DATA / "small.runtime.ort-1.15.1.ort").graph.initializers
    }
    assert shapes["w0"] == ("float", (8, 3, 3, 3), 8 * 27 * 4)
    assert shapes["bg"] == ("float", (10,), 40)
    assert len(shapes) == 14  # six weights and biases, and Gemm's


@pytest.fixture(scope="module")
def accessors() -> Iterator[Any]:
    """The wheel's generated accessors, without the wheel's native library."""
    found = importlib.util.find_spec("onnxruntime")
    assert found is not None
    root = Path(str(found.origin)).parent
    folder = str(root / "tools" / "ort_format_model")
    sys.path.append(folder)  # at the end: a module in it is named like one of Python's own
    yield importlib.import_module("ort_flatbuffers_py.fbs.InferenceSession").InferenceSession
    sys.path.remove(folder)


@pytest.mark.parametrize("name", FILES)
def test_reader_agrees_with_the_wheels_accessors(name: str, accessors: Any) -> None:
    graph = accessors.GetRootAs((DATA / name).read_bytes(), 0).Model().Graph()
    model = read_ort(DATA / name)
    nodes = [graph.Nodes(at) for at in range(graph.NodesLength())]
    assert [
        (
            node.Index(),
            node.Name().decode(),
            node.OpType().decode(),
            node.SinceVersion(),
            tuple(node.Inputs(at).decode() for at in range(node.InputsLength())),
            tuple(node.Outputs(at).decode() for at in range(node.OutputsLength())),
            node.AttributesLength(),
        )
        for node in nodes
    ] == [
        (
            node.index,
            node.name,
            node.operator,
            node.since_version,
            node.inputs,
            node.outputs,
            len(node.attributes),
        )
        for node in model.graph.nodes
    ]
    tensors = [graph.Initializers(at) for at in range(graph.InitializersLength())]
    assert [
        (
            tensor.Name().decode(),
            ELEMENT_TYPES[tensor.DataType()],
            tuple(tensor.Dims(at) for at in range(tensor.DimsLength())),
            tensor.RawDataLength(),
        )
        for tensor in tensors
    ] == [
        (tensor.name, tensor.element_type, tensor.shape, tensor.size_bytes)
        for tensor in model.graph.initializers
    ]
    assert list(_saved(graph)) == [
        (record.optimizer, record.action, record.node_indices, record.produced_operators)
        for record in model.graph.records
    ]


def _saved(graph: Any) -> Iterator[tuple[str, str, tuple[int, ...], tuple[str, ...]]]:
    saved = graph.RuntimeOptimizations()
    for group in (saved.Records(at) for at in range(saved.RecordsLength() if saved else 0)):
        for at in range(group.RuntimeOptimizationRecordsLength()):
            record = group.RuntimeOptimizationRecords(at)
            nodes = record.NodesToOptimizeIndices()
            yield (
                group.OptimizerName().decode(),
                record.ActionId().decode(),
                tuple(nodes.NodeIndices(i) for i in range(nodes.NodeIndicesLength())),
                tuple(
                    record.ProducedOpIds(i).decode() for i in range(record.ProducedOpIdsLength())
                ),
            )


# ------------------------------------------------------------------------------ contradictions


def test_only_the_records_of_converter_1_26_contradict() -> None:
    found = {name: contradictions(read_ort(DATA / name).graph) for name in FILES}
    broken = {name: sentences for name, sentences in found.items() if sentences}
    assert list(broken) == ["small_qdq.runtime-arm.ort-1.26.0.ort"]
    (sentence,) = broken["small_qdq.runtime-arm.ort-1.26.0.ort"]
    assert "Conv 'c0'" in sentence
    assert "Relu 'relu'" in sentence


def test_records_that_share_nodes_do_not_contradict() -> None:
    """1.31.1 saves Conv and Relu twice; the first record takes them, the second is skipped."""
    model = read_ort(DATA / "small_qdq.runtime-arm.ort-1.31.1.ort")
    shared = [set(record.node_indices) for record in model.graph.records]
    assert shared[0] & shared[1]
    assert contradictions(model.graph) == ()


# --------------------------------------------------------------------------------- built files


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _table(builder: Any, fields: dict[int, int]) -> int:
    builder.StartObject(max(fields, default=0) + 1)
    for number, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    return int(builder.EndObject())


def _nested_graphs(builder: Any, depth: int, width: int) -> int:
    """Graphs in which ``width`` nodes each hold the same graph of the next depth."""
    graph = _table(builder, {})
    for _ in range(depth):
        nodes = []
        for _ in range(width):
            builder.StartObject(8)
            builder.PrependInt32Slot(2, 5, 0)  # an attribute of kind graph
            builder.PrependUOffsetTRelativeSlot(7, graph, 0)
            attribute = int(builder.EndObject())
            nodes.append(_table(builder, {10: _vector(builder, [attribute])}))
        graph = _table(builder, {2: _vector(builder, nodes)})
    return graph


def _ort_file(path: Path, depth: int, width: int, version: str = "6") -> Path:
    builder = flatbuffers.Builder(1024)
    graph = _nested_graphs(builder, depth, width)
    model = _table(builder, {7: graph})
    root = _table(builder, {0: builder.CreateString(version), 1: model})
    builder.Finish(root, b"ORTM")
    path.write_bytes(bytes(builder.Output()))
    return path


def test_subgraphs_are_read(tmp_path: Path) -> None:
    model = read_ort(_ort_file(tmp_path / "m.ort", depth=3, width=2))
    assert sum(model.operator_counts().values()) == 2 + 4 + 8


def test_the_deepest_subgraphs_allowed_have_content(tmp_path: Path) -> None:
    paths = [_ort_file(tmp_path / f"{depth}.ort", depth=depth, width=1) for depth in (31, 32)]
    assert len({content_digest(path) for path in paths}) == 2


@pytest.mark.parametrize(("depth", "width"), [(30, 2), (31, 50), (200, 1), (10, 10)])
def test_graphs_that_multiply_are_refused(tmp_path: Path, depth: int, width: int) -> None:
    path = _ort_file(tmp_path / "m.ort", depth=depth, width=width)
    with pytest.raises(ModelError, match=r"m\.ort"):
        read_ort(path)


@pytest.mark.parametrize("version", ["", "0", "7", "six", "-1", "99999999999999999999", "²"])
def test_unknown_format_versions_are_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ModelError, match="format version"):
        read_ort(_ort_file(tmp_path / "m.ort", depth=0, width=0, version=version))


@pytest.mark.parametrize("data", [b"", b"ORT", b"\0" * 8, b"\xff" * 64, b"\x08\0\0\0ORTM"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"m\.ort"):
        read_ort(path)


# ------------------------------------------------------------------------------- damaged files

BASES = (
    "small_qdq.runtime-arm.ort-1.31.1.ort",
    "small_qdq.fixed.ort-1.7.0.ort",
    "small_qdq.runtime-arm.ort-1.11.1.ort",
    "small_qdq.runtime-arm.ort-1.26.0.ort",
)
WORDS = (0, 1, 4, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)


def _survives(path: Path, data: bytes) -> ParsedModel | None:
    """Read damaged bytes in all ways; nothing but a ModelError that names the file may come."""
    path.write_bytes(data)
    try:
        model = read_ort(path, content=True)
        format_facts(model)
    except ModelError as error:
        assert str(path) in error.message  # noqa: PT017
        return None
    return model


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "m.ort"


@given(name=st.sampled_from(BASES), share=st.floats(0, 1))
def test_truncated_files_are_refused(damaged: Path, name: str, share: float) -> None:
    data = (DATA / name).read_bytes()
    _survives(damaged, data[: int(share * len(data))])


@settings(max_examples=300)
@given(
    name=st.sampled_from(BASES),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=20),
)
def test_flipped_bits_are_survived(
    damaged: Path, name: str, flips: list[tuple[float, int]]
) -> None:
    data = bytearray((DATA / name).read_bytes())
    for share, bit in flips:
        data[min(int(share * len(data)), len(data) - 1)] ^= 1 << bit
    _survives(damaged, bytes(data))


@settings(max_examples=300)
@given(
    name=st.sampled_from(BASES),
    writes=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(WORDS) | st.integers(0, 1 << 16)),
        min_size=1,
        max_size=6,
    ),
)
def test_overwritten_words_are_survived(
    damaged: Path, name: str, writes: list[tuple[float, int]]
) -> None:
    data = bytearray((DATA / name).read_bytes())
    for share, word in writes:
        struct.pack_into("<I", data, int(share * (len(data) - 4)) & ~3, word)
    _survives(damaged, bytes(data))


def test_words_all_over_a_file_may_be_damaged(damaged: Path) -> None:
    """Every third word in turn: offsets, lengths and layouts of all kinds are hit."""
    data = (DATA / "small_qdq.runtime-arm.ort-1.31.1.ort").read_bytes()
    outcomes: Counter[bool] = Counter()
    for at in range(0, len(data) - 4, 12):
        broken = bytearray(data)
        struct.pack_into("<I", broken, at, (0, 0xFFFFFFF0, at)[at // 12 % 3])
        outcomes[_survives(damaged, bytes(broken)) is None] += 1
    assert min(outcomes.values()) > 100  # both refused and still readable
