import ModelSDK

/// An output in a form that outlives the next run.
struct OutputSummary: Hashable, Sendable {
    /// Smallest, largest and average of the numbers that are finite.
    struct Range: Hashable, Sendable {
        var minimum: Double
        var maximum: Double
        var mean: Double
        /// How many others there are.
        var notFinite: Int
    }

    private static let shownValues = 8

    /// Of the output.
    let name: String
    /// Type and shape of its tensor in words.
    let description: String
    /// What a classification makes of it; empty where it is none.
    let labels: [Classification.Label]
    /// Its first elements.
    let firstValues: [String]
    /// All of its elements.
    let elementCount: Int
    /// Of its numbers; nil where it has none.
    let range: Range?

    /// Reads a tensor.
    ///
    /// - Throws: ``SDKError`` if it is closed or being used.
    init(_ descriptor: TensorDescriptor, _ tensor: AnyTensor) throws {
        name = descriptor.name
        description = tensor.description
        elementCount = tensor.elementCount
        labels = try Self.labels(of: tensor, descriptor.kind)
        (firstValues, range) = try Self.contents(of: tensor)
    }

    private static func labels(
        of tensor: AnyTensor, _ kind: TensorKind
    ) throws -> [Classification.Label] {
        guard case .scores(let classification) = kind,
            tensor.elementCount == classification.labels.count
        else { return [] }
        return try classification.best(of: tensor)
    }

    private static func contents(of tensor: AnyTensor) throws -> ([String], Range?) {
        switch tensor {
        case let tensor as StringTensor:
            return (try tensor.elements().prefix(shownValues).map { "“\($0)”" }, nil)
        case let tensor as Tensor<Bool>:
            return (try tensor.elements().prefix(shownValues).map(String.init), nil)
        case let tensor as Tensor<Float>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<Double>: return try numbers(tensor) { $0 }
        case let tensor as Tensor<Half>: return try numbers(tensor) { Double($0.floatValue) }
        case let tensor as Tensor<BFloat16>: return try numbers(tensor) { Double($0.floatValue) }
        case let tensor as Tensor<Int8>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<Int16>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<Int32>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<Int64>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<UInt8>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<UInt16>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<UInt32>: return try numbers(tensor, Double.init)
        case let tensor as Tensor<UInt64>: return try numbers(tensor, Double.init)
        default: return ([], nil)
        }
    }

    private static func numbers<Element: TensorElement>(
        _ tensor: Tensor<Element>, _ number: (Element) -> Double
    ) throws -> ([String], Range?) {
        try tensor.withUnsafeElements { elements in
            var range = Range(minimum: .infinity, maximum: -.infinity, mean: 0, notFinite: 0)
            var sum = 0.0
            for element in elements {
                let value = number(element)
                if value.isFinite {
                    range.minimum = min(range.minimum, value)
                    range.maximum = max(range.maximum, value)
                    sum += value
                } else {
                    range.notFinite += 1
                }
            }
            let finite = elements.count - range.notFinite
            range.mean = sum / Double(max(finite, 1))
            let first = elements.prefix(shownValues).map { String(describing: $0) }
            return (first, finite > 0 ? range : nil)
        }
    }
}
