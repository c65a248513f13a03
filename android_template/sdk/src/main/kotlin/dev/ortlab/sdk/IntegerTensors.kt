package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer
import java.nio.ShortBuffer

/** Signed 8-bit integers. */
public class ByteTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ByteBuffer = storage.bytes.duplicate()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: ByteBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Byte {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Byte,
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
    public fun write(values: ByteArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toByteArray(): ByteArray {
        checkOpen()
        return ByteArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): ByteTensor = ByteTensor(Storage.allocate(ElementType.INT8, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: ByteArray,
            vararg shape: Long,
        ): ByteTensor = allocate(*shape).apply { write(values) }

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
        ): ByteTensor = ByteTensor(Storage.wrap(ElementType.INT8, buffer, shape))
    }
}

/** Signed 16-bit integers. */
public class ShortTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ShortBuffer = storage.bytes.asShortBuffer()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: ShortBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Short {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Short,
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
    public fun write(values: ShortArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toShortArray(): ShortArray {
        checkOpen()
        return ShortArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): ShortTensor = ShortTensor(Storage.allocate(ElementType.INT16, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: ShortArray,
            vararg shape: Long,
        ): ShortTensor = allocate(*shape).apply { write(values) }

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
        ): ShortTensor = ShortTensor(Storage.wrap(ElementType.INT16, buffer, shape))
    }
}

/** Signed 32-bit integers. */
public class IntTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: IntBuffer = storage.bytes.asIntBuffer()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: IntBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Int {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Int,
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
    public fun write(values: IntArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toIntArray(): IntArray {
        checkOpen()
        return IntArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): IntTensor = IntTensor(Storage.allocate(ElementType.INT32, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: IntArray,
            vararg shape: Long,
        ): IntTensor = allocate(*shape).apply { write(values) }

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
        ): IntTensor = IntTensor(Storage.wrap(ElementType.INT32, buffer, shape))
    }
}

/** Signed 64-bit integers. */
public class LongTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: LongBuffer = storage.bytes.asLongBuffer()

    /**
     * Its memory as numbers, C order; a view whose position and limit are the caller's to use.
     *
     * @throws ClosedException the tensor was closed.
     */
    public val buffer: LongBuffer = view.duplicate()
        get() {
            checkOpen()
            return field
        }

    /** Element [index] in C order. */
    public operator fun get(index: Int): Long {
        checkOpen()
        return view.get(index)
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Long,
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
    public fun write(values: LongArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toLongArray(): LongArray {
        checkOpen()
        return LongArray(elementCount).also { view.duplicate().get(it) }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): LongTensor = LongTensor(Storage.allocate(ElementType.INT64, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: LongArray,
            vararg shape: Long,
        ): LongTensor = allocate(*shape).apply { write(values) }

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
        ): LongTensor = LongTensor(Storage.wrap(ElementType.INT64, buffer, shape))
    }
}
