"""What of a model the Kotlin SDK can do: ONNX Runtime's Java API has its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ortlab.scaffold.sdk_model import SdkPlatform

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

KOTLIN: Final = SdkPlatform(
    language="Kotlin",
    api="ONNX Runtime's Java API",
    input_types=INPUT_TYPES,
    output_types=OUTPUT_TYPES,
    # A JVM method has at most 255 parameters.
    maximum_tensors=200,
    uncreatable=("ONNX Runtime's Java API cannot create tensors of uint16, uint32 or uint64"),
)
