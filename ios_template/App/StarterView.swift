import SwiftUI
import UIKit

/// The only screen: settings, inputs, a button, and what came of it.
struct StarterView: View {
    private static let memoryWarning = UIApplication.didReceiveMemoryWarningNotification

    @StateObject private var screen = Screen()
    @SceneStorage("choices") private var savedChoices: Data?
    @Environment(\.scenePhase) private var scenePhase
    @State private var pickingFor: InputRow?

    var body: some View {
        NavigationView {
            Form {
                SettingsSection(screen: screen)
                InputsSection(screen: screen, pickingFor: $pickingFor)
                RunSection(screen: screen)
                OutputsSection(outputs: screen.contents.outputs)
                FiguresSection(figures: screen.contents.figures)
            }
            .navigationTitle(Text(screen.contents.title))
            .navigationBarTitleDisplayMode(.inline)
        }
        .navigationViewStyle(.stack)
        .sheet(item: $pickingFor) { input in
            PhotoPicker { photo in
                pickingFor = nil
                if let photo { screen.read(photo, for: input.name) }
            }
            .ignoresSafeArea()
        }
        .onAppear { screen.restore(savedChoices) }
        .onChange(of: screen.choices) { savedChoices = screen.encode($0) }
        .onReceive(NotificationCenter.default.publisher(for: Self.memoryWarning)) { _ in
            screen.release()
        }
        .onChange(of: scenePhase) { phase in
            if phase == .background { screen.release() }
        }
    }
}

/// Starts a run, and says what is going on.
private struct RunSection: View {
    @ObservedObject var screen: Screen

    var body: some View {
        Section {
            Button {
                screen.run()
            } label: {
                HStack {
                    Text("Run")
                        .font(.headline)
                    Spacer()
                    if screen.contents.isWorking {
                        ProgressView()
                            .accessibilityHidden(true)
                    }
                }
            }
            .disabled(!screen.contents.canRun)
            .accessibilityHint(Text("Runs the model on the inputs above"))
            Text(screen.contents.status)
                .font(.subheadline)
                .foregroundColor(screen.contents.hasProblem ? .red : .secondary)
                .textSelection(.enabled)
                .accessibilityLabel(Text("Status: \(screen.contents.status)"))
                .onChange(of: screen.contents.status) { status in
                    UIAccessibility.post(notification: .announcement, argument: status)
                }
        }
    }
}
