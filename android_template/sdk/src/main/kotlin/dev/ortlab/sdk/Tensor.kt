package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor
import java.util.concurrent.atomic.AtomicInteger

/**
 * A tensor that the SDK keeps for the runtime: its memory is allocated once and used again.
 *
 * Fill and read it from one thread at a time. A run borrows it: a second run that wants it at the
 * same moment is refused with [BusyException], and [close] takes effect when the run has ended.
 * The runtime's own handle never leaves the SDK, so a closed tensor cannot reach native code.
 *
 * @property elementType of its elements.
 */
public sealed class Tensor(
    public val elementType: ElementType,
    internal val sizes: LongArray,
) : AutoCloseable {
    private val state = AtomicInteger(FREE)

    /** Sizes of its dimensions; empty for a scalar. A copy. */
    public val shape: LongArray
        get() = sizes.copyOf()

    /** Number of elements: the product of [shape], 1 for a scalar. */
    public val elementCount: Int = elementCountOf(sizes)

    /** Whether [close] was called. */
    public val isClosed: Boolean
        get() = state.get() >= CLOSING

    /** The runtime's handle; made when first asked for. */
    internal abstract fun handle(): OnnxTensor

    /** Lets go of the runtime's handle. */
    internal abstract fun destroy()

    /** Sets every element to zero, false or the empty text. */
    public abstract fun clear()

    /**
     * Lets go of the tensor; a second call does nothing. While a run uses it, the run ends first.
     */
    override fun close() {
        while (true) {
            when (state.get()) {
                FREE -> {
                    if (state.compareAndSet(FREE, CLOSED)) {
                        destroy()
                        return
                    }
                }

                IN_USE -> {
                    if (state.compareAndSet(IN_USE, CLOSING)) return
                }

                else -> {
                    return
                }
            }
        }
    }

    /** Borrows the tensor for a run. */
    internal fun acquire() {
        if (!state.compareAndSet(FREE, IN_USE)) throw refusal()
    }

    /** Gives the tensor back after a run. */
    internal fun release() {
        if (!state.compareAndSet(IN_USE, FREE)) {
            state.set(CLOSED)
            destroy()
        }
    }

    /** Refuses to go on with a closed tensor. */
    internal fun checkOpen() {
        if (isClosed) throw ClosedException("This tensor ($this) was closed")
    }

    private fun refusal(): UnusableException =
        if (isClosed) {
            ClosedException("A run was asked for with a tensor ($this) that was closed before")
        } else {
            BusyException("Another run is using this tensor ($this)")
        }

    /** Type and shape in words, such as `float[1, 3, 224, 224]`. */
    override fun toString(): String = elementType.onnxName + sizes.contentToString()

    /** Makes tensors whose type is known only when the app runs. */
    public companion object {
        private const val FREE = 0
        private const val IN_USE = 1
        private const val CLOSING = 2
        private const val CLOSED = 3

        /**
         * Makes a tensor of zeros.
         *
         * @throws ShapeMismatchException a size is negative, or the tensor has more elements than a
         *   buffer can hold.
         */
        public fun allocate(
            elementType: ElementType,
            vararg shape: Long,
        ): Tensor =
            when (elementType) {
                ElementType.FLOAT -> FloatTensor.allocate(*shape)
                ElementType.DOUBLE -> DoubleTensor.allocate(*shape)
                ElementType.FLOAT16 -> Float16Tensor.allocate(*shape)
                ElementType.BFLOAT16 -> BFloat16Tensor.allocate(*shape)
                ElementType.INT8 -> ByteTensor.allocate(*shape)
                ElementType.INT16 -> ShortTensor.allocate(*shape)
                ElementType.INT32 -> IntTensor.allocate(*shape)
                ElementType.INT64 -> LongTensor.allocate(*shape)
                ElementType.UINT8 -> UByteTensor.allocate(*shape)
                ElementType.UINT16 -> UShortTensor(Storage.allocate(elementType, shape))
                ElementType.UINT32 -> UIntTensor(Storage.allocate(elementType, shape))
                ElementType.UINT64 -> ULongTensor(Storage.allocate(elementType, shape))
                ElementType.BOOL -> BooleanTensor.allocate(*shape)
                ElementType.STRING -> StringTensor.allocate(*shape)
            }

        private fun elementCountOf(sizes: LongArray): Int {
            var count = 1L
            for (size in sizes) {
                if (size < 0) throw ShapeMismatchException("A size may not be negative: ${sizes.contentToString()}")
                count = Math.multiplyExact(count, size.coerceAtMost(Int.MAX_VALUE.toLong()))
                if (count > Int.MAX_VALUE) {
                    throw ShapeMismatchException("${sizes.contentToString()} has more elements than a buffer can hold")
                }
            }
            return count.toInt()
        }
    }
}
