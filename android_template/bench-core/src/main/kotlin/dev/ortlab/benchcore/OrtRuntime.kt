package dev.ortlab.benchcore

import ai.onnxruntime.OrtEnvironment
import java.nio.ByteOrder

private const val RUNNER_VERSION = "1"
private const val TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"

/** ONNX Runtime, started. */
internal class OrtRuntime(
    val environment: OrtEnvironment,
    val facts: RuntimeFacts,
    val startNs: Long,
)

/**
 * Starts ONNX Runtime and asks what it is.
 *
 * @throws RefusedException its telemetry is not switched off, or the machine is not little-endian.
 */
internal fun startRuntime(
    platform: Platform,
    sharesProcess: Boolean,
): OrtRuntime {
    platform.disableTelemetry()
    if (System.getenv(TELEMETRY_SWITCH) != "1") {
        val message = "the runtime would send telemetry: start this program with $TELEMETRY_SWITCH=1"
        throw RefusedException(FailureKind.UNSUPPORTED, message)
    }
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
        throw RefusedException(FailureKind.UNSUPPORTED, "tensor files are little-endian, this machine is not")
    }
    val startedNs = System.nanoTime()
    val environment = OrtEnvironment.getEnvironment()
    val startNs = System.nanoTime() - startedNs
    val facts =
        RuntimeFacts(
            ortVersion = environment.version,
            language = "kotlin",
            languageVersion = languageVersion(),
            runnerVersion = RUNNER_VERSION,
            availableProviders = OrtEnvironment.getAvailableProviders().map { it.getName() },
            // The Java API does not tell how the runtime was built.
            buildInfo = null,
            sharesProcess = sharesProcess,
            appBuild = platform.appBuild,
            isDebuggerAttached = platform.isDebuggerAttached(),
        )
    return OrtRuntime(environment, facts, startNs)
}

/** The version of Kotlin and of the machine that runs it. */
private fun languageVersion(): String =
    listOf("java.vm.name", "java.vm.version")
        .mapNotNull { System.getProperty(it) }
        .joinToString(" ", prefix = "${KotlinVersion.CURRENT}, ")
