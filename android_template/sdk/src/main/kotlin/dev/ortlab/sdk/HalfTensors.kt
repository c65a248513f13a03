package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.ShortBuffer

/** Numbers of 16 bits, read and written as 32-bit floats. */
public sealed class HalfTensor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ShortBuffer = storage.bytes.asShortBuffer()

    /**
     * Its memory as bit patterns, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val bits: ShortBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Float {
        checkOpen()
        return decode(view.get(index))
    }

    /** Sets element [index] in C order to the nearest number of this type. */
    public operator fun set(
        index: Int,
        value: Float,
    ) {
        checkOpen()
        view.put(index, encode(value))
    }

    /**
     * Copies all elements in, each as the nearest number of this type, ties to even.
     *
     * @throws InvalidBufferException [values] has another length.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: FloatArray) {
        checkLength(values.size)
        for (index in values.indices) view.put(index, encode(values[index]))
    }

    /**
     * Copies all elements out; nothing is lost.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toFloatArray(): FloatArray {
        checkOpen()
        return FloatArray(elementCount) { decode(view.get(it)) }
    }

    /** Returns the number that [bits] stand for. */
    internal abstract fun decode(bits: Short): Float

    /** Returns the bits of the nearest number of this type. */
    internal abstract fun encode(value: Float): Short
}

/** 16-bit floats, read and written as 32-bit ones. */
public class Float16Tensor internal constructor(
    storage: Storage,
) : HalfTensor(storage) {
    override fun decode(bits: Short): Float = HalfPrecision.float16ToFloat(bits)

    override fun encode(value: Float): Short = HalfPrecision.floatToFloat16(value)

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): Float16Tensor = Float16Tensor(Storage.allocate(ElementType.FLOAT16, shape))

        /**
         * Makes a tensor that holds [values], each as the nearest number of this type.
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: FloatArray,
            vararg shape: Long,
        ): Float16Tensor = allocate(*shape).apply { write(values) }

        /**
         * Makes a tensor on memory of the caller's, from the buffer's position to its limit, which
         * must stay as it is until the tensor is closed.
         *
         * @throws InvalidBufferException the buffer is not direct, has another byte order than the
         *   device, or another size.
         */
        public fun wrap(
            buffer: ByteBuffer,
            vararg shape: Long,
        ): Float16Tensor = Float16Tensor(Storage.wrap(ElementType.FLOAT16, buffer, shape))
    }
}

/** The upper halves of 32-bit floats, read and written as 32-bit ones. */
public class BFloat16Tensor internal constructor(
    storage: Storage,
) : HalfTensor(storage) {
    override fun decode(bits: Short): Float = HalfPrecision.bfloat16ToFloat(bits)

    override fun encode(value: Float): Short = HalfPrecision.floatToBfloat16(value)

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): BFloat16Tensor = BFloat16Tensor(Storage.allocate(ElementType.BFLOAT16, shape))

        /**
         * Makes a tensor that holds [values], each as the nearest number of this type.
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: FloatArray,
            vararg shape: Long,
        ): BFloat16Tensor = allocate(*shape).apply { write(values) }

        /**
         * Makes a tensor on memory of the caller's, from the buffer's position to its limit, which
         * must stay as it is until the tensor is closed.
         *
         * @throws InvalidBufferException the buffer is not direct, has another byte order than the
         *   device, or another size.
         */
        public fun wrap(
            buffer: ByteBuffer,
            vararg shape: Long,
        ): BFloat16Tensor = BFloat16Tensor(Storage.wrap(ElementType.BFLOAT16, buffer, shape))
    }
}
