import Foundation

/// What may run on the CPU when other execution providers are asked for.
public enum CPUFallback: Hashable, Sendable {
    /// Nothing: a provider that is missing or leaves an operator to the CPU is refused.
    case none
    /// Operators that the providers do not take; a missing provider is still refused.
    case operators
    /// Everything, when a provider is missing; ``ProviderReport`` says so.
    case wholeModel
}

/// How the CPU does its share.
public struct CPUOptions: Hashable, Sendable {
    /// Whether memory that was allocated is kept for later runs; less memory but more time if not.
    public var keepsMemory: Bool
    /// Whether memory for all of a run is laid out in one piece once shapes are known.
    public var plansMemory: Bool
    /// Whether threads wait for work by spinning, which is quick and costs energy; nil leaves it to
    /// the runtime.
    public var spins: Bool?
    /// Whether numbers too small for full precision count as zero, which some CPUs do faster.
    public var flushesDenormals: Bool

    /// Leaves everything as the runtime has it, but for what is given.
    public init(
        keepsMemory: Bool = true,
        plansMemory: Bool = true,
        spins: Bool? = nil,
        flushesDenormals: Bool = false
    ) {
        self.keepsMemory = keepsMemory
        self.plansMemory = plansMemory
        self.spins = spins
        self.flushesDenormals = flushesDenormals
    }
}

/// How a model is opened.
public struct SessionOptions: Sendable {
    /// Which of the packaged files; nil takes the one the app recommends.
    public var style: ModelStyle?
    /// In the order they may take operators; empty means the CPU.
    public var providers: [ExecutionProvider]
    /// What may run on the CPU when ``providers`` names others.
    public var cpuFallback: CPUFallback
    /// How the CPU does its share.
    public var cpu: CPUOptions
    /// Threads inside an operator; nil leaves it to the runtime.
    public var intraOpThreads: Int?
    /// Threads for operators beside each other; nil runs one after another.
    public var interOpThreads: Int?
    /// Libraries with operators, beside those the model is packaged with.
    public var customOpLibraries: [CustomOpLibrary]
    /// Further entries of the runtime's session configuration.
    public var configEntries: [String: String]
    /// Told of load time, latency and failures; nil measures nothing.
    public var metrics: MetricsListener?

    /// Leaves everything as the runtime and the app have it, but for what is given.
    public init(
        style: ModelStyle? = nil,
        providers: [ExecutionProvider] = [],
        cpuFallback: CPUFallback = .none,
        cpu: CPUOptions = CPUOptions(),
        intraOpThreads: Int? = nil,
        interOpThreads: Int? = nil,
        customOpLibraries: [CustomOpLibrary] = [],
        configEntries: [String: String] = [:],
        metrics: MetricsListener? = nil
    ) {
        self.style = style
        self.providers = providers
        self.cpuFallback = cpuFallback
        self.cpu = cpu
        self.intraOpThreads = intraOpThreads
        self.interOpThreads = interOpThreads
        self.customOpLibraries = customOpLibraries
        self.configEntries = configEntries
        self.metrics = metrics
    }

    /// Refuses what means nothing.
    func validate() throws {
        let threads: [(String, Int?)] = [
            ("intraOpThreads", intraOpThreads), ("interOpThreads", interOpThreads),
        ]
        for case (let name, let count?) in threads where count <= 0 {
            throw SDKError.invalidOptions("\(name) must be positive, not \(count)")
        }
        for provider in providers { try provider.validate() }
        let names = providers.map(\.name)
        guard Set(names).count == names.count else {
            throw SDKError.invalidOptions("providers name one more than once: \(names)")
        }
        let reserved = configEntries.keys.filter(ConfigEntry.reserved.contains).sorted()
        guard reserved.isEmpty else {
            throw SDKError.invalidOptions(
                "configEntries may not hold \(reserved): the SDK sets them")
        }
    }
}

/// A library with operators that the runtime itself does not have.
public enum CustomOpLibrary: Hashable, Sendable {
    /// A framework among the app's, by its name without `.framework`.
    case framework(String)
    /// A library that is linked into the app, by the C function that registers its operators.
    case linked(function: String = "RegisterCustomOps")
    /// A shared library: a path, or the name of one among the app's frameworks.
    case file(String)
}

/// Entries of the runtime's session configuration that the SDK sets.
enum ConfigEntry {
    static let useBytes = "session.use_ort_model_bytes_directly"
    static let useBytesForInitializers = "session.use_ort_model_bytes_for_initializers"
    static let disableCPUFallback = "session.disable_cpu_ep_fallback"
    static let intraOpSpinning = "session.intra_op.allow_spinning"
    static let interOpSpinning = "session.inter_op.allow_spinning"
    static let denormalAsZero = "session.set_denormal_as_zero"

    static let reserved: Set<String> = [useBytes, useBytesForInitializers, disableCPUFallback]
}

/// How much of a model may be on the CPU although other providers were asked for.
public enum FallbackState: Hashable, Sendable {
    /// Nothing: none was needed, or the CPU is what was asked for.
    case nothing
    /// Operators that the registered providers did not take.
    case operators
    /// The whole model: no provider that was asked for is there.
    case wholeModel
}

/// Which execution providers a session really has.
public struct ProviderReport: Hashable, Sendable {
    /// Names, in the order asked for.
    public let requested: [String]
    /// Names the session was made with; the CPU last.
    public let registered: [String]
    /// Name to the reason why it is not among ``registered``.
    public let missing: [String: String]
    /// How much may be on the CPU although it was not asked for.
    public let cpuFallback: FallbackState
}
