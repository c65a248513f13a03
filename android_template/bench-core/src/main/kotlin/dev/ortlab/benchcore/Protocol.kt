package dev.ortlab.benchcore

import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable

/** Where a block is on its way; see `bench_protocol/README.md`, "Stages and purposes". */
@Serializable
public enum class Stage(
    /** Name in progress marks and failures. */
    public val wireName: String,
) {
    /** The request is checked, the runtime is started, the inputs are read. */
    @SerialName("start")
    START("start"),

    /** The model's hash is checked, its bytes are read. */
    @SerialName("load_model")
    LOAD_MODEL("load_model"),

    /** Options are set, the session is created. */
    @SerialName("create_session")
    CREATE_SESSION("create_session"),

    /** One run. */
    @SerialName("first_run")
    FIRST_RUN("first_run"),

    /** Runs until the warm-up rule is met. */
    @SerialName("warm_up")
    WARM_UP("warm_up"),

    /** Runs until the stop rule is met, or a number of them. */
    @SerialName("measure")
    MEASURE("measure"),

    /** Outputs or profile are written. */
    @SerialName("read_output")
    READ_OUTPUT("read_output"),

    /** The session is destroyed. */
    @SerialName("close")
    CLOSE("close"),
}

/** What a block is for. */
internal enum class Purpose(
    val wireName: String,
) {
    LATENCY("latency"),
    MEMORY("memory"),
    PROFILE("profile"),
    PARITY("parity"),
    COLD_START("cold_start"),
}

/** How a session gets its model. */
internal enum class LoadMode(
    val wireName: String,
) {
    PATH("path"),
    BYTES("bytes"),
    DIRECT_BYTES("direct-bytes"),
    INITIALIZERS_FROM_BYTES("initializers-from-bytes"),
}

/** Why a block failed. */
@Serializable
internal enum class FailureKind {
    @SerialName("invalid_request")
    INVALID_REQUEST,

    @SerialName("unsupported")
    UNSUPPORTED,

    @SerialName("model_missing")
    MODEL_MISSING,

    @SerialName("model_changed")
    MODEL_CHANGED,

    @SerialName("invalid_model")
    INVALID_MODEL,

    @SerialName("input_missing")
    INPUT_MISSING,

    @SerialName("invalid_input")
    INVALID_INPUT,

    @SerialName("provider_unavailable")
    PROVIDER_UNAVAILABLE,

    @SerialName("provider_failed")
    PROVIDER_FAILED,

    @SerialName("custom_ops_failed")
    CUSTOM_OPS_FAILED,

    @SerialName("out_of_memory")
    OUT_OF_MEMORY,

    @SerialName("runtime_error")
    RUNTIME_ERROR,

    @SerialName("storage")
    STORAGE,

    @SerialName("deadline")
    DEADLINE,
}

/** When a memory point is read; see `bench_protocol/README.md`, "Memory". */
@Serializable
internal enum class MemoryPhase {
    @SerialName("baseline")
    BASELINE,

    @SerialName("environment")
    ENVIRONMENT,

    @SerialName("loaded")
    LOADED,

    @SerialName("first_run")
    FIRST_RUN,

    @SerialName("warm")
    WARM,

    @SerialName("end")
    END,

    @SerialName("closed")
    CLOSED,
}

/** Why measurement ended. */
@Serializable
internal enum class StopReason {
    @SerialName("complete")
    COMPLETE,

    @SerialName("time_limit")
    TIME_LIMIT,

    @SerialName("too_few_runs")
    TOO_FEW_RUNS,
}

/** How a session is optimized and run; null leaves the runtime's default. */
internal enum class OptimizationLevel(
    val wireName: String,
    val runtimeName: String,
) {
    DISABLED("disabled", "NO_OPT"),
    BASIC("basic", "BASIC_OPT"),
    EXTENDED("extended", "EXTENDED_OPT"),
    LAYOUT("layout", "LAYOUT_OPT"),
    ALL("all", "ALL_OPT"),
}

/** Whether operators run one after the other. */
internal enum class SessionExecutionMode(
    val wireName: String,
) {
    SEQUENTIAL("sequential"),
    PARALLEL("parallel"),
}
