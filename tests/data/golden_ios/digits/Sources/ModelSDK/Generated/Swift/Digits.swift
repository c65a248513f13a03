// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

/// The model `digits`.
///
/// Open it once, run it often. It may be passed between threads and serves one run at a time; a
/// second run at the same moment is refused. The runtime's usage data stays off.
public final class Digits: Sendable {
    /// What is loaded by what, and how long that took.
    public var report: SessionReport { session.report }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { session.isClosed }

    private let session: ModelSession
    private let pictureInput = Lazily<Input>()

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
    ) throws -> Digits {
        Digits(try descriptor.open(options, from: source))
    }

    /// Opens the model on a thread of its own.
    ///
    /// - Throws: As the blocking `open`; `CancellationError` if the task was cancelled before.
    public static func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) async throws -> Digits {
        Digits(try await descriptor.open(options, from: source))
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

    /// Runs the model on a picture of any size. It blocks; the other `run` does not.
    ///
    /// - Returns: Its outputs, as for ``Input``.
    /// - Throws: As for ``Input``.
    public func run(_ picture: Picture) throws -> Output {
        let input = try ownInput()
        return try Output(
            session.run(input.binding) { try input.writePicture(picture) })
    }

    /// Runs the model on a picture of any size, on a thread of its own.
    ///
    /// - Returns: Its outputs, as for ``Input``.
    /// - Throws: As for ``Input``.
    public func run(_ picture: Picture) async throws -> Output {
        let input = try ownInput()
        return try await Output(
            session.run(input.binding) { try input.writePicture(picture) })
    }

    private func ownInput() throws -> Input {
        try pictureInput.value {
            let input = try Input.allocate()
            session.adopt(input.binding)
            return input
        }
    }

    /// Lets go of the model; a second call does nothing. A run under way ends first. A model that
    /// nothing refers to any more is closed by itself.
    public func close() {
        session.close()
    }

    /// What the model takes: make it once, and write its tensors before each run.
    public struct Input: Sendable {
        /// Input `picture`, `float[1, 3, 6, 8]`.
        public let picture: Tensor<Float>

        let binding: InputBinding
        private let writers: [PictureWriter]

        /// Takes tensors, which are checked here once.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a shape does not fit, or two contradict each
        ///   other, ``SDKError/sharedTensor(_:)`` if one tensor is given twice,
        ///   ``SDKError/closed(_:)`` if a tensor was closed.
        public init(picture: Tensor<Float>) throws {
            self.picture = picture
            binding = try InputBinding(Digits.descriptor, [picture])
            writers = [PictureWriter(Digits.pictureFormat, picture)]
        }

        /// Makes tensors of zeros.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or too large.
        public static func allocate() throws -> Input {
            try Input(picture: Tensor<Float>(shape: [1, 3, 6, 8]))
        }

        /// Writes a picture of any size into ``picture``.
        ///
        /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
        public func writePicture(_ picture: Picture) throws {
            try writers[0].write(picture)
        }

        /// Closes its tensors; a second call does nothing.
        public func close() {
            binding.close()
        }
    }

    /// What the model gives.
    public struct Output: Sendable {
        /// Output `scores`, `float[1, 4]`.
        public let scores: Tensor<Float>

        init(_ tensors: [AnyTensor]) throws {
            scores = try tensors.output(0)
        }

        /// The classes that ``scores`` scores best, best first.
        ///
        /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
        public func labels() throws -> [Classification.Label] {
            try Digits.scoresClassification.best(of: scores)
        }
    }

    private static let pictureFormat = ImageFormat(
        width: 8,
        height: 6,
        layout: .nchw,
        colorOrder: .bgr,
        channelType: .float,
        scale: 0.00392156862745098,
        mean: [0.5],
        std: [0.25, 0.5, 1.0],
        resize: .fit,
        padding: 0.0,
        antialias: true
    )

    private static let scoresClassification = Classification(
        labels: [
            "zero",
            "o\"n$e",
            "two */",
            "three\u{202E}",
        ],
        topK: 2,
        applySoftmax: true
    )

    /// The model for code that knows no generated class.
    public static let descriptor = ModelDescriptor(
        name: "digits",
        inputs: [
            TensorDescriptor(
                name: "picture",
                elementType: .float,
                shape: [.fixed(1), .fixed(3), .fixed(6), .fixed(8)],
                kind: .image(pictureFormat),
                identifier: "picture"
            )
        ],
        outputs: [
            TensorDescriptor(
                name: "scores",
                elementType: .float,
                shape: [.fixed(1), .fixed(4)],
                kind: .scores(scoresClassification),
                identifier: "scores"
            )
        ],
        states: [],
        variants: [
            ModelVariant(
                id: "fixed-arm",
                style: .fixed,
                target: "arm",
                precision: "fp32",
                path: "ortlab/digits/fixed-arm.ort",
                sha256: "2bae149ace1a70895107c45873f134b900d925bc46b84f072c73a4461aa8ba57",
                sizeBytes: 4296
            ),
            ModelVariant(
                id: "runtime-arm",
                style: .runtime,
                target: "arm",
                precision: "fp32",
                path: "ortlab/digits/runtime-arm.ort",
                sha256: "cd52dfd2b0dfd42d06d73b333bb5b010c2577f8e68244114c9801d81fd5610f2",
                sizeBytes: 4296
            ),
        ],
        sample: [
            SampleTensor(
                name: "picture",
                elementType: .float,
                shape: [1, 3, 6, 8],
                path: "ortlab/digits/sample/input-0.bin"
            )
        ]
    )
}
