import Ort
import XCTest

@testable import BenchCore

final class RuntimeTests: XCTestCase {
    func testRuntimeHasTheProviderThatEveryBlockFallsBackOn() throws {
        XCTAssertTrue(try OrtRuntime.availableProviders().contains("CPUExecutionProvider"))
    }
}
