"""A model's descriptor, as the Swift expression that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

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
from ortlab.scaffold.swift_code import Call, Expression, Text, array, call, dictionary


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorView:
    """An input or output.

    Attributes:
        name: Of the property.
        suffix: The same for the end of a function's name.
        type: Class of its tensors.
        comment: Name in the model, for DocC.
        described: Type and shape, for DocC.
        allocation: Expression that makes the tensor, from the parameters of `allocate`.
        format: Name of the property that says what pictures must be, or empty.
        format_value: What it is.
        labels: Name of the function that answers labels, or empty.
        classification: Name of the property that makes labels.
        classification_value: What it is.
    """

    name: str
    suffix: str
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
) -> Call:
    """Return the call that makes the descriptor, in the class of `model.swift.j2`."""
    lying = lying_outputs(model)
    sample = map(_sample_tensor, usable_sample(model, caller, whole))
    arguments: list[tuple[str | None, Expression]] = [
        ("name", Text(model.prepared.name)),
        ("inputs", _tensors(caller.inputs, inputs, lying)),
        ("outputs", _tensors(caller.outputs, outputs, lying)),
        ("states", array(*_states(model, whole))),
        ("variants", array(*map(_variant, model.variants))),
        ("sample", array(*sample)),
    ]
    if model.custom_op_library is not None:
        arguments.append(("customOpLibraries", array(_library(model.custom_op_library))))
    return Call(function="ModelDescriptor", multiline=True, arguments=tuple(arguments))


def _library(name: str) -> Expression:
    """Return how the app finds a library: static ones and xcframeworks are linked into it."""
    path = PurePosixPath(name)
    if path.suffix == ".framework":
        return call(".framework", Text(path.stem))
    if path.suffix in {".so", ".dylib"}:
        return call(".file", Text(name))
    return ".linked()"


def _tensors(
    tensors: tuple[TensorSpec, ...], views: tuple[TensorView, ...], lying: set[str]
) -> Expression:
    return array(
        *(
            _tensor(tensor, view, is_reliable=tensor.name not in lying)
            for tensor, view in zip(tensors, views, strict=True)
        )
    )


def _tensor(tensor: TensorSpec, view: TensorView, *, is_reliable: bool) -> Expression:
    arguments: list[tuple[str | None, Expression]] = [
        ("name", Text(tensor.name)),
        ("elementType", f".{tensor.element_type}"),
        ("shape", _shape(tensor.shape)),
    ]
    if view.format:
        arguments.append(("kind", call(".image", view.format)))
    if view.classification:
        arguments.append(("kind", call(".scores", view.classification)))
    arguments.append(("identifier", Text(view.name)))
    if not is_reliable:
        arguments.append(("isShapeReliable", "false"))
    return Call(function="TensorDescriptor", arguments=tuple(arguments))


def _sample_tensor(asset: SampleAsset) -> Expression:
    return call(
        "SampleTensor",
        name=Text(asset.tensor.name),
        elementType=f".{asset.tensor.element_type}",
        shape=_sizes(asset.tensor.shape),
        path=Text(asset.asset_path),
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
            call(
                "StateDescriptor",
                inputName=Text(tensor.name),
                outputName=Text(states[tensor.name][0]),
                elementType=f".{tensor.element_type}",
                shape=_sizes(sizes),
                dimensions=dictionary(*((Text(name), str(size)) for name, size in named.items())),
            )
        )
    return result


def _variant(shipped: ShippedVariant) -> Expression:
    variant = shipped.variant
    return call(
        "ModelVariant",
        id=Text(variant.variant_id),
        style=f".{variant.style.value}",
        target=Text(variant.target.value) if variant.target else "nil",
        precision=Text(variant.precision.value),
        path=Text(shipped.asset_path),
        sha256=Text(shipped.sha256),
        sizeBytes=str(shipped.size_bytes),
    )


def _shape(shape: Shape | None) -> Expression:
    return "nil" if shape is None else array(*map(_dimension, shape))


def _dimension(size: int | str | None) -> Expression:
    match size:
        case int():
            return call(".fixed", str(size))
        case str():
            return call(".named", Text(size))
    return ".unknown"


def _sizes(sizes: tuple[int, ...]) -> Expression:
    return array(*map(str, sizes))
