/// How a packaged model was optimized.
public enum ModelStyle: String, CaseIterable, Sendable {
    /// As an ONNX model; the runtime optimizes it whenever it is loaded.
    case onnx
    /// Fully optimized when it was packaged.
    case fixed
    /// Optimized when packaged as far as every provider bears, the rest when it is loaded.
    case runtime
}

/// A dimension of a shape, as the model declares it.
public enum Dimension: Hashable, Sendable {
    /// A size that never changes, at least 0.
    case fixed(Int)
    /// A size that the caller chooses; the same wherever the name appears. The name may hold any
    /// characters.
    case named(String)
    /// A size that the caller chooses, without a name.
    case unknown
}

extension Dimension: CustomStringConvertible {
    /// The size, its name, or a question mark.
    public var description: String {
        switch self {
        case .fixed(let size): return String(size)
        case .named(let name): return name
        case .unknown: return "?"
        }
    }
}

/// An input or output of a model.
public struct TensorDescriptor: Sendable {
    /// As the model has it; may hold any characters.
    public let name: String
    /// Of its tensors.
    public let elementType: ElementType
    /// Its dimensions, or nil when the model does not even declare how many.
    public let shape: [Dimension]?
    /// What its numbers mean to people.
    public let kind: TensorKind
    /// Name of the property in the generated class.
    public let identifier: String
    /// Whether outputs are known to have the shape that is declared.
    let isShapeReliable: Bool

    /// Describes an input or output.
    public init(
        name: String,
        elementType: ElementType,
        shape: [Dimension]?,
        kind: TensorKind = .raw,
        identifier: String? = nil,
        isShapeReliable: Bool = true
    ) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.kind = kind
        self.identifier = identifier ?? name
        self.isShapeReliable = isShapeReliable
    }

    /// Sizes of a shape that never changes, or nil when one may.
    public var fixedShape: [Int]? {
        guard let shape else { return nil }
        var sizes: [Int] = []
        for dimension in shape {
            guard case .fixed(let size) = dimension else { return nil }
            sizes.append(size)
        }
        return sizes
    }

    /// Makes a tensor of zeros.
    ///
    /// - Parameter dimensions: Sizes of named dimensions.
    /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is missing, or the model declares too
    ///   little of the shape.
    public func allocate(dimensions: [String: Int] = [:]) throws -> AnyTensor {
        guard let shape else {
            throw refusal("its shape is not known: make the tensor yourself")
        }
        let sizes = try shape.map { dimension -> Int in
            switch dimension {
            case .fixed(let size): return size
            case .named(let name):
                guard let size = dimensions[name] else {
                    throw refusal("the size of '\(name)' is not given")
                }
                return size
            case .unknown:
                throw refusal(
                    "it has a dimension without size and name: make the tensor yourself")
            }
        }
        return try AnyTensor.allocate(elementType, shape: sizes)
    }

    private func refusal(_ why: String) -> SDKError {
        .shapeMismatch("Cannot make a tensor for '\(name)' (\(description)): \(why)")
    }
}

extension TensorDescriptor: CustomStringConvertible {
    /// Type and shape in words, such as `float[batch, 3, 224, 224]`.
    public var description: String {
        let sizes = shape.map { $0.map(\.description).joined(separator: ", ") }
        return "\(elementType.rawValue)[\(sizes ?? "any shape")]"
    }
}

/// A value that the session itself carries from one run to the next, starting with zeros.
public struct StateDescriptor: Sendable {
    /// The model's input that takes it; no caller gives it.
    public let inputName: String
    /// The model's output that gives the next one; no caller gets it.
    public let outputName: String
    /// Of both.
    public let elementType: ElementType
    /// Sizes of both.
    public let shape: [Int]
    /// Named dimensions of them, with the sizes they are thereby fixed to.
    public let dimensions: [String: Int]

    /// Describes a state.
    public init(
        inputName: String,
        outputName: String,
        elementType: ElementType,
        shape: [Int],
        dimensions: [String: Int] = [:]
    ) {
        self.inputName = inputName
        self.outputName = outputName
        self.elementType = elementType
        self.shape = shape
        self.dimensions = dimensions
    }
}

/// A packaged file of a model.
public struct ModelVariant: Hashable, Sendable {
    /// Unique in the model, such as `fixed-arm`.
    public let id: String
    /// How it was optimized.
    public let style: ModelStyle
    /// Family of CPUs it was optimized for, `arm` or `amd64`; nil fits all.
    public let target: String?
    /// Of weights and arithmetic, such as `fp32`.
    public let precision: String
    /// Where a ``ModelSource`` finds it.
    public let path: String
    /// Of the file, in hexadecimal.
    public let sha256: String
    /// Of the file.
    public let sizeBytes: Int

    /// Describes a file.
    public init(
        id: String,
        style: ModelStyle,
        target: String?,
        precision: String,
        path: String,
        sha256: String,
        sizeBytes: Int
    ) {
        self.id = id
        self.style = style
        self.target = target
        self.precision = precision
        self.path = path
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
    }

    /// Whether the file is in ORT format, which the runtime uses in place.
    var isOrtFormat: Bool { path.hasSuffix(".ort") }
}

/// A packaged input tensor, in raw little-endian form.
public struct SampleTensor: Sendable {
    /// Of the input.
    public let name: String
    /// Of the tensor.
    public let elementType: ElementType
    /// Its sizes.
    public let shape: [Int]
    /// Where a ``ModelSource`` finds it.
    public let path: String

    /// Describes a sample.
    public init(name: String, elementType: ElementType, shape: [Int], path: String) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.path = path
    }
}
