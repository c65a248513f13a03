// Made by ortlab. DO NOT EDIT: `ortlab generate` writes this file anew.

/// The model `product`.
///
/// Open it once, run it often. It may be passed between threads and serves one run at a time; a
/// second run at the same moment is refused. The runtime's usage data stays off.
public final class Product: Sendable {
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
    ) throws -> Product {
        Product(try descriptor.open(options, from: source))
    }

    /// Opens the model on a thread of its own.
    ///
    /// - Throws: As the blocking `open`; `CancellationError` if the task was cancelled before.
    public static func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) async throws -> Product {
        Product(try await descriptor.open(options, from: source))
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

    /// Lets go of the model; a second call does nothing. A run under way ends first. A model that
    /// nothing refers to any more is closed by itself.
    public func close() {
        session.close()
    }

    /// What the model takes: make it once, and write its tensors before each run.
    public struct Input: Sendable {
        /// Input `left`, `float[rows, inner]`.
        public let left: Tensor<Float>
        /// Input `right`, `float[inner, 4]`.
        public let right: Tensor<Float>
        /// Input `bias`, `float[4]`.
        public let bias: Tensor<Float>

        let binding: InputBinding

        /// Takes tensors, which are checked here once.
        ///
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a shape does not fit, or two contradict each
        ///   other, ``SDKError/sharedTensor(_:)`` if one tensor is given twice,
        ///   ``SDKError/closed(_:)`` if a tensor was closed.
        public init(
            left: Tensor<Float>,
            right: Tensor<Float>,
            bias: Tensor<Float>
        ) throws {
            self.left = left
            self.right = right
            self.bias = bias
            binding = try InputBinding(Product.descriptor, [left, right, bias])
        }

        /// Makes tensors of zeros.
        ///
        /// - Parameter rows: Size of `rows`.
        /// - Parameter inner: Size of `inner`.
        /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or too large.
        public static func allocate(
            rows: Int,
            inner: Int
        ) throws -> Input {
            try Input(
                left: Tensor<Float>(shape: [rows, inner]),
                right: Tensor<Float>(shape: [inner, 4]),
                bias: Tensor<Float>(shape: [4])
            )
        }

        /// Closes its tensors; a second call does nothing.
        public func close() {
            binding.close()
        }
    }

    /// What the model gives.
    public struct Output: Sendable {
        /// Output `sum`, `float[rows, 4]`.
        public let sum: Tensor<Float>
        /// Output `total`, `float scalar`.
        public let total: Tensor<Float>

        init(_ tensors: [AnyTensor]) throws {
            sum = try tensors.output(0)
            total = try tensors.output(1)
        }
    }

    /// The model for code that knows no generated class.
    public static let descriptor = ModelDescriptor(
        name: "product",
        inputs: [
            TensorDescriptor(
                name: "left",
                elementType: .float,
                shape: [.named("rows"), .named("inner")],
                identifier: "left"
            ),
            TensorDescriptor(
                name: "right",
                elementType: .float,
                shape: [.named("inner"), .fixed(4)],
                identifier: "right"
            ),
            TensorDescriptor(
                name: "bias",
                elementType: .float,
                shape: [.fixed(4)],
                identifier: "bias"
            ),
        ],
        outputs: [
            TensorDescriptor(
                name: "sum",
                elementType: .float,
                shape: [.named("rows"), .fixed(4)],
                identifier: "sum"
            ),
            TensorDescriptor(name: "total", elementType: .float, shape: [], identifier: "total"),
        ],
        states: [],
        variants: [
            ModelVariant(
                id: "runtime-arm",
                style: .runtime,
                target: "arm",
                precision: "fp32",
                path: "ortlab/product/runtime-arm.ort",
                sha256: "f55595a889979bc5a4ef59713ceb57b30ce0f39aac46b124523dbf5ee312d9c2",
                sizeBytes: 2296
            )
        ],
        sample: [
            SampleTensor(
                name: "left",
                elementType: .float,
                shape: [1, 16],
                path: "ortlab/product/sample/input-0.bin"
            ),
            SampleTensor(
                name: "right",
                elementType: .float,
                shape: [16, 4],
                path: "ortlab/product/sample/input-1.bin"
            ),
            SampleTensor(
                name: "bias",
                elementType: .float,
                shape: [4],
                path: "ortlab/product/sample/input-2.bin"
            ),
        ]
    )
}
