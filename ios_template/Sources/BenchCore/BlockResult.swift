/// What is known of a block so far; filled stage by stage.
///
/// Source of the fields: `bench_protocol/schemas/block_result.schema.json`.
struct BlockResult {
    let blockId: String
    let requestedProviders: [ProviderRequest]
    let clock = ClockFacts.measured()
    var failure: Failure?
    var runtime: RuntimeFacts?
    var registeredProviders: [String] = []
    var timing = Timing()
    var memory: [MemoryPoint] = []
    var conditionsBefore: Conditions?
    var conditionsAfter: Conditions?
    var outputs: [TensorFile] = []
    var profilePath: String?

    var json: Json {
        .fields([
            ("schema", .text("ortlab.block_result/1")),
            ("block_id", .text(blockId)),
            ("failure", .nested(failure?.json)),
            ("runtime", .nested(runtime?.json)),
            ("requested_providers", .array(requestedProviders.map(\.json))),
            ("registered_providers", .texts(registeredProviders)),
            ("clock", clock.json),
            ("timing", timing.json),
            ("memory", .array(memory.map(\.json))),
            ("conditions_before", .nested(conditionsBefore?.json)),
            ("conditions_after", .nested(conditionsAfter?.json)),
            ("outputs", .array(outputs.map(\.json))),
            ("profile_path", .name(profilePath)),
        ])
    }
}

/// Where and why a block failed, in the runtime's own words.
struct Failure {
    let stage: Stage
    let kind: FailureKind
    let message: String

    var json: Json {
        .fields([
            ("stage", .text(stage.rawValue)), ("kind", .text(kind.rawValue)),
            ("message", .text(message)),
        ])
    }
}

/// What the runtime and the program that uses it say of themselves.
struct RuntimeFacts {
    let ortVersion: String
    let languageVersion: String
    let availableProviders: [String]
    let buildInformation: String
    let sharesProcess: Bool
    let appBuild: String?
    let isDebuggerAttached: Bool?

    var json: Json {
        .fields([
            ("ort_version", .text(ortVersion)),
            ("language", .text("swift")),
            ("language_version", .text(languageVersion)),
            ("runner_version", .text("1")),
            ("available_providers", .texts(availableProviders)),
            ("build_info", .text(buildInformation)),
            ("shared_process", .boolean(sharesProcess)),
            ("app_build", .name(appBuild)),
            ("debugger_attached", .flag(isDebuggerAttached)),
        ])
    }
}

/// Durations in nanoseconds; nil or empty where the purpose does not measure them.
struct Timing {
    var environmentNs: Int64?
    var loadModelNs: Int64?
    var sessionCreationNs: Int64?
    var firstRunNs: Int64?
    var warmUpNs: [Int64] = []
    var warmUpConverged: Bool?
    var measuredNs: [Int64] = []
    var stopReason: StopReason?
    var closeNs: Int64?

    var json: Json {
        .fields([
            ("environment_ns", .count(environmentNs)),
            ("load_model_ns", .count(loadModelNs)),
            ("session_creation_ns", .count(sessionCreationNs)),
            ("first_run_ns", .count(firstRunNs)),
            ("warm_up_ns", .numbers(warmUpNs)),
            ("warm_up_converged", .flag(warmUpConverged)),
            ("measured_ns", .numbers(measuredNs)),
            ("stop_reason", .name(stopReason?.rawValue)),
            ("close_ns", .count(closeNs)),
        ])
    }
}

/// One figure of the process's memory.
struct MemoryPoint {
    /// Whether a figure is the value at a moment or the largest until then.
    enum Kind: String {
        case current, peak
    }

    let metric: String
    let kind: Kind
    let scope: String
    let phase: MemoryPhase
    let byteCount: Int64

    var json: Json {
        .fields([
            ("metric", .text(metric)), ("kind", .text(kind.rawValue)), ("scope", .text(scope)),
            ("phase", .text(phase.rawValue)), ("size_bytes", .number(byteCount)),
        ])
    }
}

extension ProviderRequest {
    var json: Json { .fields([("name", .text(name)), ("options", .options(options))]) }
}

extension TensorFile {
    var json: Json {
        .fields([
            ("name", .text(name)),
            ("element_type", .text(elementType.rawValue)),
            ("shape", .numbers(shape.map { Int64($0) })),
            ("path", .text(path)),
            ("sha256", .name(sha256)),
        ])
    }
}

/// Returns the result of a request that is none.
func refusedResult(_ blockId: String, _ error: InvalidRequest) -> BlockResult {
    var result = BlockResult(blockId: blockId, requestedProviders: [])
    result.failure = describeFailure(error, in: .start)
    return result
}

/// Writes `result.json` so that it is there whole or not at all, and returns its path.
///
/// - Throws: ``FileError`` where it cannot be written.
func writeResult(_ result: BlockResult, to directory: String) throws -> String {
    let path = join(directory, "result.json")
    let staged = path + ".part"
    try writeFile(staged, Array(result.json.encoded.utf8), isSynchronized: true)
    try renameFile(staged, to: path)
    return path
}
