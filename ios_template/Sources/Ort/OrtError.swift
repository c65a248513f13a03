import COrt

/// What ONNX Runtime refused, or could not do.
public struct OrtError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The runtime's classes of errors.
    public enum Code: UInt32, Sendable, CaseIterable {
        /// Anything without a class of its own.
        case failure = 1
        /// An argument has no meaning, such as an input of another shape.
        case invalidArgument = 2
        /// A file cannot be read.
        case noSuchFile = 3
        /// There is no model.
        case noModel = 4
        /// An engine behind the runtime failed.
        case engineError = 5
        /// The runtime failed while it ran.
        case runtimeException = 6
        /// The bytes are no model.
        case invalidProtobuf = 7
        /// A model is loaded already.
        case modelLoaded = 8
        /// This build or release does not have it.
        case notImplemented = 9
        /// The model contradicts itself.
        case invalidGraph = 10
        /// An execution provider failed.
        case providerFailed = 11
    }

    /// Class of the error.
    public let code: Code

    /// The runtime's own words.
    public let message: String

    /// Makes an error.
    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// The runtime's own words.
    public var description: String { message }
}
