import COrt

/// What a model declares of an input or output.
public struct OrtValueInfo: Sendable, Equatable {
    /// Its name in the model.
    public let name: String

    /// Whether it is a tensor.
    public let isTensor: Bool

    /// Type of its elements; nil where it is no tensor, or one of a type without a Swift name.
    public let elementType: OrtElementType?

    /// Its dimensions; nil where the model does not fix one.
    public let shape: [Int?]

    /// The names that the model gives to dimensions; empty where it gives none.
    public let dimensionNames: [String]
}

/// A model that is ready to run.
///
/// Threads may run it at once. It is closed when nothing refers to it any more.
public final class OrtSession: @unchecked Sendable {
    /// The model's inputs, in order.
    public let inputs: [OrtValueInfo]

    /// The model's outputs, in order.
    public let outputs: [OrtValueInfo]

    let api: Api
    let handle: OpaquePointer

    // The runtime uses the options' custom operators and initializers, and perhaps the bytes.
    private let options: OrtSessionOptions
    private let bytes: OrtMemory?

    /// Creates a session from a file, which may name other files beside it.
    ///
    /// - Throws: ``OrtError`` with the runtime's reason.
    public convenience init(path: String, options: OrtSessionOptions) throws {
        let path = try passable(path)
        let environment = try OrtEnvironment.shared()
        let api = environment.api
        let handle = try api.make {
            api.functions.pointee.CreateSession(
                environment.handle, path, options.handle, &$0)
        }
        try self.init(handle: handle, api: api, options: options, bytes: nil)
    }

    /// Creates a session from a model's bytes, which it keeps alive: with the configuration
    /// `session.use_ort_model_bytes_directly` and `session.use_ort_model_bytes_for_initializers`
    /// the runtime uses them where they lie.
    ///
    /// - Throws: ``OrtError`` with the runtime's reason.
    public convenience init(bytes: OrtMemory, options: OrtSessionOptions) throws {
        try self.init(UnsafeRawBufferPointer(bytes.bytes), options: options, keeping: bytes)
    }

    /// Creates a session from a model's bytes, which the runtime copies.
    ///
    /// - Throws: ``OrtError`` with the runtime's reason.
    public convenience init(
        copying bytes: UnsafeRawBufferPointer, options: OrtSessionOptions
    ) throws {
        try self.init(bytes, options: options, keeping: nil)
    }

    private convenience init(
        _ bytes: UnsafeRawBufferPointer, options: OrtSessionOptions, keeping memory: OrtMemory?
    ) throws {
        let environment = try OrtEnvironment.shared()
        let api = environment.api
        let handle = try api.make {
            api.functions.pointee.CreateSessionFromArray(
                environment.handle, bytes.baseAddress, bytes.count, options.handle, &$0)
        }
        try self.init(handle: handle, api: api, options: options, bytes: memory)
    }

    private init(
        handle: OpaquePointer, api: Api, options: OrtSessionOptions, bytes: OrtMemory?
    ) throws {
        do {
            inputs = try readInputs(handle, api)
            outputs = try readOutputs(handle, api)
        } catch {
            api.functions.pointee.ReleaseSession(handle)
            throw error
        }
        self.api = api
        self.handle = handle
        self.options = options
        self.bytes = bytes
    }

    deinit { api.functions.pointee.ReleaseSession(handle) }

    /// Runs the model once; for a model that runs again and again, ``OrtCall`` is cheaper.
    ///
    /// - Parameter inputs: Values by the names of the model's inputs.
    /// - Returns: The model's outputs, in order.
    /// - Throws: ``OrtError`` where an input is missing or does not fit, or the run fails.
    public func run(_ inputs: [String: OrtValue]) throws -> [OrtValue] {
        let call = try OrtCall(self, inputs: inputs.map { ($0.key, $0.value) })
        try call.run()
        return try outputs.indices.map { try call.takeOutput($0) }
    }

    /// Ends profiling.
    ///
    /// - Returns: The path of the profile that was written.
    /// - Throws: ``OrtError`` where the runtime cannot.
    public func endProfiling() throws -> String {
        try api.text { api.functions.pointee.SessionEndProfiling(handle, $0, &$1) }
    }
}

private func readInputs(_ session: OpaquePointer, _ api: Api) throws -> [OrtValueInfo] {
    let functions = api.functions
    var count = 0
    try api.check(functions.pointee.SessionGetInputCount(session, &count))
    return try (0..<count).map { index in
        let name = try api.text { functions.pointee.SessionGetInputName(session, index, $0, &$1) }
        let type = try api.make { functions.pointee.SessionGetInputTypeInfo(session, index, &$0) }
        defer { functions.pointee.ReleaseTypeInfo(type) }
        return try describe(name, type, api)
    }
}

private func readOutputs(_ session: OpaquePointer, _ api: Api) throws -> [OrtValueInfo] {
    let functions = api.functions
    var count = 0
    try api.check(functions.pointee.SessionGetOutputCount(session, &count))
    return try (0..<count).map { index in
        let name = try api.text { functions.pointee.SessionGetOutputName(session, index, $0, &$1) }
        let type = try api.make { functions.pointee.SessionGetOutputTypeInfo(session, index, &$0) }
        defer { functions.pointee.ReleaseTypeInfo(type) }
        return try describe(name, type, api)
    }
}

private func describe(_ name: String, _ type: OpaquePointer, _ api: Api) throws -> OrtValueInfo {
    var tensor: OpaquePointer?
    try api.check(api.functions.pointee.CastTypeInfoToTensorInfo(type, &tensor))
    guard let tensor else {
        return OrtValueInfo(
            name: name, isTensor: false, elementType: nil, shape: [], dimensionNames: [])
    }
    let declared = try declaration(tensor, api)
    var names = [UnsafePointer<CChar>?](repeating: nil, count: declared.dimensions.count)
    try api.check(api.functions.pointee.GetSymbolicDimensions(tensor, &names, names.count))
    return OrtValueInfo(
        name: name, isTensor: true, elementType: declared.elementType,
        shape: declared.dimensions.map { $0 < 0 ? nil : Int($0) },
        dimensionNames: names.map { name in name.map { String(cString: $0) } ?? "" })
}
