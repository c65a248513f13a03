import Ort

extension ElementType {
    /// The same in the runtime's words.
    var native: OrtElementType {
        switch self {
        case .float: return .float
        case .double: return .double
        case .float16: return .float16
        case .bfloat16: return .bfloat16
        case .int8: return .int8
        case .int16: return .int16
        case .int32: return .int32
        case .int64: return .int64
        case .uint8: return .uint8
        case .uint16: return .uint16
        case .uint32: return .uint32
        case .uint64: return .uint64
        case .bool: return .bool
        case .string: return .string
        }
    }
}

/// Turns what the runtime reports into the SDK's error.
func wrapping<Result>(_ action: String, _ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as OrtError {
        throw SDKError.runFailed("Cannot \(action): \(error.message)")
    }
}

extension Array where Element == AnyTensor {
    /// An output as the type that the model declares.
    func output<Value: TensorElement>(_ index: Int) throws -> Tensor<Value> {
        guard indices.contains(index), self[index].elementType == Value.elementType else {
            throw missing(index, Value.elementType)
        }
        // Of this element type there is no other class.
        return unsafeDowncast(self[index], to: Tensor<Value>.self)
    }

    /// An output of texts.
    func output(_ index: Int) throws -> StringTensor {
        guard indices.contains(index), let tensor = self[index] as? StringTensor else {
            throw missing(index, .string)
        }
        return tensor
    }

    private func missing(_ index: Int, _ type: ElementType) -> SDKError {
        .elementTypeMismatch("There is no output \(index) of type \(type.rawValue)")
    }
}
