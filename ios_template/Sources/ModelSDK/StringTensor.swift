import Ort

/// A tensor of texts. The runtime copies them whenever they have changed, at the next run.
public final class StringTensor: AnyTensor, @unchecked Sendable {
    private var texts: [String]
    private var value: OrtValue?

    /// Makes a tensor of empty texts.
    ///
    /// - Throws: ``SDKError/shapeMismatch(_:)`` if a size is negative or the whole too large.
    public convenience init(shape: [Int]) throws {
        let count = try countElements(
            of: shape, sizeBytes: MemoryLayout<String>.stride, type: .string)
        self.init(shape: shape, texts: Array(repeating: "", count: count))
    }

    /// Makes a tensor with texts in C order.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer than the shape says,
    ///   ``SDKError/shapeMismatch(_:)`` if a size is negative or the whole too large.
    public convenience init(_ texts: [String], shape: [Int]) throws {
        try self.init(shape: shape)
        try write(texts)
    }

    private init(shape: [Int], texts: [String]) {
        self.texts = texts
        super.init(elementType: .string, shape: shape, elementCount: texts.count)
    }

    /// Copies the texts of a value that the runtime made.
    convenience init(taking value: OrtValue) throws {
        self.init(
            shape: value.shape, texts: try wrapping("read an output") { try value.strings() })
    }

    /// Copies all texts out, in C order.
    ///
    /// - Throws: ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func elements() throws -> [String] {
        try borrowed { texts }
    }

    /// Copies all texts in, in C order.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if there are more or fewer than the tensor has,
    ///   ``SDKError/closed(_:)`` or ``SDKError/busy(_:)``.
    public func write(_ texts: [String]) throws {
        guard texts.count == elementCount else {
            throw SDKError.invalidElements(
                "\(texts.count) texts were given for \(description), which has \(elementCount)")
        }
        try borrowed {
            self.texts = texts
            value = nil
        }
    }

    override func handle() throws -> OrtValue {
        if let value { return value }
        let made = try wrapping("make the tensor \(description)") {
            try OrtValue(strings: texts, shape: shape)
        }
        value = made
        return made
    }

    override func destroy() {
        value = nil
        texts = []
    }

    override func reset() {
        texts = Array(repeating: "", count: elementCount)
        value = nil
    }

    override func encode() throws -> [UInt8] {
        texts.flatMap { text in
            let utf8 = Array(text.utf8)
            return withUnsafeBytes(of: UInt32(utf8.count).littleEndian, Array.init) + utf8
        }
    }

    override func decode(_ bytes: UnsafeRawBufferPointer) throws {
        var offset = 0
        var decoded: [String] = []
        while decoded.count < elementCount, offset + 4 <= bytes.count {
            let length = Int(
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            let start = offset + 4
            guard length <= bytes.count - start else { break }
            decoded.append(String(decoding: bytes[start..<start + length], as: UTF8.self))
            offset = start + length
        }
        guard decoded.count == elementCount, offset == bytes.count else {
            throw SDKError.invalidElements(
                "\(bytes.count) bytes were given for \(description) that are not its texts")
        }
        texts = decoded
        value = nil
    }
}
