import Dispatch
import Ort

/// A loaded model. Generated classes wrap it; by itself it takes and gives tensors by their names.
///
/// It serves one run at a time, from any thread: a second run at the same moment is refused with
/// ``SDKError/busy(_:)``. Output tensors whose shape never changes belong to the session and hold
/// the newest run's values; read or copy them before the next run. They outlive the session.
public final class ModelSession: @unchecked Sendable {
    /// Of the model.
    public let descriptor: ModelDescriptor
    /// What became of opening it.
    public let report: SessionReport

    private let usage = Usage()
    private let metrics: MetricsListener?
    private let queue: DispatchQueue
    private let lock = Lock()
    private var adopted: [InputBinding] = []
    // What follows belongs to the one run that is under way.
    private var runner: Runner?
    private var lastBinding: InputBinding?

    private init(
        _ descriptor: ModelDescriptor,
        _ runner: Runner,
        _ report: SessionReport,
        _ metrics: MetricsListener?
    ) {
        self.descriptor = descriptor
        self.runner = runner
        self.report = report
        self.metrics = metrics
        queue = DispatchQueue(label: "ortlab.session", qos: .userInitiated)
    }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { usage.isClosed }

    /// Runs the model once. It blocks; the other `run` does not.
    ///
    /// - Parameter inputs: A tensor for each input of ``descriptor``, by name.
    /// - Returns: A tensor for each output, by name.
    /// - Throws: ``SDKError``. Before the runtime sees anything: `invalidInputs` if an input is
    ///   missing or a name unknown, `shapeMismatch`, `elementTypeMismatch` or `sharedTensor` if a
    ///   tensor does not fit, `busy` if another run uses the session or something a tensor,
    ///   `closed` if one of them was closed. `runFailed` if the runtime failed.
    public func run(_ inputs: [String: AnyTensor]) throws -> [String: AnyTensor] {
        named(try run(bind(inputs)))
    }

    /// Runs the model once, on a thread of the session's own.
    ///
    /// - Throws: As the blocking `run`; `CancellationError` if the task was cancelled before.
    public func run(_ inputs: [String: AnyTensor]) async throws -> [String: AnyTensor] {
        named(try await run(bind(inputs)))
    }

    /// Forgets what earlier runs left behind: states start with zeros again.
    ///
    /// - Throws: ``SDKError/busy(_:)`` or ``SDKError/closed(_:)``.
    public func reset() throws {
        try begin()
        defer { end() }
        try runner?.reset()
    }

    /// Lets go of the model; a second call does nothing. While a run is under way, the run ends
    /// first. A session that nothing refers to any more closes itself.
    public func close() {
        if usage.close() { letGo() }
    }

    // ------------------------------------------------------------------ for generated classes

    /// Runs once; `fill` writes the inputs once no other run can interfere.
    func run(_ binding: InputBinding, fill: (() throws -> Void)? = nil) throws -> [AnyTensor] {
        try begin()
        return try runBegun(binding, fill: fill)
    }

