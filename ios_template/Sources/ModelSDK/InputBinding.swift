import Ort

/// Tensors that were checked against what a model takes; bound once, run many times.
final class InputBinding: Sendable {
    /// In the order of the model's inputs.
    let tensors: [AnyTensor]

    /// - Throws: ``SDKError/elementTypeMismatch(_:)``, ``SDKError/shapeMismatch(_:)``,
    ///   ``SDKError/sharedTensor(_:)`` or ``SDKError/closed(_:)``.
    init(_ model: ModelDescriptor, _ tensors: [AnyTensor]) throws {
        self.tensors = tensors
        var checker = DimensionChecker(known: model.stateDimensions)
        var seen: [ObjectIdentifier: String] = [:]
        for (input, tensor) in zip(model.inputs, tensors) {
            guard !tensor.isClosed else {
                throw SDKError.closed(
                    "The tensor for input '\(input.name)' (\(tensor)) was closed before")
            }
            if let other = seen.updateValue(input.name, forKey: ObjectIdentifier(tensor)) {
                throw SDKError.sharedTensor(
                    "One tensor is given for both inputs '\(other)' and '\(input.name)'")
            }
            try checker.check(input, tensor)
        }
    }

    /// Borrows all tensors, or none.
    func acquire() throws {
        for index in tensors.indices {
            do {
                try tensors[index].acquire()
            } catch {
                for earlier in tensors[..<index] { earlier.release() }
                throw error
            }
        }
    }

    func release() {
        for tensor in tensors { tensor.release() }
    }

    /// Closes its tensors.
    func close() {
        for tensor in tensors { tensor.close() }
    }
}

/// Checks tensors against declared inputs and keeps the sizes of named dimensions.
struct DimensionChecker {
    /// A name's bytes: Swift takes texts for equal that a model takes for two.
    private typealias Name = [UInt8]

    private var bound: [Name: Int] = [:]
    private var origins: [Name: String] = [:]

    init(known: [String: Int]) {
        for (name, size) in known { bound[Name(name.utf8)] = size }
    }

    mutating func check(_ input: TensorDescriptor, _ tensor: AnyTensor) throws {
        guard tensor.elementType == input.elementType else {
            throw SDKError.elementTypeMismatch(
                "Input '\(input.name)' takes \(input.elementType.rawValue), not "
                    + tensor.elementType.rawValue)
        }
        guard let shape = input.shape else { return }
        guard tensor.shape.count == shape.count else {
            let why = "it has \(tensor.shape.count) dimensions instead of \(shape.count)"
            throw refusal(input, tensor, why)
        }
        for axis in shape.indices {
            try check(input, tensor, axis: axis, shape[axis])
        }
    }

    private mutating func check(
        _ input: TensorDescriptor, _ tensor: AnyTensor, axis: Int, _ dimension: Dimension
    ) throws {
        let given = tensor.shape[axis]
        switch dimension {
        case .unknown: return
        case .fixed(let size):
            guard given == size else {
                throw refusal(input, tensor, "dimension \(axis) is \(given) instead of \(size)")
            }
        case .named(let name):
            let key = Name(name.utf8)
            let earlier = bound[key] ?? given
            guard earlier == given else {
                let origin = origins[key].map { "in input '\($0)'" } ?? "in a state"
                let why = "dimension '\(name)' is \(given), but \(earlier) \(origin)"
                throw refusal(input, tensor, why)
            }
            bound[key] = given
            origins[key] = origins[key] ?? input.name
        }
    }

    private func refusal(
        _ input: TensorDescriptor, _ tensor: AnyTensor, _ why: String
    ) -> SDKError {
        .shapeMismatch("Input '\(input.name)' takes \(input), not \(tensor.shape): \(why)")
    }
}
