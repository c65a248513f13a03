import Foundation
import ModelSDK

/// What the SDK promises, checked by itself; a line for each.
struct Checks {
    let source: ModelSource
    let assets: String

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    func check(_ name: String, _ body: () async throws -> Void) async {
        do {
            try await body()
            print("ok: \(name)")
        } catch {
            print("FAILED: \(name): \(error)")
        }
    }

    /// The name of an error's case.
    private func kind(_ error: SDKError) -> String {
        Mirror(reflecting: error).children.first?.label ?? ""
    }

    @discardableResult
    func refused(
        _ wanted: String, _ words: String..., body: () async throws -> Void
    ) async throws -> SDKError {
        do {
            try await body()
        } catch let error as SDKError {
            guard kind(error) == wanted else {
                throw Failure(description: "expected \(wanted), not \(kind(error)): \(error)")
            }
            for word in words where !error.message.contains(word) {
                throw Failure(description: "'\(word)' is not in: \(error.message)")
            }
            return error
        }
        throw Failure(description: "nothing was thrown, expected \(wanted)")
    }

    func same<Value: Equatable>(_ expected: Value, _ actual: Value) throws {
        if expected != actual {
            throw Failure(description: "expected \(expected), not \(actual)")
        }
    }

    func run() async {
        await shapes()
        await elements()
        await lifetimes()
        await concurrency()
        await typedCalls()
        await providers()
        await loading()
        print("end of checks")
    }

    func openProduct() throws -> (Product, Product.Input) {
        (try Product.open(from: source), try Product.Input.allocate(rows: 2, inner: 3))
    }

    private func shapes() async {
        await check("two inputs that contradict each other") {
            try await refused("shapeMismatch", "'inner'", "4", "3", "'left'") {
                _ = try Product.Input(
                    left: Tensor(shape: [2, 3]), right: Tensor(shape: [4, 4]),
                    bias: Tensor(shape: [4]))
            }
        }
        await check("a wrong size and a wrong rank") {
            try await refused("shapeMismatch", "dimension 0 is 5 instead of 4") {
                _ = try Product.Input(
                    left: Tensor(shape: [2, 3]), right: Tensor(shape: [3, 4]),
                    bias: Tensor(shape: [5]))
            }
            try await refused("shapeMismatch", "1 dimensions instead of 2") {
                _ = try Product.Input(
                    left: Tensor(shape: [2]), right: Tensor(shape: [3, 4]),
                    bias: Tensor(shape: [4]))
            }
        }
        await check("a wrong element type") {
            let session = try await Product.descriptor.open(from: source)
            let tensors: [String: AnyTensor] = [
                "left": try Tensor<Int32>(shape: [2, 3]),
                "right": try Tensor<Float>(shape: [3, 4]),
                "bias": try Tensor<Float>(shape: [4]),
            ]
            try await refused("elementTypeMismatch", "'left' takes float, not int32") {
                _ = try await session.run(tensors)
            }
        }
        await check("missing and unknown inputs") {
            let session = try await Product.descriptor.open(from: source)
            try await refused("invalidInputs", "'left' is missing") {
                _ = try await session.run([:])
            }
            var tensors = try Product.descriptor.allocateInputs(dimensions: [
                "rows": 1, "inner": 1,
            ])
            tensors["more"] = try Tensor<Float>(shape: [])
            let given = tensors
            try await refused("invalidInputs", "no input [\"more\"]") {
                _ = try await session.run(given)
            }
            try await refused("shapeMismatch", "'inner' is not given") {
                _ = try Product.descriptor.allocateInputs(dimensions: ["rows": 1])
            }
        }
        await check("sizes that cannot be") {
            try await refused("shapeMismatch", "negative") {
                _ = try Tensor<Float>(shape: [2, -1])
            }
            try await refused("shapeMismatch", "larger") {
                _ = try Tensor<Float>(shape: [1 << 40])
            }
            try await refused("shapeMismatch", "larger") {
                _ = try Tensor<Int64>(shape: [Int.max, Int.max, 2])
            }
            try await refused("shapeMismatch", "negative") { _ = try StringTensor(shape: [-1]) }
        }
        await check("one tensor for two inputs") {
            let square = try Tensor<Float>(shape: [4, 4])
            try await refused("sharedTensor", "'left'", "'right'") {
                _ = try Product.Input(left: square, right: square, bias: Tensor(shape: [4]))
            }
        }
    }

