import Ort

private let lengthBytes = 4

/// The bytes are not those of a tensor of this type and shape.
struct InvalidTensor: Error {
    let message: String
}

/// Returns the number of elements.
///
/// - Throws: ``InvalidTensor`` where there are more than a machine can address.
func elementCount(of shape: [Int]) throws -> Int {
    if shape.contains(0) { return 0 }
    return try shape.reduce(1) { product, dimension in
        let (next, overflows) = product.multipliedReportingOverflow(by: dimension)
        if overflows {
            throw InvalidTensor(message: "\(shape) are more elements than a machine can hold")
        }
        return next
    }
}

/// Checks the bytes of a tensor file whose elements have one size.
///
/// - Throws: ``InvalidTensor`` where they are too few or too many, or a bool is neither 0 nor 1.
func checkElements(_ data: UnsafeRawBufferPointer, _ type: OrtElementType, _ shape: [Int]) throws {
    let count = try elementCount(of: shape)
    if count > data.count || count * type.byteCount != data.count {
        let message = "\(type) \(shape) does not take the \(data.count) bytes it has"
        throw InvalidTensor(message: message)
    }
    if type == .bool && data.contains(where: { $0 > 1 }) {
        throw InvalidTensor(message: "a bool is neither 0 nor 1")
    }
}

/// Returns the strings of a tensor file.
///
/// - Throws: ``InvalidTensor`` where they are not as many as the shape says, or no UTF-8.
func decodeStrings(_ data: UnsafeRawBufferPointer, _ shape: [Int]) throws -> [String] {
    let count = try elementCount(of: shape)
    let notExactly = InvalidTensor(message: "it does not hold exactly \(count) strings")
    if count > data.count / lengthBytes { throw notExactly }
    var position = 0
    let texts = try (0..<count).map { _ in
        guard data.count - position >= lengthBytes else { throw notExactly }
        let length = Int(
            UInt32(littleEndian: data.loadUnaligned(fromByteOffset: position, as: UInt32.self)))
        position += lengthBytes
        guard data.count - position >= length else { throw notExactly }
        defer { position += length }
        return try decodeUtf8(data[position..<position + length])
    }
    if position != data.count { throw notExactly }
    return texts
}

/// Returns the bytes of a tensor file of strings.
///
/// - Throws: ``InvalidTensor`` where the bytes of one are no UTF-8.
func encodeStrings(_ texts: [ArraySlice<UInt8>]) throws -> [UInt8] {
    var data: [UInt8] = []
    for text in texts {
        _ = try decodeUtf8(text)
        guard let length = UInt32(exactly: text.count) else {
            throw InvalidTensor(message: "a string has \(text.count) bytes")
        }
        withUnsafeBytes(of: length.littleEndian) { data += $0 }
        data += text
    }
    return data
}

private func decodeUtf8<Bytes: Collection<UInt8>>(_ bytes: Bytes) throws -> String {
    let text = String(decoding: bytes, as: UTF8.self)
    // Decoding repairs; what was repaired is another text.
    if !text.utf8.elementsEqual(bytes) { throw InvalidTensor(message: "a string is no UTF-8") }
    return text
}

/// Reads an input of a request and makes the tensor that uses its bytes.
///
/// - Throws: ``Refusal`` where the file is missing, or another one.
func readInput(_ tensor: TensorFile, from base: String) throws -> OrtValue {
    let memory: OrtMemory
    do {
        memory = try OrtMemory(contentsOfFile: resolve(tensor.path, from: base))
    } catch let error as OrtError {
        throw Refusal(kind: .inputMissing, message: "\(tensor.name): \(error.message)")
    }
    let data = UnsafeRawBufferPointer(memory.bytes)
    if let expected = tensor.sha256, sha256(data) != expected {
        let message = "\(tensor.name): the file was changed since the request was made"
        throw Refusal(kind: .invalidInput, message: message)
    }
    do {
        if tensor.elementType == .string {
            return try OrtValue(strings: decodeStrings(data, tensor.shape), shape: tensor.shape)
        }
        try checkElements(data, tensor.elementType, tensor.shape)
        return try OrtValue(memory, elementType: tensor.elementType, shape: tensor.shape)
    } catch let error as InvalidTensor {
        throw Refusal(kind: .invalidInput, message: "\(tensor.name): \(error.message)")
    }
}

/// Writes an output as a tensor file under a name of our own.
///
/// - Throws: ``Refusal`` where no tensor file can hold it; ``FileError`` where it cannot be written.
func writeOutput(
    _ output: OrtValue, _ declared: OrtValueInfo, index: Int, to directory: String
) throws -> TensorFile {
    guard let type = output.elementType else {
        let complaint = declared.isTensor ? "has a type that tensor files have not" : "is no tensor"
        throw Refusal(kind: .unsupported, message: "output \(declared.name) \(complaint)")
    }
    let name = "output-\(index).bin"
    let path = join(directory, name)
    let digest: String
    if type == .string {
        let data = try encodedStrings(of: output, declared.name)
        try writeFile(path, data)
        digest = data.withUnsafeBytes { sha256($0) }
    } else {
        digest = try output.withUnsafeBytes { data in
            try writeFile(path, UnsafeRawBufferPointer(data))
            return sha256(UnsafeRawBufferPointer(data))
        }
    }
    return TensorFile(
        name: declared.name, elementType: type, shape: output.shape, path: name, sha256: digest)
}

private func encodedStrings(of output: OrtValue, _ name: String) throws -> [UInt8] {
    do {
        return try encodeStrings(output.stringBytes())
    } catch let error as InvalidTensor {
        let message = "output \(name) cannot be kept: \(error.message)"
        throw Refusal(kind: .unsupported, message: message)
    }
}
