@file:JvmName("BitmapPictures")

package dev.ortlab.sdk.image

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.os.Build
import java.io.IOException
import java.io.InputStream

private const val MAXIMUM_PIXELS = 16_000_000

/**
 * Copies the pixels of a bitmap; one that lives on the GPU is fetched first.
 *
 * @throws IllegalStateException if the bitmap is recycled or cannot be fetched
 */
public fun Bitmap.toPicture(): Picture {
    val hardware = Build.VERSION.SDK_INT >= Build.VERSION_CODES.O && config == Bitmap.Config.HARDWARE
    if (!hardware) return pixels(this)
    val readable = checkNotNull(copy(Bitmap.Config.ARGB_8888, false)) { "the bitmap cannot be read" }
    try {
        return pixels(readable)
    } finally {
        readable.recycle()
    }
}

/**
 * Reads a photo as it should be seen: decoded, and turned as its Exif orientation says.
 *
 * A photo of more than [maximumPixels] is read at a half, a quarter and so on of its sides.
 *
 * @param maximumPixels most pixels the picture may have
 * @param open opens the file; it is called up to three times, and every stream is closed
 * @throws IOException if the file cannot be read or is no picture
 */
@Throws(IOException::class)
public fun readPicture(
    maximumPixels: Int = MAXIMUM_PIXELS,
    open: () -> InputStream,
): Picture {
    require(maximumPixels > 0) { "a picture of at most $maximumPixels pixels was asked for" }
    val options = BitmapFactory.Options()
    options.inJustDecodeBounds = true
    open().use { BitmapFactory.decodeStream(it, null, options) }
    options.inSampleSize = sampleSize(options.outWidth, options.outHeight, maximumPixels)
    options.inJustDecodeBounds = false
    options.inPreferredConfig = Bitmap.Config.ARGB_8888
    val bitmap =
        open().use { BitmapFactory.decodeStream(it, null, options) }
            ?: throw IOException("the file is no picture that this phone can read")
    val picture =
        try {
            bitmap.toPicture()
        } finally {
            bitmap.recycle()
        }
    return picture.oriented(open().use(::orientation))
}

private fun pixels(bitmap: Bitmap): Picture {
    val argb = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    return Picture(bitmap.width, bitmap.height, argb)
}

private fun sampleSize(
    width: Int,
    height: Int,
    maximumPixels: Int,
): Int {
    var size = 1
    while ((width / size).toLong() * (height / size) > maximumPixels) size *= 2
    return size
}

private fun orientation(stream: InputStream): Int =
    try {
        val tag =
            ExifInterface(stream).getAttributeInt(
                ExifInterface.TAG_ORIENTATION,
                ExifInterface.ORIENTATION_UNDEFINED,
            )
        if (tag in ExifInterface.ORIENTATION_NORMAL..ExifInterface.ORIENTATION_ROTATE_270) tag else 0
    } catch (_: IOException) {
        // No Exif at all, as in a screenshot.
        0
    }
