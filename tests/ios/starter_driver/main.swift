import Foundation
import ModelSDK

/// What the screen shows after a step.
struct Shown: Encodable {
    let title: String
    let styles: [String]
    let providers: [String]
    let threads: [String]
    let inputs: [[String]]
    let thumbnails: [[Int]]
    let outputs: [Output]
    let figures: [String]
    let status: String
    let hasProblem: Bool
    let canRun: Bool
    let choices: Choices

    struct Output: Encodable {
        let name: String
        let detail: String
        let values: [String]
        let labels: [[String]]
    }

    @MainActor
    init(_ starter: Starter) {
        let contents = ScreenContents(
            models: starter.models, model: starter.model, state: starter.state)
        title = contents.title
        styles = contents.styles.map(\.name)
        providers = contents.providers.map(\.name)
        threads = contents.threads.map(\.name)
        inputs = contents.inputs.map { [$0.name, $0.detail, $0.source, "\($0.takesPicture)"] }
        thumbnails = contents.inputs.compactMap { $0.picture?.thumbnail }
            .map { [$0.width, $0.height] }
        outputs = contents.outputs.map { output in
            Output(
                name: output.name, detail: output.detail, values: output.values,
                labels: output.labels.map {
                    [$0.text, $0.confidence, $0.share.map { "\($0)" } ?? ""]
                })
        }
        figures = contents.figures
        status = contents.status
        hasProblem = contents.hasProblem
        canRun = contents.canRun
        choices = starter.state.choices
    }
}

private struct Size: Decodable {
    let width: Int
    let height: Int
}

private func picture(_ name: String, in directory: URL) throws -> Picture {
    let list = try Data(contentsOf: directory.appendingPathComponent("pictures.json"))
    guard let size = try JSONDecoder().decode([String: Size].self, from: list)[name] else {
        throw CocoaError(.fileReadNoSuchFile)
    }
    let file = directory.appendingPathComponent("pictures/\(name).rgba")
    return try Picture(
        width: size.width, height: size.height, rgba: Array(Data(contentsOf: file)))
}

@MainActor
private func play(_ step: Story.Step, _ starter: Starter, in directory: URL) async throws {
    switch step.action {
    case "choose":
        if let choices = step.choices { starter.choose(choices) }
    case "picture":
        if let input = step.input, let name = step.picture {
            await starter.readPicture(for: input) { try picture(name, in: directory) }
        }
    case "drop":
        if let input = step.input { starter.dropPicture(for: input) }
    case "run":
        await starter.run()
    case "run twice":
        var seen: [String] = []
        starter.observer = { seen.append(Words.status(of: $0)) }
        async let first: Void = starter.run()
        async let second: Void = starter.run()
        _ = await (first, second)
        starter.observer = nil
        guard seen.filter({ $0 == "Running…" }).count == 2 else { throw UnknownName() }
    case "release":
        await starter.release()
    default:
        throw UnknownName()
    }
}

// Plays a story in the app without its screen: STORY ANSWER.
let story = URL(fileURLWithPath: CommandLine.arguments[1])
let decoder = JSONDecoder()
decoder.keyDecodingStrategy = .convertFromSnakeCase
let told = try decoder.decode(Story.self, from: Data(contentsOf: story))
let directory = story.deletingLastPathComponent()
let starter = Starter(
    models: try told.models.map { try $0.descriptor() }, source: ModelSource(directory: directory))
var shown = [Shown(starter)]
for step in told.steps {
    try await play(step, starter, in: directory)
    shown.append(Shown(starter))
}
try JSONEncoder().encode(shown).write(to: URL(fileURLWithPath: CommandLine.arguments[2]))
