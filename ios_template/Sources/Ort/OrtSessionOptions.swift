import COrt

/// How a session is optimized and run. What is not set stays the runtime's default.
///
/// It is not `Sendable`: set it up in one place, then create sessions from it.
public final class OrtSessionOptions {
    /// How much the runtime optimizes a model when it loads it.
    public enum OptimizationLevel: Sendable, CaseIterable {
        /// Not at all.
        case disabled
        /// What holds for every execution provider.
        case basic
        /// Fusions as well.
        case extended
        /// Layouts of data as well; older releases know it as part of `all` alone.
        case layout
        /// Everything.
        case all
    }

    /// Whether operators that do not need each other run one after the other.
    public enum ExecutionMode: Sendable, CaseIterable {
        /// One after the other.
        case sequential
        /// At once.
        case parallel
    }

    let handle: OpaquePointer
    private let api: Api
    private var initializers: [OrtValue] = []

    /// Makes options that are all the runtime's defaults.
    ///
    /// - Throws: ``OrtError`` when the runtime cannot be used.
    public init() throws {
        let api = try Api.shared()
        self.api = api
        handle = try api.make { api.functions.pointee.CreateSessionOptions(&$0) }
    }

    deinit { api.functions.pointee.ReleaseSessionOptions(handle) }

    /// Sets how much is optimized.
    ///
    /// - Throws: ``OrtError`` where this release lacks the level.
    public func setOptimizationLevel(_ level: OptimizationLevel) throws {
        // The header of older releases lacks a name for `layout`, which others count as 3.
        let value: UInt32
        switch level {
        case .disabled: value = ORT_DISABLE_ALL.rawValue
        case .basic: value = ORT_ENABLE_BASIC.rawValue
        case .extended: value = ORT_ENABLE_EXTENDED.rawValue
        case .layout: value = 3
        case .all: value = ORT_ENABLE_ALL.rawValue
        }
        let chosen = GraphOptimizationLevel(rawValue: value)
        try api.check(api.functions.pointee.SetSessionGraphOptimizationLevel(handle, chosen))
    }

    /// Sets whether operators run one after the other.
    ///
    /// - Throws: ``OrtError`` where the runtime refuses it.
    public func setExecutionMode(_ mode: ExecutionMode) throws {
        let chosen = mode == .parallel ? ORT_PARALLEL : ORT_SEQUENTIAL
        try api.check(api.functions.pointee.SetSessionExecutionMode(handle, chosen))
    }

    /// Sets the threads that share one operator; 0 leaves the number to the runtime.
    ///
    /// - Throws: ``OrtError`` where the number is none for the runtime.
    public func setIntraOpThreads(_ count: Int) throws {
        try api.check(api.functions.pointee.SetIntraOpNumThreads(handle, threads(count)))
    }

    /// Sets the threads that share operators in parallel mode; 0 leaves the number to the runtime.
    ///
    /// - Throws: ``OrtError`` where the number is none for the runtime.
    public func setInterOpThreads(_ count: Int) throws {
        try api.check(api.functions.pointee.SetInterOpNumThreads(handle, threads(count)))
    }

    /// Sets whether memory of the CPU is taken in large pieces and kept.
    ///
    /// - Throws: ``OrtError`` where the runtime refuses it.
    public func setUsesCpuArena(_ isOn: Bool) throws {
        let functions = api.functions
        try api.check(
            isOn
                ? functions.pointee.EnableCpuMemArena(handle)
                : functions.pointee.DisableCpuMemArena(handle))
    }

    /// Sets whether the memory of a run is planned from the run before.
    ///
    /// - Throws: ``OrtError`` where the runtime refuses it.
    public func setUsesMemoryPattern(_ isOn: Bool) throws {
        let functions = api.functions
        try api.check(
            isOn
                ? functions.pointee.EnableMemPattern(handle)
                : functions.pointee.DisableMemPattern(handle))
    }

