package dev.ortlab.sdk

import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException

/** Whether the runtime may report usage data to its makers. */
public enum class TelemetryState {
    /** It may: [Telemetry.allow] was called. */
    ALLOWED,

    /** It may not, and was told before it started. */
    OFF,

    /**
     * It was told only after it had been loaded, because a plain Java program cannot set variables
     * of its own process: start such a program with `ORT_DISABLE_TELEMETRY=1`.
     */
    OFF_AFTER_START,
}

/** The runtime's own usage data: off unless [allow] is called before the SDK is first used. */
public object Telemetry {
    @Volatile
    private var isAllowed = false

    @Volatile
    private var isStarted = false

    /** What holds now. */
    public val state: TelemetryState
        get() =
            when {
                isAllowed -> TelemetryState.ALLOWED
                OrtRuntime.isAndroid || System.getenv(VARIABLE) == OFF -> TelemetryState.OFF
                else -> TelemetryState.OFF_AFTER_START
            }

    /**
     * Lets the runtime report usage data to its makers, on platforms where it can.
     *
     * @throws IllegalStateException the runtime has started.
     */
    @Synchronized
    public fun allow() {
        check(!isStarted) { "Telemetry can only be allowed before the SDK is first used" }
        isAllowed = true
    }

    @Synchronized
    internal fun beforeStart() {
        isStarted = true
        if (!isAllowed && OrtRuntime.isAndroid) AndroidProcess.setVariable(VARIABLE, OFF)
    }

    internal fun afterStart(environment: OrtEnvironment) {
        try {
            environment.setTelemetry(isAllowed)
        } catch (_: OrtException) {
            // A runtime built without telemetry refuses the call: there is nothing to turn off.
        }
    }

    private const val VARIABLE = "ORT_DISABLE_TELEMETRY"
    private const val OFF = "1"
}

/** The one runtime of the process. */
internal object OrtRuntime {
    val isAndroid: Boolean = System.getProperty("java.vm.name") == "Dalvik"

    val environment: OrtEnvironment by lazy {
        Telemetry.beforeStart()
        OrtEnvironment.getEnvironment().also(Telemetry::afterStart)
    }

    /**
     * Whether JNI hands [text] over as the UTF-8 it should be. Outside Android it encodes characters
     * beyond U+FFFF in six bytes; everywhere it encodes U+0000 in two.
     */
    fun canPass(text: String): Boolean {
        var index = 0
        while (index < text.length) {
            val character = text[index]
            if (character == '\u0000') return false
            if (character.isSurrogate()) {
                val isPair = character.isHighSurrogate() && index + 1 < text.length && text[index + 1].isLowSurrogate()
                if (!isPair || !isAndroid) return false
                index++
            }
            index++
        }
        return true
    }
}

/** Turns the runtime's checked exception into the SDK's. */
internal inline fun <T> wrapping(
    action: String,
    block: () -> T,
): T =
    try {
        block()
    } catch (error: OrtException) {
        throw RunException("Cannot $action: ${error.message}", error)
    }
