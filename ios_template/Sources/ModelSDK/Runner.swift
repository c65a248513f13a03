import Ort

/// Runs a loaded model, with memory for outputs that is allocated once where their shape cannot
/// change. It serves one run at a time.
final class Runner {
    private let descriptor: ModelDescriptor
    private let session: OrtSession
    private let fixedShapes: [[Int]?]
    private let states: [StateDescriptor]
    private var carried: CarriedStates
    private var pinned: [AnyTensor?]
    private var call: OrtCall?
    /// What the call was told last.
    private var inputValues: [OrtValue] = []
    private var outputValues: [OrtValue?] = []
    private var lastResults: [AnyTensor]?

    init(_ descriptor: ModelDescriptor, _ session: OrtSession) throws {
        self.descriptor = descriptor
        self.session = session
        states = descriptor.states
        carried = try CarriedStates(descriptor.states)
        fixedShapes = descriptor.outputs.map { output in
            // The runtime has its own memory for texts.
            output.isShapeReliable && output.elementType != .string ? output.fixedShape : nil
        }
        pinned = Array(repeating: nil, count: descriptor.outputs.count)
    }

    /// Forgets what earlier runs left behind.
    func reset() throws { try carried.reset() }

    /// Refuses to read from the memory that a run writes to.
    func refuseAsInputs(_ tensors: [AnyTensor]) throws {
        for tensor in tensors {
            if let index = pinned.firstIndex(where: { $0 === tensor }) {
                throw SDKError.sharedTensor(
                    "The output tensor '\(descriptor.outputs[index].name)' of this session is given"
                        + " as an input: the run would overwrite it")
            }
        }
    }

    /// Runs once; the inputs are borrowed.
    ///
    /// - Returns: The outputs; the same array as before where no output's shape can change.
    func run(_ inputs: [AnyTensor]) throws -> [AnyTensor] {
        try acquireOutputs()
        defer { releaseOutputs(pinned.count) }
        let call = try connected(inputs)
        do {
            try call.run()
        } catch let error as OrtError {
            throw SDKError.runFailed(
                "Cannot run the model \(descriptor.name): \(error.message)")
        }
        carried.advance()
        if let lastResults { return lastResults }
        return try results(of: call)
    }

    // ------------------------------------------------------------------ what the runtime is given

    private func connected(_ inputs: [AnyTensor]) throws -> OrtCall {
        guard let call else { return try firstCall(inputs) }
        for index in inputs.indices {
            try setInput(index, try inputs[index].handle(), in: call)
        }
        for index in 0..<carried.count {
            try setInput(inputs.count + index, carried.current(index), in: call)
            try setOutput(pinned.count + index, carried.next(index), in: call)
        }
        for index in pinned.indices {
            if let tensor = pinned[index] {
                try setOutput(index, try tensor.handle(), in: call)
            }
        }
        return call
    }

    private func setInput(_ index: Int, _ value: OrtValue, in call: OrtCall) throws {
        if inputValues[index] !== value {
            inputValues[index] = value
            call.setInput(index, value)
        }
    }

    private func setOutput(_ index: Int, _ value: OrtValue, in call: OrtCall) throws {
        if outputValues[index] !== value {
            outputValues[index] = value
            call.setOutput(index, value)
        }
    }

    private func firstCall(_ inputs: [AnyTensor]) throws -> OrtCall {
        let given = try inputs.map { try $0.handle() }
        let fed = try (0..<carried.count).map { try carried.current($0) }
        let wanted = try pinned.map { try $0?.handle() }
        let next: [OrtValue?] = try (0..<carried.count).map { try carried.next($0) }
        let inputNames = descriptor.inputs.map(\.name) + states.map(\.inputName)
        let outputNames = descriptor.outputs.map(\.name) + states.map(\.outputName)
        inputValues = given + fed
        outputValues = wanted + next
        let made = try wrapping("prepare the model \(descriptor.name)") {
            try OrtCall(
                session,
                inputs: zip(inputNames, inputValues).map { (name: $0, value: $1) },
                outputs: zip(outputNames, outputValues).map { (name: $0, value: $1) })
        }
        call = made
        return made
    }

    // ------------------------------------------------------------------ outputs

    private func results(of call: OrtCall) throws -> [AnyTensor] {
        var results: [AnyTensor] = []
        var areAllPinned = true
        for (index, output) in descriptor.outputs.enumerated() {
            if let tensor = pinned[index] {
                results.append(tensor)
                continue
            }
            areAllPinned = false
            let value = try wrapping("read the output '\(output.name)'") {
                try call.takeOutput(index)
            }
            results.append(try AnyTensor.taking(value, as: output.elementType))
        }
        if areAllPinned { lastResults = results }
        return results
    }

    /// Borrows the tensors; what the caller closed is made anew.
    private func acquireOutputs() throws {
        for index in pinned.indices {
            guard let shape = fixedShapes[index] else { continue }
            do {
                try acquireOutput(index, shape)
            } catch {
                releaseOutputs(index)
                throw error
            }
        }
    }

    private func acquireOutput(_ index: Int, _ shape: [Int]) throws {
        if let tensor = pinned[index] {
            do {
                return try tensor.acquire()
            } catch SDKError.closed {
                lastResults = nil
            }
        }
        let made = try AnyTensor.allocate(descriptor.outputs[index].elementType, shape: shape)
        pinned[index] = made
        try made.acquire()
    }

    private func releaseOutputs(_ count: Int) {
        for index in 0..<count { pinned[index]?.release() }
    }
}
