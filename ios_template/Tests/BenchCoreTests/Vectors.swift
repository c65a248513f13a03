import Foundation
import XCTest

@testable import BenchCore

/// The vectors of `bench_protocol/`, three directories above these tests.
enum Vectors {
    private static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../bench_protocol/vectors")

    static func read(_ name: String) throws -> Json {
        try JsonParser.parse(readFile(directory.appendingPathComponent(name).path))
    }

    static func cases(_ name: String, in list: String = "cases") throws -> [Json] {
        let cases = try read(name)[list].items
        XCTAssertFalse(cases.isEmpty)
        return cases
    }
}

extension Json {
    subscript(key: String) -> Json {
        guard case .object(let members) = self else { return .null }
        return members.last { $0.key == key }?.value ?? .null
    }

    var items: [Json] {
        guard case .array(let items) = self else { return [] }
        return items
    }

    var text: String {
        guard case .text(let text) = self else { return "" }
        return text
    }

    var boolean: Bool? {
        guard case .boolean(let boolean) = self else { return nil }
        return boolean
    }

    var double: Double? {
        guard case .digits(let digits) = self else { return nil }
        return Double(digits)
    }

    var integer: Int64? {
        guard case .digits(let digits) = self else { return nil }
        return Int64(digits)
    }

    /// Durations, which the vectors write as pairs of duration and times.
    var durationsNs: [Int64] {
        self["durations_ns"].items.flatMap { pair in
            let (duration, times) = (pair.items.first?.integer, pair.items.last?.integer)
            return [Int64](repeating: duration ?? -1, count: Int(times ?? 0))
        }
    }
}
