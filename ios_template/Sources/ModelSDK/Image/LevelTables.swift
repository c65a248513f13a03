/// What each level of each channel becomes, and its padding; a table for each channel type.
struct LevelTables {
    /// Entries of a channel: 256 levels and the padding.
    static let stride = 257
    /// Entry of the padding.
    static let padding = 256

    private let format: ImageFormat

    init(format: ImageFormat) {
        self.format = format
    }

    /// Entries of one channel after the other; nearest floats.
    func floats() -> [Float] { table { Float($0) } }

    /// Nearest floats' nearest halves.
    func halves() -> [UInt16] { table { Half(Float($0)).bitPattern } }

    /// Nearest whole numbers, ties to even, from 0 to 255.
    func bytes() -> [UInt8] {
        table { UInt8(min(max($0.rounded(.toNearestOrEven), 0), 255)) }
    }

    private func table<Value>(_ convert: (Double) -> Value) -> [Value] {
        (0..<format.colorOrder.channelCount).flatMap { channel in
            (0..<Self.stride).map { entry in
                let level = entry == Self.padding ? format.padding : Double(entry)
                return convert(format.value(ofLevel: level, channel: channel))
            }
        }
    }
}
