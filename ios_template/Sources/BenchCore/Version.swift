import Ort

/// Version of the runtime.
public let runtimeVersion = OrtRuntime.version
