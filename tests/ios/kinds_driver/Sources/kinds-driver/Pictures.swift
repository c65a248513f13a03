import Foundation
import ModelSDK

private let guardByte: UInt8 = 0x5A
private let guardBytes = 16

/// Writes every tensor, and checks what the bytes alone do not show: nothing around the tensor is
/// touched, a preprocessor that has seen another picture answers the same, tensors as memory does.
func imageTensors(_ file: CaseFile) throws -> Data {
    let formats = try file.decode([FormatCase].self)
    let names = try file.decode([PictureName].self)
    let other = try Picture(
        width: 3, height: 2, rgba: (0..<24).map { UInt8(truncatingIfNeeded: $0 * 97) })
    var answer = Data()
    for (given, name) in zip(formats, names) {
        let format = try given.format()
        let picture = try file.picture(name.picture)
        let preprocessor = ImagePreprocessor(format: format)
        let byteCount = format.elementCount * format.channelType.elementType.sizeBytes
        let tensor = try guarded(byteCount) { try preprocessor.write(picture, to: $0) }
        _ = try guarded(byteCount) { try preprocessor.write(other, to: $0) }
        let again = try guarded(byteCount) { try preprocessor.write(picture, to: $0) }
        try Mismatch.unless(tensor == again, "differs again: \(given)")
        let typed = try AnyTensor.allocate(format.channelType.elementType, shape: format.shape)
        try preprocessor.write(picture, to: typed)
        try Mismatch.unless(bytes(of: typed) == tensor, "a tensor differs: \(given)")
        answer.append(contentsOf: tensor)
    }
    return answer
}

/// Lends memory between guards, which must be intact afterwards.
private func guarded(
    _ byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) throws -> Void
) throws -> [UInt8] {
    let whole = UnsafeMutableRawBufferPointer.allocate(
        byteCount: byteCount + 2 * guardBytes, alignment: guardBytes)
    defer { whole.deallocate() }
    whole.initializeMemory(as: UInt8.self, repeating: guardByte)
    let behind = guardBytes + byteCount
    try write(UnsafeMutableRawBufferPointer(rebasing: whole[guardBytes..<behind]))
    let around = Array(whole[..<guardBytes]) + Array(whole[behind...])
    try Mismatch.unless(around.allSatisfy { $0 == guardByte }, "wrote around the tensor")
    return Array(whole[guardBytes..<behind])
}

private func bytes(of tensor: AnyTensor) throws -> [UInt8] {
    switch tensor {
    case let tensor as Tensor<UInt8>: return try tensor.elements()
    case let tensor as Tensor<Half>: return try tensor.withUnsafeMutableBytes { Array($0) }
    case let tensor as Tensor<Float>: return try tensor.withUnsafeMutableBytes { Array($0) }
    default: throw Mismatch(text: "no image tensor: \(tensor)")
    }
}

func orientedPictures(_ file: CaseFile) throws -> Data {
    var answer = Data()
    for given in try file.decode([OrientationCase].self) {
        let turned = try file.picture(given.picture).oriented(given.orientation)
        try Mismatch.unless(
            turned.width == given.width && turned.height == given.height, "the size of \(given)")
        answer.append(contentsOf: turned.rgba)
    }
    return answer
}

/// Shrinks 1920 x 1080 to 224 x 224 after warming up: medians in milliseconds.
func speed() throws -> Data {
    var figures: [String: Double] = [:]
    let pixels = (0..<1920 * 1080 * 4).map { index -> UInt8 in
        index % 4 == 3 ? 255 : UInt8(truncatingIfNeeded: index &* 2_654_435 >> 8)
    }
    let picture = try Picture(width: 1920, height: 1080, rgba: pixels)
    for antialias in [true, false] {
        let format = ImageFormat(width: 224, height: 224, antialias: antialias)
        let preprocessor = ImagePreprocessor(format: format)
        let tensor = try Tensor<Float>(shape: format.shape)
        let times = try (0..<40).map { _ -> UInt64 in
            let start = DispatchTime.now().uptimeNanoseconds
            try preprocessor.write(picture, to: tensor)
            return DispatchTime.now().uptimeNanoseconds - start
        }
        let name = antialias ? "antialias_ms" : "two_samples_ms"
        figures[name] = Double(times.dropFirst(10).sorted()[15]) / 1e6
    }
    return try JSONEncoder().encode(figures)
}

/// Messages of everything that is to be refused.
func misuse() throws -> Data {
    let preprocessor = ImagePreprocessor(format: ImageFormat(width: 4, height: 4))
    let picture = try Picture(width: 1, height: 1, rgba: [0, 0, 0, 0])
    let closed = try Tensor<Float>(shape: [1, 3, 4, 4])
    closed.close()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 200, alignment: 16)
    defer { memory.deallocate() }
    let two = Classification(labels: ["a", "b"])
    let attempts: [() throws -> Void] = [
        { _ = try Picture(width: 0, height: 1, rgba: []) },
        { _ = try Picture(width: -1, height: -1, rgba: [0, 0, 0, 0]) },
        { _ = try Picture(width: 2, height: 2, rgba: [UInt8](repeating: 0, count: 12)) },
        { _ = try Picture(width: 1, height: 1, rgba: [0, 0, 0]) },
        { _ = try Picture(width: .max, height: 2, rgba: [0, 0, 0, 0]) },
        { _ = try picture.oriented(9) },
        { _ = try picture.oriented(-1) },
        {
            try preprocessor.write(
                picture, to: UnsafeMutableRawBufferPointer(rebasing: memory[..<191]))
        },
        {
            try preprocessor.write(
                picture, to: UnsafeMutableRawBufferPointer(rebasing: memory[1..<195]))
        },
        { try preprocessor.write(picture, to: Tensor<UInt8>(shape: [1, 3, 4, 4])) },
        { try preprocessor.write(picture, to: Tensor<Float>(shape: [1, 4, 4, 3])) },
        { try preprocessor.write(picture, to: closed) },
        { _ = try two.best(of: [1]) },
        { _ = try two.best(of: Tensor<Float>(shape: [3])) },
        { _ = try two.best(of: Tensor<Int32>(shape: [2])) },
    ]
    let messages = try attempts.map { attempt -> String in
        do {
            try attempt()
        } catch let error as SDKError {
            return error.message
        }
        throw Mismatch(text: "something was not refused")
    }
    return try JSONEncoder().encode(messages)
}
