// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

/// The model `counter`.
///
/// Open it once, run it often. It may be passed between threads and serves one run at a time; a
/// second run at the same moment is refused. The runtime's usage data stays off.
///
/// What it hands from one run to the next stays in here, starting with zeros: see ``reset()``.
public final class Counter: Sendable {
    /// What is loaded by what, and how long that took.
    public var report: SessionReport { session.report }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { session.isClosed }

    private let session: ModelSession

    private init(_ session: ModelSession) {
        self.session = session
    }

    /// Opens the model. It blocks; the other `open` does not.
    ///
    /// - Parameters:
    ///   - options: Which file, providers and threads.
    ///   - source: Where the packaged files are.
    /// - Throws: ``SDKError``: `modelNotFound` if the file is not there, `modelLoadFailed` if the
    ///   runtime does not take it, `providerUnavailable` if a provider that is asked for is not
    ///   there, `invalidOptions` if the options mean nothing here.
    public static func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) throws -> Counter {
        Counter(try descriptor.open(options, from: source))
    }

    /// Opens the model on a thread of its own.
    ///
    /// - Throws: As the blocking `open`; `CancellationError` if the task was cancelled before.
    public static func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) async throws -> Counter {
        Counter(try await descriptor.open(options, from: source))
    }

    /// Runs the model once. It blocks; the other `run` does not.
    ///
    /// - Returns: Its outputs. Those whose shape never changes are the same tensors after every
    ///   run, with new values: read or copy them before the next run.
    /// - Throws: ``SDKError``: `busy` if another run uses the model or something a tensor, `closed`
    ///   if one of them was closed, `sharedTensor` if an input is an output of the model; then the
    ///   runtime has seen nothing. `runFailed` if the runtime failed.
    public func run(_ input: Input) throws -> Output {
        try Output(session.run(input.binding))
    }

    /// Runs the model once, on a thread of its own.
    ///
    /// - Throws: As the blocking `run`; `CancellationError` if the task was cancelled before.
    public func run(_ input: Input) async throws -> Output {
        try await Output(session.run(input.binding))
    }

    /// Forgets earlier runs: what the model hands on is zeros again.
    ///
    /// - Throws: ``SDKError/busy(_:)`` if a run is under way, ``SDKError/closed(_:)`` if the model
    ///   was closed.
    public func reset() throws {
        try session.reset()
    }

    /// Lets go of the model; a second call does nothing. A run under way ends first. A model that
    /// nothing refers to any more is closed by itself.
    public func close() {
        session.close()
    }

    /// What the model takes: make it once, and write its tensors before each run.
    public struct Input: Sendable {
        /// Input `x`, `float[batch, 4]`.
        public let x: Tensor<Float>

        let binding: InputBinding

        /// Takes tensors, which are checked here once.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a shape does not fit, or two contradict each
        ///   other, ``SDKError/sharedTensor(_:)`` if one tensor is given twice,
        ///   ``SDKError/closed(_:)`` if a tensor was closed.
        public init(x: Tensor<Float>) throws {
            self.x = x
            binding = try InputBinding(Counter.descriptor, [x])
        }

        /// Makes tensors of zeros.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or too large.
        public static func allocate() throws -> Input {
            try Input(x: Tensor<Float>(shape: [2, 4]))
        }

        /// Closes its tensors; a second call does nothing.
        public func close() {
            binding.close()
        }
    }

    /// What the model gives.
    public struct Output: Sendable {
        /// Output `y`, `float scalar`.
        public let y: Tensor<Float>

        init(_ tensors: [AnyTensor]) throws {
            y = try tensors.output(0)
        }
    }

    /// The model for code that knows no generated class.
    public static let descriptor = ModelDescriptor(
        name: "counter",
        inputs: [
            TensorDescriptor(
                name: "x",
                elementType: .float,
                shape: [.named("batch"), .fixed(4)],
                identifier: "x"
            )
        ],
        outputs: [TensorDescriptor(name: "y", elementType: .float, shape: [], identifier: "y")],
        states: [
            StateDescriptor(
                inputName: "memory",
                outputName: "next",
                elementType: .float,
                shape: [2, 4],
                dimensions: ["batch": 2]
            )
        ],
        variants: [
            ModelVariant(
                id: "fixed-arm",
                style: .fixed,
                target: "arm",
                precision: "fp32",
                path: "ortlab/counter/fixed-arm.ort",
                sha256: "3071bb2eadf5372cda6b47746c0daae203613e3a6158ba8a1c5295435f94dc1c",
                sizeBytes: 2672
            )
        ],
        sample: []
    )
}
