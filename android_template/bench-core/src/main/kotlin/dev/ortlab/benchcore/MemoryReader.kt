package dev.ortlab.benchcore

import java.io.File
import java.io.IOException

private const val PROCESS = "process"
private const val SINCE_PHASE_BEFORE = "process, since the phase before"
private val STATUS_METRICS = listOf("VmRSS", "RssAnon", "RssFile")
private val ROLLUP_METRICS = listOf("Pss", "Private_Dirty", "SwapPss")

/** Reads the process's memory at each phase and keeps the points in order. */
internal class MemoryReader {
    private val read = mutableListOf<MemoryPoint>()
    private var largestBytes = 0L
    private var wasReset = false

    /** What was read so far. */
    val points: List<MemoryPoint> get() = read

    /** Records every figure that the system offers, then starts a new peak where it allows that. */
    fun read(phase: MemoryPhase) {
        val status = kilobyteFields("/proc/self/status")
        val rollup = kilobyteFields("/proc/self/smaps_rollup")
        val current = STATUS_METRICS.map { it to status[it] } + ROLLUP_METRICS.map { it to rollup[it] }
        for ((metric, sizeBytes) in current) {
            if (sizeBytes != null) read += MemoryPoint(metric, MemoryKind.CURRENT, PROCESS, phase, sizeBytes)
        }
        status["VmHWM"]?.let { addPeak(phase, maxOf(it, status["VmRSS"] ?: 0)) }
        wasReset = resetPeak()
    }

    /** [peakBytes] is no less than VmRSS: the kernel updates that in batches and may be behind. */
    private fun addPeak(
        phase: MemoryPhase,
        peakBytes: Long,
    ) {
        largestBytes = maxOf(largestBytes, peakBytes)
        read += MemoryPoint("VmHWM", MemoryKind.PEAK, PROCESS, phase, largestBytes)
        if (wasReset) read += MemoryPoint("VmHWM", MemoryKind.PEAK, SINCE_PHASE_BEFORE, phase, peakBytes)
    }

    /** Resets the peak resident set size; source: proc(5), `clear_refs`. */
    private fun resetPeak(): Boolean =
        try {
            File("/proc/self/clear_refs").writeText("5")
            true
        } catch (_: IOException) {
            false
        }
}
