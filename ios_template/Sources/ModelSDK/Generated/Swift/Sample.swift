// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

/// The model `sample`.
///
/// Open it once, run it often. It may be passed between threads and serves one run at a time; a
/// second run at the same moment is refused. The runtime's usage data stays off.
public final class Sample: Sendable {
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
    ) throws -> Sample {
        Sample(try descriptor.open(options, from: source))
    }

    /// Opens the model on a thread of its own.
    ///
    /// - Throws: As the blocking `open`; `CancellationError` if the task was cancelled before.
    public static func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) async throws -> Sample {
        Sample(try await descriptor.open(options, from: source))
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
        /// Input `picture`, `float[1, 3, 32, 32]`.
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
            binding = try InputBinding(Sample.descriptor, [picture])
            writers = [PictureWriter(Sample.pictureFormat, picture)]
        }

        /// Makes tensors of zeros.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or too large.
        public static func allocate() throws -> Input {
            try Input(picture: Tensor<Float>(shape: [1, 3, 32, 32]))
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
        /// Output `colour`, `float[1, 4]`.
        public let colour: Tensor<Float>

        init(_ tensors: [AnyTensor]) throws {
            colour = try tensors.output(0)
        }

        /// The classes that ``colour`` scores best, best first.
        ///
        /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
        public func labels() throws -> [Classification.Label] {
            try Sample.colourClassification.best(of: colour)
        }
    }

    private static let pictureFormat = ImageFormat(
        width: 32,
        height: 32,
        layout: .nchw,
        colorOrder: .rgb,
        channelType: .float,
        scale: 0.00392156862745098,
        mean: [0.0],
        std: [1.0],
        resize: .crop,
        padding: 0.0,
        antialias: true
    )

    private static let colourClassification = Classification(
        labels: [
            "red",
            "green",
            "blue",
            "grey",
        ],
        topK: 3,
        applySoftmax: false
    )

    /// The model for code that knows no generated class.
    public static let descriptor = ModelDescriptor(
        name: "sample",
        inputs: [
            TensorDescriptor(
                name: "picture",
                elementType: .float,
                shape: [.fixed(1), .fixed(3), .fixed(32), .fixed(32)],
                kind: .image(pictureFormat),
                identifier: "picture"
            )
        ],
        outputs: [
            TensorDescriptor(
                name: "colour",
                elementType: .float,
                shape: [.fixed(1), .fixed(4)],
                kind: .scores(colourClassification),
                identifier: "colour"
            )
        ],
        states: [],
        variants: [
            ModelVariant(
                id: "fixed-arm",
                style: .fixed,
                target: "arm",
                precision: "fp32",
                path: "ortlab/sample/fixed-arm.ort",
                sha256: "efc0e00eb511c86cdbcb361b2ddfeb1a001b3bf3618830686a892e70fda1b125",
                sizeBytes: 4672
            ),
            ModelVariant(
                id: "runtime-arm",
                style: .runtime,
                target: "arm",
                precision: "fp32",
                path: "ortlab/sample/runtime-arm.ort",
                sha256: "042ae99fce5fcf092cef7dd28c990c891cccd9ea6f769d8be3b6bea8bee43254",
                sizeBytes: 5152
            ),
        ],
        sample: [
            SampleTensor(
                name: "picture",
                elementType: .float,
                shape: [1, 3, 32, 32],
                path: "ortlab/sample/sample/input-0.bin"
            )
        ]
    )
}
