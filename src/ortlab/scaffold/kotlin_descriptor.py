"""A model's descriptor, as the Kotlin expression that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ortlab.domain import TensorSpec
from ortlab.scaffold.kotlin_code import Call, Expression, Text, call, list_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorView:
    """An input or output.

    Attributes:
        name: Of the property.
        suffix: The same for the end of a function's name.
        type: Class of its tensors.
        comment: Name in the model, for KDoc.
        described: Type and shape, for KDoc.
        allocation: Expression that makes the tensor, from the parameters of `allocate`.
        is_image: Whether pictures can be written to it.
        labels: Name of the function that answers labels, or empty.
        scores: Expression of its scores as floats.
        format: What pictures must be, for images.
        classification: Name of the property that makes labels.
        classification_value: What it is.
    """

    name: str
    suffix: str
    type: str
    comment: str
    described: str
    allocation: Expression = ""
    is_image: bool = False
    labels: str = ""
    scores: str = ""
    format: str = ""
    format_value: Expression = ""
    classification: str = ""
    classification_value: Expression = ""


def model_descriptor(
    model: ModelForSdk,
    caller: Signature,
    inputs: tuple[TensorView, ...],
    outputs: tuple[TensorView, ...],
    whole: Signature,
) -> Call:
    """Return the call that makes the descriptor, in `model.kt.j2`'s companion object."""
    lying = lying_outputs(model)
    sample = map(_sample_tensor, usable_sample(model, caller, whole))
    arguments: list[tuple[str | None, Expression]] = [
        ("name", Text(model.prepared.name)),
        ("inputs", _tensors(caller.inputs, inputs, lying)),
        ("outputs", _tensors(caller.outputs, outputs, lying)),
        ("states", list_of(*_states(model, whole), item_type="StateDescriptor")),
        ("variants", list_of(*map(_variant, model.variants), item_type="ModelVariant")),
        ("sample", list_of(*sample, item_type="SampleTensor")),
    ]
    if model.custom_op_library is not None:
        library = list_of(Text(model.custom_op_library), item_type="String")
        arguments.append(("customOpLibraries", library))
    return Call(function="ModelDescriptor", multiline=True, arguments=tuple(arguments))


def _sample_tensor(asset: SampleAsset) -> Expression:
    return call(
        "SampleTensor",
        name=Text(asset.tensor.name),
        elementType=f"ElementType.{asset.tensor.element_type.upper()}",
        shape=_longs(asset.tensor.shape),
        assetPath=Text(asset.asset_path),
    )


def _tensors(
    tensors: tuple[TensorSpec, ...], views: tuple[TensorView, ...], lying: set[str]
) -> Expression:
    items = [
        _tensor(tensor, view, is_pinned=tensor.name not in lying)
        for tensor, view in zip(tensors, views, strict=True)
    ]
    return list_of(*items, item_type="TensorDescriptor")


def _tensor(tensor: TensorSpec, view: TensorView, *, is_pinned: bool) -> Expression:
    arguments: list[tuple[str | None, Expression]] = [
        ("name", Text(tensor.name)),
        ("elementType", f"ElementType.{tensor.element_type.upper()}"),
        ("shape", _shape(tensor.shape)),
    ]
    if view.is_image:
        arguments.append(("kind", call("TensorKind.Image", view.format)))
    if view.classification:
        arguments.append(("kind", call("TensorKind.Scores", view.classification)))
    arguments.append(("identifier", Text(view.name)))
    if not is_pinned:
        arguments.append(("isPinned", "false"))
    return Call(function="TensorDescriptor", arguments=tuple(arguments))


def _states(model: ModelForSdk, whole: Signature) -> list[Expression]:
    states = state_inputs(model)
    result: list[Expression] = []
    for tensor in whole.inputs:
        if tensor.name not in states:
            continue
        sizes = state_sizes(model, whole, tensor.name)
        named = named_sizes(tensor.shape, sizes)
        result.append(
            call(
                "StateDescriptor",
                inputName=Text(tensor.name),
                outputName=Text(states[tensor.name][0]),
                elementType=f"ElementType.{tensor.element_type.upper()}",
                sizes=_longs(sizes),
                dimensions=_sizes_by_name(named),
            )
        )
    return result


def _sizes_by_name(named: Mapping[str, int]) -> Expression:
    if not named:
        return "emptyMap()"
    return call("mapOf", *(call("Pair", Text(name), f"{size}L") for name, size in named.items()))


def _variant(shipped: ShippedVariant) -> Expression:
    variant = shipped.variant
    return call(
        "ModelVariant",
        id=Text(variant.variant_id),
        style=f"ModelStyle.{variant.style.name}",
        target=Text(variant.target.value) if variant.target else "null",
        precision=Text(variant.precision.value),
        assetPath=Text(shipped.asset_path),
        sha256=Text(shipped.sha256),
        sizeBytes=f"{shipped.size_bytes}L",
    )


def _shape(shape: Shape | None) -> Expression:
    if shape is None:
        return "null"
    return list_of(*map(_dimension, shape), item_type="Dimension")


def _dimension(size: int | str | None) -> Expression:
    match size:
        case int():
            return call("Dimension.Fixed", str(size))
        case str():
            return call("Dimension.Named", Text(size))
    return "Dimension.Unknown"


def _longs(sizes: tuple[int, ...]) -> Expression:
    return list_of(*(f"{size}L" for size in sizes), item_type="Long")
