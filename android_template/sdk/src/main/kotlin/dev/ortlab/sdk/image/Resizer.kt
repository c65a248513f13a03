package dev.ortlab.sdk.image

import kotlin.math.max
import kotlin.math.min

private const val MAXIMUM_LEVEL = 255
private const val OPAQUE = 255
private const val CHANNELS = 3
private const val ALPHA_SHIFT = 24
private const val RED_SHIFT = 16
private const val GREEN_SHIFT = 8
private const val BYTE = 0xFF

// ITU-R BT.601 in units of 2^-16.
private const val RED_LUMA = 19_595
private const val GREEN_LUMA = 38_470
private const val BLUE_LUMA = 7_471
private const val LUMA_BITS = 16
private const val HALF_LUMA = 1 shl (LUMA_BITS - 1)

/**
 * Resizes a picture row by row: columns first, then rows, each rounded to whole levels.
 *
 * Source rows that a resized row needs are kept in a ring, so that the working memory is a few rows.
 */
internal class Resizer {
    /** Visible part of the resized picture in the tensor. */
    var left = 0
        private set
    var top = 0
        private set
    var width = 0
        private set
    var height = 0
        private set

    private var picture: Picture? = null
    private var gray = false
    private var geometry = IntArray(0)
    private var columns: Resampling? = null
    private var rows: Resampling? = null
    private var ring = IntArray(0)
    private var sourceRow = IntArray(0)
    private var sums = Array(CHANNELS) { IntArray(0) }
    private var nextSourceRow = 0

    /** Takes a picture; sizes that were seen the last time cost nothing again. */
    fun start(
        picture: Picture,
        format: ImageFormat,
    ) {
        if (geometry.isEmpty() || geometry[0] != picture.width || geometry[1] != picture.height) {
            prepare(picture, format)
        }
        this.picture = picture
        gray = format.colorOrder == ColorOrder.GRAY
        nextSourceRow = 0
    }

    /** Lets go of the picture. */
    fun finish() {
        picture = null
    }

    private fun prepare(
        picture: Picture,
        format: ImageFormat,
    ) {
        val whole = place(picture.width, picture.height, format)
        left = max(0, whole.left).toInt()
        top = max(0, whole.top).toInt()
        width = min(format.width.toLong(), whole.width).toInt()
        height = min(format.height.toLong(), whole.height).toInt()
        val horizontal =
            Resampling.of(picture.width, whole.width, max(0, -whole.left), width, format.antialias)
        val vertical =
            Resampling.of(picture.height, whole.height, max(0, -whole.top), height, format.antialias)
        if (ring.size < width * vertical.taps) ring = IntArray(width * vertical.taps)
        if (sourceRow.size < picture.width) sourceRow = IntArray(picture.width)
        if (sums[0].size < width) sums = Array(CHANNELS) { IntArray(width) }
        columns = horizontal
        rows = vertical
        geometry = intArrayOf(picture.width, picture.height)
    }

    /** Computes visible row [index] into [target]; rows are asked for in ascending order. */
    fun readRow(
        index: Int,
        target: IntArray,
    ) {
        val picture = checkNotNull(picture)
        val columns = checkNotNull(columns)
        val rows = checkNotNull(rows)
        val first = rows.first[index]
        val end = first + rows.count[index]
        for (y in max(first, nextSourceRow) until end) {
            val offset = y % rows.taps * width
            val start = y * picture.width
            if (gray) {
                grayRow(picture, start)
                shrinkGray(columns, ring, offset)
            } else if (opaque(picture, start)) {
                shrinkColors(columns, picture.argb, start, ring, offset)
            } else {
                onWhiteRow(picture, start)
                shrinkColors(columns, sourceRow, 0, ring, offset)
            }
        }
        nextSourceRow = max(end, nextSourceRow)
        if (gray) mixGray(rows, index, target) else mixColors(rows, index, target)
    }

    private fun opaque(
        picture: Picture,
        start: Int,
    ): Boolean {
        var all = -1
        for (index in start until start + picture.width) all = all and picture.argb[index]
        return all ushr ALPHA_SHIFT == OPAQUE
    }

    private fun onWhiteRow(
        picture: Picture,
        start: Int,
    ) {
        for (x in 0 until picture.width) sourceRow[x] = onWhite(picture.argb[start + x])
    }

