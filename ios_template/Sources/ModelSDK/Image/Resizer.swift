/// Resizes a picture row by row: columns first, then rows, each rounded to whole levels.
///
/// Rows hold one channel after the other. Source rows that a resized row needs are kept in a ring,
/// so that the working memory is a few rows.
final class Resizer {
    /// First column of the tensor that the picture covers.
    private(set) var left = 0
    /// First row likewise.
    private(set) var top = 0
    /// Columns of the tensor that it covers.
    private(set) var width = 0
    /// Rows likewise.
    private(set) var height = 0

    private let format: ImageFormat
    private let channels: Int
    private var preparedFor = (width: 0, height: 0)
    private var columns = Resampling(
        source: 1, resized: 1, offset: 0, visible: 1, antialias: false)
    private var rows = Resampling(source: 1, resized: 1, offset: 0, visible: 1, antialias: false)
    private let ring = WorkingMemory<UInt8>()
    private let flat = WorkingMemory<UInt8>()
    private let sums = WorkingMemory<Int32>()
    private var nextSourceRow = 0

    init(format: ImageFormat) {
        self.format = format
        channels = format.colorOrder.channelCount
    }

    /// Begins with a picture; one of the same size as the last costs nothing.
    func start(_ picture: Picture) {
        nextSourceRow = 0
        guard preparedFor != (picture.width, picture.height) else { return }
        let whole = Placement(of: picture, in: format)
        left = max(0, whole.left)
        top = max(0, whole.top)
        width = min(format.width, whole.width)
        height = min(format.height, whole.height)
        columns = Resampling(
            source: picture.width, resized: whole.width, offset: max(0, -whole.left),
            visible: width, antialias: format.antialias)
        rows = Resampling(
            source: picture.height, resized: whole.height, offset: max(0, -whole.top),
            visible: height, antialias: format.antialias)
        ring.reserve(rows.taps * channels * width, zero: 0)
        flat.reserve(picture.width * Picture.pixelBytes, zero: 0)
        sums.reserve(width, zero: 0)
        preparedFor = (picture.width, picture.height)
    }

    /// Computes visible row `index` of `source`, one channel after the other; rows are asked for in
    /// ascending order.
    func readRow(
        _ index: Int, of source: UnsafeBufferPointer<UInt8>,
        into target: UnsafeMutableBufferPointer<UInt8>
    ) {
        let first = rows.first[index]
        let end = first + rows.count[index]
        let rowBytes = preparedFor.width * Picture.pixelBytes
        for y in max(first, nextSourceRow)..<max(first, nextSourceRow, end) {
            let line = UnsafeBufferPointer(rebasing: source[y * rowBytes..<(y + 1) * rowBytes])
            let offset = y % rows.taps * channels * width
            if channels == 1 {
                flattenToGray(line)
                shrinkGray(into: offset)
            } else if isOpaque(line) {
                shrinkColors(line, into: offset)
            } else {
                flattenOnWhite(line)
                shrinkColors(UnsafeBufferPointer(flat.values), into: offset)
            }
        }
        nextSourceRow = max(end, nextSourceRow)
        for channel in 0..<channels { mix(channel, ofRow: index, into: target) }
    }

    private func isOpaque(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        var all = UInt8.max
        for index in stride(from: 3, to: line.count, by: Picture.pixelBytes) { all &= line[index] }
        return all == UInt8.max
    }

    private func flattenOnWhite(_ line: UnsafeBufferPointer<UInt8>) {
        let target = flat.values
        for index in stride(from: 0, to: line.count, by: Picture.pixelBytes) {
            let alpha = Int32(line[index + 3])
            for channel in index..<index + 3 {
                target[channel] = onWhite(line[channel], alpha: alpha)
            }
        }
    }

    private func flattenToGray(_ line: UnsafeBufferPointer<UInt8>) {
        let target = flat.values
        var column = 0
        for index in stride(from: 0, to: line.count, by: Picture.pixelBytes) {
            let alpha = Int32(line[index + 3])
            target[column] = luma(
                red: onWhite(line[index], alpha: alpha),
                green: onWhite(line[index + 1], alpha: alpha),
                blue: onWhite(line[index + 2], alpha: alpha))
            column += 1
        }
    }

    private func shrinkColors(_ line: UnsafeBufferPointer<UInt8>, into offset: Int) {
        let target = ring.values
        let (width, taps) = (width, columns.taps)
        columns.weights.withUnsafeBufferPointer { weights in
            for x in 0..<width {
                var red = Resampling.half
                var green = Resampling.half
                var blue = Resampling.half
                var index = columns.first[x] &* Picture.pixelBytes
                let start = x &* taps
                for tap in start..<start &+ columns.count[x] {
                    let weight = weights[tap]
                    red &+= Int32(line[index]) &* weight
                    green &+= Int32(line[index &+ 1]) &* weight
                    blue &+= Int32(line[index &+ 2]) &* weight
                    index &+= Picture.pixelBytes
                }
                target[offset &+ x] = level(red)
                target[offset &+ width &+ x] = level(green)
                target[offset &+ 2 &* width &+ x] = level(blue)
            }
        }
    }

    private func shrinkGray(into offset: Int) {
        let (line, target) = (flat.values, ring.values)
        let (width, taps) = (width, columns.taps)
        columns.weights.withUnsafeBufferPointer { weights in
            for x in 0..<width {
                var sum = Resampling.half
                let (first, start) = (columns.first[x], x &* taps)
                for tap in 0..<columns.count[x] {
                    sum &+= Int32(line[first &+ tap]) &* weights[start &+ tap]
                }
                target[offset &+ x] = level(sum)
            }
        }
    }

    private func mix(
        _ channel: Int, ofRow row: Int, into target: UnsafeMutableBufferPointer<UInt8>
    ) {
        let (width, source, sums) = (width, ring.values, sums.values)
        for x in 0..<width { sums[x] = Resampling.half }
        for tap in 0..<rows.count[row] {
            let slot = (rows.first[row] + tap) % rows.taps
            let offset = (slot * channels + channel) * width
            let weight = rows.weights[row * rows.taps + tap]
            for x in 0..<width { sums[x] &+= Int32(source[offset &+ x]) &* weight }
        }
        let offset = channel * format.width
        for x in 0..<width { target[offset &+ x] = level(sums[x]) }
    }
}

/// Rounds a weighted sum to a level.
private func level(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(sum >> Resampling.weightBits, 255))
}

private func onWhite(_ level: UInt8, alpha: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: (Int32(level) * alpha + 255 * (255 - alpha) + 127) / 255)
}

/// ITU-R BT.601 in units of 2^-16.
private func luma(red: UInt8, green: UInt8, blue: UInt8) -> UInt8 {
    let sum = 19_595 * Int32(red) + 38_470 * Int32(green) + 7_471 * Int32(blue) + 0x8000
    return UInt8(truncatingIfNeeded: sum >> 16)
}
