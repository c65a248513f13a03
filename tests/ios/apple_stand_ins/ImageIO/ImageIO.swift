// The few parts of ImageIO that the SDK uses. A file is: width, height, orientation (255: none),
// then its pixels.
@_exported import CoreGraphics

public enum CGImagePropertyOrientation: UInt32 {
    case up = 1
    case upMirrored, down, downMirrored, leftMirrored, right, rightMirrored, left
}

public let kCGImageSourceShouldCache: CFString = "cache"
public let kCGImageSourceSubsampleFactor: CFString = "subsample"
public let kCGImagePropertyPixelWidth: CFString = "width"
public let kCGImagePropertyPixelHeight: CFString = "height"
public let kCGImagePropertyOrientation: CFString = "orientation"

public final class CGImageSource {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isPicture: Bool {
        bytes.count > 3 && bytes.count == 3 + 4 * Int(bytes[0]) * Int(bytes[1])
    }
}

public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource?
{
    CGImageSource(Array(data))
}

public func CGImageSourceGetCount(_ source: CGImageSource) -> Int { source.isPicture ? 1 : 0 }

public func CGImageSourceGetPrimaryImageIndex(_ source: CGImageSource) -> Int { 0 }

public func CGImageSourceCopyPropertiesAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> Any? {
    var properties: CFDictionary = [
        kCGImagePropertyPixelWidth: Int(source.bytes[0]),
        kCGImagePropertyPixelHeight: Int(source.bytes[1]),
    ]
    if source.bytes[2] != 255 { properties[kCGImagePropertyOrientation] = UInt32(source.bytes[2]) }
    return properties
}

public func CGImageSourceCreateImageAtIndex(
    _ source: CGImageSource, _ index: Int, _ options: CFDictionary?
) -> CGImage? {
    guard let step = options?[kCGImageSourceSubsampleFactor] as? Int else { return nil }
    let (width, height) = (Int(source.bytes[0]), Int(source.bytes[1]))
    var rgba: [UInt8] = []
    for y in stride(from: 0, through: height - step, by: step) {
        for x in stride(from: 0, through: width - step, by: step) {
            let first = 3 + 4 * (y * width + x)
            rgba += source.bytes[first..<first + 4]
        }
    }
    return CGImage(width: width / step, height: height / step, rgba: rgba)
}
