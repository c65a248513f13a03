import Foundation
import ModelSDK

/// Runs the generated SDK: `outputs ASSETS DIRECTORY`, `steps ASSETS`, `checks ASSETS`,
/// `soak ASSETS COUNT`, `mapped DIRECTORY FILE` for a model that is one large table, or
/// `operators DIRECTORY FILE LIBRARY` for a model with operators of its own.
@main
struct Driver {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let source = ModelSource(directory: URL(fileURLWithPath: arguments[2]))
        switch arguments[1] {
        case "outputs": try await writeOutputs(source, URL(fileURLWithPath: arguments[3]))
        case "steps": try steps(source)
        case "checks": await Checks(source: source, assets: arguments[2]).run()
        case "soak": try soak(source, count: Int(arguments[3]) ?? 0)
        case "mapped": try mapped(source, path: arguments[3])
        case "operators": try operators(source, path: arguments[3], library: arguments[4])
        default: fatalError("there is no command \(arguments[1])")
        }
    }
}

private struct Answer: Codable, Equatable {
    let model: String
    let name: String
    let type: String
    let shape: [Int]
    var file = ""
    let bytes: [UInt8]
}

private func writeOutputs(_ source: ModelSource, _ directory: URL) async throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    var index: [[String: String]] = []
    for (number, model) in Models.all.enumerated() where model.sample.count >= model.inputs.count {
        let sample = try model.loadSample(from: source)
        var answers: [[Answer]] = []
        for style in model.styles {
            answers.append(try await run(model, source, style, sample))
        }
        for other in answers where other != answers[0] {
            fatalError("\(model.name): styles differ")
        }
        for (count, answer) in answers[0].enumerated() {
            let file = "\(number)-\(count).bin"
            try Data(answer.bytes).write(to: directory.appendingPathComponent(file))
            index.append([
                "model": answer.model, "name": answer.name, "type": answer.type,
                "shape": answer.shape.map(String.init).joined(separator: ","), "file": file,
            ])
        }
    }
    let data = try JSONEncoder().encode(index)
    try data.write(to: directory.appendingPathComponent("index.json"))
}

private func run(
    _ model: ModelDescriptor, _ source: ModelSource, _ style: ModelStyle,
    _ sample: [String: AnyTensor]
) async throws -> [Answer] {
    let session = try await model.open(SessionOptions(style: style), from: source)
    defer { session.close() }
    _ = try await session.run(sample)
    let outputs = try await session.run(sample)
    return try model.outputs.map { output in
        guard let tensor = outputs[output.name] else { fatalError("no \(output.name)") }
        return Answer(
            model: model.name, name: output.name, type: tensor.elementType.rawValue,
            shape: tensor.shape, bytes: try tensor.rawBytes())
    }
}

private func steps(_ source: ModelSource) throws {
    let model = try Counter.open(from: source)
    let input = try Counter.Input.allocate()
    func step(_ number: Int) throws -> Float {
        try input.x.write((0..<8).map { Float($0 - 3) * 0.125 * Float(number % 5) })
        return try model.run(input).y.elements()[0]
    }
    for number in 0..<100 { print(try step(number)) }
    try model.reset()
    print(try step(0))
}

private func soak(_ source: ModelSource, count: Int) throws {
    let picture = try Picture(width: 3, height: 2, rgba: Array(repeating: 255, count: 24))
    let options = SessionOptions(intraOpThreads: 1)
    for number in 1...count {
        let model = try Product.open(options, from: source)
        let input = try Product.Input.allocate(rows: 3, inner: 5)
        try input.left.write((0..<15).map { Float($0) })
        _ = try model.run(input)
        input.close()
        model.close()
        let digits = try Digits.open(options, from: source)
        _ = try digits.run(picture).labels()
        digits.close()
        // This one is only forgotten.
        _ = try Scalars.open(options, from: source).run(Scalars.Input.allocate())
        if number % (count / 20) == 0 {
            print("RssAnon \(try ownMemoryKilobytes())")
        }
    }
}

/// Memory of the process that no file stands behind.
private func ownMemoryKilobytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
}

/// Looks rows of a table up; prints the last number of the last row, and by how many kilobytes the
/// process grew.
private func mapped(_ source: ModelSource, path: String) throws {
    let descriptor = ModelDescriptor(
        name: "table",
        inputs: [TensorDescriptor(name: "rows", elementType: .int64, shape: [.fixed(2)])],
        outputs: [
            TensorDescriptor(name: "y", elementType: .float, shape: [.fixed(2), .fixed(1024)])
        ],
        variants: [try variant(source, path)])
    let before = try ownMemoryKilobytes()
    let session = try descriptor.open(SessionOptions(intraOpThreads: 1), from: source)
    let rows = try Tensor<Int64>([0, 8191], shape: [2])
    guard let y = try session.run(["rows": rows])["y"] as? Tensor<Float> else { return }
    print(try y.elements()[2047], try ownMemoryKilobytes() - before)
}

private func variant(_ source: ModelSource, _ path: String) throws -> ModelVariant {
    guard let directory = source.directory else { fatalError("no directory") }
    let size = try Data(contentsOf: directory.appendingPathComponent(path)).count
    return ModelVariant(
        id: "fixed", style: .fixed, target: nil, precision: "fp32", path: path, sha256: "",
        sizeBytes: size)
}

private func operators(_ source: ModelSource, path: String, library: String) throws {
    let descriptor = ModelDescriptor(
        name: "operators",
        inputs: [
            TensorDescriptor(name: "x", elementType: .float, shape: [.fixed(4), .fixed(32)])
        ],
        outputs: [
            TensorDescriptor(name: "y", elementType: .float, shape: [.fixed(4), .fixed(40)])
        ],
        variants: [try variant(source, path)],
        customOpLibraries: [.file(library)])
    for number in 0..<20 {
        let session = try descriptor.open(from: source)
        let x = try Tensor<Float>((0..<128).map { Float($0 - 64) / 8 }, shape: [4, 32])
        let output = try session.run(["x": x])["y"] as? Tensor<Float>
        if number == 19, let output {
            print(try output.elements().map(\.description).joined(separator: " "))
        }
        session.close()
        session.close()
    }
}
