import Dispatch

/// Told what sessions do; nothing leaves the app by itself.
///
/// It is called on the thread that opens or runs a session, after the work is done.
public typealias MetricsListener = @Sendable (MetricsEvent) -> Void

/// What a session did. Durations are nanoseconds of a clock that never goes back.
public enum MetricsEvent: Sendable {
    /// What was being done.
    public enum Stage: Hashable, Sendable {
        /// A session was being opened.
        case load
        /// A model was being run.
        case run
    }

    /// A session was opened.
    case sessionLoaded(SessionReport)
    /// A run ended well; its duration includes its checks.
    case runCompleted(model: String, durationNanoseconds: UInt64)
    /// The runtime or the device failed; the error is what the caller gets.
    case failed(model: String, stage: Stage, error: SDKError)
}

/// What became of opening a model.
public struct SessionReport: Hashable, Sendable {
    /// Name of the model.
    public let model: String
    /// Which of the packaged files is loaded.
    public let variant: ModelVariant
    /// Which execution providers the session has.
    public let providers: ProviderReport
    /// From finding the file to being ready, in nanoseconds.
    public let loadDurationNanoseconds: UInt64
    /// What Core ML's cache holds; nil where Core ML or the cache is not used.
    public let coreMLCache: CoreMLCache.Report?
}

/// Nanoseconds of a clock that never goes back.
func nanoseconds() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

/// Blocks a thread that is nobody's, so that no task's thread waits.
func onWorkerThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try Task.checkCancellation()
    return try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async {
            continuation.resume(with: Swift.Result { try body() })
        }
    }
}
