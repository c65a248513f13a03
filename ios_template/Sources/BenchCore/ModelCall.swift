import Ort

private let longestPinnedBytes = Double(Int32.max)

/// The call that is timed: the one that the generated SDK makes.
///
/// An app that runs a model again and again keeps its buffers, and the SDK does so for it: where the
/// model declares an output's shape in full, the runtime writes into a tensor that exists already.
/// The other outputs, whose shapes depend on the input, are allocated by the runtime at each run and
/// released after the clock was read.
final class ModelCall: TimedCall {
    private let session: OrtSession
    private let inputs: [(name: String, value: OrtValue)]
    private var call: OrtCall
    private var isPinned: Bool

    init(_ session: OrtSession, inputs: [(name: String, value: OrtValue)]) throws {
        self.session = session
        self.inputs = inputs
        let outputs = try session.outputs.map { (name: $0.name, value: try pinnedTensor($0)) }
        isPinned = outputs.contains { $0.value != nil }
        call = try OrtCall(session, inputs: inputs, outputs: outputs)
    }

    /// Runs for the first time. A model may declare shapes that its outputs do not have; then the
    /// runtime refuses our tensors, and allocates all outputs from here on.
    func runFirst() throws {
        do {
            try call.run()
        } catch let error as OrtError {
            if !isPinned { throw error }
            isPinned = false
            call = try OrtCall(session, inputs: inputs)
            try call.run()
        }
    }

    /// Returns an output of the run before.
    func output(_ index: Int) throws -> OrtValue { try call.takeOutput(index) }

    @inline(__always)
    func run() throws { try call.run() }

    @inline(__always)
    func release() { call.releaseOutputs() }
}

/// Returns a tensor for an output, or nil where the runtime has to allocate it.
private func pinnedTensor(_ declared: OrtValueInfo) throws -> OrtValue? {
    guard let type = declared.elementType, type != .string else { return nil }
    let shape = declared.shape.compactMap { $0 }
    if shape.count < declared.shape.count || shape.contains(where: { $0 <= 0 }) { return nil }
    let byteCount = shape.reduce(Double(type.byteCount)) { $0 * Double($1) }
    if byteCount > longestPinnedBytes { return nil }
    let memory = OrtMemory(byteCount: Int(byteCount))
    return try OrtValue(memory, elementType: type, shape: shape)
}
