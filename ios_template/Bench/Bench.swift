import BenchCore
import Foundation
import UIKit

/// One run of the benchmark core inside of the app.
///
/// Started over USB, the arguments are those of `bench-cli`, and the app ends when the core does.
/// Opened by hand, it runs the blocks that were laid down in `Documents/ortlab/batch.json`.
@MainActor
final class Bench: ObservableObject {
    /// What the screen says.
    enum Progress: Sendable {
        case waiting
        /// A request came from a computer.
        case measuring
        /// Nothing was laid down to be run by hand.
        case idle
        /// Blocks were started so far; the name is that of the last.
        case batch(started: Int, blockID: String)
        case finished(results: Int, problems: [String])
    }

    @Published private(set) var progress = Progress.waiting

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
            startBatch("\(documents)/ortlab/batch.json")
        } else {
            progress = .measuring
            let startedNs = startedNs
            onThread { exit(runProgram(arguments, on: ApplePlatform(), startedNs: startedNs)) }
        }
    }

    private func startBatch(_ path: String) {
        guard FileManager.default.fileExists(atPath: path) else {
            progress = .idle
            return
        }
        progress = .measuring
        let tell: @Sendable (Progress) -> Void = { [weak self] progress in
            DispatchQueue.main.async { self?.progress = progress }
        }
        onThread {
            let count = BlockCounter()
            let answers = BlockRunner(ApplePlatform()).run(requestFile: path) { blockID, stage in
                if stage == .start { tell(.batch(started: count.next(), blockID: blockID)) }
            }
            tell(
                .finished(
                    results: answers.filter { $0.problem == nil }.count,
                    problems: answers.compactMap { $0.problem ?? $0.failure }))
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

/// Counts on the thread that runs the blocks.
private final class BlockCounter {
    private var count = 0

    func next() -> Int {
        count += 1
        return count
    }
}
