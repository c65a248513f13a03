package dev.ortlab.sdk.image

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.ShortBuffer

/**
 * Writes pictures into the tensor that a model wants.
 *
 * Every operation is defined in `docs/kinds.md` of ortlab to the last bit. A preprocessor keeps
 * working memory from call to call; use it from one thread at a time.
 *
 * @property format what the model wants
 */
public class ImagePreprocessor(
    public val format: ImageFormat,
) {
    private val tables = LevelTables(format)
    private val resizer = Resizer()
    private val row = IntArray(format.width)

    /**
     * Writes [picture] into a tensor of any channel type.
     *
     * Writing starts at the position of [destination], which stays as it is.
     *
     * @throws IllegalArgumentException if [destination] is not in native byte order or holds less
     *   than the tensor after its position
     */
    public fun write(
        picture: Picture,
        destination: ByteBuffer,
    ) {
        require(format.channelType == ChannelType.UINT8 || destination.order() == ByteOrder.nativeOrder()) {
            "the buffer is not in native byte order"
        }
        val byteCount = format.elementCount * format.channelType.byteCount
        require(destination.remaining() >= byteCount) {
            "the buffer holds ${destination.remaining()} of $byteCount bytes"
        }
        when (format.channelType) {
            ChannelType.UINT8 -> write(picture, ByteSink(format, tables.bytes, destination.slice()))
            ChannelType.FLOAT16 -> write(picture, HalfSink(format, tables.halves, destination.asShortBuffer()))
            ChannelType.FLOAT -> write(picture, FloatSink(format, tables.floats, destination.asFloatBuffer()))
        }
    }

    /**
     * Writes [picture] into a tensor of [ChannelType.FLOAT].
     *
     * Writing starts at the position of [destination], which stays as it is.
     *
     * @throws IllegalArgumentException if the model wants another type, or [destination] holds less
     *   than the tensor after its position
     */
    public fun write(
        picture: Picture,
        destination: FloatBuffer,
    ) {
        checkTyped(ChannelType.FLOAT, destination.remaining())
        write(picture, FloatSink(format, tables.floats, destination.slice()))
    }

    /**
     * Writes [picture] into a tensor of [ChannelType.FLOAT16], as its bits.
     *
     * Writing starts at the position of [destination], which stays as it is.
     *
     * @throws IllegalArgumentException if the model wants another type, or [destination] holds less
     *   than the tensor after its position
     */
    public fun write(
        picture: Picture,
        destination: ShortBuffer,
    ) {
        checkTyped(ChannelType.FLOAT16, destination.remaining())
        write(picture, HalfSink(format, tables.halves, destination.slice()))
    }

    private fun checkTyped(
        type: ChannelType,
        remaining: Int,
    ) {
        require(format.channelType == type) { "the model wants ${format.channelType}, not $type" }
        require(remaining >= format.elementCount) {
            "the buffer holds $remaining of ${format.elementCount} elements"
        }
    }

    private fun write(
        picture: Picture,
        sink: Sink,
    ) {
        resizer.start(picture, format)
        val left = resizer.left
        val top = resizer.top
        val right = left + resizer.width
        val bottom = top + resizer.height
        for (y in 0 until format.height) {
            if (y < top || y >= bottom) {
                sink.pad(y, 0, format.width)
            } else {
                resizer.readRow(y - top, row)
                sink.pad(y, 0, left)
                sink.put(y, left, row, resizer.width)
                sink.pad(y, right, format.width)
            }
        }
        resizer.finish()
    }
}
