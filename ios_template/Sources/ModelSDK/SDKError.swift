import Foundation

/// What can go wrong; each says what could not be done, to which thing, and why.
public enum SDKError: Error, Equatable, Sendable {
    // What is given does not fit the model; the runtime never sees it.

    /// A shape that the model does not take, or that contradicts another input's.
    case shapeMismatch(String)
    /// An element type other than the model's.
    case elementTypeMismatch(String)
    /// More or fewer elements than the tensor has, or bytes that mean no such elements.
    case invalidElements(String)
    /// One tensor given where two are needed.
    case sharedTensor(String)
    /// An input that is missing, or a name that the model does not have.
    case invalidInputs(String)
    /// Options that mean nothing, or not for this model.
    case invalidOptions(String)

    // The thing cannot be used at this moment.

    /// A tensor or session that was closed before.
    case closed(String)
    /// A tensor or session that is being used; each serves one at a time.
    case busy(String)

    // The runtime, or the device, cannot do it.

    /// The model's file is not where it should be.
    case modelNotFound(String)
    /// The runtime does not take the model, or it is not the one this code was generated for.
    case modelLoadFailed(String)
    /// An execution provider that this runtime or device lacks, or that leaves work to the CPU
    /// although ``CPUFallback`` forbids it; `available` names what the runtime has.
    case providerUnavailable(provider: String, available: [String], message: String)
    /// The runtime failed while it ran the model.
    case runFailed(String)

    /// What could not be done, to which thing, and why.
    public var message: String {
        switch self {
        case .shapeMismatch(let message), .elementTypeMismatch(let message),
            .invalidElements(let message), .sharedTensor(let message), .invalidInputs(let message),
            .invalidOptions(let message), .closed(let message), .busy(let message),
            .modelNotFound(let message), .modelLoadFailed(let message), .runFailed(let message):
            return message
        case .providerUnavailable(_, _, let message):
            return message
        }
    }

    /// Whether the runtime or the device failed, rather than what was asked for.
    public var isFailure: Bool {
        switch self {
        case .modelNotFound, .modelLoadFailed, .providerUnavailable, .runFailed: return true
        default: return false
        }
    }
}

extension SDKError: CustomStringConvertible, LocalizedError {
    /// The message.
    public var description: String { message }

    /// The message, as `localizedDescription` shows it.
    public var errorDescription: String? { message }
}
