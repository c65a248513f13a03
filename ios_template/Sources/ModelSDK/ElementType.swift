/// Element type of a tensor, under ONNX's names.
public enum ElementType: String, CaseIterable, Sendable {
    /// 32-bit IEEE 754.
    case float
    /// 64-bit IEEE 754.
    case double
    /// 16-bit IEEE 754.
    case float16
    /// The upper half of a 32-bit IEEE 754 number.
    case bfloat16
    /// Signed, 8 bits.
    case int8
    /// Signed, 16 bits.
    case int16
    /// Signed, 32 bits.
    case int32
    /// Signed, 64 bits.
    case int64
    /// Unsigned, 8 bits.
    case uint8
    /// Unsigned, 16 bits.
    case uint16
    /// Unsigned, 32 bits.
    case uint32
    /// Unsigned, 64 bits.
    case uint64
    /// True or false, one byte each.
    case bool
    /// Text.
    case string

    /// Bytes of one element; 0 for ``string``, whose elements have no fixed size.
    public var sizeBytes: Int {
        switch self {
        case .int8, .uint8, .bool: return 1
        case .float16, .bfloat16, .int16, .uint16: return 2
        case .float, .int32, .uint32: return 4
        case .double, .int64, .uint64: return 8
        case .string: return 0
        }
    }
}

/// A Swift type whose values lie in a tensor's memory as they lie in an array.
///
/// It has no padding, and zero bytes are its zero.
public protocol TensorElement: Sendable {
    /// What ONNX calls it.
    static var elementType: ElementType { get }
}

extension Float: TensorElement {
    /// ``ElementType/float``.
    public static var elementType: ElementType { .float }
}

extension Double: TensorElement {
    /// ``ElementType/double``.
    public static var elementType: ElementType { .double }
}

extension Int8: TensorElement {
    /// ``ElementType/int8``.
    public static var elementType: ElementType { .int8 }
}

extension Int16: TensorElement {
    /// ``ElementType/int16``.
    public static var elementType: ElementType { .int16 }
}

extension Int32: TensorElement {
    /// ``ElementType/int32``.
    public static var elementType: ElementType { .int32 }
}

extension Int64: TensorElement {
    /// ``ElementType/int64``.
    public static var elementType: ElementType { .int64 }
}

extension UInt8: TensorElement {
    /// ``ElementType/uint8``.
    public static var elementType: ElementType { .uint8 }
}

extension UInt16: TensorElement {
    /// ``ElementType/uint16``.
    public static var elementType: ElementType { .uint16 }
}

extension UInt32: TensorElement {
    /// ``ElementType/uint32``.
    public static var elementType: ElementType { .uint32 }
}

extension UInt64: TensorElement {
    /// ``ElementType/uint64``.
    public static var elementType: ElementType { .uint64 }
}

extension Bool: TensorElement {
    /// ``ElementType/bool``.
    public static var elementType: ElementType { .bool }
}
