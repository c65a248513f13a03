import XCTest

@testable import ModelSDK

final class ResourcesTests: XCTestCase {
    func testResourcesArePackaged() {
        XCTAssertNotNil(ModelResources.bundle)
    }
}
