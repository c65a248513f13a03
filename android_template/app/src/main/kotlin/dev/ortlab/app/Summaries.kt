package dev.ortlab.app

import java.util.Locale
import kotlin.math.min

private const val SHOWN_VALUES = 8
private const val NANOS_PER_MICRO = 1e3
private const val NANOS_PER_MILLI = 1e6
private const val BYTES_PER_MEBIBYTE = 1048576.0
private const val MICROS_LIMIT_NS = 1_000_000L
private const val PERCENT = 100

/** Middle of some durations; the mean of the middle two of an even number. */
internal fun medianOf(durationsNs: List<Long>): Long {
    require(durationsNs.isNotEmpty()) { "no durations" }
    val sorted = durationsNs.sorted()
    val middle = sorted.size / 2
    return if (sorted.size % 2 == 1) sorted[middle] else (sorted[middle - 1] + sorted[middle]) / 2
}

/** A duration for people, such as `0.81 ms`. */
internal fun durationText(durationNs: Long): String =
    if (durationNs < MICROS_LIMIT_NS) {
        String.format(Locale.getDefault(), "%.0f µs", durationNs / NANOS_PER_MICRO)
    } else {
        String.format(Locale.getDefault(), "%.2f ms", durationNs / NANOS_PER_MILLI)
    }

/** A size for people, in mebibytes. */
internal fun sizeText(bytes: Long): String = String.format(Locale.getDefault(), "%.0f MiB", bytes / BYTES_PER_MEBIBYTE)

/** A share of one for people, such as `97.3 %`. */
internal fun shareText(share: Float): String = String.format(Locale.getDefault(), "%.1f %%", share * PERCENT)

/** The first of some numbers, with the smallest and the largest of all. */
internal fun numbersText(values: DoubleArray): String {
    if (values.isEmpty()) return "[]"
    val shown = values.take(SHOWN_VALUES).joinToString(", ") { String.format(Locale.getDefault(), "%.4g", it) }
    val more = if (values.size > SHOWN_VALUES) ", …" else ""
    val range = String.format(Locale.getDefault(), "%.4g … %.4g", values.min(), values.max())
    return "[$shown$more]  ($range)"
}

/** The first of some texts. */
internal fun textsText(values: Array<String>): String {
    val shown = values.take(min(values.size, SHOWN_VALUES)).joinToString(", ") { "“$it”" }
    return "[$shown${if (values.size > SHOWN_VALUES) ", …" else ""}]"
}
