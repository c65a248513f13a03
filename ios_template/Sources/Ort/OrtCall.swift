import COrt

/// A run of a model that is prepared once and repeated: names and values stand in memory in the form
/// in which the runtime takes them, so that ``run()`` is one call of its C API and nothing else.
///
/// It is not `Sendable`: one call belongs to one thread at a time. Several calls may share a session.
public final class OrtCall {
    private let session: OrtSession
    private let inputNames: CTexts
    private let outputNames: CTexts
    private let inputs: UnsafeMutablePointer<OpaquePointer?>
    private let outputs: UnsafeMutablePointer<OpaquePointer?>
    private var inputValues: [OrtValue]
    private var boundOutputs: [OrtValue?]
    private var holdsOutputs = false

    /// Prepares a call.
    ///
    /// - Parameters:
    ///   - session: The model.
    ///   - inputs: Each input's name and value.
    ///   - outputs: The outputs that are wanted, and the tensor into which the runtime writes each;
    ///     nil where the runtime makes one at each run. All of the model's, made at each run, by
    ///     default.
    /// - Throws: ``OrtError`` where an input of the model is missing, or C cannot take a name.
    public init(
        _ session: OrtSession, inputs: [(name: String, value: OrtValue)],
        outputs: [(name: String, value: OrtValue?)]? = nil
    ) throws {
        try checkComplete(inputs.map(\.name), session)
        let wanted = outputs ?? session.outputs.map { ($0.name, nil) }
        inputNames = try CTexts(inputs.map(\.name))
        outputNames = try CTexts(wanted.map(\.name))
        self.session = session
        inputValues = inputs.map(\.value)
        boundOutputs = wanted.map(\.value)
        self.inputs = .allocate(capacity: max(inputs.count, 1))
        self.inputs.initialize(repeating: nil, count: max(inputs.count, 1))
        self.outputs = .allocate(capacity: max(wanted.count, 1))
        self.outputs.initialize(repeating: nil, count: max(wanted.count, 1))
        for (index, value) in inputValues.enumerated() { self.inputs[index] = value.handle }
        for (index, value) in boundOutputs.enumerated() { self.outputs[index] = value?.handle }
    }

    deinit {
        releaseOutputs()
        inputs.deallocate()
        outputs.deallocate()
    }

    /// Runs the model; outputs that the run before made are released first where
    /// ``releaseOutputs()`` has not done so.
    ///
    /// - Throws: ``OrtError`` where a value does not fit, or the run fails.
    public func run() throws {
        if holdsOutputs { releaseOutputs() }
        holdsOutputs = true
        try session.api.check(
            session.api.functions.pointee.Run(
                session.handle, nil, inputNames.pointers, inputs, inputNames.count,
                outputNames.pointers, outputNames.count, outputs))
    }

    /// Releases the outputs that the runtime made; those that were bound stay.
    public func releaseOutputs() {
        holdsOutputs = false
        for (index, bound) in boundOutputs.enumerated() where bound == nil {
            if let made = outputs[index] { session.api.functions.pointee.ReleaseValue(made) }
            outputs[index] = nil
        }
    }

    /// Returns an output of the last run. One that the runtime made belongs to the caller from here
    /// on; it can be taken once.
    ///
    /// - Parameter index: In the order of the outputs that this call was prepared with.
    /// - Throws: ``OrtError`` where there is none.
    public func takeOutput(_ index: Int) throws -> OrtValue {
        if let bound = boundOutputs[index] { return bound }
        guard let made = outputs[index] else {
            throw OrtError(code: .invalidArgument, message: "there is no output \(index) to take")
        }
        outputs[index] = nil
        return try OrtValue(owning: made, api: session.api)
    }

    /// Replaces the value of an input, in the order in which they were given.
    public func setInput(_ index: Int, _ value: OrtValue) {
        inputValues[index] = value
        inputs[index] = value.handle
    }

    /// Replaces the tensor that an output is written into; nil lets the runtime make one.
    public func setOutput(_ index: Int, _ value: OrtValue?) {
        releaseOutputs()
        boundOutputs[index] = value
        outputs[index] = value?.handle
    }
}

/// The runtime itself goes on without an input until an operator reads it.
private func checkComplete(_ names: [String], _ session: OrtSession) throws {
    for input in session.inputs {
        if !names.contains(where: { $0.utf8.elementsEqual(input.name.utf8) }) {
            let message = "the model's input \(input.name.debugDescription) is missing"
            throw OrtError(code: .invalidArgument, message: message)
        }
    }
}
