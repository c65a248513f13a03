import BenchCore
import SwiftUI
import UIKit

/// Measures what `ortlab bench` sends: one block a process, or by hand a batch of them.
@main
@MainActor
struct BenchApp: App {
    @StateObject private var bench = Bench(startedNs: SystemClock.nowNs())

    var body: some Scene {
        WindowGroup {
            BenchView(bench: bench)
                .onReceive(
                    NotificationCenter.default.publisher(
                        for: UIApplication.didBecomeActiveNotification)
                ) { _ in
                    bench.start()
                }
        }
    }
}
