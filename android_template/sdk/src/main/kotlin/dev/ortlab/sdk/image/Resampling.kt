package dev.ortlab.sdk.image

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

internal const val WEIGHT_BITS = 22
internal const val HALF_WEIGHT = 1 shl (WEIGHT_BITS - 1)

/**
 * Which source samples make each visible sample of a resized axis, and how much each counts.
 *
 * @property first first source sample of each
 * @property count number of source samples of each
 * @property weight [taps] fixed-point weights of each
 * @property taps largest [count]
 */
internal class Resampling private constructor(
    val first: IntArray,
    val count: IntArray,
    val weight: IntArray,
    val taps: Int,
) {
    val size: Int get() = first.size

    companion object {
        /**
         * Weighs an axis with [source] samples that becomes [resized] long, of which [visible] from
         * [offset] on are wanted.
         */
        fun of(
            source: Int,
            resized: Long,
            offset: Long,
            visible: Int,
            antialias: Boolean,
        ): Resampling {
            val scale = source.toDouble() / resized.toDouble()
            val reach = if (antialias) max(scale, 1.0) else 1.0
            val inverse = 1.0 / reach
            val first = IntArray(visible)
            val count = IntArray(visible)
            for (i in 0 until visible) {
                val center = (offset + i + 0.5) * scale
                first[i] = max(0, (center - reach + 0.5).toInt())
                count[i] = min(source, (center + reach + 0.5).toInt()) - first[i]
            }
            val taps = count.max()
            val weight = IntArray(visible * taps)
            val exact = DoubleArray(taps)
            for (i in 0 until visible) {
                val center = (offset + i + 0.5) * scale
                var sum = 0.0
                for (tap in 0 until count[i]) {
                    val distance = abs((tap + first[i] - center + 0.5) * inverse)
                    exact[tap] = if (distance < 1.0) 1.0 - distance else 0.0
                    sum += exact[tap]
                }
                for (tap in 0 until count[i]) {
                    weight[i * taps + tap] = (0.5 + exact[tap] / sum * (1 shl WEIGHT_BITS)).toInt()
                }
            }
            return Resampling(first, count, weight, taps)
        }
    }
}