    private func elements() async {
        await check("arrays of another length") {
            try await refused("invalidElements", "5 elements", "6") {
                _ = try Tensor<Float>(Array(repeating: 0, count: 5), shape: [2, 3])
            }
            try await refused("invalidElements", "2 texts") {
                _ = try StringTensor(["a", "b"], shape: [3])
            }
        }
        await check("memory of the caller's is used in place, and given back once") {
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 28, alignment: 16)
            defer { bytes.deallocate() }
            let released = Count()
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[4..<28])
            let odd = UnsafeMutableRawBufferPointer(rebasing: bytes[2..<26])
            try await refused("invalidElements", "28 bytes", "24") {
                _ = try Tensor<Float>(noCopy: bytes, shape: [2, 3]) { _ in released.add() }
            }
            try await refused("invalidElements", "inside an element") {
                _ = try Tensor<Float>(noCopy: odd, shape: [2, 3]) { _ in released.add() }
            }
            try same(0, released.value)
            try runInPlace(part, released)
            try same(1, released.value)
        }
        await check("numbers of 16 bits") {
            for bits in 0...UInt16.max {
                let half = Half(bitPattern: bits)
                if !half.floatValue.isNaN { try same(bits, Half(half.floatValue).bitPattern) }
                let brain = BFloat16(bitPattern: bits)
                if !brain.floatValue.isNaN { try same(bits, BFloat16(brain.floatValue).bitPattern) }
            }
            let known: [(Float, UInt16)] = [
                (65_519.996, 0x7BFF), (65_520, 0x7C00), (-1e9, 0xFC00), (2.9802322e-8, 0),
                (2.980233e-8, 1), (1.00048828125, 0x3C00), (1.00146484375, 0x3C02), (-0.0, 0x8000),
            ]
            for (value, bits) in known { try same(bits, Half(value).bitPattern) }
            try same(true, Half(.nan).floatValue.isNaN)
            try same(true, BFloat16(.nan).floatValue.isNaN)
            try same(0x3F80, BFloat16(1.00390625).bitPattern)
            try same(0x3F82, BFloat16(1.01171875).bitPattern)
            try same([1.5, -2], try Tensor<Half>([Half(1.5), Half(-2)], shape: [2]).floats())
        }
        await check("texts of any characters") {
            let model = try await TypeString.open(from: source)
            let input = try TypeString.Input.allocate()
            let texts = ["", "caf\u{E9} \u{4E2D}", "\u{1F600}", "a\0b", "\u{202E}x", "six"]
            try input.x.write(texts)
            try same(texts + texts, try await model.run(input).twice.elements())
            try input.x.clear()
            try same(Array(repeating: "", count: 6), try await model.run(input).y.elements())
        }
    }

    private func runInPlace(_ bytes: UnsafeMutableRawBufferPointer, _ released: Count) throws {
        let tensor = try Tensor<Float>(noCopy: bytes, shape: [2, 3]) { _ in released.add() }
        let model = try TypeFloat.open(from: source)
        let input = try TypeFloat.Input(x: tensor)
        for index in 0..<6 {
            bytes.storeBytes(of: Float(index), toByteOffset: 4 * index, as: Float.self)
        }
        try same([0, 1, 2, 3, 4, 5], try model.run(input).y.elements())
        try same(0, released.value)
        input.close()
        model.close()
    }
}

/// A number that threads count up.
final class Count: @unchecked Sendable {
    private let lock = NSLock()
    private var number = 0

    var value: Int { lock.withLock { number } }

    func add() { lock.withLock { number += 1 } }
}

/// What threads report.
final class Events: @unchecked Sendable {
    private let lock = NSLock()
    private var events: [MetricsEvent] = []

    var all: [MetricsEvent] { lock.withLock { events } }

    func add(_ event: MetricsEvent) { lock.withLock { events.append(event) } }
}
