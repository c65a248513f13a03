import XCTest

@testable import Ort

final class OrtTests: XCTestCase {
    /// A model that adds its input to itself, three directories above these tests.
    private let doubling = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../../bench_protocol/vectors/models/doubling.onnx").path

    func testTheRuntimeTellsOfItself() throws {
        XCTAssertNotNil(OrtRuntime.version.first?.isNumber)
        XCTAssertTrue(try OrtRuntime.availableProviders().contains("CPUExecutionProvider"))
        XCTAssertFalse(try OrtRuntime.buildInformation().isEmpty)
        XCTAssertTrue(try OrtEnvironment.shared() === OrtEnvironment.shared())
        XCTAssertEqual(ProcessInfo.processInfo.environment["ORT_DISABLE_TELEMETRY"], "1")
    }

    func testASessionRunsFromItsPathAndFromBytes() throws {
        let memory = try OrtMemory(contentsOfFile: doubling)
        let options = try OrtSessionOptions()
        let sessions = [
            try OrtSession(path: doubling, options: options),
            try OrtSession(bytes: memory, options: options),
            try OrtSession(copying: UnsafeRawBufferPointer(memory.bytes), options: options),
            try OrtSession(bytes: OrtMemory(mappingFile: doubling), options: options),
        ]
        for session in sessions {
            XCTAssertEqual(session.inputs.map(\.name), ["x"])
            XCTAssertEqual(session.inputs.first?.elementType, .float)
            XCTAssertEqual(session.outputs.map(\.name), ["y"])
            let outputs = try session.run(["x": input()])
            XCTAssertEqual(try outputs.first?.elements(as: Float.self), [0, 2, 4, 6, 8, 10])
            XCTAssertEqual(outputs.first?.shape, [2, 3])
        }
    }

    func testACallWritesIntoWhatIsBoundAndMakesTheRest() throws {
        let session = try OrtSession(path: doubling, options: OrtSessionOptions())
        let target = try OrtValue([Float](repeating: 0, count: 6), shape: [2, 3])
        let value = try input()
        let bound = try OrtCall(
            session, inputs: [("x", value)], outputs: [("y", target)])
        let free = try OrtCall(session, inputs: [("x", value)])
        for factor in 1...3 {
            try value.withUnsafeBytes { bytes in
                for (index, element) in (0..<6).enumerated() {
                    bytes.storeBytes(
                        of: Float(element * factor), toByteOffset: 4 * index, as: Float.self)
                }
            }
            let expected = (0..<6).map { Float(2 * factor * $0) }
            try bound.run()
            XCTAssertTrue(try bound.takeOutput(0) === target)
            XCTAssertEqual(try target.elements(as: Float.self), expected)
            try free.run()
            let taken = try free.takeOutput(0)
            XCTAssertThrowsError(try free.takeOutput(0))
            free.releaseOutputs()
            XCTAssertEqual(try taken.elements(as: Float.self), expected)
        }
    }

    func testASessionIsRunByThreadsAtOnce() async throws {
        let session = try OrtSession(path: doubling, options: OrtSessionOptions())
        try await withThrowingTaskGroup(of: [Float].self) { group in
            for factor in 1...8 {
                group.addTask {
                    let value = try OrtValue((0..<6).map { Float($0 * factor) }, shape: [2, 3])
                    var last: [Float] = []
                    for _ in 0..<100 { last = try session.run(["x": value])[0].elements() }
                    return last
                }
            }
            var seen: Set<[Float]> = []
            for try await output in group { seen.insert(output) }
            XCTAssertEqual(
                seen, Set((1...8).map { factor in (0..<6).map { Float(2 * factor * $0) } }))
        }
    }

    func testWhatDoesNotFitIsTold() throws {
        let session = try OrtSession(path: doubling, options: OrtSessionOptions())
        let other = try OrtValue([Float](repeating: 0, count: 6), shape: [3, 2])
        for inputs in [[:], ["z": try input()], ["x": other]] {
            XCTAssertThrowsError(try session.run(inputs)) {
                XCTAssertEqual(($0 as? OrtError)?.code, .invalidArgument)
            }
        }
        XCTAssertThrowsError(try OrtSession(path: "/nowhere.onnx", options: OrtSessionOptions())) {
            XCTAssertEqual(($0 as? OrtError)?.code, .noSuchFile)
        }
        XCTAssertThrowsError(try OrtSession(path: "/a\0b", options: OrtSessionOptions()))
        let garbage = OrtMemory(copying: [UInt8](repeating: 7, count: 100))
        XCTAssertThrowsError(try OrtSession(bytes: garbage, options: OrtSessionOptions())) {
            XCTAssertEqual(($0 as? OrtError)?.code, .invalidProtobuf)
        }
        XCTAssertThrowsError(try OrtMemory(contentsOfFile: "/nowhere"))
        XCTAssertThrowsError(try OrtMemory(mappingFile: "/"))
    }

