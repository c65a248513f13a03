"""Read a model, hear `onnx.checker`, and repair what would silently break later.

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
from ortlab.errors import ModelError, UsageError
from ortlab.prepare.cache import hash_file, model_digest
from ortlab.prepare.options import PrepareOptions

if TYPE_CHECKING:
    import onnx

LARGEST_FILE_BYTES = 2**31 - 2**20

_DEFAULT_DOMAINS = ("", "ai.onnx")
_UNNAMED = ("?", "-1", "")
_QUANTIZED = (
    (frozenset({"MatMulNBits", "GatherBlockQuantized"}), Precision.INT4),
    (frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul"}), Precision.INT8_DYNAMIC),
    (frozenset({"QuantizeLinear", "QLinearConv", "QLinearMatMul"}), Precision.INT8_STATIC),
)
_FIRST_IR_WITHOUT_INITIALIZER_INPUTS = 4


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
        message = f"cannot read {path}: it is not an ONNX model ({_first_line(error)})"
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
        message = f"cannot read the external data of {path}: {_first_line(error)}"
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
    names = _initializer_names(proto.graph)
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
    return None if _is_unnamed(dim) else dim.dim_param


def _is_unnamed(dim: onnx.TensorShapeProto.Dimension) -> bool:
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


def _initializer_names(graph: onnx.GraphProto) -> set[str]:
    names = {tensor.name for tensor in graph.initializer}
    names.update(tensor.values.name for tensor in graph.sparse_initializer)
    return names


def check(source: SourceModel) -> tuple[str, ...]:
    """Return what `onnx.checker` finds, in plain words; nothing when it finds no fault."""
    import onnx

    try:
        if source.external:
            onnx.checker.check_model(str(source.path))
        else:
            onnx.checker.check_model(source.data)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        return (f"onnx.checker finds a fault: {_first_line(error)}",)
    return ()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:2]) if lines else type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


# ------------------------------------------------------------------------------ repairs


def repair(
    source: SourceModel, options: PrepareOptions, *, max_ir: int, max_opset: int
) -> tuple[str, ...]:
    """Repair the parsed model in place; return what was done, in sentences.

    Args:
        source: Changed in place.
        options: Which dimensions to fix.
        max_ir: Largest IR version that the runtime takes.
        max_opset: Largest version of `ai.onnx` that it takes.

    Raises:
        ModelError: The opset is newer than the runtime knows.
        UsageError: A dimension cannot be fixed as asked.
    """
    proto = source.proto
    _check_opset(source, max_opset)
    done: list[str] = []
    if source.external:
        count = len(source.external)
        done.append(f"external data ({count} file{'s' * (count > 1)}) was put into the model file")
    done += _repair_ir(proto, max_ir)
    done += _separate_unknowns(proto.graph)
    fixed = _fix_dimensions(proto, options, source.path)
    done += fixed
    done += _infer_shapes(source, refresh=bool(fixed))
    source.changed = bool(done)
    return tuple(done)


def _check_opset(source: SourceModel, max_opset: int) -> None:
    for item in source.proto.opset_import:
        if item.domain in _DEFAULT_DOMAINS and item.version > max_opset:
            message = (
                f"cannot prepare {source.path}: it uses opset {item.version} of ai.onnx, and the"
                f" installed onnxruntime takes at most {max_opset}"
            )
            raise ModelError(message, next_step=f"export it with opset {max_opset} or lower")


def _repair_ir(proto: onnx.ModelProto, max_ir: int) -> list[str]:
    done = []
    if proto.ir_version < _FIRST_IR_WITHOUT_INITIALIZER_INPUTS:
        names = _initializer_names(proto.graph)
        kept = [value for value in proto.graph.input if value.name not in names]
        dropped = len(proto.graph.input) - len(kept)
        done.append(
            f"IR version {proto.ir_version} was raised to {_FIRST_IR_WITHOUT_INITIALIZER_INPUTS}"
            + (
                f", and {dropped} initializers were dropped from the inputs: they would have"
                " become required inputs of the .ort file"
                if dropped
                else ""
            )
        )
        if dropped:
            del proto.graph.input[:]
            proto.graph.input.extend(kept)
        proto.ir_version = _FIRST_IR_WITHOUT_INITIALIZER_INPUTS
    elif proto.ir_version > max_ir:
        done.append(
            f"IR version {proto.ir_version} was lowered to {max_ir}, the largest that the"
            " installed onnxruntime takes"
        )
        proto.ir_version = max_ir
    return done


def _dimensions(graph: onnx.GraphProto) -> Iterator[onnx.TensorShapeProto.Dimension]:
    for each in all_graphs(graph):
        for values in (each.input, each.output, each.value_info):
            for value in values:
                if value.type.WhichOneof("value") == "tensor_type":
                    yield from value.type.tensor_type.shape.dim


def _separate_unknowns(graph: onnx.GraphProto) -> list[str]:
    """Clear names that are no names: two dimensions named ``?`` would be taken for equal."""
    cleared = 0
    for dim in _dimensions(graph):
        negative = dim.HasField("dim_value") and dim.dim_value < 0
        if negative or (dim.HasField("dim_param") and _is_unnamed(dim)):
            dim.Clear()
            cleared += 1
    if not cleared:
        return []
    return [f"{cleared} dimensions given as ?, -1 or an empty name were made distinct unknowns"]


def _fix_dimensions(proto: onnx.ModelProto, options: PrepareOptions, path: Path) -> list[str]:
    done: list[str] = []
    sizes = dict(options.dims)
    names = _initializer_names(proto.graph)
    inputs = {value.name: value for value in proto.graph.input if value.name not in names}
    for name, shape in options.input_shapes.items():
        if name not in inputs:
            message = f"cannot fix input {name!r} of {path}: its inputs are {_listed(inputs)}"
            raise UsageError(message)
        _fix_input(inputs[name], shape, sizes, path)
        done.append(f"input {name!r} was fixed to {'×'.join(map(str, shape)) or 'a scalar'}")
    unused = set(sizes)
    for dim in _dimensions(proto.graph):
        size = sizes.get(dim.dim_param) if dim.HasField("dim_param") else None
        if size is not None:
            unused.discard(dim.dim_param)
            dim.Clear()
            dim.dim_value = size
    if unknown := sorted(unused & set(options.dims)):
        known = sorted({d.dim_param for d in _dimensions(proto.graph) if d.dim_param})
        message = (
            f"cannot fix dimension {unknown[0]!r} of {path}: its symbolic dimensions are"
            f" {_listed(known)}"
        )
        step = "fix the inputs that have unnamed dimensions with --input-shape NAME=SIZES"
        raise UsageError(message, next_step=step)
    done += [f"dimension {name!r} was fixed to {size}" for name, size in sizes.items()]
    return done


def _fix_input(
    value: onnx.ValueInfoProto, shape: tuple[int, ...], sizes: dict[str, int], path: Path
) -> None:
    """Fix one input; symbols it uses are added to ``sizes``."""
    if value.type.WhichOneof("value") != "tensor_type":
        message = f"cannot fix input {value.name!r} of {path}: it is not a tensor"
        raise UsageError(message)
    tensor = value.type.tensor_type
    what = f"cannot fix input {value.name!r} of {path} to {list(shape)}"
    if not tensor.HasField("shape"):
        for _ in shape:
            tensor.shape.dim.add()
    if len(tensor.shape.dim) != len(shape):
        message = f"{what}: it has {len(tensor.shape.dim)} dimensions"
        raise UsageError(message)
    for index, (dim, size) in enumerate(zip(tensor.shape.dim, shape, strict=True)):
        if _is_unnamed(dim):
            dim.Clear()
            dim.dim_value = size
        elif dim.HasField("dim_value"):
            if dim.dim_value != size:
                message = f"{what}: dimension {index} is {dim.dim_value} in the model"
                raise UsageError(message)
        elif sizes.setdefault(dim.dim_param, size) != size:
            message = f"{what}: dimension {dim.dim_param!r} is {sizes[dim.dim_param]} elsewhere"
            raise UsageError(message)


def _listed(names: Mapping[str, object] | list[str]) -> str:
    shown = [repr(name) for name in list(names)[:8]]
    return ", ".join(shown) + (" …" if len(names) > len(shown) else "") if shown else "none"


def _infer_shapes(source: SourceModel, *, refresh: bool) -> list[str]:
    """Infer shapes when an output has none, or after dimensions were fixed."""
    import onnx

    proto = source.proto
    shapeless = [value.name for value in proto.graph.output if _has_no_shape(value)]
    if not refresh and not shapeless:
        return []
    if refresh:
        _forget_symbols(proto.graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=refresh)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return []  # ORT runs its own inference, and says what is wrong in its own words
    still = {value.name for value in inferred.graph.output if _has_no_shape(value)}
    found = [name for name in shapeless if name not in still]
    if not refresh and not found:
        return []
    source.proto = inferred
    if refresh:
        return ["shapes of the values in between and of the outputs were inferred anew"]
    return [f"shapes of outputs that had none were inferred: {_listed(found)}"]


def _has_no_shape(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind is None or (
        kind == "tensor_type"
        and not (value.type.tensor_type.HasField("shape") and value.type.tensor_type.elem_type)
    )


def _forget_symbols(graph: onnx.GraphProto) -> None:
    """Clear symbols of values that nodes compute; inference names what stays unknown anew."""
    for each in all_graphs(graph):
        for values in (each.output, each.value_info):
            for value in values:
                if value.type.WhichOneof("value") == "tensor_type":
                    for dim in value.type.tensor_type.shape.dim:
                        if dim.HasField("dim_param") or dim.dim_value < 0:
                            dim.Clear()


def model_bytes(source: SourceModel) -> bytes:
    """Return the repaired model as a file's bytes: the user's own where nothing was repaired."""
    return source.proto.SerializeToString() if source.changed else source.data


def one_line(text: str, limit: int = 500) -> str:
    """Return a foreign message on one printable line."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
