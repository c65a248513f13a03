/// A float of 16 bits that 32-bit floats are converted to and from.
///
/// Swift's own `Float16` does not exist on every Mac.
public protocol ReducedFloat: TensorElement, Hashable {
    /// Its bits.
    var bitPattern: UInt16 { get }

    /// Makes the number that has these bits.
    init(bitPattern: UInt16)

    /// Makes the nearest number, ties to even.
    init(_ value: Float)

    /// The same number with 32 bits; nothing is lost.
    var floatValue: Float { get }
}

/// A 16-bit IEEE 754 number, ONNX's `float16`.
public struct Half: ReducedFloat, CustomStringConvertible {
    /// ``ElementType/float16``.
    public static var elementType: ElementType { .float16 }

    private static let infinity: UInt32 = 0x7F80_0000
    private static let bias: UInt32 = 112
    /// 2^-24, the smallest subnormal number.
    private static let subnormalStep = Float(sign: .plus, exponent: -24, significand: 1)
    /// Half of the largest number's last place above it: what is at least this becomes infinite.
    private static let overflow: UInt32 = 0x477F_F000
    /// 2^-14, the smallest normal number, as bits of a 32-bit float.
    private static let smallestNormal: UInt32 = 0x3880_0000

    /// Its bits.
    public let bitPattern: UInt16

    /// Makes the number that has these bits.
    public init(bitPattern: UInt16) {
        self.bitPattern = bitPattern
    }

    /// Makes the nearest number, ties to even; source: IEEE 754-2019.
    public init(_ value: Float) {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
        let magnitude = value.bitPattern & 0x7FFF_FFFF
        let bits: UInt16
        if magnitude > Self.infinity {
            bits = 0x7E00 | UInt16(truncatingIfNeeded: (magnitude >> 13) & 0x03FF)
        } else if magnitude >= Self.overflow {
            bits = 0x7C00
        } else if magnitude >= Self.smallestNormal {
            let odd = (magnitude >> 13) & 1
            let rounded = (magnitude + 0x0FFF + odd) >> 13
            bits = UInt16(truncatingIfNeeded: rounded - (Self.bias << 10))
        } else {
            // The product is exact, so that rounding it to an integer is the only rounding.
            let steps = Float(bitPattern: magnitude) / Self.subnormalStep
            bits = UInt16(steps.rounded(.toNearestOrEven))
        }
        bitPattern = sign | bits
    }

    /// The same number with 32 bits; nothing is lost.
    public var floatValue: Float {
        let sign = UInt32(bitPattern & 0x8000) << 16
        let exponent = UInt32(bitPattern & 0x7C00)
        let mantissa = UInt32(bitPattern & 0x03FF)
        let magnitude: UInt32
        switch exponent {
        case 0: magnitude = (Float(mantissa) * Self.subnormalStep).bitPattern
        case 0x7C00: magnitude = Self.infinity | mantissa << 13
        default: magnitude = (exponent << 13) + (Self.bias << 23) | mantissa << 13
        }
        return Float(bitPattern: sign | magnitude)
    }

    /// The number in decimal.
    public var description: String { floatValue.description }
}

/// The upper half of a 32-bit IEEE 754 number, ONNX's `bfloat16`.
public struct BFloat16: ReducedFloat, CustomStringConvertible {
    /// ``ElementType/bfloat16``.
    public static var elementType: ElementType { .bfloat16 }

    /// Its bits.
    public let bitPattern: UInt16

    /// Makes the number that has these bits.
    public init(bitPattern: UInt16) {
        self.bitPattern = bitPattern
    }

    /// Makes the nearest number, ties to even.
    public init(_ value: Float) {
        let bits = value.bitPattern
        let odd = (bits >> 16) & 1
        let upper = value.isNaN ? bits >> 16 | 0x0040 : (bits &+ 0x7FFF &+ odd) >> 16
        bitPattern = UInt16(truncatingIfNeeded: upper)
    }

    /// The same number with 32 bits; nothing is lost.
    public var floatValue: Float { Float(bitPattern: UInt32(bitPattern) << 16) }

    /// The number in decimal.
    public var description: String { floatValue.description }
}
