// The few parts of UIKit that the SDK uses.
@_exported import CoreGraphics

public final class UIImage {
    public enum Orientation {
        case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
    }

    public let cgImage: CGImage?
    public let imageOrientation: Orientation
    public let scale: CGFloat = 2
    public let size: CGSize
    private let filtered: CGImage?

    public init(_ image: CGImage, _ orientation: Orientation = .up, isFiltered: Bool = false) {
        cgImage = isFiltered ? nil : image
        filtered = isFiltered ? image : nil
        imageOrientation = orientation
        size = CGSize(width: image.width / 2, height: image.height / 2)
    }

    public func draw(at point: CGPoint) {
        UIGraphicsImageRenderer.drawn = filtered
    }
}

public final class UIGraphicsImageRendererFormat {
    public var scale: CGFloat = 3
    public init() {}
}

public struct UIGraphicsImageRendererContext {}

public final class UIGraphicsImageRenderer {
    nonisolated(unsafe) static var drawn: CGImage?

    public init(size: CGSize, format: UIGraphicsImageRendererFormat) {
        precondition(format.scale == 2)
    }

    public func image(actions: (UIGraphicsImageRendererContext) -> Void) -> UIImage {
        actions(UIGraphicsImageRendererContext())
        guard let drawn = UIGraphicsImageRenderer.drawn else { fatalError("nothing was drawn") }
        return UIImage(drawn)
    }
}