    func run(
        _ binding: InputBinding, fill: (@Sendable () throws -> Void)? = nil
    ) async throws -> [AnyTensor] {
        try Task.checkCancellation()
        try begin()
        return try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(
                    with: Result { try self.runBegun(binding, fill: fill) })
            }
        }
    }

    /// Closes tensors when the session lets go of the model: after the last run.
    func adopt(_ binding: InputBinding) {
        lock.withLock { adopted.append(binding) }
        if isClosed { binding.close() }
    }

    // ------------------------------------------------------------------ one run

    private func runBegun(
        _ binding: InputBinding, fill: (() throws -> Void)?
    ) throws -> [AnyTensor] {
        guard let metrics else {
            defer { end() }
            return try execute(binding, fill: fill)
        }
        let started = nanoseconds()
        let outcome = Result {
            defer { end() }
            return try execute(binding, fill: fill)
        }
        let duration = nanoseconds() - started
        switch outcome {
        case .success:
            metrics(.runCompleted(model: descriptor.name, durationNanoseconds: duration))
        case .failure(let error as SDKError) where error.isFailure:
            metrics(.failed(model: descriptor.name, stage: .run, error: error))
        case .failure:
            break
        }
        return try outcome.get()
    }

    private func execute(
        _ binding: InputBinding, fill: (() throws -> Void)?
    ) throws -> [AnyTensor] {
        guard let runner else { throw closed() }
        try fill?()
        if lastBinding !== binding {
            try runner.refuseAsInputs(binding.tensors)
            lastBinding = binding
        }
        try binding.acquire()
        defer { binding.release() }
        return try runner.run(binding.tensors)
    }

    private func bind(_ inputs: [String: AnyTensor]) throws -> InputBinding {
        let names = descriptor.inputs.map(\.name)
        let unknown = Set(inputs.keys).subtracting(names).sorted()
        guard unknown.isEmpty else {
            throw SDKError.invalidInputs(
                "The model \(descriptor.name) has no input \(unknown); it has \(names)")
        }
        let tensors = try names.map { name -> AnyTensor in
            guard let tensor = inputs[name] else {
                throw SDKError.invalidInputs("The input '\(name)' is missing")
            }
            return tensor
        }
        return try InputBinding(descriptor, tensors)
    }

    private func named(_ tensors: [AnyTensor]) -> [String: AnyTensor] {
        let pairs = zip(descriptor.outputs.map(\.name), tensors)
        return Dictionary(pairs) { first, _ in first }
    }

    private func begin() throws {
        switch usage.begin() {
        case .none: return
        case .busy:
            throw SDKError.busy(
                "The model \(descriptor.name) is being run; it serves one run at a time")
        case .closed: throw closed()
        }
    }

    private func end() {
        if usage.end() { letGo() }
    }

    private func letGo() {
        runner = nil
        lastBinding = nil
        for binding in lock.withLock({ adopted }) { binding.close() }
    }

    private func closed() -> SDKError {
        .closed("The session of the model \(descriptor.name) was closed")
    }

    // ------------------------------------------------------------------ opening

    static func open(
        _ descriptor: ModelDescriptor, _ options: SessionOptions, from source: ModelSource
    ) throws -> ModelSession {
        let started = nanoseconds()
        do {
            try options.validate()
            let variant = try chooseVariant(of: descriptor, style: options.style)
            let loaded = try LoadedModel(descriptor, variant, source, options)
            let report = SessionReport(
                model: descriptor.name,
                variant: variant,
                providers: loaded.providers,
                loadDurationNanoseconds: nanoseconds() - started,
                coreMLCache: loaded.coreMLCache)
            let session = ModelSession(descriptor, loaded.runner, report, options.metrics)
            options.metrics?(.sessionLoaded(report))
            return session
        } catch let error as SDKError where error.isFailure {
            options.metrics?(.failed(model: descriptor.name, stage: .load, error: error))
            throw error
        }
    }

    /// Which packaged file fits the options and this machine's CPU.
    private static func chooseVariant(
        of descriptor: ModelDescriptor, style: ModelStyle?
    ) throws -> ModelVariant {
        let style = style ?? descriptor.variants.first?.style
        let candidates = descriptor.variants.filter { $0.style == style }
        let fitting =
            candidates.first { $0.target == ownTarget } ?? candidates.first { $0.target == nil }
        guard let variant = fitting ?? candidates.first else {
            let wanted = style.map(\.rawValue) ?? "anything"
            throw SDKError.invalidOptions(
                "The model \(descriptor.name) is not packaged as \(wanted), only as "
                    + "\(descriptor.styles.map(\.rawValue))")
        }
        return variant
    }

    #if arch(arm64) || arch(arm)
        private static let ownTarget = "arm"
    #else
        private static let ownTarget = "amd64"
    #endif
}
