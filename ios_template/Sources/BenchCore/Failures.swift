import Ort

private let longestMessage = 4000

private let memoryWords = [
    "bad_alloc", "failed to allocate memory", "cannot allocate memory", "failed to map segment",
    "out of memory", "bfcarena",
]

private let unsupportedWords = [
    "is not supported", "unsupported model ir version", "no op registered",
    "is under development", "not a registered function/op", "failed to find kernel",
    "could not find an implementation", "unknown model file format version",
]

private let providerWords = ["executionprovider", "execution provider", "provider option"]

/// A failure that the core found itself.
struct Refusal: Error {
    let kind: FailureKind
    let message: String
    /// Where it belongs; nil for the stage the block is in.
    var stage: Stage?
}

/// The block's deadline passed between two runs or stages.
struct DeadlinePassed: Error {}

/// Returns the protocol's failure for what was thrown in a stage.
func describeFailure(_ error: any Error, in stage: Stage) -> Failure {
    let refusal = error as? Refusal
    let place = refusal?.stage ?? stage
    let words = message(of: error)
    return Failure(
        stage: place, kind: kind(of: error, words.lowercased(), place),
        message: String(words.prefix(longestMessage)))
}

private func message(of error: any Error) -> String {
    switch error {
    case let error as Refusal: return error.message
    case let error as InvalidRequest: return error.message
    case let error as FileError: return error.message
    case is DeadlinePassed: return "the deadline passed"
    case let error as OrtError where !error.message.isEmpty: return error.message
    default: return String(describing: error)
    }
}

private func kind(of error: any Error, _ words: String, _ stage: Stage) -> FailureKind {
    switch error {
    case is InvalidRequest: return .invalidRequest
    case let error as Refusal: return error.kind
    case is DeadlinePassed: return .deadline
    case _ where memoryWords.contains(where: words.contains): return .outOfMemory
    case is FileError: return .storage
    case let error as OrtError:
        switch stage {
        case .firstRun, .warmUp, .measure: return kindWhenRunning(error.code)
        case .createSession: return kindWhenCreating(error.code, words)
        default: return .runtimeError
        }
    default: return .runtimeError
    }
}

private func kindWhenRunning(_ code: OrtError.Code) -> FailureKind {
    switch code {
    case .invalidArgument: return .invalidInput
    case .notImplemented: return .unsupported
    case .providerFailed: return .providerFailed
    default: return .runtimeError
    }
}

private func kindWhenCreating(_ code: OrtError.Code, _ words: String) -> FailureKind {
    if unsupportedWords.contains(where: words.contains) { return .unsupported }
    switch code {
    case .failure where words.contains("load model from"): return .invalidModel
    case .noSuchFile: return .modelMissing
    case .invalidProtobuf, .invalidGraph, .noModel, .invalidArgument: return .invalidModel
    case .notImplemented: return .unsupported
    case .providerFailed: return .providerFailed
    default:
        return providerWords.contains(where: words.contains) ? .providerFailed : .runtimeError
    }
}

extension String {
    /// Whether another text stands somewhere in this one, byte for byte.
    fileprivate func contains(_ words: String) -> Bool {
        let (text, wanted) = (Array(utf8), Array(words.utf8))
        guard text.count >= wanted.count else { return false }
        return (0...text.count - wanted.count).contains { start in
            text[start..<start + wanted.count].elementsEqual(wanted)
        }
    }
}
