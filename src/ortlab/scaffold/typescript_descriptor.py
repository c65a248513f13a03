"""A model's descriptor, as the TypeScript expression that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ortlab.domain import TensorSpec
from ortlab.scaffold.sdk_model import (
    ModelForSdk,
    SampleAsset,
    Shape,
    ShippedVariant,
    Signature,
    lying_outputs,
    named_sizes,
    state_inputs,
    state_sizes,
    usable_sample,
)
from ortlab.scaffold.typescript_code import Expression, Fields, Items, Text, array, fields
from ortlab.scaffold.typescript_names import string_literal

ASSETS: Final = "assets"
"""Folder beside that of the classes, in which what an app carries is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorView:
    """An input or output.

    Attributes:
        name: Of the property.
        suffix: The same for the end of a function's name.
        element_type: ONNX's word.
        type: Of its tensors.
        comment: Name in the model, for a comment.
        described: Type and shape, for a comment.
        allocation: Expression that makes the tensor, from the parameter of `allocate`.
        format: Name of the constant that says what pictures must be, or empty.
        format_value: What it is.
        labels: Name of the function that answers labels, or empty.
        classification: Name of the constant that makes labels.
        classification_value: What it is.
    """

    name: str
    suffix: str
    element_type: str
    type: str
    comment: str
    described: str
    allocation: Expression = ""
    format: str = ""
    format_value: Expression = ""
    labels: str = ""
    classification: str = ""
    classification_value: Expression = ""


def model_descriptor(
    model: ModelForSdk,
    caller: Signature,
    inputs: tuple[TensorView, ...],
    outputs: tuple[TensorView, ...],
    whole: Signature,
) -> Fields:
    """Return the object that describes a model, in the class of `model.ts.j2`."""
    lying = lying_outputs(model)
    return Fields(
        fields=(
            ("name", Text(model.prepared.name)),
            ("inputs", _tensors(caller.inputs, inputs, lying)),
            ("outputs", _tensors(caller.outputs, outputs, lying)),
            ("states", array(*_states(model, whole))),
            ("variants", array(*map(_variant, model.variants))),
            ("sample", array(*map(_sample_tensor, usable_sample(model, caller, whole)))),
        ),
        multiline=True,
    )


def _tensors(
    tensors: tuple[TensorSpec, ...], views: tuple[TensorView, ...], lying: set[str]
) -> Items:
    return array(
        *(
            _tensor(tensor, view, is_reliable=tensor.name not in lying)
            for tensor, view in zip(tensors, views, strict=True)
        )
    )


def _tensor(tensor: TensorSpec, view: TensorView, *, is_reliable: bool) -> Fields:
    parts: list[tuple[str, Expression]] = [
        ("name", Text(tensor.name)),
        ("identifier", Text(view.name)),
        ("elementType", Text(tensor.element_type)),
        ("shape", _shape(tensor.shape)),
    ]
    if kind := view.format or view.classification:
        parts.append(("kind", kind))
    if not is_reliable:
        parts.append(("isShapeReliable", "false"))
    return Fields(fields=tuple(parts))


def _sample_tensor(asset: SampleAsset) -> Fields:
    return fields(
        name=Text(asset.tensor.name),
        elementType=Text(asset.tensor.element_type),
        shape=_sizes(asset.tensor.shape),
        url=_url(asset.asset_path),
    )


def _states(model: ModelForSdk, whole: Signature) -> list[Expression]:
    states = state_inputs(model)
    result: list[Expression] = []
    for tensor in whole.inputs:
        if tensor.name not in states:
            continue
        sizes = state_sizes(model, whole, tensor.name)
        named = named_sizes(tensor.shape, sizes)
        result.append(
            fields(
                inputName=Text(tensor.name),
                outputName=Text(states[tensor.name][0]),
                elementType=Text(tensor.element_type),
                shape=_sizes(sizes),
                dimensions=array(*(array(Text(name), str(size)) for name, size in named.items())),
            )
        )
    return result


def _variant(shipped: ShippedVariant) -> Fields:
    variant = shipped.variant
    return fields(
        id=Text(variant.variant_id),
        style=Text(variant.style.value),
        target=Text(variant.target.value) if variant.target else "null",
        precision=Text(variant.precision.value),
        url=_url(shipped.asset_path),
        sha256=Text(shipped.sha256),
        sizeBytes=str(shipped.size_bytes),
    )


def _url(path: str) -> Expression:
    """Return where the page finds a file; bundlers read just this form and carry the file along."""
    return f"new URL({string_literal(f'../{ASSETS}/{path}')}, import.meta.url).href"


def _shape(shape: Shape | None) -> Expression:
    return "null" if shape is None else array(*map(_dimension, shape))


def _dimension(size: int | str | None) -> Expression:
    if isinstance(size, str):
        return Text(size)
    return "null" if size is None else str(size)


def _sizes(sizes: tuple[int, ...]) -> Expression:
    return array(*map(str, sizes))
