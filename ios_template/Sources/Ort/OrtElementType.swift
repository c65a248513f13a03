import COrt

/// Types of a tensor's elements, named as in ONNX.
public enum OrtElementType: String, Sendable, CaseIterable {
    case float, double, float16, bfloat16
    case int8, int16, int32, int64
    case uint8, uint16, uint32, uint64
    case bool, string

    /// Bytes of one element; 0 for strings, which differ.
    public var byteCount: Int {
        switch self {
        case .string: return 0
        case .int8, .uint8, .bool: return 1
        case .float16, .bfloat16, .int16, .uint16: return 2
        case .float, .int32, .uint32: return 4
        case .double, .int64, .uint64: return 8
        }
    }

    init?(_ type: ONNXTensorElementDataType) {
        guard let found = Self.allCases.first(where: { $0.onnxType == type }) else { return nil }
        self = found
    }

    var onnxType: ONNXTensorElementDataType {
        switch self {
        case .float: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
        case .double: return ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
        case .float16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
        case .bfloat16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16
        case .int8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8
        case .int16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16
        case .int32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
        case .int64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
        case .uint8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
        case .uint16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16
        case .uint32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32
        case .uint64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64
        case .bool: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL
        case .string: return ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING
        }
    }
}

/// A Swift type whose values lie in memory as the elements of a tensor do.
///
/// `float16` and `bfloat16` have no Swift type on every platform: use ``OrtValue/withUnsafeBytes(_:)``
/// and ``OrtMemory`` for their bits.
public protocol OrtElement: Sendable {
    /// The element type.
    static var ortElementType: OrtElementType { get }
}

extension Float: OrtElement {
    public static var ortElementType: OrtElementType { .float }
}
extension Double: OrtElement {
    public static var ortElementType: OrtElementType { .double }
}
extension Int8: OrtElement {
    public static var ortElementType: OrtElementType { .int8 }
}
extension Int16: OrtElement {
    public static var ortElementType: OrtElementType { .int16 }
}
extension Int32: OrtElement {
    public static var ortElementType: OrtElementType { .int32 }
}
extension Int64: OrtElement {
    public static var ortElementType: OrtElementType { .int64 }
}
extension UInt8: OrtElement {
    public static var ortElementType: OrtElementType { .uint8 }
}
extension UInt16: OrtElement {
    public static var ortElementType: OrtElementType { .uint16 }
}
extension UInt32: OrtElement {
    public static var ortElementType: OrtElementType { .uint32 }
}
extension UInt64: OrtElement {
    public static var ortElementType: OrtElementType { .uint64 }
}
extension Bool: OrtElement {
    public static var ortElementType: OrtElementType { .bool }
}
