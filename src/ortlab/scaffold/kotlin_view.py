"""What the Kotlin templates need to know of a model, as strings and expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ortlab.domain import ClassificationKind, ImageKind, Layout, TensorSpec
from ortlab.scaffold.kotlin_code import Call, Expression, Text, call, list_of
from ortlab.scaffold.kotlin_descriptor import Shape, TensorView, model_descriptor
from ortlab.scaffold.kotlin_model import (
    INPUT_TYPES,
    OUTPUT_TYPES,
    ModelForSdk,
    Signature,
    image_inputs,
    signature,
    state_dimensions,
    state_inputs,
)
from ortlab.scaffold.kotlin_names import comment_text, distinct, property_name

_SDK: Final = "dev.ortlab.sdk"
_LABELS_A_FUNCTION: Final = 1000
"""A JVM method holds 64 KiB of code, and a list's item takes some ten bytes."""
_INPUT_MEMBERS: Final = frozenset({"binding", "close", "descriptor", "tensors"})
_OUTPUT_MEMBERS: Final = frozenset({"labels", "tensors"})
_SHAPE_LENGTH: Final = 90
_DIMENSION_LENGTH: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of `allocate`: a size, or all sizes of a tensor that declares none."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model's class.

    Attributes:
        class_name: Its name.
        comment: The model's name, for KDoc.
        inputs: That callers give.
        outputs: That callers get.
        parameters: Of `Input.allocate`.
        allocation: What it answers.
        binding: The inputs' tensors, checked.
        descriptor: The model's descriptor.
        label_parts: Lists of labels, each by its function's name.
        imports: Sorted.
        has_state: Whether the session carries something over.
        picture_input: The one input, where it is a picture, else None.
    """

    class_name: str
    comment: str
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    parameters: tuple[Parameter, ...]
    allocation: Call
    binding: Call
    descriptor: Call
    label_parts: Mapping[str, Expression]
    imports: tuple[str, ...]
    has_state: bool
    picture_input: TensorView | None


def model_view(model: ModelForSdk, name: str) -> ModelView:
    """Return what the template `model.kt.j2` shows; ``name`` is the class's."""
    whole = signature(model.prepared)
    states = state_inputs(model)
    fed = {output for output, _ in states.values()}
    caller = Signature(
        inputs=tuple(tensor for tensor in whole.inputs if tensor.name not in states),
        outputs=tuple(tensor for tensor in whole.outputs if tensor.name not in fed),
    )
    names = distinct(
        (property_name(t.name, fallback="input") for t in caller.inputs), _INPUT_MEMBERS
    )
    fixed = state_dimensions(model, whole)
    parameters, allocations = _allocation(model, caller, names, fixed)
    inputs = tuple(
        _input_view(model, tensor, names[i], allocations[i])
        for i, tensor in enumerate(caller.inputs)
    )
    outputs, label_parts = _output_views(model, caller)
    pictures = [view for view in inputs if view.is_image]
    picture = pictures[0] if len(inputs) == 1 and pictures else None
    return ModelView(
        class_name=name,
        comment=comment_text(model.prepared.name),
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        allocation=Call(
            function="Input",
            arguments=tuple((view.name, view.allocation) for view in inputs),
            multiline=True,
        ),
        binding=call(
            "InputBinding", "descriptor", list_of(*(v.name for v in inputs), item_type="Tensor")
        ),
        descriptor=model_descriptor(model, caller, inputs, outputs, whole),
        label_parts=label_parts,
        imports=_imports(model, inputs, outputs, caller),
        has_state=bool(states),
        picture_input=picture,
    )


# ------------------------------------------------------------------------------ inputs


def _input_view(
    model: ModelForSdk, tensor: TensorSpec, name: str, allocation: Expression
) -> TensorView:
    kind = image_inputs(model).get(tensor.name)
    return TensorView(
        name=name,
        suffix=name[0].upper() + name[1:],
        type=INPUT_TYPES[tensor.element_type],
        comment=comment_text(tensor.name),
        described=_described(tensor),
        allocation=allocation,
        is_image=kind is not None,
        format=f"{name}Format" if kind else "",
        format_value=_image_format(kind, tensor) if kind else "",
    )


