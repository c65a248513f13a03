import XCTest

@testable import ModelSDK

final class PictureTests: XCTestCase {
    /// Two columns, three rows; red tells the pixel.
    private let picture = try? Picture(
        width: 2, height: 3, rgba: (0..<6).flatMap { [UInt8($0), 0, 0, 255] })

    func testOrientationsAreThoseOfExif() throws {
        let seen: [(Int, [UInt8])] = [
            (0, [0, 1, 2, 3, 4, 5]), (1, [0, 1, 2, 3, 4, 5]), (2, [1, 0, 3, 2, 5, 4]),
            (3, [5, 4, 3, 2, 1, 0]), (4, [4, 5, 2, 3, 0, 1]), (5, [0, 2, 4, 1, 3, 5]),
            (6, [4, 2, 0, 5, 3, 1]), (7, [5, 3, 1, 4, 2, 0]), (8, [1, 3, 5, 0, 2, 4]),
        ]
        let picture = try XCTUnwrap(picture)
        for (orientation, wanted) in seen {
            let turned = try picture.oriented(orientation)
            XCTAssertEqual(reds(of: turned), wanted, "orientation \(orientation)")
            XCTAssertEqual(turned.width, orientation < 5 ? 2 : 3)
            XCTAssertEqual(turned.height, orientation < 5 ? 3 : 2)
        }
    }

    func testTurningBackGivesThePictureAgain() throws {
        let picture = try XCTUnwrap(picture)
        for (there, back) in [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)] {
            XCTAssertEqual(try picture.oriented(there).oriented(back), picture)
        }
    }

    func testWhatIsNoPictureIsRefused() throws {
        XCTAssertThrowsError(try Picture(width: 0, height: 1, rgba: []))
        XCTAssertThrowsError(try Picture(width: 1, height: 1, rgba: [1, 2, 3]))
        XCTAssertThrowsError(try Picture(width: .max, height: .max, rgba: [1, 2, 3, 4]))
        XCTAssertThrowsError(try XCTUnwrap(picture).oriented(9))
    }

    func testColorsMultipliedWithAlphaComeBackToALevelOnceTheyLieOnWhite() {
        for alpha in 0...255 {
            // As platforms round: to the nearest.
            let levels = (0...255).map { UInt8(($0 * alpha + 127) / 255) }
            var rgba = levels.flatMap { [$0, $0, $0, UInt8(alpha)] }
            Picture.unmultiply(&rgba)
            for (level, multiplied) in levels.enumerated() {
                let once = onWhite(Int(rgba[level * 4]), alpha)
                XCTAssertLessThanOrEqual(abs(once - (Int(multiplied) + 255 - alpha)), 1)
                XCTAssertEqual(rgba[level * 4 + 3], UInt8(alpha))
                if alpha == 255 { XCTAssertEqual(rgba[level * 4], UInt8(level)) }
            }
        }
    }

    private func reds(of picture: Picture) -> [UInt8] {
        stride(from: 0, to: picture.rgba.count, by: 4).map { picture.rgba[$0] }
    }

    private func onWhite(_ level: Int, _ alpha: Int) -> Int {
        (level * alpha + 255 * (255 - alpha) + 127) / 255
    }
}
