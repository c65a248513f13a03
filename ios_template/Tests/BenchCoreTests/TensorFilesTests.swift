import Ort
import XCTest

@testable import BenchCore

final class TensorFilesTests: XCTestCase {
    func testTensorsOfTheVectorsAreTakenAndGivenBack() throws {
        for vector in try Vectors.cases("tensor_files/tensors.json", in: "valid") {
            let (type, shape, bytes) = try tensor(vector)
            try bytes.withUnsafeBytes { data in
                if type == .string {
                    let texts = try decodeStrings(data, shape)
                    XCTAssertEqual(try encodeStrings(texts.map { ArraySlice($0.utf8) }), bytes)
                    XCTAssertEqual(texts.count, try elementCount(of: shape))
                } else {
                    XCTAssertNoThrow(try checkElements(data, type, shape), vector["name"].text)
                }
                XCTAssertEqual(sha256(data), vector["sha256"].text, vector["name"].text)
            }
        }
    }

    func testBytesThatAreNoTensorAreRefused() throws {
        for vector in try Vectors.cases("tensor_files/tensors.json", in: "invalid") {
            let (type, shape, bytes) = try tensor(vector)
            try bytes.withUnsafeBytes { data in
                XCTAssertThrowsError(try check(data, type, shape), vector["name"].text) {
                    XCTAssertTrue($0 is InvalidTensor, vector["name"].text)
                }
            }
        }
    }

    private func check(
        _ data: UnsafeRawBufferPointer, _ type: OrtElementType, _ shape: [Int]
    ) throws {
        if type == .string {
            _ = try decodeStrings(data, shape)
        } else {
            try checkElements(data, type, shape)
        }
    }

    /// Source of the digests: FIPS 180-4's examples, and NIST's of a million letters.
    func testSha256() {
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        let known: [([UInt8], String)] = [
            ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (
                Array("abc".utf8),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            ),
            (million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ]
        for (bytes, digest) in known {
            XCTAssertEqual(bytes.withUnsafeBytes { sha256($0) }, digest)
        }
    }

    func testSha256IsTheSameInPieces() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let whole = bytes.withUnsafeBytes { sha256($0) }
        for size in [1, 3, 55, 56, 63, 64, 65, 127, 999] {
            var digest = Sha256()
            for start in stride(from: 0, to: bytes.count, by: size) {
                Array(bytes[start..<min(start + size, bytes.count)]).withUnsafeBytes {
                    digest.update($0)
                }
            }
            XCTAssertEqual(digest.finish(), whole, "in pieces of \(size)")
        }
    }

    private func tensor(_ vector: Json) throws -> (OrtElementType, [Int], [UInt8]) {
        let type = try XCTUnwrap(OrtElementType(rawValue: vector["element_type"].text))
        let shape = try vector["shape"].items.map { Int(try XCTUnwrap($0.integer)) }
        let digits = Array(vector["hex"].text)
        let bytes = try stride(from: 0, to: digits.count, by: 2).map {
            try XCTUnwrap(UInt8(String(digits[$0..<$0 + 2]), radix: 16))
        }
        return (type, shape, bytes)
    }
}