def _allocation(
    model: ModelForSdk, caller: Signature, names: tuple[str, ...], fixed: Mapping[str, int]
) -> tuple[tuple[Parameter, ...], tuple[Expression, ...]]:
    """Return the parameters of `allocate` and what makes each tensor of them."""
    images = image_inputs(model)
    shapes = [
        _image_shape(images[tensor.name], tensor) if tensor.name in images else tensor.shape
        for tensor in caller.inputs
    ]
    wanted: dict[tuple[str, int], tuple[str, str, str]] = {}
    for index, (tensor, shape) in enumerate(zip(caller.inputs, shapes, strict=True)):
        said = comment_text(tensor.name)
        if shape is None:
            wanted["", index] = (f"{names[index]}Shape", "LongArray", f"sizes of `{said}`")
        for axis, size in enumerate(shape or ()):
            if size is None:
                own = (f"{names[index]}Size{axis}", "Long", f"size {axis} of `{said}`")
                wanted[f"?{axis}", index] = own
            elif isinstance(size, str) and size not in fixed:
                shown = f"size of `{comment_text(size)}`"
                wanted[f"={size}", 0] = (property_name(size, fallback="size"), "Long", shown)
    chosen = dict(zip(wanted, distinct(name for name, _, _ in wanted.values()), strict=True))
    parameters = tuple(
        Parameter(name=chosen[key], type=wanted[key][1], comment=wanted[key][2]) for key in wanted
    )
    allocations = []
    for index, (tensor, shape) in enumerate(zip(caller.inputs, shapes, strict=True)):
        sizes: list[Expression] = []
        if shape is None:
            sizes = [f"*{chosen['', index]}"]
        for axis, size in enumerate(shape or ()):
            if size is None:
                sizes.append(chosen[f"?{axis}", index])
            elif isinstance(size, str):
                sizes.append(str(fixed[size]) if size in fixed else chosen[f"={size}", 0])
            else:
                sizes.append(str(size))
        allocations.append(call(f"{INPUT_TYPES[tensor.element_type]}.allocate", *sizes))
    return parameters, tuple(allocations)


# ------------------------------------------------------------------------------ kinds


def _image_shape(kind: ImageKind, tensor: TensorSpec) -> Shape:
    width, height = _image_sizes(kind, tensor)
    channels = 1 if kind.color_order == "gray" else 3
    if kind.layout is Layout.NCHW:
        return (1, channels, height, width)
    return (1, height, width, channels)


def _image_sizes(kind: ImageKind, tensor: TensorSpec) -> tuple[int, int]:
    rows, columns = (2, 3) if kind.layout is Layout.NCHW else (1, 2)
    shape = tensor.shape or (1, None, None, None)
    height, width = kind.height or shape[rows], kind.width or shape[columns]
    return int(width or 0), int(height or 0)


def _image_format(kind: ImageKind, tensor: TensorSpec) -> Expression:
    width, height = _image_sizes(kind, tensor)
    channel_type = {"uint8": "UINT8", "float16": "FLOAT16", "float": "FLOAT"}[tensor.element_type]
    return call(
        "ImageFormat",
        width=str(width),
        height=str(height),
        layout=f"Layout.{kind.layout.name}",
        colorOrder=f"ColorOrder.{kind.color_order.name}",
        channelType=f"ChannelType.{channel_type}",
        scale=repr(float(kind.scale)),
        mean=list_of(*(repr(float(value)) for value in kind.mean), item_type="Double"),
        std=list_of(*(repr(float(value)) for value in kind.std), item_type="Double"),
        resize=f"ResizeRule.{kind.resize.name}",
        padding=repr(float(kind.padding)),
        antialias="true" if kind.antialias else "false",
    )


