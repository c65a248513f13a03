package android.media

import java.io.IOException
import java.io.InputStream

/** Finds the orientation in the files that the `BitmapFactory` beside it reads. */
class ExifInterface(
    stream: InputStream,
) {
    private val orientation =
        stream
            .reader()
            .readText()
            .split(' ')
            .getOrNull(2)
            ?: throw IOException("no Exif")

    fun getAttributeInt(
        tag: String,
        otherwise: Int,
    ): Int = if (tag == "Orientation") orientation.toInt() else otherwise
}
