package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A direct buffer of native byte order with the type and shape it is read by. */
internal class Storage private constructor(
    val elementType: ElementType,
    val sizes: LongArray,
    val bytes: ByteBuffer,
) {
    private var handle: OnnxTensor? = null

    @Synchronized
    fun handle(): OnnxTensor =
        handle ?: wrapping("make a tensor of ${elementType.onnxName}${sizes.contentToString()}") {
            OnnxTensor.createTensor(OrtRuntime.environment, bytes, sizes, elementType.javaType)
        }.also { handle = it }

    @Synchronized
    fun destroy() {
        handle?.close()
        handle = null
    }

    companion object {
        fun allocate(
            elementType: ElementType,
            shape: LongArray,
        ): Storage {
            val size = sizeBytes(elementType, shape)
            return Storage(elementType, shape.copyOf(), ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder()))
        }

        fun wrap(
            elementType: ElementType,
            buffer: ByteBuffer,
            shape: LongArray,
        ): Storage {
            val size = sizeBytes(elementType, shape)
            val what = "${elementType.onnxName}${shape.contentToString()}"

            fun refuse(why: String): Nothing = throw InvalidBufferException("The buffer for $what $why")

            if (!buffer.isDirect) refuse("is not direct: use ByteBuffer.allocateDirect")
            if (buffer.order() != ByteOrder.nativeOrder()) {
                refuse("has byte order ${buffer.order()}; order(ByteOrder.nativeOrder()) sets this device's")
            }
            if (buffer.remaining() != size) refuse("holds ${buffer.remaining()} bytes between position and limit, not $size")
            if (buffer.position() % elementType.sizeBytes != 0) refuse("starts inside an element")
            if (buffer.isReadOnly) refuse("is read-only")
            return Storage(elementType, shape.copyOf(), buffer.slice().order(ByteOrder.nativeOrder()))
        }

        private fun sizeBytes(
            elementType: ElementType,
            shape: LongArray,
        ): Int {
            var size = elementType.sizeBytes.toLong()
            for (dimension in shape) {
                if (dimension < 0) throw ShapeMismatchException("A size may not be negative: ${shape.contentToString()}")
                if (dimension > Int.MAX_VALUE || size * dimension > Int.MAX_VALUE) {
                    val what = "${elementType.onnxName}${shape.contentToString()}"
                    throw ShapeMismatchException("$what is larger than the 2 GiB that a buffer can hold")
                }
                size *= dimension
            }
            return size.toInt()
        }
    }
}

/** A tensor of numbers or truth values, in a direct buffer. */
public sealed class BufferTensor(
    internal val storage: Storage,
) : Tensor(storage.elementType, storage.sizes) {
    /**
     * Its memory, C order, native byte order; a new view with a position of its own each time.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val bytes: ByteBuffer
        get() {
            checkOpen()
            return storage.bytes.duplicate().order(ByteOrder.nativeOrder())
        }

    override fun handle(): OnnxTensor = storage.handle()

    override fun destroy(): Unit = storage.destroy()

    override fun clear() {
        val bytes = this.bytes
        while (bytes.remaining() >= Long.SIZE_BYTES) bytes.putLong(0)
        while (bytes.hasRemaining()) bytes.put(0)
    }

    /** Copies the elements of a tensor with the same type and shape, whatever uses either. */
    internal fun copyRaw(other: BufferTensor) {
        storage.bytes.duplicate().put(other.storage.bytes.duplicate())
    }

    /** Refuses an array of another length. */
    internal fun checkLength(length: Int) {
        checkOpen()
        if (length != elementCount) {
            throw InvalidBufferException("An array of $length elements was given for $this, which has $elementCount")
        }
    }
}
