#if canImport(UIKit) && canImport(ImageIO)
    import ImageIO
    import UIKit

    extension Picture {
        /// Copies the pixels of an image as it should be seen, converted to sRGB.
        ///
        /// - Throws: ``SDKError/invalidElements(_:)`` if the image is empty or cannot be drawn.
        public init(_ image: UIImage) throws {
            if let pixels = image.cgImage {
                try self.init(pixels, orientation: image.imageOrientation.exif)
                return
            }
            // Without pixels of its own, as one that filters are still to make.
            let format = UIGraphicsImageRendererFormat()
            format.scale = image.scale
            let drawn = UIGraphicsImageRenderer(size: image.size, format: format).image { _ in
                image.draw(at: .zero)
            }
            guard let pixels = drawn.cgImage else {
                throw SDKError.invalidElements("The image of \(image.size) points cannot be drawn")
            }
            try self.init(pixels)
        }
    }

    extension UIImage.Orientation {
        fileprivate var exif: CGImagePropertyOrientation {
            switch self {
            case .up: return .up
            case .upMirrored: return .upMirrored
            case .down: return .down
            case .downMirrored: return .downMirrored
            case .leftMirrored: return .leftMirrored
            case .right: return .right
            case .rightMirrored: return .rightMirrored
            case .left: return .left
            @unknown default: return .up
            }
        }
    }
#endif
