package dev.ortlab.benchcore

import java.io.File
import java.io.FileInputStream
import java.io.FileOutputStream
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.CharBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.StandardCharsets
import java.security.MessageDigest

private const val LENGTH_BYTES = 4
private const val CHUNK_BYTES = 1 shl 20

/** The bytes are not those of a tensor of this type and shape. */
internal class InvalidTensorException(
    message: String,
) : Exception(message)

/**
 * Returns the number of elements.
 *
 * @throws InvalidTensorException there are more than a machine can address.
 */
internal fun elementCount(shape: List<Long>): Long {
    if (shape.any { it == 0L }) return 0
    return try {
        shape.fold(1L, Math::multiplyExact)
    } catch (_: ArithmeticException) {
        throw InvalidTensorException("$shape are more elements than a machine can hold")
    }
}

/**
 * Checks the bytes of a tensor file whose elements have one size.
 *
 * @throws InvalidTensorException they are too few or too many, or a bool is neither 0 nor 1.
 */
internal fun checkElements(
    data: ByteBuffer,
    type: ElementType,
    shape: List<Long>,
) {
    val sizeBytes = data.remaining()
    val count = elementCount(shape)
    if (count > sizeBytes || count * type.sizeBytes != sizeBytes.toLong()) {
        throw InvalidTensorException("${type.wireName} $shape does not take the $sizeBytes bytes it has")
    }
    if (type == ElementType.BOOL) {
        for (at in data.position() until data.limit()) {
            if (data.get(at) !in 0..1) throw InvalidTensorException("a bool is neither 0 nor 1")
        }
    }
}

/**
 * Returns the strings of a tensor file.
 *
 * @throws InvalidTensorException they are not as many as the shape says, or no UTF-8.
 */
internal fun decodeStrings(
    data: ByteBuffer,
    shape: List<Long>,
): Array<String> {
    val count = elementCount(shape)
    val rest = data.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    if (count > rest.remaining() / LENGTH_BYTES) throw notExactly(count)
    val texts = Array(count.toInt()) { decodeString(rest) ?: throw notExactly(count) }
    if (rest.hasRemaining()) throw notExactly(count)
    return texts
}

private fun notExactly(count: Long) = InvalidTensorException("it does not hold exactly $count strings")

/** Returns the next string, or null where the bytes end within it. */
private fun decodeString(rest: ByteBuffer): String? {
    if (rest.remaining() < LENGTH_BYTES) return null
    val length = rest.getInt()
    if (length < 0 || length > rest.remaining()) return null
    val bytes = ByteArray(length)
    rest.get(bytes)
    return try {
        bytes.decodeToString(throwOnInvalidSequence = true)
    } catch (_: CharacterCodingException) {
        throw InvalidTensorException("a string is no UTF-8")
    }
}

/**
 * Returns the bytes of a tensor file of strings.
 *
 * @throws InvalidTensorException a string has no UTF-8 (half a surrogate pair).
 */
internal fun encodeStrings(texts: List<String>): ByteBuffer {
    val encoded =
        try {
            texts.map { StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(it)) }
        } catch (_: CharacterCodingException) {
            throw InvalidTensorException("a string has no UTF-8")
        }
    val sizeBytes = encoded.sumOf { LENGTH_BYTES.toLong() + it.remaining() }
    if (sizeBytes > Int.MAX_VALUE) throw InvalidTensorException("the strings take $sizeBytes bytes")
    val data = ByteArray(sizeBytes.toInt())
    val rest = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN)
    for (text in encoded) {
        rest.putInt(text.remaining())
        rest.put(text)
    }
    return ByteBuffer.wrap(data)
}

/**
 * Reads a whole file into memory outside the heap, in native byte order, positioned at its start.
 *
 * @throws IOException it cannot be read, or changed its size meanwhile.
 * @throws RefusedException it is too large for one buffer.
 */
internal fun readDirect(file: File): ByteBuffer =
    FileInputStream(file).use { stream ->
        val data = directBuffer(bufferSize(stream.channel.size(), file))
        val filling = data.duplicate()
        while (filling.hasRemaining()) {
            if (stream.channel.read(filling) < 0) throw IOException("$file is shorter than it was a moment ago")
        }
        data
    }

/**
 * Returns a file's size as that of a buffer.
 *
 * @throws RefusedException it is too large for one.
 */
internal fun bufferSize(
    sizeBytes: Long,
    file: File,
): Int {
    if (sizeBytes > Int.MAX_VALUE) {
        throw RefusedException(FailureKind.UNSUPPORTED, "$file has $sizeBytes bytes; a Java buffer holds 2 GiB")
    }
    return sizeBytes.toInt()
}

/**
 * Reads an input of a request and checks it against its description.
 *
 * @throws RefusedException it is missing, or another one.
 */
internal fun readTensorFile(
    tensor: TensorFile,
    base: File,
): ByteBuffer {
    val data =
        try {
            readDirect(resolve(base, tensor.path))
        } catch (error: IOException) {
            throw RefusedException(FailureKind.INPUT_MISSING, "${tensor.name}: ${error.message}")
        }
    if (tensor.sha256 != null && sha256(data) != tensor.sha256) {
        val message = "${tensor.name}: the file was changed since the request was made"
        throw RefusedException(FailureKind.INVALID_INPUT, message)
    }
    return data
}

/**
 * Writes a file of an output.
 *
 * @throws IOException it cannot be written.
 */
internal fun writeBytes(
    file: File,
    data: ByteBuffer,
) {
    FileOutputStream(file).use { stream ->
        val rest = data.duplicate()
        while (rest.hasRemaining()) stream.channel.write(rest)
    }
}

/** Returns the SHA-256 of the remaining bytes, in hexadecimal. */
internal fun sha256(data: ByteBuffer): String {
    val digest = MessageDigest.getInstance("SHA-256")
    digest.update(data.duplicate())
    return hexadecimal(digest)
}

/**
 * Returns the SHA-256 of a file, in hexadecimal.
 *
 * @throws IOException it cannot be read.
 */
internal fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val chunk = ByteArray(CHUNK_BYTES)
    FileInputStream(file).use { stream ->
        while (true) {
            val count = stream.read(chunk)
            if (count < 0) break
            digest.update(chunk, 0, count)
        }
    }
    return hexadecimal(digest)
}

private fun hexadecimal(digest: MessageDigest) = digest.digest().joinToString("") { "%02x".format(it) }
