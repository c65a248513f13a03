import Ort

private let cpu = "CPUExecutionProvider"
private let linkedPrefix = "@linked/"

/// A session that is ready, and what is known of its creation.
struct OpenSession {
    let session: OrtSession
    /// Names, in order.
    let registeredProviders: [String]
    let creationNs: Int64
}

/// Refuses providers that the runtime lacks: it would go on without them.
///
/// - Throws: ``Refusal`` where the runtime does not list one of them.
func checkAvailable(_ providers: [ProviderRequest], _ available: [String]) throws {
    guard let missing = providers.first(where: { !available.contains($0.name) }) else { return }
    let known = available.joined(separator: ", ")
    throw Refusal(
        kind: .providerUnavailable, message: "this runtime has no \(missing.name); it has \(known)",
        stage: .createSession)
}

/// Creates a session as the request wants it; what that leaves open stays the runtime's default.
///
/// - Parameter profilePrefix: What the path of a profile begins with; nil for no profile.
/// - Throws: ``Refusal`` where an option cannot be set, a provider or a custom-op library fails;
///   `OrtError` where the runtime refuses the model.
func openSession(
    _ request: BlockRequest, _ model: LoadedModel, from base: String, profilePrefix: String?
) throws -> OpenSession {
    let options = try OrtSessionOptions()
    try apply(request.session, neededKeys: model.neededKeys, to: options)
    if let profilePrefix { try options.enableProfiling(prefix: profilePrefix) }
    if let library = request.model.customOpLibrary {
        try refuse(as: .customOpsFailed, "") {
            try registerCustomOps(library, from: base, in: options)
        }
    }
    let providers = try addProviders(request.providers, to: options)
    let startedNs = SystemClock.nowNs()
    let session = try model.createSession(options)
    let creationNs = SystemClock.nowNs() - startedNs
    return OpenSession(session: session, registeredProviders: providers, creationNs: creationNs)
}

/// Registers a model's own operators.
///
/// - Parameter library: `@linked/FUNCTION` for operators that are linked into this program,
///   `@rpath/NAME.framework/NAME` for a framework inside the app, which the system's loader finds by
///   that name; else the path of a library.
private func registerCustomOps(
    _ library: String, from base: String, in options: OrtSessionOptions
) throws {
    if library.hasPrefix(linkedPrefix) {
        try options.registerCustomOps(function: String(library.dropFirst(linkedPrefix.count)))
    } else {
        let isFound = library.hasPrefix("@rpath/")
        try options.registerCustomOps(library: isFound ? library : resolve(library, from: base))
    }
}

private func apply(
    _ settings: SessionSettings, neededKeys: [String], to options: OrtSessionOptions
) throws {
    try refuse(as: .unsupported, "graph optimization level: ") {
        try options.setOptimizationLevel(level(settings.optimizationLevel))
    }
    try options.setExecutionMode(settings.executionMode == .parallel ? .parallel : .sequential)
    if let count = settings.intraOpThreads {
        try refuse(as: .unsupported, "") { try options.setIntraOpThreads(Int(count)) }
    }
    if let count = settings.interOpThreads {
        try refuse(as: .unsupported, "") { try options.setInterOpThreads(Int(count)) }
    }
    if let isOn = settings.usesCpuArena { try options.setUsesCpuArena(isOn) }
    if let isOn = settings.usesMemoryPattern { try options.setUsesMemoryPattern(isOn) }
    var entries = settings.configEntries
    for key in neededKeys { entries[key] = "1" }
    for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
        try refuse(as: .invalidRequest, "config entry \(key): ", in: .start) {
            try options.addConfigEntry(key, value)
        }
    }
}

private func level(_ level: OptimizationLevel) -> OrtSessionOptions.OptimizationLevel {
    switch level {
    case .disabled: return .disabled
    case .basic: return .basic
    case .extended: return .extended
    case .layout: return .layout
    case .all: return .all
    }
}

/// Registers providers in order with their options, and returns the names of those that the session
/// will have.
///
/// The C API does not tell which providers a session has; but it refuses one that was not built in,
/// and the session is not created when one does not start. So what was appended is registered, and
/// the CPU behind it, which every session has.
private func addProviders(
    _ providers: [ProviderRequest], to options: OrtSessionOptions
) throws -> [String] {
    for (index, provider) in providers.enumerated() {
        // Every session has the CPU last; it is added where it stands before others or has options.
        let isLast = index == providers.count - 1
        if provider.name == cpu && isLast && provider.options.isEmpty { continue }
        try refuse(as: .providerFailed, "\(provider.name): ") {
            try options.appendProvider(provider.name, options: provider.options)
        }
    }
    var names: [String] = []
    for name in providers.map(\.name) + [cpu] where !names.contains(name) { names.append(name) }
    return names
}

/// Gives what the runtime refuses a kind and a place.
private func refuse(
    as kind: FailureKind, _ what: String, in stage: Stage? = nil, _ body: () throws -> Void
) throws {
    do {
        try body()
    } catch let error as OrtError {
        throw Refusal(kind: kind, message: what + error.message, stage: stage)
    }
}
