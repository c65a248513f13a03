package dev.ortlab.benchcore

import kotlinx.serialization.encodeToString

private const val LOAD_SAMPLE_MS = 100L

/** Returns machine and runtime as one line of JSON. */
internal fun probeJson(platform: Platform): String {
    val runtime =
        try {
            startRuntime(platform, sharesProcess = false).facts
        } catch (error: RefusedException) {
            throw IllegalStateException(error.message, error)
        }
    return wireJson.encodeToString(describeMachine(runtime))
}

/** Returns the state of the device as one line of JSON. */
internal fun conditionsJson(platform: Platform): String {
    val load = LoadMeter()
    Thread.sleep(LOAD_SAMPLE_MS)
    return wireJson.encodeToString(completeConditions(platform, load.busyFraction()))
}
