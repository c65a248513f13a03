package dev.ortlab.sdk

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Names that the runtime's Java API can pass.
 *
 * JNI encodes characters beyond U+FFFF in a way of its own on most Java runtimes, so that no tensor
 * with an emoji in its name could be addressed. Such a name gets an alias of the same length in
 * UTF-8, in the SDK and, before it is loaded, in a copy of the model.
 */
internal object RuntimeNames {
    private const val ALIAS_DIGITS = 3

    /** The name to use with the runtime. */
    fun of(name: String): String {
        if (name.none { it.isSurrogate() }) return name
        val alias = StringBuilder()
        name.codePoints().forEach { character ->
            if (Character.isSupplementaryCodePoint(character)) {
                alias.append('~').append((character and 0xFFF).toString(16).padStart(ALIAS_DIGITS, '0'))
            } else {
                alias.appendCodePoint(character)
            }
        }
        return alias.toString()
    }

    /** The model with aliases in place of names that need them; [model] itself where none does. */
    fun prepare(
        model: ByteBuffer,
        names: List<String>,
        isOrtFormat: Boolean,
    ): ByteBuffer {
        val replaced = names.filter { of(it) != it }
        if (replaced.isEmpty()) return model
        val copy = ByteBuffer.allocateDirect(model.remaining()).order(ByteOrder.nativeOrder())
        copy.duplicate().put(model.duplicate())
        for (name in replaced) replace(copy, framed(name, isOrtFormat), framed(of(name), isOrtFormat))
        return copy
    }

    private fun framed(
        name: String,
        isOrtFormat: Boolean,
    ): ByteArray {
        val text = name.toByteArray(Charsets.UTF_8)
        return if (isOrtFormat) flatBufferFrame(text) else protobufFrame(text)
    }

    /** A 32-bit length, UTF-8, a zero. Source: FlatBuffers' internals. */
    private fun flatBufferFrame(text: ByteArray): ByteArray {
        val frame = ByteBuffer.allocate(Int.SIZE_BYTES + text.size + 1).order(ByteOrder.LITTLE_ENDIAN)
        return frame.putInt(text.size).put(text).array()
    }

    /** A length in groups of seven bits, UTF-8. Source: Protocol Buffers' encoding. */
    private fun protobufFrame(text: ByteArray): ByteArray {
        val frame = ArrayList<Byte>()
        var rest = text.size
        while (rest > 0x7F) {
            frame += ((rest and 0x7F) or 0x80).toByte()
            rest = rest ushr 7
        }
        frame += rest.toByte()
        return frame.toByteArray() + text
    }

    private fun replace(
        bytes: ByteBuffer,
        old: ByteArray,
        new: ByteArray,
    ) {
        for (start in 0..bytes.limit() - old.size) {
            if (bytes.get(start) == old[0] && old.indices.all { bytes.get(start + it) == old[it] }) {
                new.forEachIndexed { index, byte -> bytes.put(start + index, byte) }
            }
        }
    }
}
