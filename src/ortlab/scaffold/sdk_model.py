"""What a typed SDK is generated from, whatever the language: a model, its shipped files, its kinds.

Also what of a model a platform's API can do; the rest is refused with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ortlab.domain import (
    ImageKind,
    Layout,
    PreparedModel,
    StateKind,
    TensorKind,
    TensorSpec,
    Variant,
)
from ortlab.errors import ModelError
from ortlab.scaffold.sdk_names import comment_text
from ortlab.wire import TensorFile

Shape = tuple[int | str | None, ...]
"""Of a tensor as a model declares it: sizes, names of sizes, None for unknown ones."""

_SHAPE_LENGTH = 90
_DIMENSION_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkPlatform:
    """What a language's SDK can do with ONNX Runtime there.

    Attributes:
        language: Its name.
        api: Name of ONNX Runtime's API there.
        input_types: ONNX element types that it can create, with the SDK's class of each.
        output_types: Those that it can read.
        maximum_tensors: Inputs, or outputs, that one class can take; None is any number.
        uncreatable: What to say of a type that can be read but not created.
    """

    language: str
    api: str
    input_types: Mapping[str, str]
    output_types: Mapping[str, str]
    maximum_tensors: int | None = None
    uncreatable: str = ""


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


_NEXT_STEP = (
    "change the model there: a Cast to a type such as int64, or another name, and prepare it again"
)


def refuse_unsupported(model: ModelForSdk, platform: SdkPlatform) -> None:
    """Refuse what a platform's API cannot do.

    Raises:
        ModelError: An input or output cannot be given or taken, or there are too many, or no
            variant is shipped; the message names it and the reason.
    """
    prepared = model.prepared
    for side, tensors, known in (
        ("input", prepared.original.inputs, platform.input_types),
        ("output", prepared.original.outputs, platform.output_types),
    ):
        most = platform.maximum_tensors
        if most is not None and len(tensors) > most:
            reason = f"it has {len(tensors)} {side}s, and a class takes {most} at most"
            raise _refusal(prepared, platform, reason, "split the model")
        for tensor in tensors:
            if reason := _unsupported(tensor, side, known, platform):
                what = f"{side} '{comment_text(tensor.name)}' {reason}"
                raise _refusal(prepared, platform, what, _NEXT_STEP)
    if not model.variants:
        raise _refusal(
            prepared, platform, "no variant of it is to be shipped", "ortlab prepare MODEL.onnx"
        )


def _unsupported(
    tensor: TensorSpec, side: str, known: Mapping[str, str], platform: SdkPlatform
) -> str:
    if "\0" in tensor.name:
        return "has a NUL character in its name, which ends a name in the runtime's C API"
    if tensor.element_type in known:
        return ""
    if tensor.element_type in platform.output_types:
        return f"takes {tensor.element_type}, and {platform.uncreatable}"
    if "(" in tensor.element_type or tensor.element_type.startswith("sparse"):
        return f"is a {tensor.element_type}, and the SDK passes dense tensors alone"
    verb = "create" if side == "input" else "read"
    return f"is of type {tensor.element_type}, and {platform.api} cannot {verb} tensors of it"


def _refusal(
    prepared: PreparedModel, platform: SdkPlatform, reason: str, next_step: str
) -> ModelError:
    message = f"cannot generate a {platform.language} SDK for the model {prepared.name}: {reason}"
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


def caller_signature(model: ModelForSdk, whole: Signature) -> Signature:
    """Return what callers give and get: all but what the session carries over."""
    states = state_inputs(model)
    fed = {output for output, _ in states.values()}
    return Signature(
        inputs=tuple(tensor for tensor in whole.inputs if tensor.name not in states),
        outputs=tuple(tensor for tensor in whole.outputs if tensor.name not in fed),
    )


def named_sizes(shape: Shape | None, sizes: tuple[int, ...]) -> dict[str, int]:
    """Return the sizes of a shape's named dimensions."""
    pairs = zip(shape or (), sizes, strict=False)
    return {name: size for name, size in pairs if isinstance(name, str)}


def usable_sample(
    model: ModelForSdk, caller: Signature, whole: Signature
) -> tuple[SampleAsset, ...]:
    """Return the sample of what callers give; nothing where a state has other sizes."""
    fixed = state_dimensions(model, whole)
    shapes = {tensor.name: tensor.shape for tensor in caller.inputs}
    used = tuple(asset for asset in model.sample if asset.tensor.name in shapes)
    for asset in used:
        for said, size in zip(shapes[asset.tensor.name] or (), asset.tensor.shape, strict=False):
            if isinstance(said, str) and fixed.get(said, size) != size:
                return ()
    return used


def lying_outputs(model: ModelForSdk) -> set[str]:
    """Return the outputs whose reference has another shape than the model declares.

    The runtime only warns of it; with memory set aside for the declared shape it would fail.
    """
    declared = {tensor.name: tensor.shape for tensor in signature(model.prepared).outputs}
    return {
        tensor.name
        for sample in model.prepared.samples
        for tensor in sample.outputs
        if (shape := declared.get(tensor.name)) is not None and not _fits(tensor.shape, shape)
    }


def _fits(sizes: tuple[int, ...], shape: Shape) -> bool:
    return len(sizes) == len(shape) and all(
        not isinstance(said, int) or said == size for size, said in zip(sizes, shape, strict=True)
    )


def image_sizes(kind: ImageKind, tensor: TensorSpec) -> tuple[int, int]:
    """Return the width and height of the pictures that an input takes."""
    rows, columns = (2, 3) if kind.layout is Layout.NCHW else (1, 2)
    shape = tensor.shape or (1, None, None, None)
    height, width = kind.height or shape[rows], kind.width or shape[columns]
    return int(width or 0), int(height or 0)


def image_shape(kind: ImageKind, tensor: TensorSpec) -> Shape:
    """Return the shape of the tensor that a picture becomes."""
    width, height = image_sizes(kind, tensor)
    channels = 1 if kind.color_order == "gray" else 3
    if kind.layout is Layout.NCHW:
        return (1, channels, height, width)
    return (1, height, width, channels)


def described(tensor: TensorSpec) -> str:
    """Return a tensor's type and shape for a comment, such as `float[batch, 3]`."""
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
