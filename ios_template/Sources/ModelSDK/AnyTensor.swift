import Ort

/// A tensor that the SDK keeps for the runtime: its memory is allocated once and used again.
///
/// It may be passed between threads. Whoever reads or writes it, and every run, has it alone for
/// that time: another one at the same moment is refused with ``SDKError/busy(_:)``. ``close()``
/// takes effect when such a use has ended. The runtime's own handle never leaves the SDK, so a
/// closed tensor cannot reach native code. A tensor that nothing refers to any more closes itself.
///
/// Its classes are ``Tensor`` and ``StringTensor``.
public class AnyTensor: @unchecked Sendable {
    /// Type of its elements.
    public let elementType: ElementType
    /// Sizes of its dimensions; empty for a scalar.
    public let shape: [Int]
    /// Number of elements: the product of ``shape``, 1 for a scalar.
    public let elementCount: Int

    private let usage = Usage()

    init(elementType: ElementType, shape: [Int], elementCount: Int) {
        self.elementType = elementType
        self.shape = shape
        self.elementCount = elementCount
    }

    /// Makes a tensor of zeros, or of empty texts, whose type is known only when the app runs.
    ///
    /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative, or there are too many
    ///   elements for the machine.
    public static func allocate(_ elementType: ElementType, shape: [Int]) throws -> AnyTensor {
        switch elementType {
        case .float: return try Tensor<Float>(shape: shape)
        case .double: return try Tensor<Double>(shape: shape)
        case .float16: return try Tensor<Half>(shape: shape)
        case .bfloat16: return try Tensor<BFloat16>(shape: shape)
        case .int8: return try Tensor<Int8>(shape: shape)
        case .int16: return try Tensor<Int16>(shape: shape)
        case .int32: return try Tensor<Int32>(shape: shape)
        case .int64: return try Tensor<Int64>(shape: shape)
        case .uint8: return try Tensor<UInt8>(shape: shape)
        case .uint16: return try Tensor<UInt16>(shape: shape)
        case .uint32: return try Tensor<UInt32>(shape: shape)
        case .uint64: return try Tensor<UInt64>(shape: shape)
        case .bool: return try Tensor<Bool>(shape: shape)
        case .string: return try StringTensor(shape: shape)
        }
    }

    /// Takes a value that the runtime made.
    static func taking(_ value: OrtValue, as elementType: ElementType) throws -> AnyTensor {
        guard value.elementType == elementType.native else {
            let found = value.elementType.map(\.rawValue) ?? "no tensor"
            throw SDKError.runFailed(
                "An output is \(found), and the model declares \(elementType.rawValue)")
        }
        switch elementType {
        case .float: return try Tensor<Float>(taking: value)
        case .double: return try Tensor<Double>(taking: value)
        case .float16: return try Tensor<Half>(taking: value)
        case .bfloat16: return try Tensor<BFloat16>(taking: value)
        case .int8: return try Tensor<Int8>(taking: value)
        case .int16: return try Tensor<Int16>(taking: value)
        case .int32: return try Tensor<Int32>(taking: value)
        case .int64: return try Tensor<Int64>(taking: value)
        case .uint8: return try Tensor<UInt8>(taking: value)
        case .uint16: return try Tensor<UInt16>(taking: value)
        case .uint32: return try Tensor<UInt32>(taking: value)
        case .uint64: return try Tensor<UInt64>(taking: value)
        case .bool: return try Tensor<Bool>(taking: value)
        case .string: return try StringTensor(taking: value)
        }
    }

    /// Whether ``close()`` was called.
    public var isClosed: Bool { usage.isClosed }

    /// Lets go of the memory; a second call does nothing. While the tensor is in use, that ends
    /// first.
    public func close() {
        if usage.close() { destroy() }
    }

    /// Sets every element to zero, false or the empty text.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func clear() throws {
        try borrowed { reset() }
    }

    /// Copies out the elements in raw form: in C order, little-endian, texts as UTF-8 behind a
    /// 32-bit length.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func rawBytes() throws -> [UInt8] {
        try borrowed { try encode() }
    }

    /// Does something with the tensor alone.
    final func borrowed<Result>(_ body: () throws -> Result) throws -> Result {
        try acquire()
        defer { release() }
        return try body()
    }

    /// Begins a use.
    final func acquire() throws {
        switch usage.begin() {
        case .none: return
        case .busy: throw SDKError.busy("This tensor (\(description)) is being used")
        case .closed: throw SDKError.closed("This tensor (\(description)) was closed")
        }
    }

    /// Ends a use.
    final func release() {
        if usage.end() { destroy() }
    }

    // What the classes differ in; called while the tensor is borrowed.

    /// The runtime's handle of the elements as they are now.
    func handle() throws -> OrtValue { throw missing() }

    func destroy() {}

    func reset() {}

    func encode() throws -> [UInt8] { throw missing() }

    func decode(_ bytes: UnsafeRawBufferPointer) throws { throw missing() }

    private func missing() -> SDKError {
        .runFailed("There is no tensor of type \(elementType.rawValue)")
    }
}

extension AnyTensor: CustomStringConvertible {
    /// Type and shape in words, such as `float[1, 3, 224, 224]`.
    public var description: String { "\(elementType.rawValue)\(shape)" }
}

/// The number of elements of a shape.
///
/// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative, or elements of `sizeBytes` do
///   not fit into the machine's memory.
func countElements(of shape: [Int], sizeBytes: Int, type: ElementType) throws -> Int {
    var count = 1
    for size in shape {
        guard size >= 0 else {
            throw SDKError.shapeMismatch("A size may not be negative: \(shape)")
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow else { throw tooLarge(shape, type) }
        count = product
    }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: max(sizeBytes, 1))
    guard !overflow, bytes <= maximumTensorBytes else { throw tooLarge(shape, type) }
    return count
}

/// More than any phone has; memory is refused before the system is asked for it.
private let maximumTensorBytes = 1 << 36

private func tooLarge(_ shape: [Int], _ type: ElementType) -> SDKError {
    .shapeMismatch("\(type.rawValue)\(shape) is larger than memory can be")
}
