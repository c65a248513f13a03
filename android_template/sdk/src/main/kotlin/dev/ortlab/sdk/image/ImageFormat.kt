package dev.ortlab.sdk.image

/** Order of an image tensor's dimensions; the batch dimension is 1. */
public enum class Layout {
    /** Batch, channels, rows, columns. */
    NCHW,

    /** Batch, rows, columns, channels. */
    NHWC,
}

/**
 * Which colours an image tensor's channels are.
 *
 * @property channelCount number of channels
 */
public enum class ColorOrder(
    public val channelCount: Int,
) {
    /** Red, green, blue. */
    RGB(3),

    /** Blue, green, red. */
    BGR(3),

    /** Luma of ITU-R BT.601. */
    GRAY(1),
}

/** How a picture of any size becomes one of the tensor's. */
public enum class ResizeRule {
    /** Fills the tensor and ignores the aspect ratio. */
    STRETCH,

    /** Keeps the aspect ratio; the rest is padding, the picture is centred. */
    FIT,

    /** Keeps the aspect ratio; the rest is padding, the picture is at the top left. */
    FIT_TOP_LEFT,

    /** Fills the height, keeps the aspect ratio as far as the width allows, starts at the left. */
    FIT_HEIGHT,

    /** Keeps the aspect ratio, fills the tensor, and cuts off what sticks out, centred. */
    CROP,
}

/**
 * Element type of an image tensor.
 *
 * @property byteCount bytes of one element
 */
public enum class ChannelType(
    public val byteCount: Int,
) {
    /** Whole numbers from 0 to 255. */
    UINT8(1),

    /** IEEE 754 binary16. */
    FLOAT16(2),

    /** IEEE 754 binary32. */
    FLOAT(4),
}

/**
 * What a model wants its pictures to be; `docs/kinds.md` of ortlab defines every operation.
 *
 * A channel value `v` of 0 to 255 becomes `(v * scale - mean) / std`.
 *
 * @property width columns of the tensor
 * @property height rows of the tensor
 * @property layout order of dimensions
 * @property colorOrder of the channels
 * @property channelType element type of the tensor
 * @property scale multiplied first; 1/255 gives 0 to 1
 * @property mean subtracted after scaling: one value, or one a channel in the tensor's order
 * @property std divided by afterwards, likewise
 * @property resize how the picture becomes as large as the tensor
 * @property padding channel value of 0 to 255 that the fitting rules fill with
 * @property antialias whether shrinking averages over all it covers, or takes the nearest samples
 * @throws IllegalArgumentException if a size is not positive, or a number is not finite, or there
 *   are neither one nor as many as channels, or a standard deviation is zero
 */
public class ImageFormat(
    public val width: Int,
    public val height: Int,
    public val layout: Layout = Layout.NCHW,
    public val colorOrder: ColorOrder = ColorOrder.RGB,
    public val channelType: ChannelType = ChannelType.FLOAT,
    public val scale: Double = 1.0 / 255.0,
    public val mean: List<Double> = listOf(0.0),
    public val std: List<Double> = listOf(1.0),
    public val resize: ResizeRule = ResizeRule.STRETCH,
    public val padding: Double = 0.0,
    public val antialias: Boolean = true,
) {
    /** Elements of the tensor. */
    public val elementCount: Int

    init {
        require(width > 0 && height > 0) { "an image tensor of $width x $height pixels is empty" }
        val count = width.toLong() * height.toLong() * colorOrder.channelCount
        require(count * channelType.byteCount <= Int.MAX_VALUE) {
            "an image tensor of $width x $height pixels is larger than a buffer can be"
        }
        elementCount = count.toInt()
        val numbers = mean + std + scale + padding
        require(numbers.all { !it.isNaN() && !it.isInfinite() }) {
            "scale, mean, std and padding must be finite numbers"
        }
        require(padding in 0.0..MAXIMUM_LEVEL) { "padding $padding is not from 0 to 255" }
        for ((name, values) in listOf("mean" to mean, "std" to std)) {
            require(values.size == 1 || values.size == colorOrder.channelCount) {
                "$name has ${values.size} values for ${colorOrder.channelCount} channels"
            }
        }
        require(std.none { it == 0.0 }) { "a standard deviation is zero" }
    }

    /** Shape of the tensor. */
    public val shape: LongArray
        get() {
            val rows = height.toLong()
            val columns = width.toLong()
            val channels = colorOrder.channelCount.toLong()
            return when (layout) {
                Layout.NCHW -> longArrayOf(1, channels, rows, columns)
                Layout.NHWC -> longArrayOf(1, rows, columns, channels)
            }
        }

    internal fun valueOf(
        level: Double,
        channel: Int,
    ): Double = (level * scale - mean[channel % mean.size]) / std[channel % std.size]

    private companion object {
        const val MAXIMUM_LEVEL = 255.0
    }
}
