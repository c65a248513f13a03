import Foundation

/// An execution provider to run a model with.
public enum ExecutionProvider: Hashable, Sendable {
    /// The CPU; every runtime has it. ``SessionOptions/cpu`` holds its options.
    case cpu
    /// Apple's Core ML.
    case coreML(CoreMLOptions = CoreMLOptions())
    /// XNNPACK: CPU kernels with a thread pool of their own; `threads` is its size, nil leaves it to
    /// the runtime.
    case xnnpack(threads: Int? = nil)

    /// Name in messages and reports, and of the runtime.
    public var name: String {
        switch self {
        case .cpu: return "CPU"
        case .coreML: return "CoreML"
        case .xnnpack: return "XNNPACK"
        }
    }

    /// Name in the runtime's list of what it was built with.
    var runtimeName: String {
        switch self {
        case .cpu: return "CPUExecutionProvider"
        case .coreML: return "CoreMLExecutionProvider"
        case .xnnpack: return "XnnpackExecutionProvider"
        }
    }

    /// Refuses what means nothing.
    func validate() throws {
        if case .xnnpack(let threads?) = self, threads <= 0 {
            throw SDKError.invalidOptions("XNNPACK threads must be positive, not \(threads)")
        }
        if case .coreML(let options) = self, case .directory(let url) = options.cache,
            !url.isFileURL
        {
            throw SDKError.invalidOptions("The cache of Core ML is a directory, not \(url)")
        }
    }
}

/// How Core ML is used. Only what differs from the runtime's defaults is handed to it, so that an
/// older runtime takes all options that it knows.
///
/// Source of names and values: ONNX Runtime's page on its CoreML execution provider.
public struct CoreMLOptions: Hashable, Sendable {
    /// Processors that Core ML may use.
    public enum ComputeUnits: String, CaseIterable, Sendable {
        /// All there are.
        case all = "ALL"
        /// The CPU alone: slow, and without loss of precision.
        case cpuOnly = "CPUOnly"
        /// The CPU and the GPU.
        case cpuAndGPU = "CPUAndGPU"
        /// The CPU and the Neural Engine; refused by the runtime on devices without one.
        case cpuAndNeuralEngine = "CPUAndNeuralEngine"
    }

    /// What the model's partitions are turned into.
    public enum ModelFormat: String, CaseIterable, Sendable {
        /// The older format, which every system takes.
        case neuralNetwork = "NeuralNetwork"
        /// The newer format, with more operators and types; from iOS 15 on.
        case mlProgram = "MLProgram"
    }

    /// What Core ML prepares partitions for.
    public enum SpecializationStrategy: String, CaseIterable, Sendable {
        /// What suits most apps.
        case balanced = "Default"
        /// Quicker runs, for more time, memory and disk when the model is loaded.
        case fastPrediction = "FastPrediction"
    }

    /// Where compiled partitions are kept, so that the next load need not compile them again.
    public enum Cache: Hashable, Sendable {
        /// Nowhere: they are compiled at every load.
        case none
        /// In the app's caches, in a folder for each file, options and version of the runtime: see
        /// ``CoreMLCache``.
        case managed
        /// In a directory of the caller's, who empties it whenever the model, these options or the
        /// runtime change: the runtime does not notice by itself.
        case directory(URL)
    }

    /// Processors that Core ML may use.
    public var computeUnits: ComputeUnits
    /// What the model's partitions are turned into.
    public var modelFormat: ModelFormat
    /// Whether operators whose inputs have open shapes are left to the next provider.
    public var requiresStaticInputShapes: Bool
    /// Whether the bodies of loops and conditions may go to Core ML too.
    public var isEnabledOnSubgraphs: Bool
    /// What Core ML prepares partitions for; from iOS 18 on.
    public var specializationStrategy: SpecializationStrategy
    /// Whether the GPU may add up in 16 bits.
    public var allowsLowPrecisionAccumulationOnGPU: Bool
    /// Whether the runtime logs which processor every operator is for.
    public var profilesComputePlan: Bool
    /// Where compiled partitions are kept.
    public var cache: Cache

    /// Leaves everything as the runtime has it, but for the managed cache and what is given.
    public init(
        computeUnits: ComputeUnits = .all,
        modelFormat: ModelFormat = .neuralNetwork,
        requiresStaticInputShapes: Bool = false,
        isEnabledOnSubgraphs: Bool = false,
        specializationStrategy: SpecializationStrategy = .balanced,
        allowsLowPrecisionAccumulationOnGPU: Bool = false,
        profilesComputePlan: Bool = false,
        cache: Cache = .managed
    ) {
        self.computeUnits = computeUnits
        self.modelFormat = modelFormat
        self.requiresStaticInputShapes = requiresStaticInputShapes
        self.isEnabledOnSubgraphs = isEnabledOnSubgraphs
        self.specializationStrategy = specializationStrategy
        self.allowsLowPrecisionAccumulationOnGPU = allowsLowPrecisionAccumulationOnGPU
        self.profilesComputePlan = profilesComputePlan
        self.cache = cache
    }

    /// The options as the runtime is told of them, without the cache.
    var runtimeOptions: [String: String] {
        var options: [String: String] = [:]
        if computeUnits != .all { options["MLComputeUnits"] = computeUnits.rawValue }
        if modelFormat != .neuralNetwork { options["ModelFormat"] = modelFormat.rawValue }
        if requiresStaticInputShapes { options["RequireStaticInputShapes"] = "1" }
        if isEnabledOnSubgraphs { options["EnableOnSubgraphs"] = "1" }
        if specializationStrategy != .balanced {
            options["SpecializationStrategy"] = specializationStrategy.rawValue
        }
        if allowsLowPrecisionAccumulationOnGPU {
            options["AllowLowPrecisionAccumulationOnGPU"] = "1"
        }
        if profilesComputePlan { options["ProfileComputePlan"] = "1" }
        return options
    }
}
