import Foundation
import ModelSDK

// Runs generated classes as an app does: PICTURES, one answer a line.
let directory = URL(fileURLWithPath: CommandLine.arguments[1])
let steps = 100
let resetAt = 60

func say(_ fields: [String]) {
    print(fields.joined(separator: "\t"))
}

func said(_ labels: [Classification.Label]) -> [String] {
    labels.flatMap { label in
        let text = label.text.utf8.map { String(format: "%02x", $0) }.joined()
        return [String(label.index), text, label.confidence.description]
    }
}

func directions() async throws {
    let model = try await Direction.open()
    let rows = try String(
        contentsOf: directory.appendingPathComponent("pictures.tsv"), encoding: .utf8)
    for row in rows.split(separator: "\n") {
        let fields = row.split(separator: "\t").map(String.init)
        guard let width = Int(fields[1]), let height = Int(fields[2]) else { continue }
        let file = directory.appendingPathComponent("pictures/\(fields[0]).rgba")
        let picture = try Picture(
            width: width, height: height, rgba: Array(Data(contentsOf: file)))
        let labels = try await model.run(picture).labels()
        say(["picture", fields[0]] + said(labels))
    }
    model.close()
}

/// Fills one input with a picture and another with numbers; two outputs have labels, one
/// thousands.
func mixed() throws {
    let pixels = (0..<6).flatMap { index -> [UInt8] in
        let color = index * 1_234_567
        return [UInt8(color >> 16 & 255), UInt8(color >> 8 & 255), UInt8(color & 255), 255]
    }
    let model = try Mixed.open()
    let input = try Mixed.Input.allocate()
    try input.writePhoto(Picture(width: 2, height: 3, rgba: pixels))
    try input.bias.write([0.5, -1, 2])
    let output = try model.run(input)
    say(["few"] + said(try output.fewLabels()))
    say(["many"] + said(try output.manyLabels()))
}

func sums() throws {
    let model = try Sums.open()
    let input = try Sums.Input.allocate()
    for step in 0..<steps {
        if step == resetAt { try model.reset() }
        try input.x.write((0..<6).map { (Float(step) - 7 * Float($0)) / 64 })
        say(["step"] + (try model.run(input).y.elements().map(\.description)))
    }
}

try await directions()
try mixed()
try sums()
