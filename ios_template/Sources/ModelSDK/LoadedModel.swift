import Foundation
import Ort

/// A model in the runtime, and what became of loading it.
struct LoadedModel {
    let runner: Runner
    let providers: ProviderReport
    let coreMLCache: CoreMLCache.Report?

    init(
        _ descriptor: ModelDescriptor, _ variant: ModelVariant, _ source: ModelSource,
        _ options: SessionOptions
    ) throws {
        let bytes = try Self.read(variant, source)
        do {
            let settings = try OrtSessionOptions()
            var setup = ProviderSetup(options, descriptor, variant)
            providers = try setup.apply(to: settings)
            try Self.apply(options, descriptor, isOrtFormat: variant.isOrtFormat, to: settings)
            let session = try OrtSession(bytes: bytes, options: settings)
            try Self.check(descriptor, session)
            runner = try Runner(descriptor, session)
            coreMLCache = setup.cacheReport()
        } catch let error as OrtError {
            throw Self.refusal(descriptor, options, error)
        }
    }

    private static func read(_ variant: ModelVariant, _ source: ModelSource) throws -> OrtMemory {
        let bytes = try source.open(variant.path)
        guard bytes.bytes.count == variant.sizeBytes else {
            throw SDKError.modelLoadFailed(
                "The model file \(variant.path) has \(bytes.bytes.count) bytes instead of "
                    + "\(variant.sizeBytes): it is not the one this code was generated for")
        }
        return bytes
    }

    /// Settings other than execution providers.
    private static func apply(
        _ options: SessionOptions, _ descriptor: ModelDescriptor, isOrtFormat: Bool,
        to settings: OrtSessionOptions
    ) throws {
        if let threads = options.intraOpThreads { try settings.setIntraOpThreads(threads) }
        if let threads = options.interOpThreads {
            try settings.setInterOpThreads(threads)
            try settings.setExecutionMode(.parallel)
        }
        if !options.cpu.keepsMemory { try settings.setUsesCpuArena(false) }
        if !options.cpu.plansMemory { try settings.setUsesMemoryPattern(false) }
        if let spins = options.cpu.spins {
            try settings.addConfigEntry(ConfigEntry.intraOpSpinning, spins ? "1" : "0")
            try settings.addConfigEntry(ConfigEntry.interOpSpinning, spins ? "1" : "0")
        }
        if options.cpu.flushesDenormals {
            try settings.addConfigEntry(ConfigEntry.denormalAsZero, "1")
        }
        if isOrtFormat {
            try settings.addConfigEntry(ConfigEntry.useBytes, "1")
            try settings.addConfigEntry(ConfigEntry.useBytesForInitializers, "1")
        }
        for library in descriptor.customOpLibraries + options.customOpLibraries {
            try register(library, in: settings)
        }
        for (key, value) in options.configEntries.sorted(by: { $0.key < $1.key }) {
            try settings.addConfigEntry(key, value)
        }
    }

    private static func register(
        _ library: CustomOpLibrary, in settings: OrtSessionOptions
    ) throws {
        switch library {
        case .linked(let function):
            try settings.registerCustomOps(function: function)
        case .file(let path):
            let own = frameworks.appendingPathComponent(path).path
            let isPackaged = !path.contains("/") && FileManager.default.fileExists(atPath: own)
            try settings.registerCustomOps(library: isPackaged ? own : path)
        case .framework(let name):
            let file = frameworks.appendingPathComponent("\(name).framework/\(name)")
            try settings.registerCustomOps(library: file.path)
        }
    }

    /// Where an app carries its shared libraries.
    private static var frameworks: URL {
        Bundle.main.privateFrameworksURL ?? Bundle.main.bundleURL
    }

    /// Refuses a file with another signature than the generated code.
    private static func check(_ descriptor: ModelDescriptor, _ session: OrtSession) throws {
        let states = descriptor.states
        let inputs =
            descriptor.inputs.map { ($0.name, $0.elementType) }
            + states.map { ($0.inputName, $0.elementType) }
        let outputs =
            descriptor.outputs.map { ($0.name, $0.elementType) }
            + states.map { ($0.outputName, $0.elementType) }
        try check(descriptor, "inputs", inputs, session.inputs)
        try check(descriptor, "outputs", outputs, session.outputs)
    }

    private static func check(
        _ descriptor: ModelDescriptor, _ side: String, _ expected: [(String, ElementType)],
        _ found: [OrtValueInfo]
    ) throws {
        let wanted = Set(expected.map { "\($0.1.rawValue) \($0.0)" })
        let there = Set(found.map { "\($0.elementType?.rawValue ?? "no tensor") \($0.name)" })
        guard wanted == there, expected.count == found.count else {
            throw SDKError.modelLoadFailed(
                "The model \(descriptor.name) has the \(side) \(there.sorted()) instead of "
                    + "\(wanted.sorted()): it is not the one this code was generated for")
        }
    }

    private static func refusal(
        _ descriptor: ModelDescriptor, _ options: SessionOptions, _ error: OrtError
    ) -> SDKError {
        if error.message.contains("fallback to CPU EP has been explicitly disabled") {
            return .providerUnavailable(
                provider: options.providers.first?.name ?? "",
                available: ProviderSetup.available(),
                message: "The model \(descriptor.name) has operators that only the CPU can run, and"
                    + " cpuFallback does not allow it: CPUFallback.operators would")
        }
        return .modelLoadFailed("Cannot load the model \(descriptor.name): \(error.message)")
    }
}
