/// Writes pictures into the tensor that a model wants.
///
/// Every operation is defined in `docs/kinds.md` of ortlab to the last bit. A preprocessor keeps
/// working memory from call to call; use it from one thread at a time.
public final class ImagePreprocessor {
    private enum Table {
        case bytes([UInt8])
        case halves([UInt16])
        case floats([Float])
    }

    /// What the model wants.
    public let format: ImageFormat

    private let table: Table
    private let resizer: Resizer
    private let row = WorkingMemory<UInt8>()

    /// Makes a preprocessor for a model's input.
    public init(format: ImageFormat) {
        self.format = format
        let tables = LevelTables(format: format)
        switch format.channelType {
        case .uint8: table = .bytes(tables.bytes())
        case .float16: table = .halves(tables.halves())
        case .float: table = .floats(tables.floats())
        }
        resizer = Resizer(format: format)
        row.reserve(format.width * format.colorOrder.channelCount, zero: 0)
    }

    /// Writes a picture into memory of a tensor.
    ///
    /// - Parameter destination: At least as large as the tensor and aligned for its elements; what
    ///   lies behind the tensor stays as it is.
    /// - Throws: ``SDKError/invalidElements(_:)`` if it is not.
    public func write(_ picture: Picture, to destination: UnsafeMutableRawBufferPointer) throws {
        switch table {
        case .bytes(let table): fill(try typed(destination), from: picture, by: table)
        case .halves(let table): fill(try typed(destination), from: picture, by: table)
        case .floats(let table): fill(try typed(destination), from: picture, by: table)
        }
    }

    /// Writes a picture into a tensor.
    ///
    /// - Throws: ``SDKError/elementTypeMismatch(_:)`` if the model wants another type,
    ///   ``SDKError/shapeMismatch(_:)`` if it wants another shape, ``SDKError/closed(_:)`` or
    ///   ``SDKError/busy(_:)``.
    public func write(_ picture: Picture, to tensor: AnyTensor) throws {
        guard tensor.elementType == format.channelType.elementType else {
            throw SDKError.elementTypeMismatch(
                "The image tensor is of type \(format.channelType.rawValue), not "
                    + tensor.elementType.rawValue)
        }
        guard tensor.shape == format.shape else {
            throw SDKError.shapeMismatch(
                "The image tensor has the shape \(format.shape), not \(tensor.shape)")
        }
        switch tensor {
        case let tensor as Tensor<UInt8>:
            try tensor.withUnsafeMutableBytes { try write(picture, to: $0) }
        case let tensor as Tensor<Half>:
            try tensor.withUnsafeMutableBytes { try write(picture, to: $0) }
        case let tensor as Tensor<Float>:
            try tensor.withUnsafeMutableBytes { try write(picture, to: $0) }
        default:
            throw SDKError.elementTypeMismatch("\(tensor) is no image tensor")
        }
    }

    private func typed<Value>(
        _ memory: UnsafeMutableRawBufferPointer
    ) throws -> UnsafeMutablePointer<Value> {
        let byteCount = format.elementCount * MemoryLayout<Value>.stride
        guard memory.count >= byteCount, let start = memory.baseAddress else {
            throw SDKError.invalidElements(
                "The memory holds \(memory.count) bytes of the image tensor's \(byteCount)")
        }
        guard UInt(bitPattern: start) % UInt(MemoryLayout<Value>.alignment) == 0 else {
            throw SDKError.invalidElements(
                "The memory is not aligned for elements of type \(format.channelType.rawValue)")
        }
        return start.bindMemory(to: Value.self, capacity: format.elementCount)
    }

    private func fill<Value>(
        _ target: UnsafeMutablePointer<Value>, from picture: Picture, by table: [Value]
    ) {
        let sink = Sink(format: format, target: target)
        resizer.start(picture)
        let (left, width, levels) = (resizer.left, resizer.width, row.values)
        let visible = resizer.top..<resizer.top + resizer.height
        table.withUnsafeBufferPointer { table in
            picture.rgba.withUnsafeBufferPointer { rgba in
                for y in 0..<format.height {
                    guard visible.contains(y) else {
                        sink.pad(row: y, columns: 0..<format.width, by: table)
                        continue
                    }
                    resizer.readRow(y - resizer.top, of: rgba, into: levels)
                    sink.pad(row: y, columns: 0..<left, by: table)
                    sink.put(levels, row: y, columns: left..<left + width, by: table)
                    sink.pad(row: y, columns: left + width..<format.width, by: table)
                }
            }
        }
    }
}

/// Places levels of 0 to 255 in a tensor, converted by a table.
private struct Sink<Value> {
    private let target: UnsafeMutablePointer<Value>
    private let width: Int
    /// For each channel of the tensor, which of a row's channels it is.
    private let sources: [Int]
    private let pixelStep: Int
    private let channelStep: Int

    init(format: ImageFormat, target: UnsafeMutablePointer<Value>) {
        let isPlanar = format.layout == .nchw
        self.target = target
        width = format.width
        switch format.colorOrder {
        case .rgb: sources = [0, 1, 2]
        case .bgr: sources = [2, 1, 0]
        case .gray: sources = [0]
        }
        pixelStep = isPlanar ? 1 : sources.count
        channelStep = isPlanar ? format.width * format.height : 1
    }

    func pad(row: Int, columns: Range<Int>, by table: UnsafeBufferPointer<Value>) {
        for channel in sources.indices {
            let value = table[channel * LevelTables.stride + LevelTables.padding]
            var index = (row * width + columns.lowerBound) * pixelStep + channel * channelStep
            for _ in columns {
                target[index] = value
                index &+= pixelStep
            }
        }
    }

    func put(
        _ levels: UnsafeMutableBufferPointer<UInt8>, row: Int, columns: Range<Int>,
        by table: UnsafeBufferPointer<Value>
    ) {
        for channel in sources.indices {
            let entries = channel * LevelTables.stride
            let source = sources[channel] * width
            var index = (row * width + columns.lowerBound) * pixelStep + channel * channelStep
            for column in 0..<columns.count {
                target[index] = table[entries &+ Int(levels[source &+ column])]
                index &+= pixelStep
            }
        }
    }
}
