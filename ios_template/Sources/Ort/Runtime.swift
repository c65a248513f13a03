import COrt

/// ONNX Runtime, as it is linked into this program.
public enum OrtRuntime {
    /// Version of the library, such as "1.24.2".
    public static var version: String { String(cString: COrtVersion()) }
}
