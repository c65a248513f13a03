import XCTest

@testable import ModelSDK

final class ImagePreprocessorTests: XCTestCase {
    func testPixelsKeepTheirPlaceInBothLayoutsAndAllColorOrders() throws {
        let picture = try Picture(width: 2, height: 1, rgba: [10, 20, 30, 255, 40, 50, 60, 255])
        let wanted: [(ImageFormat.Layout, ImageFormat.ColorOrder, [UInt8])] = [
            (.nchw, .rgb, [10, 40, 20, 50, 30, 60]), (.nhwc, .rgb, [10, 20, 30, 40, 50, 60]),
            (.nchw, .bgr, [30, 60, 20, 50, 10, 40]), (.nhwc, .bgr, [30, 20, 10, 60, 50, 40]),
            // 0.299 · R + 0.587 · G + 0.114 · B, rounded.
            (.nchw, .gray, [18, 48]), (.nhwc, .gray, [18, 48]),
        ]
        for (layout, order, levels) in wanted {
            let format = ImageFormat(
                width: 2, height: 1, layout: layout, colorOrder: order, channelType: .uint8,
                scale: 1)
            XCTAssertEqual(try tensor(picture, format), levels, "\(layout) \(order)")
        }
    }

    func testWhatIsNotOpaqueLiesOnWhite() throws {
        let picture = try Picture(width: 1, height: 1, rgba: [0, 100, 255, 51])
        let format = ImageFormat(
            width: 1, height: 1, layout: .nhwc, channelType: .uint8, scale: 1)
        XCTAssertEqual(try tensor(picture, format), [204, 224, 255])
    }

    func testRulesPlaceThePicture() throws {
        let wide = try Picture(width: 4, height: 2, rgba: gray([0, 0, 200, 200, 0, 0, 200, 200]))
        let wanted: [(ImageFormat.ResizeRule, [UInt8])] = [
            (.stretch, [0, 200, 0, 200]), (.fit, [0, 200, 9, 9]), (.fitTopLeft, [0, 200, 9, 9]),
            (.fitHeight, [0, 200, 0, 200]), (.crop, [0, 200, 0, 200]),
        ]
        for (rule, levels) in wanted {
            let format = ImageFormat(
                width: 2, height: 2, colorOrder: .gray, channelType: .uint8, scale: 1,
                resize: rule, padding: 9, antialias: false)
            XCTAssertEqual(try tensor(wide, format), levels, "\(rule)")
        }
    }

    func testShrinkingAveragesOverAllItCovers() throws {
        let wide = try Picture(width: 4, height: 1, rgba: gray([0, 0, 200, 200]))
        let format = ImageFormat(
            width: 2, height: 1, colorOrder: .gray, channelType: .uint8, scale: 1)
        // A triangle of reach 2 around 1: weights 3, 3 and 1 of 7.
        XCTAssertEqual(try tensor(wide, format), [29, 171])
    }

    func testLevelsAreScaledAndRoundedToTheTensorsType() throws {
        let picture = try Picture(width: 1, height: 1, rgba: [255, 51, 0, 255])
        let floats = ImageFormat(
            width: 1, height: 1, layout: .nhwc, mean: [0.5, 0.2, 0.25], std: [0.5, 1, 0.5])
        let tensor = try Tensor<Float>(shape: floats.shape)
        try ImagePreprocessor(format: floats).write(picture, to: tensor)
        XCTAssertEqual(try tensor.elements(), [1, 0, -0.5])
        let halves = ImageFormat(
            width: 1, height: 1, layout: .nhwc, channelType: .float16, scale: 1 / 3)
        let small = try Tensor<Half>(shape: halves.shape)
        try ImagePreprocessor(format: halves).write(picture, to: small)
        XCTAssertEqual(try small.floats(), [85, 17, 0])
        let bytes = ImageFormat(
            width: 1, height: 1, layout: .nhwc, channelType: .uint8, scale: 1,
            mean: [-100, 50.5, 1])
        // Clamped, rounded to even, clamped.
        XCTAssertEqual(try self.tensor(picture, bytes), [255, 0, 0])
    }

    func testAnotherTensorIsRefused() throws {
        let preprocessor = ImagePreprocessor(format: ImageFormat(width: 2, height: 2))
        let picture = try Picture(width: 1, height: 1, rgba: [0, 0, 0, 255])
        let whole = try Tensor<Int32>(shape: [1, 3, 2, 2])
        XCTAssertThrowsError(try preprocessor.write(picture, to: whole))
        let turned = try Tensor<Float>(shape: [1, 2, 2, 3])
        XCTAssertThrowsError(try preprocessor.write(picture, to: turned))
        var tooFew = [UInt8](repeating: 0, count: 47)
        XCTAssertThrowsError(
            try tooFew.withUnsafeMutableBytes { try preprocessor.write(picture, to: $0) })
    }

    private func tensor(_ picture: Picture, _ format: ImageFormat) throws -> [UInt8] {
        let tensor = try Tensor<UInt8>(shape: format.shape)
        try ImagePreprocessor(format: format).write(picture, to: tensor)
        return try tensor.elements()
    }

    private func gray(_ levels: [UInt8]) -> [UInt8] {
        levels.flatMap { [$0, $0, $0, 255] }
    }
}
