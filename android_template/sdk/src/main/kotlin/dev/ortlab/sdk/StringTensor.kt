package dev.ortlab.sdk

import ai.onnxruntime.OnnxTensor

/**
 * Text. The runtime copies it whenever it has changed, at the next run.
 *
 * The runtime's Java API hands text over with JNI's own form of UTF-8. It cannot carry the character
 * U+0000, and outside Android no character beyond U+FFFF, such as emoji: these are refused in
 * inputs. In outputs of such a Java runtime they come out garbled, and nothing can be done here.
 */
public class StringTensor internal constructor(
    sizes: LongArray,
    values: Array<String>,
) : Tensor(ElementType.STRING, sizes) {
    private val values: Array<String> = values.copyOf()
    private var handle: OnnxTensor? = null

    /** Whether the runtime's copy is out of date. */
    private var isStale = false

    init {
        checkLength(values.size)
    }

    /** Element [index] in C order. */
    public operator fun get(index: Int): String {
        checkOpen()
        return values[index]
    }

    /**
     * Sets element [index] in C order.
     *
     * @throws InvalidBufferException [value] holds a character that cannot be handed over.
     */
    public operator fun set(
        index: Int,
        value: String,
    ) {
        checkOpen()
        checkText(value)
        values[index] = value
        isStale = true
    }

    /**
     * Copies all elements in.
     *
     * @throws InvalidBufferException [values] has another length, or holds a character that cannot be
     *   handed over.
     * @throws ClosedException the tensor was closed.
     */
    public fun write(values: Array<String>) {
        checkOpen()
        checkLength(values.size)
        values.forEach(::checkText)
        values.copyInto(this.values)
        isStale = true
    }

    /**
     * Copies all elements out.
     *
     * @throws ClosedException the tensor was closed.
     */
    public fun toStringArray(): Array<String> {
        checkOpen()
        return values.copyOf()
    }

    override fun clear() {
        checkOpen()
        values.fill("")
        isStale = true
    }

    @Synchronized
    override fun handle(): OnnxTensor =
        handle ?: wrapping("make a tensor of string${sizes.contentToString()}") {
            OnnxTensor.createTensor(OrtRuntime.environment, values, sizes)
        }.also { handle = it }

    @Synchronized
    override fun destroy() {
        handle?.close()
        handle = null
    }

    /** Makes the runtime's copy anew if the text has changed; called while a run has the tensor. */
    internal fun refresh(): OnnxTensor {
        if (isStale) {
            isStale = false
            destroy()
        }
        return handle()
    }

    private fun checkLength(length: Int) {
        if (length != elementCount) {
            throw InvalidBufferException("$length texts were given for $this, which has $elementCount")
        }
    }

    /** Makes tensors. */
    public companion object {
        /**
         * Makes a tensor of empty texts.
         *
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun allocate(vararg shape: Long): StringTensor {
            val count = shape.fold(1L) { product, size -> (product * size.coerceIn(0, MAXIMUM_COUNT + 1)).coerceAtMost(MAXIMUM_COUNT + 1) }
            if (count > MAXIMUM_COUNT) {
                throw ShapeMismatchException("string${shape.contentToString()} has more than $MAXIMUM_COUNT texts")
            }
            return StringTensor(shape.copyOf(), Array(count.toInt()) { "" })
        }

        /**
         * Makes a tensor that holds [values].
         *
         * @throws InvalidBufferException [values] has another length than [shape] says, or holds a
         *   character that cannot be handed over.
         * @throws ShapeMismatchException a size is negative or too large.
         */
        public fun of(
            values: Array<String>,
            vararg shape: Long,
        ): StringTensor {
            values.forEach(::checkText)
            return StringTensor(shape.copyOf(), values)
        }

        private fun checkText(text: String) {
            if (!OrtRuntime.canPass(text)) {
                throw InvalidBufferException(
                    "A text holds U+0000, half a surrogate pair or a character beyond U+FFFF, " +
                        "which this Java runtime cannot hand to native code unharmed",
                )
            }
        }

        private const val MAXIMUM_COUNT = 1L shl 24
    }
}
