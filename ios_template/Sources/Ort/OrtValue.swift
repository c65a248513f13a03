import COrt

/// A value that goes into a model or comes out of it; nearly always a tensor.
///
/// It is not `Sendable`: its bytes can be written.
public final class OrtValue {
    /// Type of its elements; nil where it is no tensor, or one of a type without a Swift name.
    public let elementType: OrtElementType?

    /// Its dimensions; empty for a scalar and for what is no tensor.
    public let shape: [Int]

    let handle: OpaquePointer
    private let api: Api
    private let memory: OrtMemory?

    /// Number of elements.
    public var elementCount: Int { shape.reduce(1, *) }

    /// Makes a tensor that uses memory where it lies, and keeps it alive.
    ///
    /// - Parameters:
    ///   - memory: The elements in C order, at least as many as the shape says.
    ///   - elementType: Anything but `string`.
    ///   - shape: Dimensions, none of them negative.
    /// - Throws: ``OrtError`` where they do not fit each other.
    public init(_ memory: OrtMemory, elementType: OrtElementType, shape: [Int]) throws {
        let api = try Api.shared()
        let byteCount = try byteCount(of: shape, elementType)
        guard elementType != .string, byteCount <= memory.bytes.count else {
            let message =
                "\(elementType) \(shape) takes \(byteCount) bytes, there are \(memory.bytes.count)"
            throw OrtError(code: .invalidArgument, message: message)
        }
        let place = try CpuMemory.shared()
        handle = try shape.map(Int64.init).withUnsafeBufferPointer { dimensions in
            try api.make {
                api.functions.pointee.CreateTensorWithDataAsOrtValue(
                    place.handle, memory.bytes.baseAddress, byteCount, dimensions.baseAddress,
                    dimensions.count, elementType.onnxType, &$0)
            }
        }
        self.api = api
        self.memory = memory
        self.elementType = elementType
        self.shape = shape
    }

    /// Makes a tensor with a copy of the elements.
    ///
    /// - Throws: ``OrtError`` where the shape does not take exactly as many.
    public convenience init<Element: OrtElement>(_ elements: [Element], shape: [Int]) throws {
        try checkCount(elements.count, shape)
        try self.init(
            OrtMemory(copying: elements), elementType: Element.ortElementType, shape: shape)
    }

    /// Makes a tensor of strings.
    ///
    /// - Throws: ``OrtError`` where the shape does not take exactly as many.
    public init(strings: [String], shape: [Int]) throws {
        try checkCount(strings.count, shape)
        let made = try makeStrings(strings, shape, Api.shared())
        handle = made.handle
        api = made.api
        memory = nil
        elementType = .string
        self.shape = shape
    }

    /// Takes over a value that the runtime made.
    init(owning handle: OpaquePointer, api: Api) throws {
        do {
            let facts = try tensorFacts(handle, api)
            elementType = facts?.elementType
            shape = facts?.shape ?? []
        } catch {
            api.functions.pointee.ReleaseValue(handle)
            throw error
        }
        self.handle = handle
        self.api = api
        memory = nil
    }

    deinit { api.functions.pointee.ReleaseValue(handle) }

    /// Gives access to the elements in C order; they may be written.
    ///
    /// - Throws: ``OrtError`` where it is no tensor, or one of strings; what `body` throws.
    public func withUnsafeBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard let elementType, elementType != .string else {
            throw OrtError(code: .invalidArgument, message: "the value has no elements in bytes")
        }
        let count = try byteCount(of: shape, elementType)
        var data: UnsafeMutableRawPointer?
        try api.check(api.functions.pointee.GetTensorMutableData(handle, &data))
        defer { withExtendedLifetime(self) {} }
        return try body(UnsafeMutableRawBufferPointer(start: data, count: data == nil ? 0 : count))
    }

    /// Returns a copy of the elements.
    ///
    /// - Throws: ``OrtError`` where they are of another type.
    public func elements<Element: OrtElement>(as type: Element.Type = Element.self) throws
        -> [Element]
    {
        guard elementType == type.ortElementType else {
            let found = elementType.map(\.rawValue) ?? "no tensor"
            let message = "the value is \(found), not \(type.ortElementType)"
            throw OrtError(code: .invalidArgument, message: message)
        }
        return try withUnsafeBytes { bytes in
            let count = bytes.count / MemoryLayout<Element>.stride
            return [Element](unsafeUninitializedCapacity: count) { target, filled in
                UnsafeMutableRawBufferPointer(target).copyMemory(
                    from: UnsafeRawBufferPointer(bytes))
                filled = count
            }
        }
    }

    /// Returns the strings; what is no UTF-8 in them is replaced by U+FFFD.
    ///
    /// - Throws: ``OrtError`` where it is no tensor of strings.
    public func strings() throws -> [String] {
        try stringBytes().map { String(decoding: $0, as: UTF8.self) }
    }

    /// Returns the bytes of each string, which the runtime does not check to be UTF-8.
    ///
    /// - Throws: ``OrtError`` where it is no tensor of strings.
    public func stringBytes() throws -> [ArraySlice<UInt8>] {
        guard elementType == .string else {
            throw OrtError(code: .invalidArgument, message: "the value is no tensor of strings")
        }
        let count = elementCount
        if count == 0 { return [] }
        var byteCount = 0
        try api.check(api.functions.pointee.GetStringTensorDataLength(handle, &byteCount))
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var starts = [Int](repeating: 0, count: count)
        try bytes.withUnsafeMutableBytes { buffer in
            try api.check(
                api.functions.pointee.GetStringTensorContent(
                    handle, buffer.baseAddress, byteCount, &starts, count))
        }
        starts.append(byteCount)
        return (0..<count).map { bytes[starts[$0]..<starts[$0 + 1]] }
    }
}

