package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.encodeToString
import kotlinx.serialization.json.Json
import java.io.File
import java.io.FileOutputStream
import java.io.IOException

/** JSON as the protocol writes it: every field, on one line. */
internal val wireJson = Json { encodeDefaults = true }

/**
 * What is known of a block so far; filled stage by stage.
 *
 * Source of the fields: `bench_protocol/schemas/block_result.schema.json`.
 */
@Serializable
internal class BlockResult(
    @SerialName("block_id") val blockId: String,
    @SerialName("requested_providers") val requestedProviders: List<ProviderRequest>,
    val clock: Clock,
) {
    val schema: String = "ortlab.block_result/1"
    var failure: Failure? = null
    var runtime: RuntimeFacts? = null

    @SerialName("registered_providers")
    var registeredProviders: List<String> = emptyList()
    val timing: Timing = Timing()
    var memory: List<MemoryPoint> = emptyList()

    @SerialName("conditions_before")
    var conditionsBefore: Conditions? = null

    @SerialName("conditions_after")
    var conditionsAfter: Conditions? = null
    var outputs: List<TensorFile> = emptyList()

    @SerialName("profile_path")
    var profilePath: String? = null
}

/** Where and why a block failed, in the runtime's own words. */
@Serializable
internal data class Failure(
    val stage: Stage,
    val kind: FailureKind,
    val message: String,
)

/** What the runtime and the program that uses it say of themselves. */
@Serializable
internal data class RuntimeFacts(
    @SerialName("ort_version") val ortVersion: String,
    val language: String,
    @SerialName("language_version") val languageVersion: String,
    @SerialName("runner_version") val runnerVersion: String,
    @SerialName("available_providers") val availableProviders: List<String>,
    @SerialName("build_info") val buildInfo: String?,
    @SerialName("shared_process") val sharesProcess: Boolean,
    @SerialName("app_build") val appBuild: String?,
    @SerialName("debugger_attached") val isDebuggerAttached: Boolean?,
)

/** The clock of all durations. */
@Serializable
internal data class Clock(
    val name: String,
    @SerialName("resolution_ns") val resolutionNs: Long,
)

/** Durations in nanoseconds; null or empty where the purpose does not measure them. */
@Serializable
internal class Timing {
    @SerialName("environment_ns")
    var environmentNs: Long? = null

    @SerialName("load_model_ns")
    var loadModelNs: Long? = null

    @SerialName("session_creation_ns")
    var sessionCreationNs: Long? = null

    @SerialName("first_run_ns")
    var firstRunNs: Long? = null

    @SerialName("warm_up_ns")
    var warmUpNs: LongArray = LongArray(0)

    @SerialName("warm_up_converged")
    var warmUpConverged: Boolean? = null

    @SerialName("measured_ns")
    var measuredNs: LongArray = LongArray(0)

    @SerialName("stop_reason")
    var stopReason: StopReason? = null

    @SerialName("close_ns")
    var closeNs: Long? = null
}

/** One figure of the process's memory. */
@Serializable
internal data class MemoryPoint(
    val metric: String,
    val kind: MemoryKind,
    val scope: String,
    val phase: MemoryPhase,
    @SerialName("size_bytes") val sizeBytes: Long,
)

/** Whether a figure is the value at a moment or the largest until then. */
@Serializable
internal enum class MemoryKind {
    @SerialName("current")
    CURRENT,

    @SerialName("peak")
    PEAK,
}

/** Returns the result of a request that is none. */
internal fun refusedResult(
    blockId: String,
    error: InvalidRequestException,
): BlockResult {
    val result = BlockResult(blockId, emptyList(), measureClock())
    result.failure = describeFailure(error, Stage.START)
    return result
}

/**
 * Writes `result.json` so that it is there whole or not at all; half a surrogate pair, which has no
 * UTF-8, becomes a question mark.
 *
 * @throws IOException it cannot be written.
 */
internal fun writeResult(
    directory: File,
    result: BlockResult,
): File {
    val path = File(directory, "result.json")
    val staged = File(directory, "result.json.part")
    FileOutputStream(staged).use { stream ->
        stream.write(wireJson.encodeToString(result).toByteArray())
        stream.fd.sync()
    }
    rename(staged, path)
    return path
}
