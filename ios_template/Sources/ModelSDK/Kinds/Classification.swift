import Foundation

/// Makes labels of a model's scores; `docs/kinds.md` of ortlab defines the operations.
public struct Classification: Hashable, Sendable {
    /// A class that a model sees.
    public struct Label: Hashable, Sendable {
        /// Position among the model's classes, from 0.
        public let index: Int
        /// Name of the class.
        public let text: String
        /// The model's score of it; 0 to 1 where the model or softmax makes it so.
        public let confidence: Float

        /// Makes a label.
        public init(index: Int, text: String, confidence: Float) {
            self.index = index
            self.text = text
            self.confidence = confidence
        }
    }

    /// Labels that are answered unless something else is asked for.
    public static let defaultTopK = 5

    /// Names of the classes, in order.
    public let labels: [String]
    /// How many labels are answered.
    public let topK: Int
    /// Whether the scores are logits that softmax makes into confidences.
    public let applySoftmax: Bool

    /// Describes what a model's scores mean.
    ///
    /// - Precondition: There are labels, and `topK` is positive.
    public init(
        labels: [String], topK: Int = Classification.defaultTopK, applySoftmax: Bool = false
    ) {
        precondition(!labels.isEmpty, "A classification without labels")
        precondition(topK > 0, "The best \(topK) labels were asked for")
        self.labels = labels
        self.topK = topK
        self.applySoftmax = applySoftmax
    }

    /// Returns the best classes, best first; the first of equal ones first, NaN last.
    ///
    /// - Parameter scores: One a class.
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer scores than labels.
    public func best(of scores: [Float]) throws -> [Label] {
        guard scores.count == labels.count else {
            throw SDKError.invalidElements(
                "The model scores \(scores.count) classes, and there are \(labels.count) labels")
        }
        let confidences = applySoftmax ? Self.softmax(scores) : scores
        return Self.indices(ofBest: topK, in: scores).map {
            Label(index: $0, text: labels[$0], confidence: confidences[$0])
        }
    }

    /// Returns `exp(x - max) / sum` of logits, computed in double precision.
    public static func softmax(_ logits: [Float]) -> [Float] {
        guard let largest = logits.max() else { return [] }
        let powers = logits.map { exp(Double($0) - Double(largest)) }
        let sum = powers.reduce(0, +)
        return powers.map { Float($0 / sum) }
    }

    /// Returns the indices of the `count` largest scores: ties by index, NaN last.
    public static func indices(ofBest count: Int, in scores: [Float]) -> [Int] {
        var best: [Int] = []
        best.reserveCapacity(min(count, scores.count) + 1)
        for index in scores.indices {
            if best.count >= count {
                guard let last = best.last, scores[index].beats(scores[last]) else { continue }
                best.removeLast()
            }
            let place = best.firstIndex { scores[index].beats(scores[$0]) } ?? best.endIndex
            best.insert(index, at: place)
        }
        return best
    }
}

extension Float {
    fileprivate func beats(_ other: Float) -> Bool {
        self > other || (other.isNaN && !isNaN)
    }
}
