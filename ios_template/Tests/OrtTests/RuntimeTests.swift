import XCTest

@testable import Ort

final class RuntimeTests: XCTestCase {
    func testRuntimeTellsItsVersion() {
        XCTAssertTrue(OrtRuntime.version.hasPrefix("1."), OrtRuntime.version)
    }
}
