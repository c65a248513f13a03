package dev.ortlab.sdk.image

import kotlin.math.max
import kotlin.math.min

/**
 * Where a resized picture lies in the tensor.
 *
 * @property width columns of the whole resized picture
 * @property height rows of it
 * @property left column of the tensor where it begins; negative if it sticks out
 * @property top row likewise
 */
internal class Placement(
    val width: Long,
    val height: Long,
    val left: Long,
    val top: Long,
)

/** Applies the resize rule of [format] to a picture of [width] x [height]. */
internal fun place(
    width: Int,
    height: Int,
    format: ImageFormat,
): Placement {
    val frameWidth = format.width.toLong()
    val frameHeight = format.height.toLong()
    val w = width.toLong()
    val h = height.toLong()
    val widthLimits = frameWidth * h <= frameHeight * w
    val fittedWidth = if (widthLimits) frameWidth else max(1, roundedDivision(w * frameHeight, h))
    val fittedHeight = if (widthLimits) max(1, roundedDivision(h * frameWidth, w)) else frameHeight
    val coveringWidth = if (widthLimits) roundedDivision(w * frameHeight, h) else frameWidth
    val coveringHeight = if (widthLimits) frameHeight else roundedDivision(h * frameWidth, w)
    return when (format.resize) {
        ResizeRule.STRETCH -> Placement(frameWidth, frameHeight, 0, 0)
        ResizeRule.FIT_TOP_LEFT -> Placement(fittedWidth, fittedHeight, 0, 0)
        ResizeRule.FIT -> centred(fittedWidth, fittedHeight, format)
        ResizeRule.FIT_HEIGHT -> Placement(min(frameWidth, (w * frameHeight + h - 1) / h), frameHeight, 0, 0)
        ResizeRule.CROP -> centred(coveringWidth, coveringHeight, format)
    }
}

private fun centred(
    width: Long,
    height: Long,
    format: ImageFormat,
): Placement {
    val left = (format.width - width) / 2
    val top = (format.height - height) / 2
    return Placement(width, height, left, top)
}

private fun roundedDivision(
    dividend: Long,
    divisor: Long,
): Long = (2 * dividend + divisor) / (2 * divisor)
