"""What the Kotlin SDK is generated from: a prepared model, its shipped files, its kinds.

Also what of it the platform's API can do; the rest is refused with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ortlab.domain import ImageKind, PreparedModel, StateKind, TensorKind, TensorSpec, Variant
from ortlab.errors import ModelError
from ortlab.scaffold.kotlin_names import comment_text
from ortlab.wire import TensorFile

INPUT_TYPES: Final[Mapping[str, str]] = {
    "float": "FloatTensor",
    "double": "DoubleTensor",
    "float16": "Float16Tensor",
    "bfloat16": "BFloat16Tensor",
    "int8": "ByteTensor",
    "int16": "ShortTensor",
    "int32": "IntTensor",
    "int64": "LongTensor",
    "uint8": "UByteTensor",
    "bool": "BooleanTensor",
    "string": "StringTensor",
}
"""ONNX element types that `ai.onnxruntime`'s Java API can create, with the SDK's class of each."""

OUTPUT_TYPES: Final[Mapping[str, str]] = {
    **INPUT_TYPES,
    "uint16": "UShortTensor",
    "uint32": "UIntTensor",
    "uint64": "ULongTensor",
}
"""Those that it can read: of wider unsigned integers it hands out the bits."""

_NEXT_STEP: Final = (
    "change the model there: a Cast to a type such as int64, or another name, and prepare it again"
)

MAXIMUM_TENSORS: Final = 200
"""Inputs, or outputs, that one class can take: a JVM method has at most 255 parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedVariant:
    """A variant that the app carries.

    Attributes:
        variant: Of the prepared model.
        asset_path: Of its file among the app's assets.
        sha256: Of the file as shipped.
        size_bytes: Likewise.
    """

    variant: Variant
    asset_path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleAsset:
    """An input tensor that the app carries.

    Attributes:
        tensor: Name, element type and shape.
        asset_path: Of its raw file among the app's assets.
    """

    tensor: TensorFile
    asset_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForSdk:
    """A model to write a class for.

    Attributes:
        prepared: What is known of it.
        variants: Files that the app carries, the recommended one first; at least one.
        kinds: By the name of an input or output; others are raw tensors.
        sample: Inputs to try the model with; those that are a state are left out.
        custom_op_library: Name of the shared library with the model's own operators, as the app
            packages it for every ABI, such as ``libcustom_ops.so``.
    """

    prepared: PreparedModel
    variants: tuple[ShippedVariant, ...]
    kinds: Mapping[str, TensorKind] = field(default_factory=dict)
    sample: tuple[SampleAsset, ...] = ()
    custom_op_library: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a model takes and gives once chosen sizes are put in."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def signature(prepared: PreparedModel) -> Signature:
    """Return a model's inputs and outputs with the sizes that were fixed at preparation.

    The manifest describes the model as it was given; sizes that ``--dim`` and ``--input-shape``
    fixed hold for every variant.
    """
    options = prepared.provenance.options
    sizes: dict[str, int] = dict(_recorded(options.get("dims")))
    shapes: dict[str, tuple[int, ...]] = dict(_recorded(options.get("input_shapes")))
    for tensor in prepared.original.inputs:
        fixed_to = zip(tensor.shape or (), shapes.get(tensor.name, ()), strict=False)
        sizes |= {name: size for name, size in fixed_to if isinstance(name, str)}

    def fixed(tensor: TensorSpec) -> TensorSpec:
        if tensor.name in shapes:
            return replace(tensor, shape=tuple(shapes[tensor.name]))
        if tensor.shape is None:
            return tensor
        shape = tuple(
            sizes.get(dimension, dimension) if isinstance(dimension, str) else dimension
            for dimension in tensor.shape
        )
        return replace(tensor, shape=shape)

    return Signature(
        inputs=tuple(map(fixed, prepared.original.inputs)),
        outputs=tuple(
            fixed(tensor) if tensor.name not in shapes else tensor
            for tensor in prepared.original.outputs
        ),
    )


def _recorded(text: str | None) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {}
    return value if isinstance(value, dict) else {}


def refuse_unsupported(model: ModelForSdk) -> None:
    """Refuse what the Java API cannot do.

    Raises:
        ModelError: As for ``kotlin_sources``.
    """
    prepared = model.prepared
    for side, tensors, known in (
        ("input", prepared.original.inputs, INPUT_TYPES),
        ("output", prepared.original.outputs, OUTPUT_TYPES),
    ):
        if len(tensors) > MAXIMUM_TENSORS:
            reason = f"it has {len(tensors)} {side}s, and a class takes {MAXIMUM_TENSORS} at most"
            raise _refusal(prepared, reason, "split the model")
        for tensor in tensors:
            if reason := _unsupported(tensor, side, known):
                what = f"{side} '{comment_text(tensor.name)}' {reason}"
                raise _refusal(prepared, what, _NEXT_STEP)
    if not model.variants:
        raise _refusal(prepared, "no variant of it is to be shipped", "ortlab prepare MODEL.onnx")


def _unsupported(tensor: TensorSpec, side: str, known: Mapping[str, str]) -> str:
    if "\0" in tensor.name:
        return "has a NUL character in its name, which ends a name in the runtime's C API"
    if tensor.element_type in known:
        return ""
    if tensor.element_type in OUTPUT_TYPES:
        return (
            f"takes {tensor.element_type}, and ONNX Runtime's Java API cannot create tensors of"
            " uint16, uint32 or uint64"
        )
    if "(" in tensor.element_type or tensor.element_type.startswith("sparse"):
        return f"is a {tensor.element_type}, and the SDK passes dense tensors alone"
    verb = "create" if side == "input" else "read"
    return (
        f"is of type {tensor.element_type}, and ONNX Runtime's Java API cannot {verb} tensors of it"
    )


def _refusal(prepared: PreparedModel, reason: str, next_step: str) -> ModelError:
    message = f"cannot generate a Kotlin SDK for the model {prepared.name}: {reason}"
    return ModelError(message, next_step=next_step)


def state_inputs(model: ModelForSdk) -> Mapping[str, tuple[str, StateKind]]:
    """Return the inputs that a session feeds by itself, each with its output and kind."""
    return {
        kind.input_name: (name, kind)
        for name, kind in model.kinds.items()
        if isinstance(kind, StateKind)
    }


def image_inputs(model: ModelForSdk) -> Mapping[str, ImageKind]:
    """Return the inputs that are pictures."""
    return {name: kind for name, kind in model.kinds.items() if isinstance(kind, ImageKind)}


def state_sizes(model: ModelForSdk, whole: Signature, name: str) -> tuple[int, ...]:
    """Return the sizes of the state that an input takes."""
    _, kind = state_inputs(model)[name]
    shape = next(tensor.shape for tensor in whole.inputs if tensor.name == name)
    given = kind.shape if kind.shape is not None else shape
    return tuple(size for size in given or () if isinstance(size, int))


def state_dimensions(model: ModelForSdk, whole: Signature) -> dict[str, int]:
    """Return the named dimensions that a state's sizes fix."""
    fixed: dict[str, int] = {}
    states = state_inputs(model)
    for tensor in whole.inputs:
        if tensor.name in states:
            sizes = state_sizes(model, whole, tensor.name)
            for dimension, size in zip(tensor.shape or (), sizes, strict=False):
                if isinstance(dimension, str):
                    fixed.setdefault(dimension, size)
    return fixed