def _classification(
    kind: ClassificationKind, prefix: str
) -> tuple[Expression, dict[str, Expression]]:
    """Return the expression and the lists of labels it refers to."""
    starts = range(0, len(kind.labels), _LABELS_A_FUNCTION)
    parts: dict[str, Expression] = {}
    for part, start in enumerate(starts):
        labels = kind.labels[start : start + _LABELS_A_FUNCTION]
        arguments = tuple((None, Text(label)) for label in labels)
        parts[f"{prefix}Labels{part}"] = Call(
            function="listOf", arguments=arguments, multiline=True
        )
    value = call(
        "Classification",
        labels=" + ".join(f"{name}()" for name in parts),
        topK=str(kind.top_k),
        applySoftmax="true" if kind.apply_softmax else "false",
    )
    return value, parts


# ------------------------------------------------------------------------------ outputs


def _output_views(
    model: ModelForSdk, caller: Signature
) -> tuple[tuple[TensorView, ...], dict[str, Expression]]:
    names = distinct(
        (property_name(t.name, fallback="output") for t in caller.outputs), _OUTPUT_MEMBERS
    )
    scored = [
        t.name for t in caller.outputs if isinstance(model.kinds.get(t.name), ClassificationKind)
    ]
    views, parts = [], {}
    for name, tensor in zip(names, caller.outputs, strict=True):
        kind = model.kinds.get(tensor.name)
        value: Expression = ""
        if isinstance(kind, ClassificationKind):
            value, own = _classification(kind, name)
            parts.update(own)
        views.append(
            TensorView(
                name=name,
                suffix=name[0].upper() + name[1:],
                type=OUTPUT_TYPES[tensor.element_type],
                comment=comment_text(tensor.name),
                described=_described(tensor),
                labels=("labels" if len(scored) == 1 else f"{name}Labels") if value else "",
                scores=f"{name}.toFloatArray()" if value else "",
                classification=f"{name}Classification" if value else "",
                classification_value=value,
            )
        )
    return tuple(views), parts


def _described(tensor: TensorSpec) -> str:
    if tensor.shape is None:
        return f"{tensor.element_type} of any shape"
    if not tensor.shape:
        return f"{tensor.element_type} scalar"
    sizes = ", ".join(
        "?" if size is None else comment_text(str(size), _DIMENSION_LENGTH) for size in tensor.shape
    )
    if len(sizes) > _SHAPE_LENGTH:
        sizes = sizes[: _SHAPE_LENGTH - 3] + "..."
    return f"{tensor.element_type}[{sizes}]"


# ------------------------------------------------------------------------------ what it imports


def _imports(
    model: ModelForSdk,
    inputs: tuple[TensorView, ...],
    outputs: tuple[TensorView, ...],
    caller: Signature,
) -> tuple[str, ...]:
    used = {
        "AssetModelSource", "GenericSession", "InputBinding", "ModelDescriptor", "ModelSource",
        "ModelStyle", "ModelVariant", "ProviderReport", "SampleTensor", "SessionOptions", "Tensor",
    }  # fmt: skip
    used |= {view.type for view in (*inputs, *outputs)}
    tensors = (*caller.inputs, *caller.outputs)
    states = state_inputs(model)
    used |= {"StateDescriptor", "TensorDescriptor"}
    used |= {"Dimension"} if any(tensor.shape is not None for tensor in tensors) else set()
    used |= {"ElementType"} if tensors or states else set()
    if any(view.classification for view in outputs):
        used |= {"Classification", "Label", "TensorKind"}
    names = {f"{_SDK}.{name}" for name in used} | {"android.content.Context"}
    if any(view.is_image for view in inputs):
        image = "ChannelType ColorOrder ImageFormat ImagePreprocessor Layout Picture ResizeRule"
        names |= {f"{_SDK}.image.{name}" for name in image.split()} | {f"{_SDK}.TensorKind"}
    if len(inputs) == 1 and inputs[0].is_image:
        names |= {"android.graphics.Bitmap", f"{_SDK}.image.toPicture"}
    return tuple(sorted(names))