    private fun grayRow(
        picture: Picture,
        start: Int,
    ) {
        for (x in 0 until picture.width) sourceRow[x] = luma(onWhite(picture.argb[start + x]))
    }

    private fun shrinkColors(
        axis: Resampling,
        source: IntArray,
        start: Int,
        target: IntArray,
        offset: Int,
    ) {
        val weights = axis.weight
        for (x in 0 until width) {
            var red = HALF_WEIGHT
            var green = HALF_WEIGHT
            var blue = HALF_WEIGHT
            var tap = x * axis.taps
            var index = start + axis.first[x]
            val end = index + axis.count[x]
            while (index < end) {
                val pixel = source[index++]
                val weight = weights[tap++]
                red += ((pixel ushr RED_SHIFT) and BYTE) * weight
                green += ((pixel ushr GREEN_SHIFT) and BYTE) * weight
                blue += (pixel and BYTE) * weight
            }
            target[offset + x] = packed(red, green, blue)
        }
    }

    private fun shrinkGray(
        axis: Resampling,
        target: IntArray,
        offset: Int,
    ) {
        for (x in 0 until width) {
            var level = HALF_WEIGHT
            var tap = x * axis.taps
            var index = axis.first[x]
            val end = index + axis.count[x]
            while (index < end) level += sourceRow[index++] * axis.weight[tap++]
            target[offset + x] = clipped(level)
        }
    }

    private fun mixColors(
        axis: Resampling,
        row: Int,
        target: IntArray,
    ) {
        val red = sums[0]
        val green = sums[1]
        val blue = sums[2]
        for (sum in sums) sum.fill(HALF_WEIGHT, 0, width)
        for (tap in 0 until axis.count[row]) {
            val offset = (axis.first[row] + tap) % axis.taps * width
            val weight = axis.weight[row * axis.taps + tap]
            for (x in 0 until width) {
                val pixel = ring[offset + x]
                red[x] += ((pixel ushr RED_SHIFT) and BYTE) * weight
                green[x] += ((pixel ushr GREEN_SHIFT) and BYTE) * weight
                blue[x] += (pixel and BYTE) * weight
            }
        }
        for (x in 0 until width) target[x] = packed(red[x], green[x], blue[x])
    }

    private fun mixGray(
        axis: Resampling,
        row: Int,
        target: IntArray,
    ) {
        val levels = sums[0]
        levels.fill(HALF_WEIGHT, 0, width)
        for (tap in 0 until axis.count[row]) {
            val offset = (axis.first[row] + tap) % axis.taps * width
            val weight = axis.weight[row * axis.taps + tap]
            for (x in 0 until width) levels[x] += ring[offset + x] * weight
        }
        for (x in 0 until width) target[x] = clipped(levels[x])
    }
}

private fun clipped(sum: Int): Int = min(sum ushr WEIGHT_BITS, MAXIMUM_LEVEL)

private fun packed(
    red: Int,
    green: Int,
    blue: Int,
): Int = (clipped(red) shl RED_SHIFT) or (clipped(green) shl GREEN_SHIFT) or clipped(blue)

private fun onWhite(argb: Int): Int {
    val alpha = argb ushr ALPHA_SHIFT
    if (alpha == OPAQUE) return argb
    val red = onWhite((argb ushr RED_SHIFT) and BYTE, alpha)
    val green = onWhite((argb ushr GREEN_SHIFT) and BYTE, alpha)
    val blue = onWhite(argb and BYTE, alpha)
    return (red shl RED_SHIFT) or (green shl GREEN_SHIFT) or blue
}

private fun onWhite(
    level: Int,
    alpha: Int,
): Int = (level * alpha + MAXIMUM_LEVEL * (OPAQUE - alpha) + OPAQUE / 2) / OPAQUE

private fun luma(rgb: Int): Int {
    val red = (rgb ushr RED_SHIFT) and BYTE
    val green = (rgb ushr GREEN_SHIFT) and BYTE
    val blue = rgb and BYTE
    return (RED_LUMA * red + GREEN_LUMA * green + BLUE_LUMA * blue + HALF_LUMA) shr LUMA_BITS
}
