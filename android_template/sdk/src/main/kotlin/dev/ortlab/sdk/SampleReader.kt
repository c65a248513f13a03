package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Reads packaged tensors: elements in C order, little-endian; texts are UTF-8 behind a 32-bit length. */
internal object SampleReader {
    fun read(
        sample: List<SampleTensor>,
        source: ModelSource,
    ): Map<String, Tensor> = sample.associate { it.name to read(it, source.open(it.assetPath)) }

    private fun read(
        sample: SampleTensor,
        bytes: ByteBuffer,
    ): Tensor {
        val shape = sample.shape.toLongArray()
        if (sample.elementType == ElementType.STRING) return readTexts(shape, bytes)
        val tensor = Tensor.allocate(sample.elementType, *shape) as BufferTensor
        val target = tensor.bytes
        if (target.remaining() != bytes.remaining()) {
            throw ModelLoadException("The sample ${sample.assetPath} has ${bytes.remaining()} bytes instead of ${target.remaining()}")
        }
        // Every Android ABI is little-endian, as the file is.
        target.put(bytes)
        return tensor
    }

    private fun readTexts(
        shape: LongArray,
        bytes: ByteBuffer,
    ): StringTensor {
        val tensor = StringTensor.allocate(*shape)
        val input = bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN)
        val texts =
            Array(tensor.elementCount) {
                val text = ByteArray(input.getInt())
                input.get(text)
                String(text, Charsets.UTF_8)
            }
        tensor.write(texts)
        return tensor
    }
}
