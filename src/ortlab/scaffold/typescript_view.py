"""What the TypeScript templates need to know of a model, as strings and expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ortlab.domain import ClassificationKind, ImageKind, TensorSpec
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
from ortlab.scaffold.typescript_code import Expression, Fields, Items, Text, array, call, fields
from ortlab.scaffold.typescript_descriptor import TensorView, model_descriptor
from ortlab.scaffold.typescript_model import TENSOR_TYPES
from ortlab.scaffold.typescript_names import property_name

_OBJECT_MEMBERS: Final = frozenset({
    "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString",
    "toString", "valueOf",
})  # fmt: skip
"""Names that every object has: where the property is forgotten, another thing would be there."""
_OUTPUT_MEMBERS: Final = _OBJECT_MEMBERS | {"then"}
"""An object with a `then` is taken for a promise by the one who awaits it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model's class.

    Attributes:
        class_name: Its name.
        comment: The model's name, for a comment.
        inputs: That callers give.
        outputs: That callers get.
        parameters: Of `allocate`.
        allocation: What it answers.
        given: The inputs' tensors, in the model's order.
        taken: The output, out of the tensors `outputs`.
        descriptor: The model's descriptor.
        imports: Names that the class takes from the SDK, sorted.
        types: Likewise, of types.
        has_state: Whether the session carries something over.
        picture_input: The one input, where it is a picture, else None.
    """

    class_name: str
    comment: str
    inputs: tuple[TensorView, ...]
    outputs: tuple[TensorView, ...]
    parameters: tuple[AllocationParameter, ...]
    allocation: Fields
    given: Items
    taken: Fields
    descriptor: Fields
    imports: tuple[str, ...]
    types: tuple[str, ...]
    has_state: bool
    picture_input: TensorView | None


def model_view(model: ModelForSdk, name: str) -> ModelView:
    """Return what the template `model.ts.j2` shows; ``name`` is the class's."""
    whole = signature(model.prepared)
    caller = caller_signature(model, whole)
    names = distinct(
        (property_name(t.name, fallback="input") for t in caller.inputs), _OBJECT_MEMBERS
    )
    plan = allocation_plan(model, whole, names, property_name)
    inputs = tuple(
        _input_view(model, tensor, name, sizes)
        for tensor, name, sizes in zip(caller.inputs, names, plan.sizes, strict=True)
    )
    outputs = _output_views(model, caller)
    pictures = any(view.format for view in inputs)
    scored = any(view.labels for view in outputs)
    tensors = bool(inputs or outputs)
    return ModelView(
        class_name=name,
        comment=comment_text(model.prepared.name),
        inputs=inputs,
        outputs=outputs,
        parameters=plan.parameters,
        allocation=Fields(
            fields=tuple((view.name, view.allocation) for view in inputs),
            multiline=len(inputs) > 1,
        ),
        given=array(*(f"input.{view.name}" for view in inputs)),
        taken=Fields(
            fields=tuple(
                (view.name, call("outputOf", "outputs", str(index), Text(view.element_type)))
                for index, view in enumerate(outputs)
            ),
            multiline=len(outputs) > 1,
        ),
        descriptor=model_descriptor(model, caller, inputs, outputs, whole),
        imports=_wanted(
            {
                "ModelSession": True,
                "bestLabels": scored,
                "outputOf": bool(outputs),
                "pictureTensor": pictures,
                "zeros": bool(inputs),
            }
        ),
        types=_wanted(
            {
                "ClassLabel": scored,
                "Classification": scored,
                "ImageFormat": pictures,
                "ModelDescriptor": True,
                "Picture": pictures,
                "SessionOptions": True,
                "SessionReport": True,
                "Tensor": tensors,
            }
        ),
        has_state=bool(state_inputs(model)),
        picture_input=inputs[0] if len(inputs) == 1 and inputs[0].format else None,
    )


def _wanted(names: dict[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, is_wanted in names.items() if is_wanted)


# ------------------------------------------------------------------------------ inputs


def _input_view(
    model: ModelForSdk, tensor: TensorSpec, name: str, sizes: tuple[int | str, ...] | str
) -> TensorView:
    kind = image_inputs(model).get(tensor.name)
    shape = _given(sizes) if isinstance(sizes, str) else array(*map(_given, sizes))
    return TensorView(
        name=name,
        suffix=name[0].upper() + name[1:],
        element_type=tensor.element_type,
        type=TENSOR_TYPES[tensor.element_type],
        comment=comment_text(tensor.name),
        described=described(tensor),
        allocation=call("zeros", Text(tensor.element_type), shape),
        format=f"{name}Format" if kind else "",
        format_value=_image_format(kind, tensor) if kind else "",
    )


def _given(size: int | str) -> str:
    """Return a size: a number, or the property of `allocate`'s parameter that says it."""
    return f"sizes.{size}" if isinstance(size, str) else str(size)


def _image_format(kind: ImageKind, tensor: TensorSpec) -> Expression:
    width, height = image_sizes(kind, tensor)
    return fields(
        kind=Text("image"),
        width=str(width),
        height=str(height),
        layout=Text(kind.layout.value),
        colorOrder=Text(kind.color_order.value),
        channelType=Text(tensor.element_type),
        scale=_number(kind.scale),
        mean=array(*map(_number, kind.mean)),
        std=array(*map(_number, kind.std)),
        resize=Text(kind.resize.value),
        padding=_number(kind.padding),
        antialias="true" if kind.antialias else "false",
    )


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


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
                element_type=tensor.element_type,
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
    return fields(
        kind=Text("classification"),
        labels=Items(items=tuple(Text(label) for label in kind.labels), multiline=True),
        topK=str(kind.top_k),
        applySoftmax="true" if kind.apply_softmax else "false",
    )
