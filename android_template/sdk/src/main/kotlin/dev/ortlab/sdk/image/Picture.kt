package dev.ortlab.sdk.image

/**
 * A picture without any platform class: rows of pixels from the top, columns from the left.
 *
 * A pixel is `0xAARRGGBB` in sRGB, not multiplied with its alpha, as `Bitmap.getPixels` gives it.
 * [argb] is kept, not copied: do not change it while the picture is in use.
 *
 * @property width columns
 * @property height rows
 * @property argb pixels, row by row
 * @throws IllegalArgumentException if a size is not positive or does not match the pixels
 */
public class Picture(
    public val width: Int,
    public val height: Int,
    public val argb: IntArray,
) {
    init {
        require(width > 0 && height > 0) { "a picture of $width x $height pixels is empty" }
        require(width.toLong() * height.toLong() == argb.size.toLong()) {
            "a picture of $width x $height has ${argb.size} pixels"
        }
    }

    /**
     * Turns and mirrors the picture as Exif's orientation tag asks.
     *
     * @param orientation 1 to 8 as in Exif 2.3; 0 (unknown) counts as 1
     * @return the picture as it should be seen; this one if nothing is to be done
     * @throws IllegalArgumentException if it is none of these
     */
    public fun oriented(orientation: Int): Picture {
        require(orientation in 0..LAST_ORIENTATION) { "Exif knows no orientation $orientation" }
        if (orientation <= UPRIGHT) return this
        val transposed = orientation >= FIRST_TRANSPOSED
        val newWidth = if (transposed) height else width
        val newHeight = if (transposed) width else height
        val mirroredColumns = orientation in MIRRORED_COLUMNS
        val mirroredRows = orientation in MIRRORED_ROWS
        val columnStep = (if (transposed) width else 1).let { if (mirroredColumns) -it else it }
        val turned = IntArray(argb.size)
        var target = 0
        for (row in 0 until newHeight) {
            val y = if (mirroredRows) newHeight - 1 - row else row
            val x = if (mirroredColumns) newWidth - 1 else 0
            var source = if (transposed) x * width + y else y * width + x
            repeat(newWidth) {
                turned[target++] = argb[source]
                source += columnStep
            }
        }
        return Picture(newWidth, newHeight, turned)
    }

    /** Makes pictures of other pixel formats. */
    public companion object {
        private const val UPRIGHT = 1
        private const val FIRST_TRANSPOSED = 5
        private const val LAST_ORIENTATION = 8

        // A column of the turned picture comes from the other end: 2 mirrored, 3 half a turn,
        // 6 a quarter clockwise, 7 mirrored on the other diagonal. Rows likewise.
        private val MIRRORED_COLUMNS = intArrayOf(2, 3, 6, 7)
        private val MIRRORED_ROWS = intArrayOf(3, 4, 7, 8)
        private const val BYTES = 4
        private const val BYTE = 0xFF

        /**
         * Makes a picture of bytes in the order red, green, blue, alpha.
         *
         * @throws IllegalArgumentException if a size is not positive or does not match the bytes
         */
        @JvmStatic
        public fun fromRgba(
            width: Int,
            height: Int,
            rgba: ByteArray,
        ): Picture {
            require(rgba.size % BYTES == 0) { "${rgba.size} bytes are not whole RGBA pixels" }
            val argb =
                IntArray(rgba.size / BYTES) { pixel ->
                    val first = pixel * BYTES
                    val red = rgba[first].toInt() and BYTE
                    val green = rgba[first + 1].toInt() and BYTE
                    val blue = rgba[first + 2].toInt() and BYTE
                    val alpha = rgba[first + 3].toInt() and BYTE
                    (alpha shl 24) or (red shl 16) or (green shl 8) or blue
                }
            return Picture(width, height, argb)
        }
    }
}
