/// A picture without any platform class: rows of pixels from the top, columns from the left.
///
/// A pixel is four bytes in sRGB: red, green, blue, alpha. Colors are not multiplied with alpha.
public struct Picture: Hashable, Sendable {
    /// Bytes of a pixel.
    static let pixelBytes = 4
    private static let lastOrientation = 8
    private static let firstTransposed = 5
    // A column of the turned picture comes from the other end: 2 mirrored, 3 half a turn,
    // 6 a quarter clockwise, 7 mirrored on the other diagonal. Rows likewise.
    private static let mirroredColumns: Set<Int> = [2, 3, 6, 7]
    private static let mirroredRows: Set<Int> = [3, 4, 7, 8]

    /// Columns.
    public let width: Int
    /// Rows.
    public let height: Int
    /// Red, green, blue and alpha of each pixel, row by row.
    public let rgba: [UInt8]

    /// Makes a picture of bytes in the order red, green, blue, alpha.
    ///
    /// - Throws: ``SDKError/invalidElements(_:)`` if a size is not positive, or there are more or
    ///   fewer bytes than the pixels have.
    public init(width: Int, height: Int, rgba: [UInt8]) throws {
        guard width > 0, height > 0 else {
            throw SDKError.invalidElements("A picture of \(width) x \(height) pixels is empty")
        }
        let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
        guard !overflow, rgba.count % Self.pixelBytes == 0, rgba.count / Self.pixelBytes == pixels
        else {
            throw SDKError.invalidElements(
                "\(rgba.count) bytes are not the pixels of a picture of \(width) x \(height)")
        }
        self.init(checkedWidth: width, height: height, rgba: rgba)
    }

    private init(checkedWidth width: Int, height: Int, rgba: [UInt8]) {
        self.width = width
        self.height = height
        self.rgba = rgba
    }

    /// Turns and mirrors the picture as Exif's orientation tag asks.
    ///
    /// - Parameter orientation: 1 to 8 as in Exif 2.3; 0 (unknown) counts as 1.
    /// - Returns: The picture as it should be seen.
    /// - Throws: ``SDKError/invalidElements(_:)`` if it is none of these.
    public func oriented(_ orientation: Int) throws -> Picture {
        guard (0...Self.lastOrientation).contains(orientation) else {
            throw SDKError.invalidElements("Exif knows no orientation \(orientation)")
        }
        guard orientation > 1 else { return self }
        let isTransposed = orientation >= Self.firstTransposed
        let newWidth = isTransposed ? height : width
        let newHeight = isTransposed ? width : height
        let fromRight = Self.mirroredColumns.contains(orientation)
        let fromBottom = Self.mirroredRows.contains(orientation)
        let step = (isTransposed ? width : 1) * (fromRight ? -1 : 1)
        let turned = [UInt8](unsafeUninitializedCapacity: rgba.count) { bytes, count in
            rgba.withUnsafeBytes { source in
                let target = UnsafeMutableRawBufferPointer(bytes)
                var offset = 0
                for row in 0..<newHeight {
                    let y = fromBottom ? newHeight - 1 - row : row
                    let x = fromRight ? newWidth - 1 : 0
                    var pixel = isTransposed ? x * width + y : y * width + x
                    for _ in 0..<newWidth {
                        let value = source.loadUnaligned(
                            fromByteOffset: pixel * Self.pixelBytes, as: UInt32.self)
                        target.storeBytes(of: value, toByteOffset: offset, as: UInt32.self)
                        offset += Self.pixelBytes
                        pixel += step
                    }
                }
            }
            count = rgba.count
        }
        return Picture(checkedWidth: newWidth, height: newHeight, rgba: turned)
    }
}
