import COrt

/// The table of the runtime's functions. It is constant and lives as long as the process, so that
/// every thread may use it.
struct Api: @unchecked Sendable {
    let functions: UnsafePointer<OrtApi>

    private static let table: Result<Api, OrtError> = {
        guard let functions = COrtApi() else {
            let message =
                "ONNX Runtime \(OrtRuntime.version) is older than API \(ORT_API_VERSION), "
                + "for which this program was compiled"
            return .failure(OrtError(code: .notImplemented, message: message))
        }
        return .success(Api(functions: functions))
    }()

    static func shared() throws -> Api { try table.get() }

    /// Throws what a call reported; null is success.
    @inline(__always)
    func check(_ status: OpaquePointer?) throws {
        if let status { throw take(status) }
    }

    /// Forgets what a call reported, where nothing follows from it.
    func ignore(_ status: OpaquePointer?) {
        if let status { functions.pointee.ReleaseStatus(status) }
    }

    private func take(_ status: OpaquePointer) -> OrtError {
        defer { functions.pointee.ReleaseStatus(status) }
        let code = OrtError.Code(rawValue: functions.pointee.GetErrorCode(status).rawValue)
        let words = functions.pointee.GetErrorMessage(status).map { String(cString: $0) }
        return OrtError(code: code ?? .failure, message: words ?? "ONNX Runtime did not say why")
    }

    /// Returns what a function fills in; it reports success without it only by mistake.
    func make(_ call: (inout OpaquePointer?) -> OpaquePointer?) throws -> OpaquePointer {
        var made: OpaquePointer?
        try check(call(&made))
        guard let made else {
            throw OrtError(code: .failure, message: "ONNX Runtime returned nothing")
        }
        return made
    }

    /// Returns a text that a function allocates.
    func text(
        _ call: (UnsafeMutablePointer<OrtAllocator>, inout UnsafeMutablePointer<CChar>?) ->
            OpaquePointer?
    ) throws -> String {
        var allocator: UnsafeMutablePointer<OrtAllocator>?
        try check(functions.pointee.GetAllocatorWithDefaultOptions(&allocator))
        guard let allocator else {
            throw OrtError(code: .failure, message: "ONNX Runtime has no allocator")
        }
        var made: UnsafeMutablePointer<CChar>?
        try check(call(allocator, &made))
        guard let made else { return "" }
        defer { ignore(functions.pointee.AllocatorFree(allocator, made)) }
        return String(cString: made)
    }
}

/// Texts in the form in which C takes them, for as long as this lives.
final class CTexts {
    let pointers: UnsafeMutablePointer<UnsafePointer<CChar>?>
    let count: Int

    /// - Throws: ``OrtError`` where a text holds U+0000: C would see only what stands before it.
    init(_ texts: [String]) throws {
        for text in texts { _ = try passable(text) }
        count = texts.count
        pointers = .allocate(capacity: max(count, 1))
        pointers.initialize(repeating: nil, count: max(count, 1))
        for (index, text) in texts.enumerated() {
            let bytes = text.utf8CString
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (at, byte) in bytes.enumerated() { copy[at] = byte }
            pointers[index] = UnsafePointer(copy)
        }
    }

    deinit {
        for index in 0..<count { pointers[index]?.deallocate() }
        pointers.deallocate()
    }
}

/// Returns a text that C can take whole.
func passable(_ text: String) throws -> String {
    if text.utf8.contains(0) {
        let message = "a text holds U+0000, which ends a text in C: \(text.debugDescription)"
        throw OrtError(code: .invalidArgument, message: message)
    }
    return text
}
