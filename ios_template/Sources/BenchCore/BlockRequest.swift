import Ort

/// One block, as `block_request.schema.json` defines it; made by ``readBlockRequest(_:)`` alone.
struct BlockRequest {
    let blockId: String
    let purpose: Purpose
    let model: ModelReference
    let session: SessionSettings
    let providers: [ProviderRequest]
    let inputs: [TensorFile]
    let outputDirectory: String
    let warmUp: WarmUpRule
    let stop: StopRule
    let measuredRuns: Int64
    let settleNs: Int64
    let deadlineSeconds: Double
}

/// The model file and how the session gets it.
struct ModelReference {
    let path: String
    let sha256: String
    let loadMode: LoadMode
    let customOpLibrary: String?
}

/// Session options; nil leaves the runtime's default.
struct SessionSettings {
    let optimizationLevel: OptimizationLevel
    let intraOpThreads: Int64?
    let interOpThreads: Int64?
    let executionMode: SessionExecutionMode
    let usesCpuArena: Bool?
    let usesMemoryPattern: Bool?
    let configEntries: [String: String]
}

/// An execution provider by the runtime's name, and its options.
struct ProviderRequest {
    let name: String
    let options: [String: String]
}

/// A tensor in a raw file; see `bench_protocol/README.md`, "Tensor files".
struct TensorFile {
    let name: String
    let elementType: OrtElementType
    let shape: [Int]
    let path: String
    let sha256: String?
}

/// When warm-up ends.
struct WarmUpRule {
    let windowMinRuns: Int64
    let windowNs: Int64
    let agreement: Double
    let minNs: Int64
    let maxNs: Int64
    let maxRuns: Int64
    let hardLimitNs: Int64
}

/// When measurement ends.
struct StopRule {
    let minRuns: Int64
    let minNs: Int64
    let maxNs: Int64
    let floorRuns: Int64
}
