"""What of a model the Swift SDK can do, which rests on ONNX Runtime's C API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ortlab.scaffold.sdk_model import SdkPlatform

TENSOR_TYPES: Final[Mapping[str, str]] = {
    "float": "Tensor<Float>",
    "double": "Tensor<Double>",
    "float16": "Tensor<Half>",
    "bfloat16": "Tensor<BFloat16>",
    "int8": "Tensor<Int8>",
    "int16": "Tensor<Int16>",
    "int32": "Tensor<Int32>",
    "int64": "Tensor<Int64>",
    "uint8": "Tensor<UInt8>",
    "uint16": "Tensor<UInt16>",
    "uint32": "Tensor<UInt32>",
    "uint64": "Tensor<UInt64>",
    "bool": "Tensor<Bool>",
    "string": "StringTensor",
}
"""ONNX element types that have a Swift type, with the SDK's class of each."""

SWIFT: Final = SdkPlatform(
    language="Swift",
    api="the Swift SDK",
    input_types=TENSOR_TYPES,
    output_types=TENSOR_TYPES,
)
