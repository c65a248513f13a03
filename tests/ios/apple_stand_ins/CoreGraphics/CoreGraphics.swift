// The few parts of CoreGraphics that the SDK uses, with its names, on Linux.
@_exported import Foundation

public typealias CFString = String
public typealias CFData = Data
public typealias CFDictionary = [CFString: Any]

/// Pixels as a test gives them: not multiplied with alpha.
public final class CGImage {
    public let width: Int
    public let height: Int
    public let rgba: [UInt8]

    public init(width: Int, height: Int, rgba: [UInt8]) {
        self.width = width
        self.height = height
        self.rgba = rgba
    }

    public convenience init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
        decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
    ) {
        guard bitsPerComponent == 8, bitsPerPixel == 32, bytesPerRow == 4 * width,
            provider.data.count == bytesPerRow * height,
            bitmapInfo.rawValue == CGImageAlphaInfo.last.rawValue
        else { return nil }
        self.init(width: width, height: height, rgba: Array(provider.data))
    }
}

public enum CGImageAlphaInfo: UInt32 {
    case premultipliedLast = 1
    case last = 3
}

public struct CGBitmapInfo {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}

public enum CGColorRenderingIntent { case defaultIntent }

public enum CGBlendMode { case normal, copy }

public enum CGInterpolationQuality { case none, high }

public final class CGColorSpace {
    public static let sRGB: CFString = "sRGB"
    public init?(name: CFString) {
        if name != CGColorSpace.sRGB { return nil }
    }
}

public final class CGDataProvider {
    let data: Data
    public init?(data: CFData) { self.data = data }
}

/// Draws as the system does: colors come multiplied with alpha, rounded.
public final class CGContext {
    private let bytes: UnsafeMutablePointer<UInt8>
    private let bytesPerRow: Int
    private var mode = CGBlendMode.normal
    public var interpolationQuality = CGInterpolationQuality.high

    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) {
        guard let data, width > 0, height > 0, bitsPerComponent == 8,
            bitmapInfo == CGImageAlphaInfo.premultipliedLast.rawValue
        else { return nil }
        bytes = data.assumingMemoryBound(to: UInt8.self)
        self.bytesPerRow = bytesPerRow
    }

    public func setBlendMode(_ mode: CGBlendMode) { self.mode = mode }

    public func draw(_ image: CGImage, in rectangle: CGRect) {
        precondition(mode == .copy && interpolationQuality == .none)
        precondition(rectangle == CGRect(x: 0, y: 0, width: image.width, height: image.height))
        for index in image.rgba.indices {
            let alpha = Int(image.rgba[index - index % 4 + 3])
            let level = Int(image.rgba[index])
            let drawn = index % 4 == 3 ? alpha : (level * alpha + 127) / 255
            let row = index / (4 * image.width)
            bytes[row * bytesPerRow + index % (4 * image.width)] = UInt8(drawn)
        }
    }
}