    func testValuesKeepTypeShapeAndElements() throws {
        try check([1.5, -2] as [Float])
        try check([1.5, -2] as [Double])
        try check([1, -2] as [Int8])
        try check([1, -2] as [Int16])
        try check([1, -2] as [Int32])
        try check([1, -2] as [Int64])
        try check([1, 255] as [UInt8])
        try check([1, .max] as [UInt16])
        try check([1, .max] as [UInt32])
        try check([1, .max] as [UInt64])
        try check([true, false])
        for type in [OrtElementType.float16, .bfloat16] {
            let value = try OrtValue(
                OrtMemory(copying: [1, 2] as [UInt16]), elementType: type, shape: [2])
            XCTAssertEqual(try value.withUnsafeBytes { Array($0) }, [1, 0, 2, 0])
        }
    }

    func testStringsMayHoldAnything() throws {
        let texts = ["", "a", "grüße", "日本 🎈", "a\0b", String(repeating: "x", count: 1000)]
        let value = try OrtValue(strings: texts, shape: [2, 3])
        XCTAssertEqual(try value.strings(), texts)
        XCTAssertEqual(value.elementType, .string)
        XCTAssertEqual(try OrtValue(strings: [], shape: [0]).strings(), [])
        XCTAssertThrowsError(try value.withUnsafeBytes { _ in })
    }

    func testShapesAreChecked() {
        XCTAssertThrowsError(try OrtValue([1, 2] as [Float], shape: [3]))
        XCTAssertThrowsError(try OrtValue([1, 2] as [Float], shape: [-1]))
        XCTAssertThrowsError(try OrtValue([1, 2] as [Float], shape: [1 << 40, 1 << 40]))
        XCTAssertThrowsError(try OrtValue(strings: ["a"], shape: []).elements(as: Float.self))
        XCTAssertNoThrow(try OrtValue([1] as [Float], shape: []))
        XCTAssertNoThrow(try OrtValue([] as [Float], shape: [0, 1 << 40, 1 << 40]))
    }

    func testProvidersThatTheLibraryLacksAreRefused() throws {
        let options = try OrtSessionOptions()
        for name in [
            "NobodysExecutionProvider", "CoreMLExecutionProvider", "XnnpackExecutionProvider",
        ]
        where try !OrtRuntime.availableProviders().contains(name) {
            XCTAssertThrowsError(try options.appendProvider(name, options: ["a": "b"])) {
                let error = $0 as? OrtError
                XCTAssertTrue([.invalidArgument, .notImplemented, .failure].contains(error?.code))
            }
        }
        XCTAssertNoThrow(
            try options.appendProvider("CPUExecutionProvider", options: ["use_arena": "0"]))
        XCTAssertThrowsError(
            try options.appendProvider("CPUExecutionProvider", options: ["a": "1"]))
    }

    func testMemoryOfOthersIsGivenBackOnce() throws {
        var given = 0
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 24, alignment: 16)
        do {
            let memory = OrtMemory(using: bytes) {
                given += 1
                $0.deallocate()
            }
            let value = try OrtValue(memory, elementType: .float, shape: [2, 3])
            XCTAssertEqual(value.elementCount, 6)
            XCTAssertThrowsError(try OrtValue(memory, elementType: .float, shape: [7]))
        }
        XCTAssertEqual(given, 1)
    }

    private func input() throws -> OrtValue {
        try OrtValue((0..<6).map(Float.init), shape: [2, 3])
    }

    private func check<Element: OrtElement & Equatable>(_ elements: [Element]) throws {
        let value = try OrtValue(elements, shape: [1, 2])
        XCTAssertEqual(value.elementType, Element.ortElementType)
        XCTAssertEqual(value.shape, [1, 2])
        XCTAssertEqual(try value.elements(as: Element.self), elements)
    }
}
