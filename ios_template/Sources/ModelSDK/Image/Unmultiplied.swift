extension Picture {
    /// Divides colors by the alpha that they were multiplied with, in place.
    ///
    /// A pixel that is laid on white afterwards differs by at most one level from the same pixel
    /// laid on white as it came.
    static func unmultiply(_ rgba: inout [UInt8]) {
        rgba.withUnsafeMutableBufferPointer { bytes in
            for index in stride(from: 0, to: bytes.count - pixelBytes + 1, by: pixelBytes) {
                let alpha = Int(bytes[index + 3])
                guard alpha < 255 else { continue }
                for channel in index..<index + 3 {
                    let level = alpha == 0 ? 0 : (Int(bytes[channel]) * 255 + alpha / 2) / alpha
                    bytes[channel] = UInt8(min(level, 255))
                }
            }
        }
    }
}
