package dev.ortlab.benchcore

import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** Warm-up and measurement end where the protocol's vectors say. */
internal class RulesTest {
    @TestFactory
    fun `warm-up is decided as the vectors say`() =
        Vectors.tests("warm_up.json", "cases") { case ->
            val rule = WarmUp(warmUpRule(case.inner("rule")), case.long("first_run_ns"))
            var decided: WarmUpDecision? = null
            var runs = 0L
            for (durationNs in case.durations()) {
                runs++
                decided = rule.add(durationNs).takeIf { it != WarmUpDecision.GO_ON }
                if (decided != null) break
            }
            assertEquals(expectedRuns(case), decided?.let { runs })
            if (decided != null) assertEquals(case.boolean("converged"), decided == WarmUpDecision.CONVERGED)
        }

    @TestFactory
    fun `measurement is decided as the vectors say`() =
        Vectors.tests("stop.json", "cases") { case ->
            val rule = stopRule(case.inner("rule"))
            var decided: StopReason? = null
            var runs = 0L
            var elapsedNs = 0L
            for (durationNs in case.durations()) {
                runs++
                elapsedNs += durationNs
                decided = stopReason(runs, elapsedNs, rule)
                if (decided != null) break
            }
            assertEquals(expectedRuns(case), decided?.let { runs })
            if (decided != null) assertEquals(case.text("stop_reason"), decided.name.lowercase())
        }

    @Test
    fun `the median of an even number is the mean of the middle two, rounded down`() {
        assertEquals(2, medianNs(longArrayOf(9, 1, 3, 2)))
        assertEquals(3, medianNs(longArrayOf(9, 1, 3)))
        assertEquals(7, medianNs(longArrayOf(7)))
    }

    @Test
    fun `the newest median sizes what follows, before the first window too`() {
        val rule = WarmUp(WarmUpRule(4, 0, 0.0, 0, 1L shl 40, 1L shl 40, 1L shl 40), 0)
        assertEquals(0, rule.lastMedianNs)
        rule.add(10)
        assertEquals(10, rule.lastMedianNs)
        listOf(20L, 30L, 40L, 1000L).forEach(rule::add)
        assertEquals(25, rule.lastMedianNs)
    }

    @Test
    fun `samples grow without losing any`() {
        val samples = Samples(2)
        for (duration in 0L until 100L) samples.add(duration)
        assertArrayEquals(LongArray(100) { it.toLong() }, samples.toArray())
        samples.clear()
        assertEquals(0, samples.toArray().size)
    }

    @Test
    fun `measuring runs as often as the rule says and releases each output`() {
        var released = 0
        val samples = Samples()
        val reason = measureRuns({ AutoCloseable { released++ } }, StopRule(150, 0, 1L shl 40, 5), samples, far())
        assertEquals(StopReason.COMPLETE, reason)
        assertEquals(150, released)
        assertEquals(150, samples.size)
    }

    @Test
    fun `the deadline ends warm-up and measurement and keeps their durations`() {
        val samples = Samples()
        val never = StopRule(1L shl 40, 1L shl 60, 1L shl 61, 5)
        assertThrows(DeadlineException::class.java) {
            measureRuns({ AutoCloseable { } }, never, samples, System.nanoTime())
        }
        assertEquals(1, samples.size)
        val rule = WarmUp(WarmUpRule(1L shl 40, 0, 0.0, 0, 1L shl 60, 1L shl 60, 1L shl 60), 1)
        assertThrows(DeadlineException::class.java) { warmUp({ AutoCloseable { } }, rule, samples, System.nanoTime()) }
        assertEquals(2, samples.size)
    }

    @Test
    fun `there is room for the runs that the rule likely takes, within reason`() {
        val rule = StopRule(30, 2_000_000_000, 30_000_000_000, 5)
        assertTrue(capacityFor(rule, 1_000_000) > 2000)
        assertEquals(64, capacityFor(rule, 1_000_000_000))
        assertEquals(1 shl 22, capacityFor(rule.copy(minNs = (1L shl 62) - 1), 0))
    }

    private fun far() = System.nanoTime() + 60_000_000_000

    private fun expectedRuns(case: JsonObject): Long? =
        case
            .getValue("runs")
            .takeIf { it != JsonNull }
            ?.jsonPrimitive
            ?.long

    private fun warmUpRule(rule: JsonObject) =
        WarmUpRule(
            windowMinRuns = rule.long("window_min_runs"),
            windowNs = rule.long("window_ns"),
            agreement = rule.double("agreement"),
            minNs = rule.long("min_ns"),
            maxNs = rule.long("max_ns"),
            maxRuns = rule.long("max_runs"),
            hardLimitNs = rule.long("hard_limit_ns"),
        )

    private fun stopRule(rule: JsonObject) =
        StopRule(rule.long("min_runs"), rule.long("min_ns"), rule.long("max_ns"), rule.long("floor_runs"))
}
