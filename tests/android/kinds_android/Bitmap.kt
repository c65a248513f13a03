package android.graphics

/**
 * The part of Android's class that reading pictures uses, without native code: what lives on the GPU
 * gives no pixels, what is recycled neither.
 */
class Bitmap(
    val width: Int,
    val height: Int,
    private val argb: IntArray,
    val config: Config?,
) {
    /** Where and how pixels are kept. */
    enum class Config {
        /** In memory. */
        ARGB_8888,

        /** On the GPU. */
        HARDWARE,
    }

    init {
        alive++
    }

    private var recycled = false

    fun copy(
        config: Config,
        isMutable: Boolean,
    ): Bitmap {
        check(!recycled) { "copied after recycle" }
        return Bitmap(width, height, argb.copyOf(), config)
    }

    fun getPixels(
        pixels: IntArray,
        offset: Int,
        stride: Int,
        x: Int,
        y: Int,
        width: Int,
        height: Int,
    ) {
        check(!recycled && config != Config.HARDWARE) { "pixels are out of reach" }
        for (row in 0 until height) {
            for (column in 0 until width) {
                pixels[offset + row * stride + column] = argb[(y + row) * this.width + x + column]
            }
        }
    }

    fun recycle() {
        if (!recycled) alive--
        recycled = true
    }

    companion object {
        /** Bitmaps that were made and not recycled. */
        var alive = 0
    }
}
