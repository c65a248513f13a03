import ModelSDK

/// Execution providers to choose from; which of them a device really has shows when a model is
/// opened.
enum ProviderChoice: String, CaseIterable, Codable, Identifiable, Sendable {
    case cpu
    case coreML
    case xnnpack

    var id: Self { self }
}

/// How the user wants a model to run.
struct Choices: Hashable, Sendable {
    /// Index among the app's models.
    var model = 0
    /// Which of the packaged files; nil takes the recommended one.
    var style: ModelStyle?
    /// Takes the operators it can.
    var provider = ProviderChoice.cpu
    /// That calculate; nil leaves it to the runtime.
    var threads: Int?

    /// The same for the SDK. A provider that is missing is refused; operators it lacks go to the
    /// CPU.
    var sessionOptions: SessionOptions {
        switch provider {
        case .cpu:
            return SessionOptions(style: style, intraOpThreads: threads)
        case .coreML:
            return SessionOptions(
                style: style, providers: [.coreML()], cpuFallback: .operators,
                intraOpThreads: threads)
        case .xnnpack:
            // XNNPACK has threads of its own; the runtime's would compete with them.
            return SessionOptions(
                style: style, providers: [.xnnpack(threads: threads)], cpuFallback: .operators,
                intraOpThreads: 1)
        }
    }
}

/// As the system keeps it for an app that it ends.
extension Choices: Codable {
    private enum CodingKeys: String, CodingKey {
        case model, style, provider, threads
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        model = try values.decode(Int.self, forKey: .model)
        style = try values.decodeIfPresent(String.self, forKey: .style).flatMap(ModelStyle.init)
        provider = try values.decode(ProviderChoice.self, forKey: .provider)
        threads = try values.decodeIfPresent(Int.self, forKey: .threads)
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(model, forKey: .model)
        try values.encodeIfPresent(style?.rawValue, forKey: .style)
        try values.encode(provider, forKey: .provider)
        try values.encodeIfPresent(threads, forKey: .threads)
    }
}
