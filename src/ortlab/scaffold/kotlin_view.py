"""What the Kotlin templates need to know of a model, as strings and expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ortlab.domain import ClassificationKind, ImageKind, TensorSpec
from ortlab.scaffold.kotlin_code import Call, Expression, Text, call, list_of
from ortlab.scaffold.kotlin_descriptor import TensorView, model_descriptor
from ortlab.scaffold.kotlin_model import INPUT_TYPES, OUTPUT_TYPES
from ortlab.scaffold.kotlin_names import property_name
from ortlab.scaffold.sdk_allocation import allocation_plan
from ortlab.scaffold.sdk_model import (
    ModelForSdk,
    Signature,
    caller_signature,
    described,
    image_inputs,
    image_sizes,
    signature,
    state_inputs,
)
from ortlab.scaffold.sdk_names import comment_text, distinct

_SDK: Final = "dev.ortlab.sdk"
_LABELS_A_FUNCTION: Final = 1000
"""A JVM method holds 64 KiB of code, and a list's item takes some ten bytes."""
_INPUT_MEMBERS: Final = frozenset({"binding", "close", "descriptor", "tensors"})
_OUTPUT_MEMBERS: Final = frozenset({"labels", "tensors"})


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
    caller = caller_signature(model, whole)
    names = distinct(
        (property_name(t.name, fallback="input") for t in caller.inputs), _INPUT_MEMBERS
    )
    parameters, allocations = _allocation(model, whole, names)
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
        described=described(tensor),
        allocation=allocation,
        is_image=kind is not None,
        format=f"{name}Format" if kind else "",
        format_value=_image_format(kind, tensor) if kind else "",
    )


def _allocation(
    model: ModelForSdk, whole: Signature, names: tuple[str, ...]
) -> tuple[tuple[Parameter, ...], tuple[Expression, ...]]:
    """Return the parameters of `allocate` and what makes each tensor of them."""
    plan = allocation_plan(model, whole, names, property_name)
    parameters = tuple(
        Parameter(
            name=wanted.name,
            type="LongArray" if wanted.is_shape else "Long",
            comment=wanted.comment,
        )
        for wanted in plan.parameters
    )
    inputs = caller_signature(model, whole).inputs
    allocations = []
    for tensor, sizes in zip(inputs, plan.sizes, strict=True):
        arguments = [f"*{sizes}"] if isinstance(sizes, str) else [str(size) for size in sizes]
        allocations.append(call(f"{INPUT_TYPES[tensor.element_type]}.allocate", *arguments))
    return parameters, tuple(allocations)


# ------------------------------------------------------------------------------ kinds


def _image_format(kind: ImageKind, tensor: TensorSpec) -> Expression:
    width, height = image_sizes(kind, tensor)
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
                described=described(tensor),
                labels=("labels" if len(scored) == 1 else f"{name}Labels") if value else "",
                scores=f"{name}.toFloatArray()" if value else "",
                classification=f"{name}Classification" if value else "",
                classification_value=value,
            )
        )
    return tuple(views), parts


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
