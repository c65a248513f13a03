/// Reads the process's memory at each phase and keeps the points in order.
struct MemoryReader {
    /// What was read so far.
    private(set) var points: [MemoryPoint] = []

    private let platform: any Platform
    private var largest: [String: Int64] = [:]
    private var wasReset = false

    init(_ platform: any Platform) { self.platform = platform }

    /// Records every figure that the system offers, then starts a new peak where it allows that.
    mutating func read(_ phase: MemoryPhase) {
        for figure in platform.memory() {
            if figure.isPeak {
                addPeak(figure, phase)
            } else {
                add(figure.metric, .current, "process", phase, figure.byteCount)
            }
        }
        wasReset = platform.resetMemoryPeak()
    }

    private mutating func addPeak(_ figure: MemoryFigure, _ phase: MemoryPhase) {
        let peak = max(largest[figure.metric] ?? 0, figure.byteCount)
        largest[figure.metric] = peak
        add(figure.metric, .peak, "process", phase, peak)
        if wasReset {
            add(figure.metric, .peak, "process, since the phase before", phase, figure.byteCount)
        }
    }

    private mutating func add(
        _ metric: String, _ kind: MemoryPoint.Kind, _ scope: String, _ phase: MemoryPhase,
        _ byteCount: Int64
    ) {
        points.append(
            MemoryPoint(
                metric: metric, kind: kind, scope: scope, phase: phase, byteCount: byteCount))
    }
}
