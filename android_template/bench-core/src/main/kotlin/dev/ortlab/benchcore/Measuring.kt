package dev.ortlab.benchcore

private const val LEAST_CAPACITY = 64L
private const val LARGEST_CAPACITY = 1L shl 22

/** One run of the model, on inputs that exist already. */
internal fun interface TimedCall {
    /** Runs once; what it returns is released after the clock was read. */
    fun run(): AutoCloseable
}

/** Durations in memory that exists before the run that they are of. */
internal class Samples(
    capacity: Int = LEAST_CAPACITY.toInt(),
) {
    private var values = LongArray(capacity)

    /** Number of durations. */
    var size = 0
        private set

    /** Adds one; afterwards there is room for the next. */
    fun add(durationNs: Long) {
        values[size++] = durationNs
        if (size == values.size) values = values.copyOf(2 * size)
    }

    /** Forgets all of them and keeps the room. */
    fun clear() {
        size = 0
    }

    /** Returns a copy of the durations, in order. */
    fun toArray(): LongArray = values.copyOf(size)
}

/**
 * Returns why measurement ends after so many runs that took so long in all, or null.
 *
 * Source of the rule: `bench_protocol/README.md`, "Measurement".
 */
internal fun stopReason(
    runs: Long,
    elapsedNs: Long,
    rule: StopRule,
): StopReason? =
    when {
        runs >= rule.minRuns && elapsedNs >= rule.minNs -> StopReason.COMPLETE
        elapsedNs < rule.maxNs || runs < rule.floorRuns -> null
        runs > rule.floorRuns -> StopReason.TIME_LIMIT
        else -> StopReason.TOO_FEW_RUNS
    }

/**
 * Runs until the warm-up rule is met or given up; durations are added to [samples].
 *
 * @param deadlineNs moment of [System.nanoTime] at which to stop.
 * @return whether the rule was met.
 * @throws DeadlineException before the rule was decided.
 */
internal fun warmUp(
    call: TimedCall,
    rule: WarmUp,
    samples: Samples,
    deadlineNs: Long,
): Boolean {
    while (true) {
        val startedNs = System.nanoTime()
        val output = call.run()
        val endedNs = System.nanoTime()
        output.close()
        val durationNs = endedNs - startedNs
        samples.add(durationNs)
        val decision = rule.add(durationNs)
        if (decision != WarmUpDecision.GO_ON) return decision == WarmUpDecision.CONVERGED
        if (endedNs - deadlineNs >= 0) throw DeadlineException()
    }
}

/**
 * Runs until the stop rule is met; the timed section holds the run and nothing else.
 *
 * @param samples takes the durations, also when it throws.
 * @param deadlineNs moment of [System.nanoTime] at which to stop.
 * @throws DeadlineException before the rule was met.
 */
internal fun measureRuns(
    call: TimedCall,
    rule: StopRule,
    samples: Samples,
    deadlineNs: Long,
): StopReason {
    var runs = 0L
    var elapsedNs = 0L
    while (true) {
        val startedNs = System.nanoTime()
        val output = call.run()
        val endedNs = System.nanoTime()
        output.close()
        val durationNs = endedNs - startedNs
        samples.add(durationNs)
        runs++
        elapsedNs += durationNs
        val reason = stopReason(runs, elapsedNs, rule)
        if (reason != null) return reason
        if (endedNs - deadlineNs >= 0) throw DeadlineException()
    }
}

/** Returns room for the runs that the rule likely takes, with some to spare where runs get faster. */
internal fun capacityFor(
    rule: StopRule,
    expectedNs: Long,
): Int {
    val likely = rule.minNs / expectedNs.coerceAtLeast(1)
    val withRoom = (likely + likely / 4).coerceAtLeast(rule.minRuns) + 1
    return withRoom.coerceIn(LEAST_CAPACITY, LARGEST_CAPACITY).toInt()
}
