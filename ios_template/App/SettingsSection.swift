import SwiftUI

/// Which model, and how it runs.
struct SettingsSection: View {
    @ObservedObject var screen: Screen

    var body: some View {
        if screen.contents.models.count > 1 {
            Section(header: Text("Model")) {
                ChoicePicker("Model", choices: screen.contents.models, selection: model)
            }
        }
        if !screen.contents.models.isEmpty {
            Section(header: Text("Settings")) {
                ChoicePicker(
                    "Style", choices: screen.contents.styles, selection: setting(\.style))
                ChoicePicker(
                    "Execution provider", choices: screen.contents.providers,
                    selection: setting(\.provider))
                ChoicePicker(
                    "Threads", choices: screen.contents.threads, selection: setting(\.threads))
            }
        }
    }

    /// Another model starts afresh.
    private var model: Binding<Int> {
        Binding {
            screen.choices.model
        } set: { model in
            if model != screen.choices.model { screen.choose(Choices(model: model)) }
        }
    }

    private func setting<Value>(_ key: WritableKeyPath<Choices, Value>) -> Binding<Value> {
        Binding {
            screen.choices[keyPath: key]
        } set: { value in
            var choices = screen.choices
            choices[keyPath: key] = value
            screen.choose(choices)
        }
    }
}

/// A menu of choices.
private struct ChoicePicker<Value: Hashable & Sendable>: View {
    private let title: LocalizedStringKey
    private let choices: [Choice<Value>]
    private let selection: Binding<Value>

    init(_ title: LocalizedStringKey, choices: [Choice<Value>], selection: Binding<Value>) {
        self.title = title
        self.choices = choices
        self.selection = selection
    }

    var body: some View {
        Picker(title, selection: selection) {
            ForEach(choices) { choice in
                Text(choice.name).tag(choice.value)
            }
        }
    }
}
