import Foundation
import ImageIO
import ModelSDK
import UIKit

/// Holds what the SDK makes of Apple's images to what was put into them.
func expect(_ condition: Bool, _ what: String) {
    guard condition else { fatalError(what) }
}

let solid: [UInt8] = (0..<6).flatMap { [UInt8($0 * 40), UInt8(255 - $0), 7, 255] }
let upright = try Picture(width: 2, height: 3, rgba: solid)
let image = CGImage(width: 2, height: 3, rgba: solid)

// Pixels, orientations, and back.
expect(try Picture(image) == upright, "a CGImage's pixels")
for tag in 1...8 {
    guard let orientation = CGImagePropertyOrientation(rawValue: UInt32(tag)) else { continue }
    expect(
        try Picture(image, orientation: orientation) == upright.oriented(tag), "orientation \(tag)")
}
let made = upright.makeCGImage()
expect(made?.rgba == solid && made?.width == 2 && made?.height == 3, "an image for the screen")

// What shines through is what it was, to a level once it lies on white.
let glass: [UInt8] = [200, 100, 0, 128, 255, 255, 255, 0]
let seen = try Picture(CGImage(width: 2, height: 1, rgba: glass))
expect(Array(seen.rgba[4...]) == [0, 0, 0, 0], "nothing is black")
expect(seen.rgba[3] == 128, "alpha")
for channel in 0..<3 {
    expect(abs(Int(seen.rgba[channel]) - Int(glass[channel])) <= 1, "half of a color")
}
do {
    _ = try Picture(CGImage(width: 0, height: 0, rgba: []))
    expect(false, "an empty image was taken")
} catch SDKError.invalidElements {}

// UIKit's orientations are Exif's under other names.
let names: [(UIImage.Orientation, Int)] = [
    (.up, 1), (.upMirrored, 2), (.down, 3), (.downMirrored, 4), (.leftMirrored, 5), (.right, 6),
    (.rightMirrored, 7), (.left, 8),
]
for (orientation, tag) in names {
    expect(
        try Picture(UIImage(image, orientation)) == upright.oriented(tag), "\(orientation)")
}
expect(try Picture(UIImage(image, isFiltered: true)) == upright, "an image without pixels")

// Files: upright, of few pixels, and nothing else.
for (tag, turned) in [(255, 1), (0, 1), (9, 1), (6, 6)] {
    let file = Data([2, 3, UInt8(tag)] + solid)
    expect(try Picture(decoding: file) == upright.oriented(turned), "a file's orientation \(tag)")
}
let large = Data([100, 60, 255] + [UInt8](repeating: 9, count: 100 * 60 * 4))
for (pixels, width) in [(6000, 100), (5999, 50), (1500, 50), (1499, 25), (1, 12)] {
    expect(try Picture(decoding: large, maximumPixels: pixels).width == width, "\(pixels) pixels")
}
for file in [Data(), Data([1, 2, 3]), large.dropLast()] {
    do {
        _ = try Picture(decoding: file)
        expect(false, "no picture was taken for one")
    } catch SDKError.invalidElements {}
}
print("all as it should be")
