import Combine
import Foundation
import ModelSDK

/// What the views look at, and tell what the user does.
@MainActor
final class Screen: ObservableObject {
    @Published private(set) var contents: ScreenContents
    @Published private(set) var choices: Choices

    private let starter: Starter

    init() {
        let starter = Starter(models: Models.all)
        self.starter = starter
        choices = starter.state.choices
        contents = Self.contents(of: starter)
        starter.observer = { [weak self] _ in self?.update() }
    }

    /// Takes choices; they hold from the next run on.
    func choose(_ choices: Choices) {
        starter.choose(choices)
    }

    /// Goes on with what was chosen before the system ended the app.
    func restore(_ saved: Data?) {
        guard let saved, let choices = try? JSONDecoder().decode(Choices.self, from: saved),
            starter.models.indices.contains(choices.model)
        else { return }
        starter.choose(choices)
    }

    /// What ``restore(_:)`` takes.
    func encode(_ choices: Choices) -> Data? { try? JSONEncoder().encode(choices) }

    func run() {
        Task { await starter.run() }
    }

    func read(_ photo: PickedPhoto, for input: String) {
        Task { await starter.readPicture(for: input) { try await photo.picture() } }
    }

    func dropPicture(for input: String) {
        starter.dropPicture(for: input)
    }

    /// Lets go of the model's memory until the next run.
    func release() {
        Task { await starter.release() }
    }

    private func update() {
        choices = starter.state.choices
        contents = Self.contents(of: starter)
    }

    private static func contents(of starter: Starter) -> ScreenContents {
        ScreenContents(models: starter.models, model: starter.model, state: starter.state)
    }
}
