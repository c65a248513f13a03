/// Where a block is on its way; see `bench_protocol/README.md`, "Stages and purposes".
public enum Stage: String, Sendable, CaseIterable {
    /// The request is checked, the runtime is started, the inputs are read.
    case start
    /// The model's hash is checked, its bytes are read.
    case loadModel = "load_model"
    /// Options are set, the session is created.
    case createSession = "create_session"
    /// One run.
    case firstRun = "first_run"
    /// Runs until the warm-up rule is met.
    case warmUp = "warm_up"
    /// Runs until the stop rule is met, or a number of them.
    case measure
    /// Outputs or profile are written.
    case readOutput = "read_output"
    /// The session is destroyed.
    case close
}

/// What a block is for.
enum Purpose: String, CaseIterable {
    case latency, memory, profile, parity
    case coldStart = "cold_start"
}

/// How a session gets its model.
enum LoadMode: String, CaseIterable {
    case path, bytes
    case directBytes = "direct-bytes"
    case initializersFromBytes = "initializers-from-bytes"
}

/// How much the runtime optimizes a model when it loads it.
enum OptimizationLevel: String, CaseIterable {
    case disabled, basic, extended, layout, all
}

/// Whether operators run one after the other.
enum SessionExecutionMode: String, CaseIterable {
    case sequential, parallel
}

/// Why a block failed.
enum FailureKind: String, CaseIterable {
    case invalidRequest = "invalid_request"
    case unsupported
    case modelMissing = "model_missing"
    case modelChanged = "model_changed"
    case invalidModel = "invalid_model"
    case inputMissing = "input_missing"
    case invalidInput = "invalid_input"
    case providerUnavailable = "provider_unavailable"
    case providerFailed = "provider_failed"
    case customOpsFailed = "custom_ops_failed"
    case outOfMemory = "out_of_memory"
    case runtimeError = "runtime_error"
    case storage
    case deadline
}

/// When a memory point is read; see `bench_protocol/README.md`, "Memory".
enum MemoryPhase: String, CaseIterable {
    case baseline, environment, loaded
    case firstRun = "first_run"
    case warm, end, closed
}

/// Why measurement ended.
enum StopReason: String {
    case complete
    case timeLimit = "time_limit"
    case tooFewRuns = "too_few_runs"
}
