package dev.ortlab.benchcore

/** What warm-up does after a run. */
internal enum class WarmUpDecision {
    /** Run again. */
    GO_ON,

    /** Two windows agree. */
    CONVERGED,

    /** They do not, and time or runs are used up. */
    GIVEN_UP,
}

/**
 * Decides after each warm-up run whether to go on; from the durations alone.
 *
 * Source of the rule: `bench_protocol/README.md`, "Warm-up".
 *
 * @param firstRunNs duration of the first run, which sizes the first window.
 */
internal class WarmUp(
    private val rule: WarmUpRule,
    firstRunNs: Long,
) {
    private val window = Samples()
    private var windowRuns = sizeOfWindow(firstRunNs)
    private var previousNs = NONE
    private var runs = 0L
    private var elapsedNs = 0L

    /** Median of the newest runs, to size what follows; 0 before there is one. */
    val lastMedianNs: Long
        get() =
            when {
                previousNs != NONE -> previousNs
                window.size > 0 -> medianNs(window.toArray())
                else -> 0
            }

    /** Takes the duration of one run. */
    fun add(durationNs: Long): WarmUpDecision {
        runs++
        elapsedNs += durationNs
        window.add(durationNs)
        return when {
            window.size >= windowRuns && closeWindow() -> WarmUpDecision.CONVERGED
            elapsedNs >= rule.hardLimitNs -> WarmUpDecision.GIVEN_UP
            elapsedNs >= rule.maxNs && runs >= rule.maxRuns -> WarmUpDecision.GIVEN_UP
            else -> WarmUpDecision.GO_ON
        }
    }

    /** Compares the full window with the one before it and opens the next. */
    private fun closeWindow(): Boolean {
        val before = previousNs
        val latest = medianNs(window.toArray())
        previousNs = latest
        window.clear()
        windowRuns = sizeOfWindow(latest)
        if (before == NONE || elapsedNs < rule.minNs) return false
        return Math.abs(latest - before) <= rule.agreement * before
    }

    private fun sizeOfWindow(runNs: Long): Long {
        val least = runNs.coerceAtLeast(1)
        return ((rule.windowNs + least - 1) / least).coerceAtLeast(rule.windowMinRuns)
    }

    private companion object {
        const val NONE = -1L
    }
}

/** Returns the median; of an even number of durations the mean of the middle two, rounded down. */
internal fun medianNs(durations: LongArray): Long {
    val ordered = durations.sortedArray()
    val middle = ordered.size / 2
    return if (ordered.size % 2 == 1) ordered[middle] else (ordered[middle - 1] + ordered[middle]) / 2
}
