/// A model as the app carries it: what it takes, what it gives, and the way to open it without its
/// generated class.
public struct ModelDescriptor: Sendable {
    /// Unique in the app.
    public let name: String
    /// In the model's order, without ``states``.
    public let inputs: [TensorDescriptor]
    /// In the model's order, without ``states``.
    public let outputs: [TensorDescriptor]
    /// What the session carries from one run to the next.
    public let states: [StateDescriptor]
    /// Packaged files, the recommended one first.
    public let variants: [ModelVariant]
    /// Packaged inputs to try the model with; empty when there are none.
    public let sample: [SampleTensor]
    /// Packaged libraries with the model's own operators.
    public let customOpLibraries: [CustomOpLibrary]

    /// Describes a model.
    public init(
        name: String,
        inputs: [TensorDescriptor],
        outputs: [TensorDescriptor],
        states: [StateDescriptor] = [],
        variants: [ModelVariant],
        sample: [SampleTensor] = [],
        customOpLibraries: [CustomOpLibrary] = []
    ) {
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.states = states
        self.variants = variants
        self.sample = sample
        self.customOpLibraries = customOpLibraries
    }

    /// Styles that are packaged, the recommended one first.
    public var styles: [ModelStyle] {
        variants.map(\.style).reduce(into: []) { styles, style in
            if !styles.contains(style) { styles.append(style) }
        }
    }

    /// Sizes that states fix for the dimensions they share with inputs.
    var stateDimensions: [String: Int] {
        states.reduce(into: [:]) { sizes, state in
            sizes.merge(state.dimensions) { earlier, _ in earlier }
        }
    }

    /// Makes a tensor of zeros for every input.
    ///
    /// - Parameter dimensions: Sizes of named dimensions.
    /// - Returns: Tensors by the inputs' names.
    /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is missing, or an input declares too
    ///   little of its shape.
    public func allocateInputs(dimensions: [String: Int] = [:]) throws -> [String: AnyTensor] {
        let sizes = stateDimensions.merging(dimensions) { _, given in given }
        var tensors: [String: AnyTensor] = [:]
        for input in inputs {
            tensors[input.name] = try input.allocate(dimensions: sizes)
        }
        return tensors
    }

    /// Opens the model without its generated class. It blocks; the other `open` does not.
    ///
    /// - Throws: ``SDKError/modelNotFound(_:)`` if the file is not in `source`,
    ///   ``SDKError/modelLoadFailed(_:)`` if the runtime does not take it,
    ///   ``SDKError/providerUnavailable(provider:available:message:)`` if a provider that `options`
    ///   ask for is not there, ``SDKError/invalidOptions(_:)`` if they mean nothing here.
    public func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) throws -> ModelSession {
        try ModelSession.open(self, options, from: source)
    }

    /// Opens the model without its generated class, on a thread of its own.
    ///
    /// - Throws: As the blocking `open`.
    public func open(
        _ options: SessionOptions = SessionOptions(), from source: ModelSource = .bundled
    ) async throws -> ModelSession {
        try await onWorkerThread { try ModelSession.open(self, options, from: source) }
    }

    /// Reads the packaged sample.
    ///
    /// - Returns: A new tensor for each input, by its name.
    /// - Throws: ``SDKError/modelNotFound(_:)`` if a file is not in `source`,
    ///   ``SDKError/invalidElements(_:)`` if it holds something else.
    public func loadSample(from source: ModelSource = .bundled) throws -> [String: AnyTensor] {
        var tensors: [String: AnyTensor] = [:]
        for part in sample {
            let file = try source.open(part.path)
            let tensor = try AnyTensor.allocate(part.elementType, shape: part.shape)
            // Every device that this runs on is little-endian, as the file is.
            try tensor.borrowed { try tensor.decode(UnsafeRawBufferPointer(file.bytes)) }
            tensors[part.name] = tensor
        }
        return tensors
    }
}
