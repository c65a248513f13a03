#if canImport(CoreGraphics) && canImport(ImageIO)
    import CoreGraphics
    import Foundation
    import ImageIO

    extension Picture {
        /// Most pixels of a picture unless something else is asked for.
        public static let defaultMaximumPixels = 16_000_000
        private static let bitsPerComponent = 8
        private static let largestSubsampling = 8

        /// Copies the pixels of an image, converted to sRGB.
        ///
        /// - Parameter orientation: Exif's orientation of the pixels, which are turned accordingly.
        /// - Throws: ``SDKError/invalidElements(_:)`` if the image is empty or cannot be drawn.
        public init(_ image: CGImage, orientation: CGImagePropertyOrientation = .up) throws {
            let (width, height) = (image.width, image.height)
            var rgba = [UInt8](repeating: 0, count: width * height * Self.pixelBytes)
            let isDrawn = rgba.withUnsafeMutableBytes { bytes -> Bool in
                // A context takes colors only if they are multiplied with alpha.
                guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                    let context = CGContext(
                        data: bytes.baseAddress, width: width, height: height,
                        bitsPerComponent: Self.bitsPerComponent,
                        bytesPerRow: width * Self.pixelBytes, space: space,
                        bitmapInfo: CGImageAlphaInfo.premultipliedLast.rawValue)
                else { return false }
                context.setBlendMode(.copy)
                context.interpolationQuality = .none
                context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
                return true
            }
            guard isDrawn else {
                throw SDKError.invalidElements(
                    "The image of \(width) x \(height) pixels cannot be drawn")
            }
            Self.unmultiply(&rgba)
            self = try Picture(width: width, height: height, rgba: rgba)
                .oriented(Int(orientation.rawValue))
        }

        /// Reads a photo's file as it should be seen: decoded, and turned as its Exif orientation
        /// says.
        ///
        /// - Parameter maximumPixels: A photo of more pixels is read at a half, a quarter or an
        ///   eighth of its sides, as far as its format allows that.
        /// - Throws: ``SDKError/invalidElements(_:)`` if the data are no picture that this device
        ///   can read.
        public init(decoding data: Data, maximumPixels: Int = Picture.defaultMaximumPixels) throws {
            let uncached = [kCGImageSourceShouldCache: false] as CFDictionary
            guard let source = CGImageSourceCreateWithData(data as CFData, uncached),
                CGImageSourceGetCount(source) > 0
            else { throw Self.unreadable(data) }
            let index = CGImageSourceGetPrimaryImageIndex(source)
            let properties = CGImageSourceCopyPropertiesAtIndex(source, index, uncached)
            let facts = PhotoFacts(properties as? [CFString: Any] ?? [:])
            let options: [CFString: Any] = [
                kCGImageSourceShouldCache: false,
                kCGImageSourceSubsampleFactor: facts.subsampling(
                    maximumPixels: maximumPixels, largest: Self.largestSubsampling),
            ]
            let decoding = options as CFDictionary
            guard let image = CGImageSourceCreateImageAtIndex(source, index, decoding) else {
                throw Self.unreadable(data)
            }
            try self.init(image, orientation: facts.orientation)
        }

        /// Makes an image for the screen.
        ///
        /// - Returns: nil if the system has no memory for it.
        public func makeCGImage() -> CGImage? {
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let provider = CGDataProvider(data: Data(rgba) as CFData)
            else { return nil }
            return CGImage(
                width: width, height: height, bitsPerComponent: Self.bitsPerComponent,
                bitsPerPixel: Self.bitsPerComponent * Self.pixelBytes,
                bytesPerRow: width * Self.pixelBytes, space: space,
                bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.last.rawValue),
                provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
        }

        private static func unreadable(_ data: Data) -> SDKError {
            .invalidElements("\(data.count) bytes are no picture that this device can read")
        }
    }

    /// What a photo's file says of its pixels.
    private struct PhotoFacts {
        private let width: Int
        private let height: Int
        let orientation: CGImagePropertyOrientation

        init(_ properties: [CFString: Any]) {
            width = properties[kCGImagePropertyPixelWidth] as? Int ?? 0
            height = properties[kCGImagePropertyPixelHeight] as? Int ?? 0
            let tag = properties[kCGImagePropertyOrientation] as? UInt32
            // No Exif at all, as in a screenshot, or a number that Exif does not know.
            orientation = tag.flatMap(CGImagePropertyOrientation.init(rawValue:)) ?? .up
        }

        /// The power of two that divides sides until the pixels are few enough.
        func subsampling(maximumPixels: Int, largest: Int) -> Int {
            var factor = 1
            while factor < largest, (width / factor) * (height / factor) > maximumPixels {
                factor *= 2
            }
            return factor
        }
    }
#endif
