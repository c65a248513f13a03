package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** One block, as `block_request.schema.json` defines it; made by [readBlockRequest] alone. */
internal data class BlockRequest(
    val blockId: String,
    val purpose: Purpose,
    val model: ModelReference,
    val session: SessionSettings,
    val providers: List<ProviderRequest>,
    val inputs: List<TensorFile>,
    val outputDirectory: String,
    val warmUp: WarmUpRule,
    val stop: StopRule,
    val measuredRuns: Long,
    val settleNs: Long,
    val deadlineSeconds: Double,
)

/** The model file and how the session gets it. */
internal data class ModelReference(
    val path: String,
    val sha256: String,
    val loadMode: LoadMode,
    val customOpLibrary: String?,
)

/** Session options; null leaves the runtime's default. */
internal data class SessionSettings(
    val optimizationLevel: OptimizationLevel,
    val intraOpThreads: Long?,
    val interOpThreads: Long?,
    val executionMode: SessionExecutionMode,
    val usesCpuArena: Boolean?,
    val usesMemoryPattern: Boolean?,
    val configEntries: Map<String, String>,
)

/** An execution provider by the runtime's name, and its options. */
@Serializable
internal data class ProviderRequest(
    val name: String,
    val options: Map<String, String>,
)

/** A tensor in a raw file; see `bench_protocol/README.md`, "Tensor files". */
@Serializable
internal data class TensorFile(
    val name: String,
    @SerialName("element_type") val elementType: ElementType,
    val shape: List<Long>,
    val path: String,
    val sha256: String?,
)

/** When warm-up ends. */
internal data class WarmUpRule(
    val windowMinRuns: Long,
    val windowNs: Long,
    val agreement: Double,
    val minNs: Long,
    val maxNs: Long,
    val maxRuns: Long,
    val hardLimitNs: Long,
)

/** When measurement ends. */
internal data class StopRule(
    val minRuns: Long,
    val minNs: Long,
    val maxNs: Long,
    val floorRuns: Long,
)
