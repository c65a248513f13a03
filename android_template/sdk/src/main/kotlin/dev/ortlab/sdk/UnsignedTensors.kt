package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer
import java.nio.ShortBuffer

/** Unsigned 8-bit integers, such as the bytes of pictures. */
public class UByteTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ByteBuffer = storage.bytes.duplicate()

    /** Element [index] in C order. */
    public operator fun get(index: Int): UByte {
        checkOpen()
        return view.get(index).toUByte()
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: UByte,
    ) {
        checkOpen()
        view.put(index, value.toByte())
    }

    /**
     * Copies all elements in; 128 to 255 are the bytes -128 to -1.
     *
     * @throws InvalidBufferException [values] has another length.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: ByteArray) {
        checkLength(values.size)
        view.duplicate().put(values)
    }

    /**
     * Copies all elements out; 128 to 255 are the bytes -128 to -1.
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
        public fun allocate(vararg shape: Long): UByteTensor = UByteTensor(Storage.allocate(ElementType.UINT8, shape))

        /**
         * Makes a tensor that holds a copy of [values]; 128 to 255 are the bytes -128 to -1.
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: ByteArray,
            vararg shape: Long,
        ): UByteTensor = allocate(*shape).apply { write(values) }

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
        ): UByteTensor = UByteTensor(Storage.wrap(ElementType.UINT8, buffer, shape))
    }
}

/** Unsigned 16-bit integers; only outputs have them. */
public class UShortTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ShortBuffer = storage.bytes.asShortBuffer()

    /** Element [index] in C order. */
    public operator fun get(index: Int): UShort {
        checkOpen()
        return view.get(index).toUShort()
    }

    /** Copies all elements out, as the signed numbers with the same bits. */
    public fun toShortArray(): ShortArray {
        checkOpen()
        return ShortArray(elementCount).also { view.duplicate().get(it) }
    }
}

/** Unsigned 32-bit integers; only outputs have them. */
public class UIntTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: IntBuffer = storage.bytes.asIntBuffer()

    /** Element [index] in C order. */
    public operator fun get(index: Int): UInt {
        checkOpen()
        return view.get(index).toUInt()
    }

    /** Copies all elements out, as the signed numbers with the same bits. */
    public fun toIntArray(): IntArray {
        checkOpen()
        return IntArray(elementCount).also { view.duplicate().get(it) }
    }
}

/** Unsigned 64-bit integers; only outputs have them. */
public class ULongTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: LongBuffer = storage.bytes.asLongBuffer()

    /** Element [index] in C order. */
    public operator fun get(index: Int): ULong {
        checkOpen()
        return view.get(index).toULong()
    }

    /** Copies all elements out, as the signed numbers with the same bits. */
    public fun toLongArray(): LongArray {
        checkOpen()
        return LongArray(elementCount).also { view.duplicate().get(it) }
    }
}
