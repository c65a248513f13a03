import XCTest

@testable import ModelSDK

final class CoreMLTests: XCTestCase {
    private let root = FileManager.default.temporaryDirectory
        .appendingPathComponent("ortlab-coreml-\(UUID().uuidString)", isDirectory: true)

    override func tearDown() {
        try? FileManager.default.removeItem(at: root)
    }

    func testTheRuntimeIsToldOnlyWhatDiffersFromItsDefaults() {
        XCTAssertEqual(CoreMLOptions().runtimeOptions, [:])
        let options = CoreMLOptions(
            computeUnits: .cpuAndNeuralEngine,
            modelFormat: .mlProgram,
            requiresStaticInputShapes: true,
            isEnabledOnSubgraphs: true,
            specializationStrategy: .fastPrediction,
            allowsLowPrecisionAccumulationOnGPU: true,
            profilesComputePlan: true,
            cache: .none)
        XCTAssertEqual(
            options.runtimeOptions,
            [
                "MLComputeUnits": "CPUAndNeuralEngine", "ModelFormat": "MLProgram",
                "RequireStaticInputShapes": "1", "EnableOnSubgraphs": "1",
                "SpecializationStrategy": "FastPrediction",
                "AllowLowPrecisionAccumulationOnGPU": "1", "ProfileComputePlan": "1",
            ])
    }

    func testEveryFileAndSetOfOptionsHasAFolderOfItsOwn() throws {
        let variants = [variant("aa"), variant("bb")]
        var found: Set<String> = []
        for file in variants {
            for options in [[:], ["ModelFormat": "MLProgram"], ["ModelFormat": "NeuralNetwork"]] {
                let url = try cache(.managed, variants, file, options: options)
                XCTAssertEqual(url?.path.hasPrefix(root.path), true)
                found.insert(url?.path ?? "")
            }
        }
        XCTAssertEqual(found.count, 6)
        XCTAssertEqual(
            try cache(.managed, variants, variants[0], options: [:]),
            try cache(.managed, variants, variants[0], options: [:]))
    }

    func testWhatAModelNoLongerHasIsRemoved() throws {
        let old = variant("aa")
        let new = variant("bb")
        let first = try fill(try cache(.managed, [old], old), bytes: 100)
        let other = try fill(
            try cache(.managed, [old], old, name: "other"), bytes: 7)
        XCTAssertEqual(CoreMLCache.sizeBytes(of: root), 107)
        let second = try fill(try cache(.managed, [new], new), bytes: 10)
        XCTAssertFalse(FileManager.default.fileExists(atPath: first.path))
        XCTAssertTrue(FileManager.default.fileExists(atPath: other.path))
        XCTAssertEqual(CoreMLCache.sizeBytes(of: root), 17)
        _ = try cache(.managed, [new], new, version: "1.99.0")
        XCTAssertFalse(FileManager.default.fileExists(atPath: second.path))
        XCTAssertEqual(CoreMLCache.sizeBytes(of: root), 7)
    }

    func testHostileNamesStayBelowTheCaches() throws {
        let names = ["../..", "/", "", ".", "a/b", "a/../b", "\u{1F600}", "\u{1F601}", "a\0b"]
        var found: Set<String> = []
        for name in names {
            let url = try cache(.managed, [variant("aa")], variant("aa"), name: name)
            XCTAssertEqual(url?.standardizedFileURL.path.hasPrefix(root.path), true, name)
            found.insert(url?.path ?? "")
        }
        XCTAssertEqual(found.count, names.count)
    }

    func testADirectoryOfTheCallersIsLeftAsItIs() throws {
        let own = root.appendingPathComponent("own", isDirectory: true)
        let url = try fill(try cache(.directory(own), [variant("aa")], variant("aa")), bytes: 5)
        XCTAssertEqual(url.deletingLastPathComponent().standardizedFileURL.path, own.path)
        _ = try cache(.directory(own), [variant("bb")], variant("bb"), version: "2.0.0")
        XCTAssertEqual(CoreMLCache.sizeBytes(of: own), 5)
        XCTAssertNil(try cache(.none, [variant("aa")], variant("aa")))
    }

    private func variant(_ sha256: String) -> ModelVariant {
        ModelVariant(
            id: sha256, style: .fixed, target: nil, precision: "fp32", path: "m.ort",
            sha256: sha256, sizeBytes: 1)
    }

    private func cache(
        _ cache: CoreMLOptions.Cache, _ variants: [ModelVariant], _ variant: ModelVariant,
        options: [String: String] = [:], name: String = "model", version: String = "1.24.2"
    ) throws -> URL? {
        let model = ModelDescriptor(name: name, inputs: [], outputs: [], variants: variants)
        return try CoreMLCache.prepare(
            cache, options: options, model: model, variant: variant, runtimeVersion: version,
            below: root)
    }

    private func fill(_ directory: URL?, bytes: Int) throws -> URL {
        let file = try XCTUnwrap(directory).appendingPathComponent("compiled")
        try Data(count: bytes).write(to: file)
        return file
    }
}
