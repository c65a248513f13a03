package dev.ortlab.benchcore

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.TensorInfo
import ai.onnxruntime.TensorInfo.OnnxTensorType
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val LONGEST_BUFFER_BYTES = Int.MAX_VALUE.toLong()

private val ELEMENT_TYPES =
    mapOf(
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT to ElementType.FLOAT,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE to ElementType.DOUBLE,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 to ElementType.FLOAT16,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 to ElementType.BFLOAT16,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 to ElementType.INT8,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 to ElementType.INT16,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 to ElementType.INT32,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 to ElementType.INT64,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 to ElementType.UINT8,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 to ElementType.UINT16,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 to ElementType.UINT32,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 to ElementType.UINT64,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL to ElementType.BOOL,
        OnnxTensorType.ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING to ElementType.STRING,
    )

/** Returns the element type that a model declares, or null where tensor files have none for it. */
internal fun elementTypeOf(info: TensorInfo): ElementType? = ELEMENT_TYPES[info.onnxType]

/**
 * Returns a tensor on the bytes of a tensor file, which it keeps using.
 *
 * @param data outside the heap, in native byte order.
 * @throws RefusedException the bytes are not those of the type and shape, or the Java API cannot
 *   make a tensor of this type: it has none for unsigned integers of more than 8 bits.
 */
internal fun createTensor(
    environment: OrtEnvironment,
    tensor: TensorFile,
    data: ByteBuffer,
): OnnxTensor {
    val name = passable(tensor.name, "the name of an input")
    val shape = tensor.shape.toLongArray()
    return try {
        if (tensor.elementType == ElementType.STRING) {
            val texts = decodeStrings(data, tensor.shape)
            OnnxTensor.createTensor(environment, texts.onEach { passable(it, "input $name") }, shape)
        } else {
            checkElements(data, tensor.elementType, tensor.shape)
            createTensor(environment, tensor.elementType, shape, data) ?: throw uncreatable(tensor)
        }
    } catch (error: InvalidTensorException) {
        throw RefusedException(FailureKind.INVALID_INPUT, "${tensor.name}: ${error.message}", cause = error)
    }
}

private fun uncreatable(tensor: TensorFile): RefusedException {
    val type = tensor.elementType.wireName
    return RefusedException(FailureKind.UNSUPPORTED, "${tensor.name}: the Java API cannot make tensors of $type")
}

/** Returns a tensor that uses a direct buffer, or null where the Java API has none of this type. */
internal fun createTensor(
    environment: OrtEnvironment,
    type: ElementType,
    shape: LongArray,
    data: ByteBuffer,
): OnnxTensor? {
    fun ofBytes(type: OnnxJavaType) = OnnxTensor.createTensor(environment, data, shape, type)

    fun ofShorts(type: OnnxJavaType) = OnnxTensor.createTensor(environment, data.asShortBuffer(), shape, type)

    return when (type) {
        ElementType.FLOAT -> OnnxTensor.createTensor(environment, data.asFloatBuffer(), shape)
        ElementType.DOUBLE -> OnnxTensor.createTensor(environment, data.asDoubleBuffer(), shape)
        ElementType.FLOAT16 -> ofShorts(OnnxJavaType.FLOAT16)
        ElementType.BFLOAT16 -> ofShorts(OnnxJavaType.BFLOAT16)
        ElementType.INT8 -> ofBytes(OnnxJavaType.INT8)
        ElementType.INT16 -> ofShorts(OnnxJavaType.INT16)
        ElementType.INT32 -> OnnxTensor.createTensor(environment, data.asIntBuffer(), shape)
        ElementType.INT64 -> OnnxTensor.createTensor(environment, data.asLongBuffer(), shape)
        ElementType.UINT8 -> ofBytes(OnnxJavaType.UINT8)
        ElementType.BOOL -> ofBytes(OnnxJavaType.BOOL)
        ElementType.UINT16, ElementType.UINT32, ElementType.UINT64, ElementType.STRING -> null
    }
}

/**
 * Writes an output as a tensor file under a name of our own.
 *
 * @throws RefusedException no tensor file or Java buffer can hold it.
 * @throws java.io.IOException it cannot be written.
 */
internal fun writeOutput(
    directory: File,
    index: Int,
    name: String,
    output: Any?,
): TensorFile {
    val tensor = output as? OnnxTensor ?: throw unsupported(name, "is no tensor")
    val type = elementTypeOf(tensor.info) ?: throw unsupported(name, "has a type that tensor files have not")
    val data = if (type == ElementType.STRING) stringsOf(tensor, name) else elementsOf(tensor, type, name)
    val path = "output-$index.bin"
    writeBytes(File(directory, path), data)
    return TensorFile(name, type, tensor.info.shape.toList(), path, sha256(data))
}

private fun elementsOf(
    tensor: OnnxTensor,
    type: ElementType,
    name: String,
): ByteBuffer {
    val count = elementCount(tensor.info.shape.toList())
    if (count == 0L) return ByteBuffer.allocate(0)
    if (count > LONGEST_BUFFER_BYTES / type.sizeBytes) throw unsupported(name, "is larger than a Java buffer")
    return tensor.byteBuffer
}

/** The elements of an array are in C order, however deeply it is nested; a scalar stands alone. */
private fun stringsOf(
    tensor: OnnxTensor,
    name: String,
): ByteBuffer {
    if (elementCount(tensor.info.shape.toList()) == 0L) return ByteBuffer.allocate(0)
    return try {
        encodeStrings(flatten(tensor.value).toList())
    } catch (error: InvalidTensorException) {
        throw unsupported(name, "cannot be kept: ${error.message}")
    }
}

private fun flatten(value: Any?): Sequence<String> =
    when (value) {
        is Array<*> -> value.asSequence().flatMap { flatten(it) }
        else -> sequenceOf(value.toString())
    }

private fun unsupported(
    name: String,
    complaint: String,
) = RefusedException(FailureKind.UNSUPPORTED, "output $name $complaint", Stage.READ_OUTPUT)

/** Returns memory outside the heap for an output, in native byte order. */
internal fun directBuffer(sizeBytes: Int): ByteBuffer {
    val buffer = ByteBuffer.allocateDirect(sizeBytes)
    return buffer.order(ByteOrder.nativeOrder())
}
