package android.graphics

import java.io.InputStream

/**
 * Reads files of one line, `WIDTH HEIGHT ORIENTATION`: a pixel is its position in the file, so what
 * was left out or turned shows.
 */
class BitmapFactory {
    /** How to read. */
    class Options {
        @JvmField var inJustDecodeBounds = false

        @JvmField var inSampleSize = 0

        @JvmField var inPreferredConfig: Bitmap.Config? = null

        @JvmField var outWidth = 0

        @JvmField var outHeight = 0
    }

    companion object {
        @JvmStatic
        fun decodeStream(
            stream: InputStream,
            padding: Rect?,
            options: Options,
        ): Bitmap? {
            val words = stream.reader().readText().split(' ')
            if (words.size < 2) {
                options.outWidth = -1
                options.outHeight = -1
                return null
            }
            val step = maxOf(1, options.inSampleSize)
            val whole = words[0].toInt()
            options.outWidth = whole / step
            options.outHeight = words[1].toInt() / step
            if (options.inJustDecodeBounds) return null
            val width = options.outWidth
            val pixels = IntArray(width * options.outHeight) { it / width * step * whole + it % width * step }
            return Bitmap(width, options.outHeight, pixels, options.inPreferredConfig)
        }
    }
}
