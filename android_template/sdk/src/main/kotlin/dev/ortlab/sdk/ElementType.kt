package dev.ortlab.sdk

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.TensorInfo.OnnxTensorType

/**
 * Element type of a tensor, under ONNX's names.
 *
 * The runtime's Java API can create every type but [UINT16], [UINT32] and [UINT64]; of these it
 * only hands out the bits, so they appear as outputs and never as inputs.
 *
 * @property onnxName name in ONNX, in lower case.
 * @property sizeBytes bytes of one element; 0 for [STRING], whose elements have no fixed size.
 */
public enum class ElementType(
    public val onnxName: String,
    public val sizeBytes: Int,
    internal val javaType: OnnxJavaType,
    internal val runtimeType: OnnxTensorType,
) {
    /** 32-bit IEEE 754. */
    FLOAT("float", 4, OnnxJavaType.FLOAT, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),

    /** 64-bit IEEE 754. */
    DOUBLE("double", 8, OnnxJavaType.DOUBLE, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE),

    /** 16-bit IEEE 754. */
    FLOAT16("float16", 2, OnnxJavaType.FLOAT16, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16),

    /** The upper half of a 32-bit IEEE 754 number. */
    BFLOAT16("bfloat16", 2, OnnxJavaType.BFLOAT16, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16),

    /** Signed, 8 bits. */
    INT8("int8", 1, OnnxJavaType.INT8, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8),

    /** Signed, 16 bits. */
    INT16("int16", 2, OnnxJavaType.INT16, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16),

    /** Signed, 32 bits. */
    INT32("int32", 4, OnnxJavaType.INT32, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32),

    /** Signed, 64 bits. */
    INT64("int64", 8, OnnxJavaType.INT64, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64),

    /** Unsigned, 8 bits. */
    UINT8("uint8", 1, OnnxJavaType.UINT8, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8),

    /** Unsigned, 16 bits; outputs only. */
    UINT16("uint16", 2, OnnxJavaType.INT16, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16),

    /** Unsigned, 32 bits; outputs only. */
    UINT32("uint32", 4, OnnxJavaType.INT32, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32),

    /** Unsigned, 64 bits; outputs only. */
    UINT64("uint64", 8, OnnxJavaType.INT64, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64),

    /** True or false, one byte each. */
    BOOL("bool", 1, OnnxJavaType.BOOL, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL),

    /** Text. */
    STRING("string", 0, OnnxJavaType.STRING, OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING),
    ;

    /** Whether a tensor of this type can be given to a model. */
    public val canBeInput: Boolean
        get() = this != UINT16 && this != UINT32 && this != UINT64
}
