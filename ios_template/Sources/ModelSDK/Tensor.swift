import Ort

/// A tensor of numbers or truth values.
public final class Tensor<Element: TensorElement>: AnyTensor, @unchecked Sendable {
    private var memory: OrtMemory?
    private var value: OrtValue?

    /// Makes a tensor of zeros.
    ///
    /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or the whole too large.
    public convenience init(shape: [Int]) throws {
        let count = try countElements(
            of: shape, sizeBytes: MemoryLayout<Element>.stride, type: Element.elementType)
        let memory = OrtMemory(byteCount: count * MemoryLayout<Element>.stride)
        self.init(shape: shape, elementCount: count, memory: memory)
        reset()
    }

    /// Makes a tensor with elements in C order.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer than the shape says,
    ///   ``SDKError/shapeMismatch(_:)`` if a size is negative or the whole too large.
    public convenience init(_ elements: [Element], shape: [Int]) throws {
        try self.init(shape: shape)
        try write(elements)
    }

    /// Makes a tensor on memory of the caller's, which is used where it lies.
    ///
    /// - Parameters:
    ///   - bytes: The elements in C order; while the tensor is open, they are its own.
    ///   - shape: Sizes of its dimensions.
    ///   - release: Called with the bytes once the tensor does not need them any more.
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer bytes than the shape
    ///   says, or they are not aligned for the elements, ``SDKError/shapeMismatch(_:)`` if a size is
    ///   negative; then `release` is not called.
    public convenience init(
        noCopy bytes: UnsafeMutableRawBufferPointer,
        shape: [Int],
        release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
    ) throws {
        let stride = MemoryLayout<Element>.stride
        let type = Element.elementType
        let count = try countElements(of: shape, sizeBytes: stride, type: type)
        guard bytes.count == count * stride else {
            throw SDKError.invalidElements(
                "\(bytes.count) bytes were given for \(type.rawValue)\(shape), which has "
                    + "\(count * stride)")
        }
        guard Int(bitPattern: bytes.baseAddress) % MemoryLayout<Element>.alignment == 0 else {
            throw SDKError.invalidElements(
                "The memory for \(type.rawValue)\(shape) starts inside an element")
        }
        self.init(
            shape: shape, elementCount: count, memory: OrtMemory(using: bytes, release: release))
    }

    private init(shape: [Int], elementCount: Int, memory: OrtMemory) {
        self.memory = memory
        super.init(elementType: Element.elementType, shape: shape, elementCount: elementCount)
    }

    /// Takes a value that the runtime made, which no one else uses.
    init(taking value: OrtValue) throws {
        let shape = value.shape
        let bytes = try wrapping("read an output") { try value.withUnsafeBytes { $0 } }
        // The bytes are the value's, so that they live as long as it.
        memory = OrtMemory(using: bytes) { _ in withExtendedLifetime(value) {} }
        self.value = value
        super.init(
            elementType: Element.elementType, shape: shape, elementCount: shape.reduce(1, *))
    }

    /// Copies all elements out, in C order.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func elements() throws -> [Element] {
        try withUnsafeElements { Array($0) }
    }

    /// Copies all elements in, in C order.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer than the tensor has,
    ///   ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func write(_ elements: [Element]) throws {
        try elements.withUnsafeBufferPointer { try write($0) }
    }

    /// Copies all elements in, in C order, from memory.
    ///
    /// - Throws: As for an array.
    public func write(_ elements: UnsafeBufferPointer<Element>) throws {
        try checkCount(elements.count)
        try withUnsafeMutableElements { own in
            guard let to = own.baseAddress, let from = elements.baseAddress else { return }
            to.update(from: from, count: elements.count)
        }
    }

    /// Reads the elements where they are, in C order; the pointer is only valid inside `body`.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``, and what `body` throws.
    public func withUnsafeElements<Result>(
        _ body: (UnsafeBufferPointer<Element>) throws -> Result
    ) throws -> Result {
        try withUnsafeMutableElements { try body(UnsafeBufferPointer($0)) }
    }

    /// Writes the elements where they are, in C order; the pointer is only valid inside `body`.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``, and what `body` throws.
    public func withUnsafeMutableElements<Result>(
        _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) throws -> Result {
        try borrowed { try body(contents().bindMemory(to: Element.self)) }
    }

    /// Writes the tensor's bytes where they are; the pointer is only valid inside `body`.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``, and what `body` throws.
    public func withUnsafeMutableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) throws -> Result {
        try borrowed { try body(contents()) }
    }

    override func handle() throws -> OrtValue {
        if let value { return value }
        guard let memory else { throw closed() }
        let made = try wrapping("make the tensor \(description)") {
            try OrtValue(memory, elementType: elementType.native, shape: shape)
        }
        value = made
        return made
    }

    override func destroy() {
        value = nil
        memory = nil
    }

    override func reset() {
        guard let bytes = memory?.bytes, let start = bytes.baseAddress else { return }
        start.initializeMemory(as: UInt8.self, repeating: 0, count: bytes.count)
    }

    override func encode() throws -> [UInt8] { Array(try contents()) }

    override func decode(_ bytes: UnsafeRawBufferPointer) throws {
        let own = try contents()
        guard bytes.count == own.count else {
            throw SDKError.invalidElements(
                "\(bytes.count) bytes were given for \(description), which has \(own.count)")
        }
        own.copyMemory(from: bytes)
    }

    private func contents() throws -> UnsafeMutableRawBufferPointer {
        guard let memory else { throw closed() }
        return memory.bytes
    }

    private func closed() -> SDKError { .closed("This tensor (\(description)) was closed") }

    private func checkCount(_ count: Int) throws {
        guard count == elementCount else {
            throw SDKError.invalidElements(
                "\(count) elements were given for \(description), which has \(elementCount)")
        }
    }
}

extension Tensor where Element: ReducedFloat {
    /// Copies all elements out with 32 bits each; nothing is lost.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func floats() throws -> [Float] {
        try withUnsafeElements { $0.map(\.floatValue) }
    }

    /// Copies all elements in, each as the nearest number of the tensor's type, ties to even.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer than the tensor has,
    ///   ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func write(floats: [Float]) throws {
        try write(floats.map { Element($0) })
    }
}

extension Tensor where Element == Float {
    /// Copies all elements out, in C order.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func floats() throws -> [Float] { try elements() }
}