    /// Adds an entry of the session's configuration, such as
    /// `session.use_ort_model_bytes_directly`.
    ///
    /// - Throws: ``OrtError`` where the runtime refuses it.
    public func addConfigEntry(_ key: String, _ value: String) throws {
        try api.check(
            api.functions.pointee.AddSessionConfigEntry(handle, passable(key), passable(value)))
    }

    /// Switches profiling on.
    ///
    /// - Parameter prefix: What the path of the profile begins with.
    /// - Throws: ``OrtError`` where the runtime refuses it.
    public func enableProfiling(prefix: String) throws {
        try api.check(api.functions.pointee.EnableProfiling(handle, passable(prefix)))
    }

    /// Appends an execution provider. Providers take what they can of a model in the order in which
    /// they were appended; the CPU stands behind them always.
    ///
    /// - Parameters:
    ///   - name: As in ``OrtRuntime/availableProviders()``, such as `CoreMLExecutionProvider`.
    ///   - options: The provider's own; the CPU's is `use_arena`, 0 or 1.
    /// - Throws: ``OrtError`` where the library lacks the provider, or it refuses its options.
    public func appendProvider(_ name: String, options: [String: String] = [:]) throws {
        if name == "CPUExecutionProvider" {
            try api.check(COrtAppendCpu(handle, usesArena(options) ? 1 : 0))
            return
        }
        let ordered = options.sorted { $0.key < $1.key }
        let keys = try CTexts(ordered.map(\.key))
        let values = try CTexts(ordered.map(\.value))
        try api.check(
            api.functions.pointee.SessionOptionsAppendExecutionProvider(
                handle, passable(genericName(name)), keys.pointers, values.pointers, keys.count))
        withExtendedLifetime((keys, values)) {}
    }

    /// Loads a library with custom operators, which stays loaded as long as the options and the
    /// sessions created from them.
    ///
    /// - Throws: ``OrtError`` where it cannot be loaded.
    public func registerCustomOps(library path: String) throws {
        try api.check(api.functions.pointee.RegisterCustomOpsLibrary_V2(handle, passable(path)))
    }

    /// Registers custom operators that are linked into this program.
    ///
    /// - Parameter function: Name of the C function that registers them, such as
    ///   `RegisterCustomOps`; the program exports it.
    /// - Throws: ``OrtError`` where there is no such function, or it fails.
    public func registerCustomOps(function: String) throws {
        try api.check(
            api.functions.pointee.RegisterCustomOpsUsingFunction(handle, passable(function)))
    }

    /// Gives the sessions an initializer in place of the model's own; its memory is not copied and
    /// is kept alive.
    ///
    /// - Throws: ``OrtError`` where the name has one already.
    public func addInitializer(_ name: String, _ value: OrtValue) throws {
        try api.check(api.functions.pointee.AddInitializer(handle, passable(name), value.handle))
        initializers.append(value)
    }
}

private func threads(_ count: Int) throws -> Int32 {
    guard let number = Int32(exactly: count), number >= 0 else {
        throw OrtError(code: .invalidArgument, message: "\(count) are no threads that can be")
    }
    return number
}

private func usesArena(_ options: [String: String]) throws -> Bool {
    for (key, value) in options where key != "use_arena" || !["0", "1"].contains(value) {
        let message = "the CPU's only option is use_arena, 0 or 1; it has no \(key)=\(value)"
        throw OrtError(code: .invalidArgument, message: message)
    }
    return options["use_arena"] != "0"
}

/// Returns the name that the generic call knows; source: the table in the runtime's
/// `provider_registration.cc`.
private func genericName(_ name: String) -> String {
    let suffix = "ExecutionProvider"
    guard name.hasSuffix(suffix) else { return name }
    let short = String(name.dropLast(suffix.count))
    return ["Xnnpack": "XNNPACK", "Azure": "AZURE", "WebNN": "WEBNN", "Dml": "DML"][short] ?? short
}
