"""What the Swift templates need to know of a model, as strings and expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ortlab.domain import ClassificationKind, ImageKind, ResizeRule, TensorSpec
from ortlab.scaffold.sdk_allocation import AllocationParameter, allocation_plan
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
from ortlab.scaffold.swift_code import Call, Expression, Items, Text, array, call
from ortlab.scaffold.swift_descriptor import TensorView, model_descriptor
from ortlab.scaffold.swift_model import TENSOR_TYPES
from ortlab.scaffold.swift_names import property_name

_INPUT_MEMBERS: Final = frozenset({"allocate", "binding", "close", "descriptor", "writers"})
_OUTPUT_MEMBERS: Final = frozenset({"labels", "tensors"})
_RESIZE_RULES: Final = {
    ResizeRule.STRETCH: ".stretch",
    ResizeRule.FIT: ".fit",
    ResizeRule.FIT_TOP_LEFT: ".fitTopLeft",
    ResizeRule.FIT_HEIGHT: ".fitHeight",
    ResizeRule.CROP: ".crop",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model's class.

    Attributes:
        class_name: Its name.
        comment: The model's name, for DocC.
        inputs: That callers give.
        outputs: That callers get.
        parameters: Of `Input.allocate`, with their types.
        allocation: What it answers.
        binding: The inputs' tensors, checked.
        descriptor: The model's descriptor.
        writers: What writes pictures into inputs.
        has_state: Whether the session carries something over.
        picture_input: The one input, where it is a picture, else None.
    """

    class_name: str
    comment: str
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    parameters: tuple[AllocationParameter, ...]
    allocation: Call
    binding: Call
    descriptor: Call
    writers: Items
    has_state: bool
    picture_input: TensorView | None


def model_view(model: ModelForSdk, name: str) -> ModelView:
    """Return what the template `model.swift.j2` shows; ``name`` is the class's."""
    whole = signature(model.prepared)
    caller = caller_signature(model, whole)
    names = distinct(
        (property_name(t.name, fallback="input") for t in caller.inputs), _INPUT_MEMBERS
    )
    plan = allocation_plan(model, whole, names, property_name)
    inputs = tuple(
        _input_view(model, tensor, name, sizes)
        for tensor, name, sizes in zip(caller.inputs, names, plan.sizes, strict=True)
    )
    outputs = _output_views(model, caller)
    return ModelView(
        class_name=name,
        comment=comment_text(model.prepared.name),
        inputs=inputs,
        outputs=outputs,
        parameters=plan.parameters,
        allocation=Call(
            function="Input",
            arguments=tuple((view.name, view.allocation) for view in inputs),
            multiline=len(inputs) > 1,
        ),
        binding=call("InputBinding", f"{name}.descriptor", array(*(view.name for view in inputs))),
        descriptor=model_descriptor(model, caller, inputs, outputs, whole),
        writers=array(
            *(call("PictureWriter", f"{name}.{v.format}", v.name) for v in inputs if v.format)
        ),
        has_state=bool(state_inputs(model)),
        picture_input=inputs[0] if len(inputs) == 1 and inputs[0].format else None,
    )


# ------------------------------------------------------------------------------ inputs


def _input_view(
    model: ModelForSdk, tensor: TensorSpec, name: str, sizes: tuple[int | str, ...] | str
) -> TensorView:
    kind = image_inputs(model).get(tensor.name)
    shape = sizes if isinstance(sizes, str) else array(*map(str, sizes))
    return TensorView(
        name=name,
        suffix=name[0].upper() + name[1:],
        type=TENSOR_TYPES[tensor.element_type],
        comment=comment_text(tensor.name),
        described=described(tensor),
        allocation=call(TENSOR_TYPES[tensor.element_type], shape=shape),
        format=f"{name}Format" if kind else "",
        format_value=_image_format(kind, tensor) if kind else "",
    )


def _image_format(kind: ImageKind, tensor: TensorSpec) -> Expression:
    width, height = image_sizes(kind, tensor)
    return call(
        "ImageFormat",
        width=str(width),
        height=str(height),
        layout=f".{kind.layout.value}",
        colorOrder=f".{kind.color_order.value}",
        channelType=f".{tensor.element_type}",
        scale=repr(float(kind.scale)),
        mean=array(*(repr(float(value)) for value in kind.mean)),
        std=array(*(repr(float(value)) for value in kind.std)),
        resize=_RESIZE_RULES[kind.resize],
        padding=repr(float(kind.padding)),
        antialias="true" if kind.antialias else "false",
    )


# ------------------------------------------------------------------------------ outputs


def _output_views(model: ModelForSdk, caller: Signature) -> tuple[TensorView, ...]:
    names = distinct(
        (property_name(t.name, fallback="output") for t in caller.outputs), _OUTPUT_MEMBERS
    )
    scored = [
        t.name for t in caller.outputs if isinstance(model.kinds.get(t.name), ClassificationKind)
    ]
    wanted = ("labels" if len(scored) == 1 else f"{name}Labels" for name in names)
    views = []
    for name, tensor, labels in zip(names, caller.outputs, wanted, strict=True):
        kind = model.kinds.get(tensor.name)
        classified = kind if isinstance(kind, ClassificationKind) else None
        views.append(
            TensorView(
                name=name,
                suffix=name[0].upper() + name[1:],
                type=TENSOR_TYPES[tensor.element_type],
                comment=comment_text(tensor.name),
                described=described(tensor),
                labels=labels if classified else "",
                classification=f"{name}Classification" if classified else "",
                classification_value=_classification(classified) if classified else "",
            )
        )
    return tuple(views)


def _classification(kind: ClassificationKind) -> Expression:
    labels = Items(items=tuple((None, Text(label)) for label in kind.labels), multiline=True)
    return call(
        "Classification",
        labels=labels,
        topK=str(kind.top_k),
        applySoftmax="true" if kind.apply_softmax else "false",
    )
