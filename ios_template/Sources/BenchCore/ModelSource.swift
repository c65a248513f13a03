import Ort

private let bytesDirectly = "session.use_ort_model_bytes_directly"
private let bytesForInitializers = "session.use_ort_model_bytes_for_initializers"

/// A model ready for a session.
struct LoadedModel {
    /// What a session is created from.
    enum Source {
        /// The file; the runtime opens it.
        case path(String)
        /// Bytes that the runtime copies.
        case copied(OrtMemory)
        /// Bytes that the runtime uses where they lie.
        case inPlace(OrtMemory)
    }

    let source: Source
    /// Keys of the session's configuration that must be `1` for this way of loading.
    let neededKeys: [String]
    /// How long it took to read it; nil where the runtime reads it.
    let loadNs: Int64?

    /// Creates the session.
    ///
    /// - Throws: `OrtError`.
    func createSession(_ options: OrtSessionOptions) throws -> OrtSession {
        switch source {
        case .path(let path):
            return try OrtSession(path: path, options: options)
        case .copied(let memory):
            return try OrtSession(copying: UnsafeRawBufferPointer(memory.bytes), options: options)
        case .inPlace(let memory):
            return try OrtSession(bytes: memory, options: options)
        }
    }
}

/// Checks the model's hash and reads it as the load mode says.
///
/// - `bytes` reads into memory from which the runtime copies; it is given back then.
/// - `direct-bytes` reads into memory that the runtime parses in place.
/// - `initializers-from-bytes` maps the file; the runtime leaves the weights there too, so that they
///   are clean pages of the file.
///
/// - Throws: ``Refusal`` where it cannot be read, is another one, or cannot be loaded this way.
func loadModel(
    _ model: ModelReference, _ session: SessionSettings, from base: String
) throws -> LoadedModel {
    let path = resolve(model.path, from: base)
    do {
        if try sha256(file: path) != model.sha256 {
            let message = "\(path) was changed since the request was made"
            throw Refusal(kind: .modelChanged, message: message)
        }
        let startedNs = SystemClock.nowNs()
        let (source, keys) = try read(path, model.loadMode, session)
        let loadNs = model.loadMode == .path ? nil : SystemClock.nowNs() - startedNs
        return LoadedModel(source: source, neededKeys: keys, loadNs: loadNs)
    } catch let error as FileError {
        throw Refusal(kind: .modelMissing, message: error.message)
    } catch let error as OrtError {
        throw Refusal(kind: .modelMissing, message: error.message)
    }
}

private func read(_ path: String, _ mode: LoadMode, _ session: SessionSettings) throws -> (
    LoadedModel.Source, [String]
) {
    switch mode {
    case .path:
        return (.path(path), [])
    case .bytes:
        let memory = try OrtMemory(contentsOfFile: path)
        // Config entries of the request may ask for the bytes to be used where they lie.
        let isInPlace = [bytesDirectly, bytesForInitializers].contains {
            session.configEntries[$0] == "1"
        }
        return (isInPlace ? .inPlace(memory) : .copied(memory), [])
    case .directBytes:
        return (.inPlace(try ortFormat(OrtMemory(contentsOfFile: path))), [bytesDirectly])
    case .initializersFromBytes:
        let keys = [bytesDirectly, bytesForInitializers]
        return (.inPlace(try ortFormat(OrtMemory(mappingFile: path))), keys)
    }
}

/// In bytes 4 to 7 of a model in ORT format stands its identifier.
private func ortFormat(_ memory: OrtMemory) throws -> OrtMemory {
    if !memory.bytes.dropFirst(4).starts(with: "ORTM".utf8) {
        let message = "only a model in ORT format can be used from its bytes"
        throw Refusal(kind: .unsupported, message: message)
    }
    return memory
}
