"""A model as it was read: bytes, protobuf, what it says of itself.

Runs in the worker. The user's file is read once and never written to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.domain import ModelSpec, Precision, TensorSpec
from ortlab.errors import ModelError
from ortlab.prepare.cache import hash_file, model_digest

if TYPE_CHECKING:
    import onnx

LARGEST_FILE_BYTES = 2**31 - 2**20

_UNNAMED = ("?", "-1", "")
_QUANTIZED = (
    (frozenset({"MatMulNBits", "GatherBlockQuantized"}), Precision.INT4),
    (frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul"}), Precision.INT8_DYNAMIC),
    (frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul"}), Precision.INT8_STATIC),
)


@dataclass(slots=True)
class SourceModel:
    """A model as it was read.

    Attributes:
        path: The user's file.
        data: Its bytes.
        proto: Parsed, external data included; repairs change it.
        spec: What the file says of itself.
        external: Location of external data to SHA-256.
        changed: Whether ``proto`` differs from ``data`` by a repair or external data.
    """

    path: Path
    data: bytes
    proto: onnx.ModelProto
    spec: ModelSpec
    external: Mapping[str, str]
    changed: bool = False


def read_model(path: Path) -> SourceModel:
    """Read and parse a model with its external data.

    Raises:
        ModelError: It cannot be read, is not an ONNX model, is larger than a file may be, or its
            external data is missing or lies outside its directory.
    """
    import onnx

    data = read_bytes(path)
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own error, or what a broken string gives
        message = f"cannot read {path}: it is not an ONNX model ({first_line(error)})"
        raise ModelError(message, next_step="export the model again") from error
    if not proto.HasField("graph"):
        message = f"cannot read {path}: it is not an ONNX model, it holds no graph"
        raise ModelError(message, next_step="export the model again")
    external, external_bytes = _load_external_data(proto, path)
    spec = _describe(
        proto,
        path,
        model_digest(hashlib.sha256(data).hexdigest(), external),
        len(data) + external_bytes,
    )
    return SourceModel(
        path=path, data=data, proto=proto, spec=spec, external=external, changed=bool(external)
    )


def read_bytes(path: Path) -> bytes:
    """Read the user's file whole.

    Raises:
        ModelError: It cannot be read, is empty, or is too large.
    """
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            message = f"cannot prepare {path}: a model file holds at most 2 GB"
            raise ModelError(message, next_step="quantize the model, or split it")
        data = path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise ModelError(message) from error
    if not data:
        message = f"cannot read {path}: the file is empty"
        raise ModelError(message, next_step="export the model again")
    return data


def _load_external_data(proto: onnx.ModelProto, path: Path) -> tuple[dict[str, str], int]:
    """Load external data into the model; return the files' hashes and total size."""
    import onnx

    locations: set[str] = set()
    for tensor in all_tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            locations.update(e.value for e in tensor.external_data if e.key == "location")
    if not locations:
        return {}, 0
    try:
        files = {location: path.parent / location for location in sorted(locations)}
        size = sum(file.stat().st_size for file in files.values())
        if proto.ByteSize() + size > LARGEST_FILE_BYTES:
            message = (
                f"cannot prepare {path}: with its external data it has {size / 1e9:.1f} GB, and"
                " a file in ORT format holds at most 2 GB"
            )
            raise ModelError(message, next_step="quantize the model, or split it")
        onnx.load_external_data_for_model(proto, str(path.parent))
        return {location: hash_file(file) for location, file in files.items()}, size
    except (OSError, ValueError, onnx.checker.ValidationError, RuntimeError) as error:
        message = f"cannot read the external data of {path}: {first_line(error)}"
        raise ModelError(message, next_step="put the data files beside the model") from error


def all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield initializers and tensors in attributes, of subgraphs too."""
    for each in all_graphs(graph):
        yield from each.initializer
        for node in each.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the graphs of its If, Loop and Scan nodes, at any depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_graphs(attribute.g)
            for inner in attribute.graphs:
                yield from all_graphs(inner)


def _describe(proto: onnx.ModelProto, path: Path, sha256: str, size_bytes: int) -> ModelSpec:
    opsets = {item.domain or "ai.onnx": item.version for item in proto.opset_import}
    return ModelSpec(
        file_name=path.name.encode("utf-8", "replace").decode(),
        sha256=sha256,
        size_bytes=size_bytes,
        ir_version=proto.ir_version,
        opsets=opsets,
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        metadata={item.key: item.value for item in proto.metadata_props},
        inputs=model_inputs(proto),
        outputs=tuple(describe_value(value) for value in proto.graph.output),
    )


def model_inputs(proto: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """Return the inputs that must be given: those without an initializer."""
    names = initializer_names(proto.graph)
    return tuple(describe_value(value) for value in proto.graph.input if value.name not in names)


def describe_value(value: onnx.ValueInfoProto) -> TensorSpec:
    """Return a graph input or output; what is no tensor has its kind as element type."""
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        word = (kind or "unknown").removesuffix("_type")
        return TensorSpec(name=value.name, element_type=word, shape=None)
    tensor = value.type.tensor_type
    try:
        element = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    except ValueError:
        element = f"type {tensor.elem_type}"
    shape: tuple[int | str | None, ...] | None = None
    if tensor.HasField("shape"):
        shape = tuple(_described_dim(dim) for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, element_type=element, shape=shape)


def _described_dim(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return None if is_unnamed(dim) else dim.dim_param


def is_unnamed(dim: onnx.TensorShapeProto.Dimension) -> bool:
    """Whether a dimension is an unknown of its own: no name, or one that is no name."""
    if dim.HasField("dim_value"):
        return dim.dim_value <= 0
    return dim.dim_param.strip() in _UNNAMED


def given_precision(proto: onnx.ModelProto) -> Precision:
    """Return the number format that a model came in, from its tensors and operators."""
    import onnx

    half = onnx.TensorProto.FLOAT16
    values = (*proto.graph.input, *proto.graph.output)
    if any(value.type.tensor_type.elem_type == half for value in values) or any(
        tensor.data_type == half for tensor in all_tensors(proto.graph)
    ):
        return Precision.FP16
    operators = {node.op_type for graph in all_graphs(proto.graph) for node in graph.node}
    for names, precision in _QUANTIZED:
        if operators & names:
            return precision
    return Precision.FP32


def initializer_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a graph's own constants, sparse ones included."""
    names = {tensor.name for tensor in graph.initializer}
    names.update(tensor.values.name for tensor in graph.sparse_initializer)
    return names


def first_line(error: BaseException) -> str:
    """Return the start of a foreign error's text on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) if lines else type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def model_bytes(source: SourceModel) -> bytes:
    """Return the repaired model as a file's bytes: the user's own where nothing was repaired."""
    return source.proto.SerializeToString() if source.changed else source.data


def one_line(text: str, limit: int = 500) -> str:
    """Return a foreign message on one printable line."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
