import SwiftUI

/// Says what is being done; nothing moves while a block is measured.
struct BenchView: View {
    @ObservedObject var bench: Bench

    var body: some View {
        VStack(alignment: .leading, spacing: 16) {
            Text("ortlab bench").font(.title2)
            Text(sentence)
            ForEach(Array(problems.enumerated()), id: \.offset) { _, problem in
                Text(problem).font(.footnote).foregroundColor(.red)
            }
        }
        .padding()
        .frame(maxWidth: .infinity, maxHeight: .infinity, alignment: .topLeading)
    }

    private var sentence: String {
        switch bench.progress {
        case .starting:
            return "Starting."
        case .measuring:
            return "Measuring. Leave the iPhone alone until the app closes itself."
        case .waiting:
            return "Ready. Leave the app open: the computer says what to measure. "
                + "ortlab bench --by-hand does so where it cannot start the app itself."
        case .batch(let started, let blockID):
            return "Measuring block \(started), \(blockID). Leave the iPhone alone."
        case .finished(let results, _):
            return "\(results) results so far. Leave the app open until the computer is done."
        case .failed(let reason):
            return "Nothing can be measured: \(reason)"
        }
    }

    private var problems: [String] {
        if case .finished(_, let problems) = bench.progress { return problems }
        return []
    }
}
