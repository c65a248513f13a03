/// What warm-up does after a run.
enum WarmUpDecision {
    /// Run again.
    case goOn
    /// Two windows agree.
    case converged
    /// They do not, and time or runs are used up.
    case givenUp
}

/// Decides after each warm-up run whether to go on; from the durations alone.
///
/// Source of the rule: `bench_protocol/README.md`, "Warm-up".
struct WarmUp {
    private let rule: WarmUpRule
    private var window: [Int64] = []
    private var windowRuns: Int64
    private var previousNs: Int64?
    private var runs: Int64 = 0
    private var elapsedNs: Int64 = 0

    /// - Parameter firstRunNs: Duration of the first run, which sizes the first window.
    init(_ rule: WarmUpRule, firstRunNs: Int64) {
        self.rule = rule
        windowRuns = Self.size(of: rule, firstRunNs)
    }

    /// Median of the newest runs, to size what follows; 0 before there is one.
    var lastMedianNs: Int64 { previousNs ?? (window.isEmpty ? 0 : medianNs(window)) }

    /// Takes the duration of one run.
    mutating func add(_ durationNs: Int64) -> WarmUpDecision {
        runs += 1
        elapsedNs += durationNs
        window.append(durationNs)
        if window.count >= windowRuns && closeWindow() { return .converged }
        if elapsedNs >= rule.hardLimitNs { return .givenUp }
        return elapsedNs >= rule.maxNs && runs >= rule.maxRuns ? .givenUp : .goOn
    }

    /// Compares the full window with the one before it and opens the next.
    private mutating func closeWindow() -> Bool {
        let latest = medianNs(window)
        defer {
            previousNs = latest
            window.removeAll(keepingCapacity: true)
            windowRuns = Self.size(of: rule, latest)
        }
        guard let before = previousNs, elapsedNs >= rule.minNs else { return false }
        return Double(abs(latest - before)) <= rule.agreement * Double(before)
    }

    private static func size(of rule: WarmUpRule, _ runNs: Int64) -> Int64 {
        let least = max(runNs, 1)
        return max((rule.windowNs + least - 1) / least, rule.windowMinRuns)
    }
}

/// Returns the median; of an even number of durations the mean of the middle two, rounded down.
func medianNs(_ durations: [Int64]) -> Int64 {
    let ordered = durations.sorted()
    let middle = ordered.count / 2
    return ordered.count % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
}