/// Where tensors of ours lie, in the runtime's words.
private final class CpuMemory: @unchecked Sendable {
    let handle: OpaquePointer

    private static let made = Result { try CpuMemory() }

    static func shared() throws -> CpuMemory { try made.get() }

    private init() throws {
        let api = try Api.shared()
        handle = try api.make {
            api.functions.pointee.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &$0)
        }
    }
}

/// Returns the bytes that a tensor takes.
private func byteCount(of shape: [Int], _ type: OrtElementType) throws -> Int {
    try elementCount(of: shape, each: max(type.byteCount, 1))
}

private func elementCount(of shape: [Int], each size: Int) throws -> Int {
    if shape.contains(where: { $0 < 0 }) {
        throw OrtError(code: .invalidArgument, message: "\(shape) has a negative dimension")
    }
    if shape.contains(0) { return 0 }
    var product = size
    for dimension in shape {
        let (next, overflows) = product.multipliedReportingOverflow(by: dimension)
        if overflows {
            let message = "\(shape) are more elements than a machine can hold"
            throw OrtError(code: .invalidArgument, message: message)
        }
        product = next
    }
    return product
}

private func checkCount(_ count: Int, _ shape: [Int]) throws {
    let needed = try elementCount(of: shape, each: 1)
    if count != needed {
        let message = "\(shape) takes \(needed) elements, there are \(count)"
        throw OrtError(code: .invalidArgument, message: message)
    }
}

private func makeStrings(_ strings: [String], _ shape: [Int], _ api: Api) throws -> (
    handle: OpaquePointer, api: Api
) {
    var allocator: UnsafeMutablePointer<OrtAllocator>?
    try api.check(api.functions.pointee.GetAllocatorWithDefaultOptions(&allocator))
    let handle = try shape.map(Int64.init).withUnsafeBufferPointer { dimensions in
        try api.make {
            api.functions.pointee.CreateTensorAsOrtValue(
                allocator, dimensions.baseAddress, dimensions.count,
                ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &$0)
        }
    }
    do {
        for (index, string) in strings.enumerated() { try fill(handle, index, string, api) }
    } catch {
        api.functions.pointee.ReleaseValue(handle)
        throw error
    }
    return (handle, api)
}

/// The runtime's other calls take texts that end at U+0000.
private func fill(_ handle: OpaquePointer, _ index: Int, _ string: String, _ api: Api) throws {
    var string = string
    try string.withUTF8 { bytes in
        var target: UnsafeMutablePointer<CChar>?
        try api.check(
            api.functions.pointee.GetResizedStringTensorElementBuffer(
                handle, index, bytes.count, &target))
        if let target {
            UnsafeMutableRawBufferPointer(start: target, count: bytes.count)
                .copyMemory(from: UnsafeRawBufferPointer(bytes))
        }
    }
}

private func tensorFacts(_ handle: OpaquePointer, _ api: Api) throws -> (
    elementType: OrtElementType?, shape: [Int]
)? {
    var isTensor: Int32 = 0
    try api.check(api.functions.pointee.IsTensor(handle, &isTensor))
    if isTensor == 0 { return nil }
    let information = try api.make { api.functions.pointee.GetTensorTypeAndShape(handle, &$0) }
    defer { api.functions.pointee.ReleaseTensorTypeAndShapeInfo(information) }
    let declared = try declaration(information, api)
    return (declared.elementType, declared.dimensions.map { Int($0) })
}

/// Returns type and dimensions that the runtime describes; a dimension that is not fixed is -1.
func declaration(_ information: OpaquePointer, _ api: Api) throws -> (
    elementType: OrtElementType?, dimensions: [Int64]
) {
    var type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED
    try api.check(api.functions.pointee.GetTensorElementType(information, &type))
    var count = 0
    try api.check(api.functions.pointee.GetDimensionsCount(information, &count))
    var dimensions = [Int64](repeating: 0, count: count)
    try api.check(api.functions.pointee.GetDimensions(information, &dimensions, count))
    return (OrtElementType(type), dimensions)
}
