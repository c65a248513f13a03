import Foundation
import ModelSDK

/// Why a case is not as it should be.
struct Mismatch: Error {
    let text: String

    static func unless(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw Mismatch(text: text()) }
    }
}

/// A file of cases, and what lies beside it.
struct CaseFile {
    private struct Size: Decodable {
        let width: Int
        let height: Int
    }

    private let data: Data
    let directory: URL

    init(_ path: String) throws {
        let url = URL(fileURLWithPath: path)
        data = try Data(contentsOf: url)
        directory = url.deletingLastPathComponent()
    }

    func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: data)
    }

    func picture(_ name: String) throws -> Picture {
        let list = try Data(contentsOf: directory.appendingPathComponent("pictures.json"))
        let sizes = try JSONDecoder().decode([String: Size].self, from: list)
        guard let size = sizes[name] else { throw Mismatch(text: "no picture \(name)") }
        let file = directory.appendingPathComponent("pictures/\(name).rgba")
        return try Picture(
            width: size.width, height: size.height, rgba: Array(Data(contentsOf: file)))
    }
}

struct FormatCase: Decodable {
    let width: Int
    let height: Int
    let elementType: String
    let layout: String
    let colorOrder: String
    let resize: String
    let scale: Double
    let mean: [Double]
    let std: [Double]
    let padding: Double
    let antialias: Bool

    private static let rules: [String: ImageFormat.ResizeRule] = [
        "stretch": .stretch, "fit": .fit, "fit-top-left": .fitTopLeft, "fit-height": .fitHeight,
        "crop": .crop,
    ]

    func format() throws -> ImageFormat {
        guard let layout = ImageFormat.Layout(rawValue: layout),
            let order = ImageFormat.ColorOrder(rawValue: colorOrder),
            let type = ImageFormat.ChannelType(rawValue: elementType),
            let rule = Self.rules[resize]
        else { throw Mismatch(text: "a format that nobody knows: \(self)") }
        return ImageFormat(
            width: width, height: height, layout: layout, colorOrder: order, channelType: type,
            scale: scale, mean: mean, std: std, resize: rule, padding: padding,
            antialias: antialias)
    }
}

struct OrientationCase: Decodable {
    let picture: String
    let orientation: Int
    let width: Int
    let height: Int
}

/// A number that JSON cannot hold is a text.
struct Score: Decodable {
    let value: Float

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            switch text {
            case "NaN": value = .nan
            case "Infinity": value = .infinity
            case "-Infinity": value = -.infinity
            default: throw Mismatch(text: "no score: \(text)")
            }
        } else {
            value = Float(try container.decode(Double.self))
        }
    }
}

struct LabelCase: Decodable {
    let scores: [Score]
    let topK: Int
    let applySoftmax: Bool
}

struct PictureName: Decodable {
    let picture: String
}
