import Ort

/// ONNX Runtime, started.
struct StartedRuntime {
    let facts: RuntimeFacts
    let startNs: Int64
}

/// Starts ONNX Runtime and asks what it is.
///
/// - Throws: `OrtError` where it does not start; ``Refusal`` where the machine is not little-endian.
func startRuntime(_ platform: any Platform, sharesProcess: Bool) throws -> StartedRuntime {
    if Int32(1).littleEndian != 1 {
        let message = "tensor files are little-endian, this machine is not"
        throw Refusal(kind: .unsupported, message: message)
    }
    let startedNs = SystemClock.nowNs()
    _ = try OrtEnvironment.shared()
    let startNs = SystemClock.nowNs() - startedNs
    let facts = RuntimeFacts(
        ortVersion: OrtRuntime.version,
        languageVersion: compilerVersion,
        availableProviders: try OrtRuntime.availableProviders(),
        buildInformation: try OrtRuntime.buildInformation(),
        sharesProcess: sharesProcess,
        appBuild: platform.appBuild,
        isDebuggerAttached: platform.isDebuggerAttached)
    return StartedRuntime(facts: facts, startNs: startNs)
}

/// The compiler that made this program; a program cannot ask more precisely.
private var compilerVersion: String {
    #if compiler(>=6.3)
        return "6.3 or newer"
    #elseif compiler(>=6.2)
        return "6.2"
    #elseif compiler(>=6.1)
        return "6.1"
    #elseif compiler(>=6.0)
        return "6.0"
    #elseif compiler(>=5.10)
        return "5.10"
    #else
        return "5.9"
    #endif
}
