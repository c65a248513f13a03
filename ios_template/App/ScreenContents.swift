import Foundation
import ModelSDK

/// Something to choose, and what it is called.
struct Choice<Value: Hashable & Sendable>: Identifiable, Hashable, Sendable {
    let value: Value
    let name: String

    var id: Value { value }
}

/// An input as the screen shows it.
struct InputRow: Identifiable, Sendable {
    /// Of the input.
    let name: String
    /// Its type and shape in words.
    let detail: String
    /// What it will get, in words.
    let source: String
    /// Whether a picture can be chosen for it.
    let takesPicture: Bool
    /// That was chosen.
    let picture: ChosenPicture?

    var id: String { name }
}

/// A class that the model saw, as the screen shows it.
struct LabelRow: Identifiable, Hashable, Sendable {
    let id: Int
    let text: String
    /// In words.
    let confidence: String
    /// From 0 to 1; nil where the model's scores are no shares.
    let share: Double?
}

/// An output as the screen shows it.
struct OutputRow: Identifiable, Hashable, Sendable {
    /// Of the output.
    let name: String
    /// Type and shape in words.
    let detail: String
    /// First values and their range; empty before the first run.
    let values: [String]
    /// Best classes first; empty where the output scores none.
    let labels: [LabelRow]

    var id: String { name }
}

/// All that the screen shows, ready to be laid out.
struct ScreenContents: Sendable {
    private static let threadCounts = [1, 2, 3, 4, 6, 8]

    /// Name of the chosen model.
    let title: String
    /// That the app carries.
    let models: [Choice<Int>]
    /// Of the chosen model, the recommended one (nil) first.
    let styles: [Choice<ModelStyle?>]
    let providers: [Choice<ProviderChoice>]
    /// As many as the device has processors for.
    let threads: [Choice<Int?>]
    let inputs: [InputRow]
    let outputs: [OutputRow]
    /// A figure a line; empty before the first run.
    let figures: [String]
    /// What is going on, in a sentence.
    let status: String
    let hasProblem: Bool
    let isWorking: Bool
    let canRun: Bool

    init(models: [ModelDescriptor], model: ModelDescriptor?, state: ScreenState) {
        self.models = models.enumerated().map { Choice(value: $0.offset, name: $0.element.name) }
        title = model?.name ?? "Model"
        styles = model.map(Self.styles) ?? []
        providers = ProviderChoice.allCases.map { Choice(value: $0, name: Words.name(of: $0)) }
        let processors = ProcessInfo.processInfo.activeProcessorCount
        let counts = [nil] + Self.threadCounts.filter { $0 <= processors }
        threads = counts.map { Choice(value: $0, name: Words.name(ofThreads: $0)) }
        inputs = model.map { Self.inputs(of: $0, state) } ?? []
        outputs = state.answer?.outputs.map(Self.row) ?? (model?.outputs ?? []).map(Self.row)
        figures = state.answer.map(Words.figures) ?? []
        status = model == nil ? Words.noModel : Words.status(of: state)
        hasProblem = state.problem != nil
        isWorking = state.work != .nothing
        canRun = model != nil && state.work == .nothing
    }

    private static func styles(of model: ModelDescriptor) -> [Choice<ModelStyle?>] {
        let recommended = Choice<ModelStyle?>(value: nil, name: Words.recommended(of: model))
        return [recommended] + model.styles.map { Choice(value: $0, name: Words.name(of: $0)) }
    }

    private static func inputs(of model: ModelDescriptor, _ state: ScreenState) -> [InputRow] {
        model.inputs.map { input in
            let picture = state.pictures[input.name]
            let takesPicture: Bool
            switch input.kind {
            case .image: takesPicture = true
            case .raw, .scores: takesPicture = false
            }
            return InputRow(
                name: input.name, detail: input.description,
                source: Words.source(of: input, model, picture?.picture),
                takesPicture: takesPicture, picture: picture)
        }
    }

    private static func row(_ output: TensorDescriptor) -> OutputRow {
        OutputRow(name: output.name, detail: output.description, values: [], labels: [])
    }

    private static func row(_ output: OutputSummary) -> OutputRow {
        let labels = output.labels.map { label in
            LabelRow(
                id: label.index, text: label.text, confidence: Words.confidence(of: label),
                share: (0...1).contains(label.confidence) ? Double(label.confidence) : nil)
        }
        return OutputRow(
            name: output.name, detail: output.description, values: Words.values(of: output),
            labels: labels)
    }
}
