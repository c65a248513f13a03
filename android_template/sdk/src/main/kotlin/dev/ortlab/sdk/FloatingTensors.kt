package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.DoubleBuffer
import java.nio.FloatBuffer

/** 32-bit floats. */
public class FloatTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: FloatBuffer = storage.bytes.asFloatBuffer()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: FloatBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Float {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Float,
    ) {
        checkOpen()
        view.put(index, value)
    }

    /**
     * Copies all elements in.
     *
     * @throws InvalidBufferException [values] has another length.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: FloatArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toFloatArray(): FloatArray {
        checkOpen()
        return FloatArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): FloatTensor = FloatTensor(Storage.allocate(ElementType.FLOAT, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: FloatArray,
            vararg shape: Long,
        ): FloatTensor = allocate(*shape).apply { write(values) }

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
        ): FloatTensor = FloatTensor(Storage.wrap(ElementType.FLOAT, buffer, shape))
    }
}

/** 64-bit floats. */
public class DoubleTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: DoubleBuffer = storage.bytes.asDoubleBuffer()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: DoubleBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Double {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Double,
    ) {
        checkOpen()
        view.put(index, value)
    }

    /**
     * Copies all elements in.
     *
     * @throws InvalidBufferException [values] has another length.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: DoubleArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toDoubleArray(): DoubleArray {
        checkOpen()
        return DoubleArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): DoubleTensor = DoubleTensor(Storage.allocate(ElementType.DOUBLE, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: DoubleArray,
            vararg shape: Long,
        ): DoubleTensor = allocate(*shape).apply { write(values) }

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
        ): DoubleTensor = DoubleTensor(Storage.wrap(ElementType.DOUBLE, buffer, shape))
    }
}
