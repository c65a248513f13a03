import Dispatch
import ModelSDK

/// What a run of a model gave. Durations are nanoseconds.
struct RunAnswer: Sendable {
    /// What became of opening the model, whenever that was.
    let report: SessionReport
    /// Of the run that gave ``outputs``.
    let firstRunNanoseconds: UInt64
    /// Of the runs after it; empty where the first took all the time there is.
    let runNanoseconds: [UInt64]
    /// Of the first run.
    let outputs: [OutputSummary]
    /// Of the process afterwards; nil where it cannot be known.
    let memory: ProcessMemory?
}

/// Opens a model and runs it; the model stays open for the next run with the same choices.
///
/// All work is done on a queue of its own, one after the other.
final class ModelTester: @unchecked Sendable {
    private struct Opened {
        let model: ModelDescriptor
        let choices: Choices
        let session: ModelSession
    }

    private static let maximumRuns = 20
    private static let timingBudgetNanoseconds: UInt64 = 1_000_000_000

    private let source: ModelSource
    private let queue = DispatchQueue(label: "model", qos: .userInitiated)
    /// Touched on ``queue`` alone.
    private var opened: Opened?

    /// - Parameter source: Where the packaged files are.
    init(source: ModelSource) {
        self.source = source
    }

    /// Runs a model once for its outputs and then for at most a second for its latency.
    ///
    /// - Parameter pictures: For inputs that are images, by name; other inputs take the packaged
    ///   sample, or zeros where there is none.
    /// - Throws: ``SDKError``.
    func run(
        _ model: ModelDescriptor, _ choices: Choices, pictures: [String: Picture]
    ) async throws -> RunAnswer {
        try await withCheckedThrowingContinuation { continuation in
            queue.async {
                continuation.resume(
                    with: Result { try self.runNow(model, choices, pictures: pictures) })
            }
        }
    }

    /// Lets go of the model; the next run opens it again.
    func release() async {
        await withCheckedContinuation { continuation in
            queue.async {
                self.closeNow()
                continuation.resume()
            }
        }
    }

    private func runNow(
        _ model: ModelDescriptor, _ choices: Choices, pictures: [String: Picture]
    ) throws -> RunAnswer {
        let session = try open(model, choices)
        let inputs = try makeInputs(for: model, pictures: pictures)
        defer {
            for tensor in inputs.values { tensor.close() }
        }
        try session.reset()
        let (firstRun, outputs) = try timed {
            let results = try session.run(inputs)
            return try model.outputs.compactMap { output in
                try results[output.name].map { try OutputSummary(output, $0) }
            }
        }
        return RunAnswer(
            report: session.report,
            firstRunNanoseconds: firstRun,
            runNanoseconds: try measure(session, inputs, budget: firstRun),
            outputs: outputs,
            memory: ProcessMemory.read())
    }

    private func closeNow() {
        opened?.session.close()
        opened = nil
    }

    private func open(_ model: ModelDescriptor, _ choices: Choices) throws -> ModelSession {
        if let opened, opened.model.name == model.name, opened.choices == choices {
            return opened.session
        }
        // First the old one: two models at once may be more than the device has memory for.
        closeNow()
        let session = try model.open(choices.sessionOptions, from: source)
        opened = Opened(model: model, choices: choices, session: session)
        return session
    }

    private func measure(
        _ session: ModelSession, _ inputs: [String: AnyTensor], budget used: UInt64
    ) throws -> [UInt64] {
        var durations: [UInt64] = []
        var spent = used
        while spent < Self.timingBudgetNanoseconds, durations.count < Self.maximumRuns {
            let (duration, _) = try timed { try session.run(inputs) }
            durations.append(duration)
            spent += duration
        }
        return durations
    }

    private func timed<Value>(_ work: () throws -> Value) rethrows -> (UInt64, Value) {
        let start = DispatchTime.now().uptimeNanoseconds
        let value = try work()
        return (DispatchTime.now().uptimeNanoseconds - start, value)
    }

    private func makeInputs(
        for model: ModelDescriptor, pictures: [String: Picture]
    ) throws -> [String: AnyTensor] {
        var tensors = try model.loadSample(from: source)
        for input in model.inputs {
            if let picture = pictures[input.name], case .image(let format) = input.kind {
                let tensor = try AnyTensor.allocate(input.elementType, shape: format.shape)
                try ImagePreprocessor(format: format).write(picture, to: tensor)
                tensors[input.name] = tensor
            } else if tensors[input.name] == nil {
                tensors[input.name] = try input.allocate(dimensions: ones(model, input))
            }
        }
        return tensors
    }

    /// Sizes for dimensions that may vary: as the states fix them, else 1.
    private func ones(_ model: ModelDescriptor, _ input: TensorDescriptor) -> [String: Int] {
        var sizes: [String: Int] = [:]
        for case .named(let name) in input.shape ?? [] { sizes[name] = 1 }
        for state in model.states { sizes.merge(state.dimensions) { _, fixed in fixed } }
        return sizes
    }
}
