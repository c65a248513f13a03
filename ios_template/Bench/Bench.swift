import BenchCore
import Foundation
import UIKit

/// One run of the benchmark core inside of the app.
///
/// Started over USB, the arguments are those of `bench-cli`, and the app ends when the core does.
/// Opened by hand, it stays open and runs what a computer lays down in `Documents/ortlab`.
@MainActor
final class Bench: ObservableObject {
    /// What the screen says.
    enum Progress: Sendable {
        case starting
        /// A request came from a computer that started the app.
        case measuring
        /// The app was opened by hand, and a computer is to say what is next.
        case waiting
        /// Blocks were started so far; the name is that of the last.
        case batch(started: Int, blockID: String)
        case finished(results: Int, problems: [String])
        case failed(String)
    }

    @Published private(set) var progress = Progress.starting

    private let startedNs: Int64
    private var hasStarted = false

    /// - Parameter startedNs: ``SystemClock/nowNs()`` when the app started.
    init(startedNs: Int64) {
        self.startedNs = startedNs
        // A locked screen slows the app down and ends what Instruments started.
        UIApplication.shared.isIdleTimerDisabled = true
        let patience = 10.0
        DispatchQueue.main.asyncAfter(deadline: .now() + patience) { [weak self] in
            // Where the app does not get in front, the result says so; no answer would say nothing.
            self?.start()
        }
    }

    /// Runs what there is to run, once.
    func start() {
        guard !hasStarted else { return }
        hasStarted = true
        let documents = NSHomeDirectory() + "/Documents"
        // Paths of requests are relative to it, so that no computer has to know the container's.
        FileManager.default.changeCurrentDirectoryPath(documents)
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.isEmpty {
            serve(documents)
        } else {
            progress = .measuring
            let startedNs = startedNs
            onThread { exit(runProgram(arguments, on: ApplePlatform(), startedNs: startedNs)) }
        }
    }

    private func serve(_ documents: String) {
        let tell: @Sendable (Progress) -> Void = { [weak self] progress in
            DispatchQueue.main.async { self?.progress = progress }
        }
        onThread {
            var (started, results) = (0, 0)
            do {
                try serveBatches(below: documents, on: ApplePlatform()) { event in
                    switch event {
                    case .waiting:
                        tell(.waiting)
                    case .started(let blockID):
                        started += 1
                        tell(.batch(started: started, blockID: blockID))
                    case .finished(let written, let problems):
                        results += written
                        tell(.finished(results: results, problems: problems))
                    }
                }
            } catch {
                tell(.failed("\(error)"))
            }
        }
    }

    /// A thread of its own, with the priority of what a person waits for: the one that an app's
    /// inference would have.
    private func onThread(_ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.name = "ortlab block"
        thread.qualityOfService = .userInteractive
        thread.stackSize = 8 << 20
        thread.start()
    }
}
