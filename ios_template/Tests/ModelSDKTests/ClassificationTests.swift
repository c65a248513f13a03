import XCTest

@testable import ModelSDK

final class ClassificationTests: XCTestCase {
    func testEqualScoresStandInOrderAndNaNLast() throws {
        let scores: [Float] = [.nan, 1, 3, .nan, 3, -.infinity]
        XCTAssertEqual(Classification.indices(ofBest: 9, in: scores), [2, 4, 1, 5, 0, 3])
        XCTAssertEqual(Classification.indices(ofBest: 2, in: scores), [2, 4])
        XCTAssertEqual(Classification.indices(ofBest: 1, in: []), [])
    }

    func testSoftmaxBearsLargeLogitsAndAddsUpToOne() throws {
        let shares = Classification.softmax([1000, 999, -1000])
        XCTAssertEqual(shares.reduce(0, +), 1, accuracy: 1e-6)
        XCTAssertEqual(shares[0], 0.731_058_6, accuracy: 1e-6)
        XCTAssertEqual(Classification.softmax([]), [])
        XCTAssertTrue(Classification.softmax([0, .nan]).allSatisfy(\.isNaN))
    }

    func testTensorsOfBothFloatsAreLabelled() throws {
        let classification = Classification(labels: ["a", "b", "c"], topK: 2)
        let wanted = [
            Classification.Label(index: 1, text: "b", confidence: 0.5),
            Classification.Label(index: 2, text: "c", confidence: 0.375),
        ]
        let scores: [Float] = [0.125, 0.5, 0.375]
        XCTAssertEqual(try classification.best(of: Tensor(scores, shape: [1, 3])), wanted)
        let halves = try Tensor(scores.map(Half.init), shape: [3])
        XCTAssertEqual(try classification.best(of: halves), wanted)
        XCTAssertThrowsError(try classification.best(of: Tensor<Double>(shape: [3])))
        XCTAssertThrowsError(try classification.best(of: Tensor<Float>(shape: [4])))
    }
}
