import Foundation
import ModelSDK

private struct StateCase: Decodable {
    let model: String
    let input: String
    let output: String
    let type: String
    let shape: [Int]
    let stepShape: [Int]
    let steps: String
    let resets: Set<Int>
}

private struct DirectionCase: Decodable {
    let model: String
    let input: String
    let output: String
    let labels: [String]
    let pictures: [String]
}

/// Runs a model whose `x` and `y` are of the state's type, and writes every `y`.
func stateSteps(_ file: CaseFile) throws -> Data {
    let given = try file.decode(StateCase.self)
    guard let type = ElementType(rawValue: given.type) else {
        throw Mismatch(text: "no type \(given.type)")
    }
    let shape = given.stepShape.map(Dimension.fixed)
    let session = try open(
        ModelDescriptor(
            name: "stateful",
            inputs: [TensorDescriptor(name: "x", elementType: type, shape: shape)],
            outputs: [TensorDescriptor(name: "y", elementType: type, shape: shape)],
            states: [
                StateDescriptor(
                    inputName: given.input, outputName: given.output, elementType: type,
                    shape: given.shape)
            ],
            variants: [try variant(given.model, in: file.directory)]),
        in: file.directory)
    let x = try AnyTensor.allocate(type, shape: given.stepShape)
    let bytes = Array(try Data(contentsOf: file.directory.appendingPathComponent(given.steps)))
    let stepBytes = x.elementCount * type.sizeBytes
    var answer = Data()
    for (number, start) in stride(from: 0, to: bytes.count, by: stepBytes).enumerated() {
        if given.resets.contains(number) { try session.reset() }
        try withBytes(of: x) { $0.copyBytes(from: bytes[start..<start + stepBytes]) }
        try refuseWrongShape(session, type)
        guard let y = try session.run(["x": x])["y"] else { throw Mismatch(text: "no y") }
        try withBytes(of: y) { answer.append(contentsOf: $0) }
    }
    session.close()
    do {
        try session.reset()
        throw Mismatch(text: "the state of a closed session was reset")
    } catch SDKError.closed {}
    return answer
}

/// A call that fails leaves the state as it was.
private func refuseWrongShape(_ session: ModelSession, _ type: ElementType) throws {
    let wrong = try AnyTensor.allocate(type, shape: [7, 7, 7, 7])
    do {
        _ = try session.run(["x": wrong])
        throw Mismatch(text: "a wrong shape was taken")
    } catch SDKError.shapeMismatch {}
}

/// Takes photos to their directions, as an app does.
func directions(_ file: CaseFile) throws -> Data {
    let given = try file.decode(DirectionCase.self)
    let format = try file.decode(FormatCase.self).format()
    let classification = Classification(labels: given.labels, topK: given.labels.count)
    let session = try open(
        ModelDescriptor(
            name: "direction",
            inputs: [
                TensorDescriptor(
                    name: given.input, elementType: .float, shape: format.shape.map { .fixed($0) },
                    kind: .image(format))
            ],
            outputs: [
                TensorDescriptor(
                    name: given.output, elementType: .float,
                    shape: [.unknown, .fixed(given.labels.count)], kind: .scores(classification))
            ],
            variants: [try variant(given.model, in: file.directory)]),
        in: file.directory)
    let preprocessor = ImagePreprocessor(format: format)
    let tensor = try AnyTensor.allocate(.float, shape: format.shape)
    let answers = try given.pictures.map { name -> [LabelAnswer] in
        try preprocessor.write(file.picture(name), to: tensor)
        guard let scores = try session.run([given.input: tensor])[given.output] else {
            throw Mismatch(text: "no scores")
        }
        return try classification.best(of: scores).map(LabelAnswer.init)
    }
    return try JSONEncoder().encode(answers)
}

private func variant(_ path: String, in directory: URL) throws -> ModelVariant {
    let file = directory.appendingPathComponent(path)
    return ModelVariant(
        id: "onnx", style: .onnx, target: nil, precision: "fp32", path: path, sha256: "",
        sizeBytes: try file.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0)
}

private func open(_ model: ModelDescriptor, in directory: URL) throws -> ModelSession {
    try model.open(SessionOptions(), from: ModelSource(directory: directory))
}

private func withBytes(
    of tensor: AnyTensor, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
) throws {
    switch tensor {
    case let tensor as Tensor<Float>: try tensor.withUnsafeMutableBytes(body)
    case let tensor as Tensor<Half>: try tensor.withUnsafeMutableBytes(body)
    default: throw Mismatch(text: "no tensor of a state: \(tensor)")
    }
}
