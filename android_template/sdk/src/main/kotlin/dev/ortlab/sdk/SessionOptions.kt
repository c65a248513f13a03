package dev.ortlab.sdk

/** How a packaged model was optimized. */
public enum class ModelStyle {
    /** As an ONNX model; the runtime optimizes it whenever it is loaded. */
    ONNX,

    /** Fully optimized when it was packaged. */
    FIXED,

    /** Optimized when packaged as far as every provider bears, the rest when it is loaded. */
    RUNTIME,
}

/** What may run on the CPU when other execution providers are asked for. */
public enum class CpuFallback {
    /** Nothing: a provider that is missing or leaves an operator to the CPU is refused. */
    NONE,

    /** Operators that the providers do not take; a missing provider is still refused. */
    OPERATORS,

    /** Everything, when a provider is missing; [ProviderReport] says so. */
    WHOLE_MODEL,
}

/** An execution provider to run a model with. */
public sealed interface ExecutionProvider {
    /** Name in messages and reports. */
    public val name: String

    /** The CPU; every runtime has it. */
    public data object Cpu : ExecutionProvider {
        override val name: String get() = "CPU"
    }

    /**
     * Android's Neural Networks API.
     *
     * @property flags as the runtime defines them.
     */
    public data class Nnapi(
        public val flags: Set<NnapiFlag> = emptySet(),
    ) : ExecutionProvider {
        override val name: String get() = "NNAPI"
    }

    /**
     * XNNPACK: CPU kernels with a thread pool of their own.
     *
     * @property threads size of that pool; null leaves it to the runtime.
     */
    public data class Xnnpack(
        public val threads: Int? = null,
    ) : ExecutionProvider {
        init {
            require(threads == null || threads > 0) { "XNNPACK threads must be positive, not $threads" }
        }

        override val name: String get() = "XNNPACK"
    }

    /**
     * Qualcomm's QNN.
     *
     * @property options as the runtime defines them, such as `backend_path` to `libQnnHtp.so`.
     */
    public data class Qnn(
        public val options: Map<String, String> = mapOf("backend_path" to "libQnnHtp.so"),
    ) : ExecutionProvider {
        override val name: String get() = "QNN"
    }
}

/** How NNAPI is used. */
public enum class NnapiFlag {
    /** Calculate with 16-bit floats. */
    USE_FP16,

    /** Keep channels before height and width. */
    USE_NCHW,

    /** Leave out NNAPI's own CPU implementation. */
    CPU_DISABLED,

    /** Only NNAPI's own CPU implementation. */
    CPU_ONLY,
}

/**
 * How a model is opened.
 *
 * @property style which of the packaged files; null takes the one the app recommends.
 * @property providers in the order they may take operators; empty means the CPU.
 * @property cpuFallback what may run on the CPU when [providers] names others.
 * @property intraOpThreads threads inside an operator; null leaves it to the runtime.
 * @property interOpThreads threads for operators beside each other; null runs one after another.
 * @property customOpLibraries shared libraries with operators of their own, beside those the model is
 *   packaged with: a path, or the bare name of a library in the app, such as `libcustom_ops.so`.
 * @property configEntries further entries of the runtime's session configuration.
 * @property metrics told of load time, latency and failures; null measures nothing.
 */
public data class SessionOptions(
    public val style: ModelStyle? = null,
    public val providers: List<ExecutionProvider> = emptyList(),
    public val cpuFallback: CpuFallback = CpuFallback.NONE,
    public val intraOpThreads: Int? = null,
    public val interOpThreads: Int? = null,
    public val customOpLibraries: List<String> = emptyList(),
    public val configEntries: Map<String, String> = emptyMap(),
    public val metrics: MetricsListener? = null,
) {
    init {
        require(intraOpThreads == null || intraOpThreads > 0) { "intraOpThreads must be positive, not $intraOpThreads" }
        require(interOpThreads == null || interOpThreads > 0) { "interOpThreads must be positive, not $interOpThreads" }
        val names = providers.map { it.name }
        require(names.size == names.toSet().size) { "providers names one more than once: $names" }
        val reserved = configEntries.keys.filter { it in RESERVED_ENTRIES }
        require(reserved.isEmpty()) { "configEntries may not hold $reserved: the SDK sets them" }
    }

    internal companion object {
        const val USE_BYTES = "session.use_ort_model_bytes_directly"
        const val USE_BYTES_FOR_INITIALIZERS = "session.use_ort_model_bytes_for_initializers"
        const val DISABLE_CPU_FALLBACK = "session.disable_cpu_ep_fallback"
        val RESERVED_ENTRIES = setOf(USE_BYTES, USE_BYTES_FOR_INITIALIZERS, DISABLE_CPU_FALLBACK)
    }
}

/** How much of a model may be on the CPU although other providers were asked for. */
public enum class FallbackState {
    /** Nothing: none was needed, or the CPU is what was asked for. */
    NOTHING,

    /** Operators that the registered providers did not take. */
    OPERATORS,

    /** The whole model: no provider that was asked for is there. */
    WHOLE_MODEL,
}

/**
 * Which execution providers a session really has.
 *
 * @property requested names, in the order asked for.
 * @property registered names the session was made with; the CPU last.
 * @property missing name to the reason why it is not among [registered].
 * @property cpuFallback how much may be on the CPU although it was not asked for.
 */
public data class ProviderReport(
    public val requested: List<String>,
    public val registered: List<String>,
    public val missing: Map<String, String>,
    public val cpuFallback: FallbackState,
)
