/// Which source samples make each visible sample of a resized axis, and how much each counts.
struct Resampling {
    /// Weights are in units of 2^-22.
    static let weightBits: Int32 = 22
    /// Half of a level, so that cutting the weights' bits off rounds.
    static let half: Int32 = 1 << (weightBits - 1)

    /// First source sample of each.
    let first: [Int]
    /// Number of source samples of each.
    let count: [Int]
    /// Fixed-point weights of each, ``taps`` apart.
    let weights: [Int32]
    /// Largest ``count``.
    let taps: Int

    /// Weighs an axis of `source` samples that becomes `resized` long, of which `visible` from
    /// `offset` on are wanted.
    init(source: Int, resized: Int, offset: Int, visible: Int, antialias: Bool) {
        let scale = Double(source) / Double(resized)
        let reach = antialias ? max(scale, 1) : 1
        let inverse = 1 / reach
        let centers = (0..<visible).map { (Double(offset + $0) + 0.5) * scale }
        let first = centers.map { max(0, Int($0 - reach + 0.5)) }
        let count = zip(centers, first).map { min(source, Int($0 + reach + 0.5)) - $1 }
        let taps = count.max() ?? 0
        var weights = [Int32](repeating: 0, count: visible * taps)
        var exact = [Double](repeating: 0, count: taps)
        for sample in 0..<visible {
            var sum = 0.0
            for tap in 0..<count[sample] {
                let distance = Double(first[sample] + tap) - centers[sample] + 0.5
                exact[tap] = max(0, 1 - abs(distance * inverse))
                sum += exact[tap]
            }
            for tap in 0..<count[sample] {
                let share = exact[tap] / sum * Double(1 << Self.weightBits)
                weights[sample * taps + tap] = Int32(0.5 + share)
            }
        }
        self.first = first
        self.count = count
        self.weights = weights
        self.taps = taps
    }
}
