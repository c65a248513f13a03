"""Hear `onnx.checker`, and repair what would silently break later.

Runs in the worker, on a model that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ortlab.errors import ModelError, UsageError
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.source import (
    SourceModel,
    all_graphs,
    first_line,
    initializer_names,
    is_unnamed,
)

if TYPE_CHECKING:
    import onnx

_DEFAULT_DOMAINS = ("", "ai.onnx")
_FIRST_IR_WITHOUT_INITIALIZER_INPUTS = 4


def check(source: SourceModel) -> tuple[str, ...]:
    """Return what `onnx.checker` finds, in plain words; nothing when it finds no fault."""
    import onnx

    try:
        if source.external:
            onnx.checker.check_model(str(source.path))
        else:
            onnx.checker.check_model(source.data)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        return (f"onnx.checker finds a fault: {first_line(error)}",)
    return ()


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
        names = initializer_names(proto.graph)
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
        if negative or (dim.HasField("dim_param") and is_unnamed(dim)):
            dim.Clear()
            cleared += 1
    if not cleared:
        return []
    return [f"{cleared} dimensions given as ?, -1 or an empty name were made distinct unknowns"]


def _fix_dimensions(proto: onnx.ModelProto, options: PrepareOptions, path: Path) -> list[str]:
    done: list[str] = []
    sizes = dict(options.dims)
    names = initializer_names(proto.graph)
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
        if is_unnamed(dim):
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
