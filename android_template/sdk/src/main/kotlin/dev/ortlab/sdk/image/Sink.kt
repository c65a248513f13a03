package dev.ortlab.sdk.image

import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.ShortBuffer

private const val LEVELS = 256
private const val PADDING = LEVELS
private const val ENTRIES = LEVELS + 1
private const val MAXIMUM_LEVEL = 255.0
private const val RED_SHIFT = 16
private const val GREEN_SHIFT = 8
private const val BYTE = 0xFF

/** Places levels of 0 to 255 in a tensor, converted by a table. */
internal abstract class Sink(
    private val format: ImageFormat,
) {
    private val channels = format.colorOrder.channelCount
    private val planar = format.layout == Layout.NCHW
    private val pixelStep = if (planar) 1 else channels
    private val channelStep = if (planar) format.width * format.height else 1
    private val shifts =
        when (format.colorOrder) {
            ColorOrder.RGB -> intArrayOf(RED_SHIFT, GREEN_SHIFT, 0)
            ColorOrder.BGR -> intArrayOf(0, GREEN_SHIFT, RED_SHIFT)
            ColorOrder.GRAY -> intArrayOf(0)
        }

    /** Stores the converted value [entry] (a channel's level, or its padding) at [index]. */
    protected abstract fun put(
        index: Int,
        entry: Int,
    )

    /** Fills a row's columns from [first] until [end]. */
    fun pad(
        row: Int,
        first: Int,
        end: Int,
    ) {
        for (channel in 0 until channels) {
            val entry = channel * ENTRIES + PADDING
            var index = (row * format.width + first) * pixelStep + channel * channelStep
            for (column in first until end) {
                put(index, entry)
                index += pixelStep
            }
        }
    }

    /** Stores [count] pixels (`0xRRGGBB`, or the gray level) of a row from column [first] on. */
    fun put(
        row: Int,
        first: Int,
        pixels: IntArray,
        count: Int,
    ) {
        for (channel in 0 until channels) {
            val table = channel * ENTRIES
            val shift = shifts[channel]
            var index = (row * format.width + first) * pixelStep + channel * channelStep
            for (column in 0 until count) {
                put(index, table + ((pixels[column] ushr shift) and BYTE))
                index += pixelStep
            }
        }
    }
}

internal class FloatSink(
    format: ImageFormat,
    private val table: FloatArray,
    private val buffer: FloatBuffer,
) : Sink(format) {
    override fun put(
        index: Int,
        entry: Int,
    ) {
        buffer.put(index, table[entry])
    }
}

internal class HalfSink(
    format: ImageFormat,
    private val table: ShortArray,
    private val buffer: ShortBuffer,
) : Sink(format) {
    override fun put(
        index: Int,
        entry: Int,
    ) {
        buffer.put(index, table[entry])
    }
}

internal class ByteSink(
    format: ImageFormat,
    private val table: ByteArray,
    private val buffer: ByteBuffer,
) : Sink(format) {
    override fun put(
        index: Int,
        entry: Int,
    ) {
        buffer.put(index, table[entry])
    }
}

/** What each level of each channel becomes, and its padding; a table for each channel type. */
internal class LevelTables(
    private val format: ImageFormat,
) {
    val floats: FloatArray by lazy { FloatArray(entryCount) { exact(it).toFloat() } }
    val halves: ShortArray by lazy { ShortArray(entryCount) { halfBits(exact(it).toFloat()) } }
    val bytes: ByteArray by lazy { ByteArray(entryCount) { byteOf(exact(it)) } }

    private val entryCount = format.colorOrder.channelCount * ENTRIES

    private fun exact(entry: Int): Double {
        val level = entry % ENTRIES
        return format.valueOf(if (level == PADDING) format.padding else level.toDouble(), entry / ENTRIES)
    }

    private fun byteOf(value: Double): Byte {
        val whole = Math.rint(value)
        return whole.coerceIn(0.0, MAXIMUM_LEVEL).toInt().toByte()
    }
}
