package dev.ortlab.tests

import android.graphics.Bitmap
import android.os.Build
import dev.ortlab.sdk.image.readPicture
import dev.ortlab.sdk.image.toPicture
import java.io.IOException
import java.io.InputStream

/** Reads bitmaps and files with the classes that stand in for Android's, and checks what comes. */
fun main() {
    val pixels = intArrayOf(1, 2, 3, 4, 5, 6)
    val plain = Bitmap(3, 2, pixels, Bitmap.Config.ARGB_8888)
    check(plain.toPicture().argb.contentEquals(pixels))
    val hardware = Bitmap(3, 2, pixels, Bitmap.Config.HARDWARE)
    check(hardware.toPicture().argb.contentEquals(pixels))
    check(Bitmap.alive == 2) { "the copy was not recycled" }
    Build.VERSION.SDK_INT = 24
    check(Bitmap(3, 2, pixels, null).toPicture().height == 2)
    val before = Bitmap.alive

    check(read("3 2 0").argb.contentEquals(intArrayOf(0, 1, 2, 3, 4, 5)))
    check(read("3 2").argb.contentEquals(intArrayOf(0, 1, 2, 3, 4, 5))) { "without Exif" }
    check(read("3 2 77").argb.contentEquals(intArrayOf(0, 1, 2, 3, 4, 5))) { "with a broken Exif" }
    val turned = read("3 2 6")
    check(turned.width == 2 && turned.height == 3)
    check(turned.argb.contentEquals(intArrayOf(3, 0, 4, 1, 5, 2)))
    val small = read("8 4 1", maximumPixels = 8)
    check(small.width == 4 && small.height == 2 && small.argb[5] == 18) { small.argb.contentToString() }
    check(read("8 4 1", maximumPixels = 32).width == 8)
    val error = runCatching { read("nothing") }.exceptionOrNull()
    check(error is IOException) { "another error: $error" }
    check(runCatching { read("3 2 0", maximumPixels = 0) }.exceptionOrNull() is IllegalArgumentException)
    check(Bitmap.alive == before) { "${Bitmap.alive - before} bitmaps were not recycled" }
    println("all as it should be")
}

private class Watched(
    text: String,
) : InputStream() {
    private val inner = text.byteInputStream()
    var isClosed = false

    override fun read(): Int = inner.read()

    override fun close() {
        isClosed = true
    }
}

private fun read(
    text: String,
    maximumPixels: Int = 1_000,
) = ArrayList<Watched>().let { opened ->
    try {
        readPicture(maximumPixels) { Watched(text).also(opened::add) }
    } finally {
        check(opened.size <= 3 && opened.all { it.isClosed }) { "a stream stays open" }
    }
}
