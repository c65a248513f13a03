extension Classification {
    /// Returns the best classes of an output, as for an array of scores.
    ///
    /// - Parameter tensor: One score a class, as floats of 32 or 16 bits.
    /// - Throws: ``SDKError/elementTypeMismatch(_:)`` if it holds anything else,
    ///   ``SDKError/invalidElements(_:)`` if there are more or fewer scores than labels,
    ///   ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func best(of tensor: AnyTensor) throws -> [Label] {
        switch tensor {
        case let tensor as Tensor<Float>: return try best(of: tensor.elements())
        case let tensor as Tensor<Half>: return try best(of: tensor.floats())
        default:
            throw SDKError.elementTypeMismatch(
                "Scores are of type float or float16, not \(tensor.elementType.rawValue)")
        }
    }
}
