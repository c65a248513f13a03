import COrt

/// ONNX Runtime, as it is linked into this program.
///
/// Its telemetry is switched off for this process before it is used for the first time.
public enum OrtRuntime {
    /// Version of the library, such as "1.24.2".
    public static var version: String { String(cString: COrtVersion()) }

    /// What the library says of how it was built.
    ///
    /// - Throws: ``OrtError`` when the library is older than what this code was compiled for.
    public static func buildInformation() throws -> String {
        let text = try Api.shared().functions.pointee.GetBuildInfoString()
        return text.map { String(cString: $0) } ?? ""
    }

    /// Names of the execution providers that the library was built with, such as
    /// `CPUExecutionProvider`; each of them may still refuse a model or a device.
    ///
    /// - Throws: ``OrtError`` when the library cannot be asked.
    public static func availableProviders() throws -> [String] {
        let api = try Api.shared()
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        var count: Int32 = 0
        try api.check(api.functions.pointee.GetAvailableProviders(&names, &count))
        guard let names else { return [] }
        defer { api.ignore(api.functions.pointee.ReleaseAvailableProviders(names, count)) }
        return (0..<Int(count)).compactMap { index in names[index].map { String(cString: $0) } }
    }
}
