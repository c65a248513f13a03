import ModelSDK

/// What is being done.
enum Work: Sendable {
    case nothing
    case readingPicture
    case running
}

/// Why something failed.
struct Problem: Sendable {
    /// That was being done.
    let work: Work
    /// What it failed with.
    let cause: any Error
}

/// All that the screen shows.
struct ScreenState: Sendable {
    /// How to run.
    var choices = Choices()
    /// For inputs of the chosen model, by name.
    var pictures: [String: ChosenPicture] = [:]
    /// That is being done.
    var work = Work.nothing
    /// Of the last run that ended well.
    var answer: RunAnswer?
    /// Why the last work failed; nil when it did not.
    var problem: Problem?
}

/// The app behind its screen; it works off the main thread.
@MainActor
final class Starter {
    /// That the app carries.
    let models: [ModelDescriptor]
    /// What the screen shows now.
    private(set) var state = ScreenState() {
        didSet { observer?(state) }
    }
    /// Told each new state.
    var observer: ((ScreenState) -> Void)?

    private let tester: ModelTester
    /// Works that were begun and have not ended.
    private var pending = 0

    /// - Parameter source: Where the models' files are.
    init(models: [ModelDescriptor], source: ModelSource = .bundled) {
        self.models = models
        tester = ModelTester(source: source)
    }

    /// The chosen model; nil where the app carries none.
    var model: ModelDescriptor? {
        models.indices.contains(state.choices.model) ? models[state.choices.model] : nil
    }

    /// Takes choices; they hold from the next run on. Another model starts afresh.
    func choose(_ choices: Choices) {
        guard choices != state.choices else { return }
        if choices.model == state.choices.model {
            state.choices = choices
        } else {
            state = ScreenState(choices: choices, work: state.work)
        }
    }

    /// Takes back the picture for an input: the packaged sample stands in again.
    func dropPicture(for input: String) {
        state.pictures[input] = nil
    }

    /// Reads a picture for an input.
    func readPicture(
        for input: String, _ read: @escaping @Sendable () async throws -> Picture
    ) async {
        let chosen = state.choices.model
        await work(.readingPicture) {
            try ChosenPicture(await read())
        } finish: { state, picture in
            if state.choices.model == chosen { state.pictures[input] = picture }
        }
    }

    /// Runs the chosen model as chosen; does nothing while other work is under way.
    func run() async {
        guard let model, state.work == .nothing else { return }
        let (choices, tester) = (state.choices, tester)
        let pictures = state.pictures.mapValues(\.picture)
        await work(.running) {
            try await tester.run(model, choices, pictures: pictures)
        } finish: { state, answer in
            if state.choices.model == choices.model { state.answer = answer }
        }
    }

    /// Lets go of the model's memory until the next run.
    func release() async {
        await tester.release()
    }

    private func work<Value: Sendable>(
        _ work: Work,
        _ action: @escaping @Sendable () async throws -> Value,
        finish: (inout ScreenState, Value) -> Void
    ) async {
        pending += 1
        state.work = work
        state.problem = nil
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await action())
        } catch {
            outcome = .failure(error)
        }
        pending -= 1
        var next = state
        switch outcome {
        case .success(let value):
            finish(&next, value)
        case .failure(let cause):
            next.problem = Problem(work: work, cause: cause)
            if work == .running { next.answer = nil }
        }
        if pending == 0 { next.work = .nothing }
        state = next
    }
}
