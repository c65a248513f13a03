package dev.ortlab.sdk

import java.nio.ByteBuffer

/** True or false. */
public class BooleanTensor internal constructor(
    storage: Storage,
) : BufferTensor(storage) {
    private val view: ByteBuffer = storage.bytes.duplicate()

    /** Element [index] in C order. */
    public operator fun get(index: Int): Boolean {
        checkOpen()
        return view.get(index) != FALSE
    }

    /** Sets element [index] in C order. */
    public operator fun set(
        index: Int,
        value: Boolean,
    ) {
        checkOpen()
        view.put(index, if (value) TRUE else FALSE)
    }

    /**
     * Copies all elements in.
     *
     * @throws InvalidBufferException [values] has another length.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: BooleanArray) {
        checkLength(values.size)
        for (index in values.indices) view.put(index, if (values[index]) TRUE else FALSE)
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toBooleanArray(): BooleanArray {
        checkOpen()
        return BooleanArray(elementCount) { view.get(it) != FALSE }
    }

    /** Makes tensors. */
    public companion object {
        private const val TRUE: Byte = 1
        private const val FALSE: Byte = 0

        /**
         * Makes a tensor that is false everywhere.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): BooleanTensor = BooleanTensor(Storage.allocate(ElementType.BOOL, shape))

        /**
         * Makes a tensor that holds a copy of [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: BooleanArray,
            vararg shape: Long,
        ): BooleanTensor = allocate(*shape).apply { write(values) }
    }
}
