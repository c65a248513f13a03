import Foundation
import Ort

/// Registers the execution providers that were asked for, and says which are there.
struct ProviderSetup {
    private let options: SessionOptions
    private let model: ModelDescriptor
    private let variant: ModelVariant
    private var cache: (directory: URL, sizeBytesBefore: Int)?

    init(_ options: SessionOptions, _ model: ModelDescriptor, _ variant: ModelVariant) {
        self.options = options
        self.model = model
        self.variant = variant
    }

    /// Names of what the runtime was built with, as the SDK has them.
    static func available() -> [String] {
        let names = (try? OrtRuntime.availableProviders()) ?? []
        let known = [ExecutionProvider.cpu, .coreML(), .xnnpack()]
        return names.map { name in known.first { $0.runtimeName == name }?.name ?? name }
    }

    mutating func apply(to settings: OrtSessionOptions) throws -> ProviderReport {
        var registered: [String] = []
        var missing: [String: String] = [:]
        for provider in options.providers where provider != .cpu {
            do {
                try register(provider, in: settings)
                registered.append(provider.name)
            } catch let error as SDKError where options.cpuFallback == .wholeModel {
                missing[provider.name] = error.message
            }
        }
        let isCPUWanted = options.providers.isEmpty || options.providers.contains(.cpu)
        if !isCPUWanted && options.cpuFallback == .none {
            try settings.addConfigEntry(ConfigEntry.disableCPUFallback, "1")
        }
        let state: FallbackState
        if !missing.isEmpty && registered.isEmpty {
            state = .wholeModel
        } else {
            state = isCPUWanted || options.cpuFallback == .none ? .nothing : .operators
        }
        return ProviderReport(
            requested: options.providers.map(\.name),
            registered: registered + [ExecutionProvider.cpu.name],
            missing: missing,
            cpuFallback: state)
    }

    /// What Core ML's cache holds now that the model is loaded.
    func cacheReport() -> CoreMLCache.Report? {
        cache.map {
            CoreMLCache.Report(
                directory: $0.directory,
                sizeBytesBefore: $0.sizeBytesBefore,
                sizeBytes: CoreMLCache.sizeBytes(of: $0.directory))
        }
    }

    private mutating func register(
        _ provider: ExecutionProvider, in settings: OrtSessionOptions
    ) throws {
        let available = Self.available()
        guard available.contains(provider.name) else {
            throw refusal(provider, "this runtime was built without it", available)
        }
        do {
            try settings.appendProvider(
                provider.runtimeName, options: try runtimeOptions(of: provider))
        } catch let error as OrtError {
            throw refusal(provider, error.message, available)
        }
    }

    private mutating func runtimeOptions(
        of provider: ExecutionProvider
    ) throws -> [String: String] {
        switch provider {
        case .cpu: return [:]
        case .xnnpack(let threads):
            return threads.map { ["intra_op_num_threads": String($0)] } ?? [:]
        case .coreML(let coreML):
            var given = coreML.runtimeOptions
            let directory = try CoreMLCache.prepare(
                coreML.cache, options: given, model: model, variant: variant,
                runtimeVersion: OrtRuntime.version)
            if let directory {
                cache = (directory, CoreMLCache.sizeBytes(of: directory))
                given["ModelCacheDirectory"] = directory.path
            }
            return given
        }
    }

    private func refusal(
        _ provider: ExecutionProvider, _ why: String, _ available: [String]
    ) -> SDKError {
        .providerUnavailable(
            provider: provider.name,
            available: available,
            message: "\(provider.name) is not available: \(why); available are \(available)")
    }
}
