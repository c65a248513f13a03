import Foundation
import ModelSDK

/// What a test has the app do, and with which models.
struct Story: Decodable {
    struct Tensor: Decodable {
        let name: String
        let type: String
        /// Texts are names of dimensions.
        let shape: [Size]
        let format: Format?
        let labels: [String]?
    }

    struct Format: Decodable {
        let width: Int
        let height: Int
    }

    struct State: Decodable {
        let input: String
        let output: String
        let shape: [Int]
    }

    struct Sample: Decodable {
        let name: String
        let type: String
        let shape: [Int]
        let path: String
    }

    struct Model: Decodable {
        let name: String
        let inputs: [Tensor]
        let outputs: [Tensor]
        let states: [State]
        let styles: [String]
        let path: String
        let sizeBytes: Int
        let sample: [Sample]
    }

    struct Step: Decodable {
        let action: String
        let input: String?
        let picture: String?
        let choices: Choices?
    }

    enum Size: Decodable {
        case fixed(Int)
        case named(String)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let size = try? container.decode(Int.self) {
                self = .fixed(size)
            } else {
                self = .named(try container.decode(String.self))
            }
        }

        var dimension: Dimension {
            switch self {
            case .fixed(let size): return .fixed(size)
            case .named(let name): return .named(name)
            }
        }

        /// Foundation has another one.
        typealias Dimension = ModelSDK.Dimension
    }

    let models: [Model]
    let steps: [Step]
}

extension Story.Model {
    func descriptor() throws -> ModelDescriptor {
        ModelDescriptor(
            name: name,
            inputs: try inputs.map { try $0.descriptor() },
            outputs: try outputs.map { try $0.descriptor() },
            states: states.map {
                StateDescriptor(
                    inputName: $0.input, outputName: $0.output, elementType: .float,
                    shape: $0.shape)
            },
            variants: try styles.map { style in
                ModelVariant(
                    id: style, style: try known(ModelStyle(rawValue: style)), target: nil,
                    precision: "fp32", path: path, sha256: "", sizeBytes: sizeBytes)
            },
            sample: try sample.map {
                SampleTensor(
                    name: $0.name, elementType: try known(ElementType(rawValue: $0.type)),
                    shape: $0.shape, path: $0.path)
            })
    }
}

extension Story.Tensor {
    func descriptor() throws -> TensorDescriptor {
        TensorDescriptor(
            name: name, elementType: try known(ElementType(rawValue: type)),
            shape: shape.map(\.dimension), kind: kind)
    }

    private var kind: TensorKind {
        if let labels { return .scores(Classification(labels: labels)) }
        guard let format else { return .raw }
        // As PP-OCR's direction classifier was trained.
        return .image(
            ImageFormat(
                width: format.width, height: format.height, colorOrder: .bgr, mean: [0.5],
                std: [0.5], resize: .fitHeight, padding: 127.5, antialias: false))
    }
}

struct UnknownName: Error {}

private func known<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw UnknownName() }
    return value
}
