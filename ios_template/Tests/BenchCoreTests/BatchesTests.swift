import Foundation
import XCTest

@testable import BenchCore

#if canImport(Darwin)
    private let platform = ApplePlatform()
#else
    private let platform = LinuxPlatform()
#endif

final class BatchesTests: XCTestCase {
    func testAnAppThatStaysOpenSaysWhatItRunsAndCarriesOutBatchAfterBatch() throws {
        let documents = FileManager.default.temporaryDirectory
            .appendingPathComponent("batches-\(UUID().uuidString)")
        let place = documents.appendingPathComponent("ortlab")
        defer { try? FileManager.default.removeItem(at: documents) }
        let batch = place.appendingPathComponent("batch.json")
        var told: [String] = []
        var laidDown = 0
        try serveBatches(
            below: documents.path, on: platform,
            until: {
                if FileManager.default.fileExists(atPath: batch.path) { return false }
                laidDown += 1
                try? Data("{}".utf8).write(to: batch)
                return laidDown > 2
            },
            tell: { event in
                switch event {
                case .waiting: told.append("waiting")
                case .started: told.append("started")
                case .finished(let results, let problems):
                    told.append("finished \(results), \(problems.count)")
                }
            })
        XCTAssertEqual(told, ["waiting", "finished 0, 1", "finished 0, 1"])
        let runtime = try String(
            contentsOf: place.appendingPathComponent("runtime.json"), encoding: .utf8)
        XCTAssertTrue(runtime.contains("\"ort_version\""), runtime)
    }
}
