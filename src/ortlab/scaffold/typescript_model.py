"""What of a model the TypeScript SDK can do, which rests on onnxruntime-web."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ortlab.errors import ModelError
from ortlab.scaffold.sdk_model import ModelForSdk, SdkPlatform, refuse_unsupported

_TYPES: Final = (
    *("float", "double", "float16", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64", "bool", "string"),
)

TENSOR_TYPES: Final[Mapping[str, str]] = {name: f'Tensor<"{name}">' for name in _TYPES}
"""ONNX element types that onnxruntime-web has, with the SDK's type of each."""

WEB: Final = SdkPlatform(
    language="TypeScript",
    api="onnxruntime-web",
    input_types=TENSOR_TYPES,
    output_types=TENSOR_TYPES,
)

_LOST: Final = "__proto__"
"""A name that onnxruntime-web's own objects of results lose: there it is the prototype."""


def refuse_what_the_web_cannot(model: ModelForSdk) -> None:
    """Refuse what onnxruntime-web cannot do.

    Raises:
        ModelError: An input or output cannot be given or taken, or the model has operators of its
            own; the message names it and the reason.
    """
    prepared = model.prepared
    refuse_unsupported(model, WEB)
    what = f"cannot generate a TypeScript SDK for the model {prepared.name}"
    for side, tensors in (
        ("input", prepared.original.inputs),
        ("output", prepared.original.outputs),
    ):
        if any(tensor.name == _LOST for tensor in tensors):
            message = f"{what}: {side} '{_LOST}' has a name that JavaScript keeps for itself"
            raise ModelError(message, next_step="give it another name and prepare the model again")
    if prepared.custom_op_library is not None:
        message = f"{what}: it has operators of its own, and onnxruntime-web loads no library"
        step = "replace them by ONNX's own operators; on Android and iOS they can be shipped"
        raise ModelError(message, next_step=step)
