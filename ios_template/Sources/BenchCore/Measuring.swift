private let leastCapacity: Int64 = 64
private let largestCapacity: Int64 = 1 << 22

/// One run of the model, on inputs that exist already.
protocol TimedCall {
    /// Runs once.
    func run() throws
    /// Releases what the run made; called after the clock was read.
    func release()
}

/// Durations in memory that exists before the run that they are of.
struct Samples {
    private(set) var durationsNs: [Int64] = []

    init(capacity: Int = Int(leastCapacity)) { durationsNs.reserveCapacity(max(capacity, 1)) }

    /// Adds one; afterwards there is room for the next.
    mutating func add(_ durationNs: Int64) {
        durationsNs.append(durationNs)
        if durationsNs.count == durationsNs.capacity {
            durationsNs.reserveCapacity(2 * durationsNs.count)
        }
    }
}

/// Returns why measurement ends after so many runs that took so long in all, or nil.
///
/// Source of the rule: `bench_protocol/README.md`, "Measurement".
func stopReason(runs: Int64, elapsedNs: Int64, _ rule: StopRule) -> StopReason? {
    if runs >= rule.minRuns && elapsedNs >= rule.minNs { return .complete }
    if elapsedNs < rule.maxNs || runs < rule.floorRuns { return nil }
    return runs > rule.floorRuns ? .timeLimit : .tooFewRuns
}

/// Runs until the warm-up rule is met or given up, and returns whether it was met.
///
/// - Parameters:
///   - samples: Takes the durations, also when it throws.
///   - deadlineNs: Moment of the clock at which to stop.
/// - Throws: ``DeadlinePassed`` before the rule was decided; what the run throws.
func warmUp<Call: TimedCall>(
    _ call: Call, _ rule: inout WarmUp, _ samples: inout Samples, deadlineNs: Int64
) throws -> Bool {
    while true {
        let startedNs = SystemClock.nowNs()
        try call.run()
        let endedNs = SystemClock.nowNs()
        call.release()
        samples.add(endedNs - startedNs)
        switch rule.add(endedNs - startedNs) {
        case .converged: return true
        case .givenUp: return false
        case .goOn: if endedNs >= deadlineNs { throw DeadlinePassed() }
        }
    }
}

/// Runs until the stop rule is met; the timed section holds the run and nothing else.
///
/// - Parameters:
///   - samples: Takes the durations, also when it throws.
///   - deadlineNs: Moment of the clock at which to stop.
/// - Throws: ``DeadlinePassed`` before the rule was met; what the run throws.
func measureRuns<Call: TimedCall>(
    _ call: Call, _ rule: StopRule, _ samples: inout Samples, deadlineNs: Int64
) throws -> StopReason {
    var runs: Int64 = 0
    var elapsedNs: Int64 = 0
    while true {
        let startedNs = SystemClock.nowNs()
        try call.run()
        let endedNs = SystemClock.nowNs()
        call.release()
        let durationNs = endedNs - startedNs
        samples.add(durationNs)
        runs += 1
        elapsedNs += durationNs
        if let reason = stopReason(runs: runs, elapsedNs: elapsedNs, rule) { return reason }
        if endedNs >= deadlineNs { throw DeadlinePassed() }
    }
}

/// Returns room for the runs that the rule likely takes, with some to spare where runs get faster.
func capacity(for rule: StopRule, expectedNs: Int64) -> Int {
    let likely = rule.minNs / max(expectedNs, 1)
    let withRoom = max(likely / 4 + min(likely, Int64.max / 2), rule.minRuns) + 1
    return Int(min(max(withRoom, leastCapacity), largestCapacity))
}
