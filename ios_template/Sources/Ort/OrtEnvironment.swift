import COrt

/// The runtime's environment: one in a process, started when it is first asked for and never ended.
public final class OrtEnvironment: @unchecked Sendable {
    let api: Api
    let handle: OpaquePointer

    private static let started = Result { try OrtEnvironment() }

    /// Returns the environment and starts it where it is not there yet.
    ///
    /// - Throws: ``OrtError`` when the runtime does not start.
    public static func shared() throws -> OrtEnvironment { try started.get() }

    private init() throws {
        let api = try Api.shared()
        self.api = api
        handle = try api.make {
            api.functions.pointee.CreateEnv(ORT_LOGGING_LEVEL_WARNING, "ortlab", &$0)
        }
        // Beside the switch in the process's environment, which older releases do not know.
        api.ignore(api.functions.pointee.DisableTelemetryEvents(handle))
    }
}
