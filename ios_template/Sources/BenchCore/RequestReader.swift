import Ort

private let requestSchema = "ortlab.block_request/1"
private let batchSchema = "ortlab.batch_request/1"

/// Whole numbers of the protocol are below 2^62, so that sums of two of them are numbers too.
private let largest = Int64(1) << 62 - 1
private let secondsLimit = 1e9

/// A field of the request is missing or has no meaning.
struct InvalidRequest: Error {
    let message: String
}

/// Without these two nobody can be answered.
struct Address {
    let blockId: String
    let outputDirectory: String
}

/// Returns whom to answer and where, or nil where the request does not say.
func address(of request: Json) -> Address? {
    guard let fields = try? Field("the request", request).fields(),
        let blockId = try? fields["block_id"].name(),
        let directory = try? fields["output_directory"].name()
    else { return nil }
    return Address(blockId: blockId, outputDirectory: directory)
}

/// Returns the requests of a batch, or nil when it is none.
func requestsOfBatch(_ request: Json) -> [Json]? {
    guard let fields = try? Field("the request", request).fields(),
        let schema = try? fields["schema"].text(), schema == batchSchema
    else { return nil }
    return (try? fields["requests"].items().map(\.value)) ?? []
}

/// Returns the request that JSON holds; fields that the schema does not know are ignored.
///
/// - Throws: ``InvalidRequest`` where a field is missing or its value is none of those that
///   `block_request.schema.json` allows.
func readBlockRequest(_ request: Json) throws -> BlockRequest {
    let fields = try Field("the request", request).fields()
    guard try fields["schema"].text() == requestSchema else {
        throw try fields["schema"].refusal("is not \(requestSchema)")
    }
    return BlockRequest(
        blockId: try fields["block_id"].name(),
        purpose: try fields["purpose"].oneOf(Purpose.self),
        model: try readModel(fields["model"].fields()),
        session: try readSession(fields["session"].fields()),
        providers: try readProviders(fields["providers"]),
        inputs: try readInputs(fields["inputs"]),
        outputDirectory: try fields["output_directory"].name(),
        warmUp: try readWarmUp(fields["warm_up"].fields()),
        stop: try readStop(fields["stop"].fields()),
        measuredRuns: try fields["measured_runs"].wholeNumber(least: 1),
        settleNs: try fields["settle_ns"].wholeNumber(),
        deadlineSeconds: try fields["deadline_s"].number())
}

private func readModel(_ fields: Fields) throws -> ModelReference {
    ModelReference(
        path: try fields["path"].name(),
        sha256: try fields["sha256"].sha256(),
        loadMode: try fields["load_mode"].oneOf(LoadMode.self),
        customOpLibrary: try fields["custom_op_library"].orNull { try $0.name() })
}

private func readSession(_ fields: Fields) throws -> SessionSettings {
    SessionSettings(
        optimizationLevel: try fields["graph_optimization_level"].oneOf(OptimizationLevel.self),
        intraOpThreads: try fields["intra_op_num_threads"].orNull { try $0.wholeNumber() },
        interOpThreads: try fields["inter_op_num_threads"].orNull { try $0.wholeNumber() },
        executionMode: try fields["execution_mode"].oneOf(SessionExecutionMode.self),
        usesCpuArena: try fields["cpu_memory_arena"].orNull { try $0.boolean() },
        usesMemoryPattern: try fields["memory_pattern"].orNull { try $0.boolean() },
        configEntries: try fields["config_entries"].texts())
}

private func readProviders(_ field: Field) throws -> [ProviderRequest] {
    let providers = try field.items().map { item in
        let fields = try item.fields()
        return ProviderRequest(
            name: try fields["name"].name(), options: try fields["options"].texts())
    }
    if providers.isEmpty { throw field.refusal("is empty") }
    return providers
}

private func readInputs(_ field: Field) throws -> [TensorFile] {
    let inputs = try field.items().map { item in
        let fields = try item.fields()
        return TensorFile(
            name: try fields["name"].text(),
            elementType: try fields["element_type"].oneOf(OrtElementType.self),
            shape: try fields["shape"].items().map { Int(try $0.wholeNumber()) },
            path: try fields["path"].name(),
            sha256: try fields["sha256"].orNull { try $0.sha256() })
    }
    // Compared as bytes: to Swift, texts are equal that a model may tell apart.
    if Set(inputs.map { Array($0.name.utf8) }).count != inputs.count {
        throw field.refusal("names a tensor twice")
    }
    return inputs
}

private func readWarmUp(_ fields: Fields) throws -> WarmUpRule {
    WarmUpRule(
        windowMinRuns: try fields["window_min_runs"].wholeNumber(least: 1),
        windowNs: try fields["window_ns"].wholeNumber(),
        agreement: try fields["agreement"].number(),
        minNs: try fields["min_ns"].wholeNumber(),
        maxNs: try fields["max_ns"].wholeNumber(),
        maxRuns: try fields["max_runs"].wholeNumber(),
        hardLimitNs: try fields["hard_limit_ns"].wholeNumber())
}

private func readStop(_ fields: Fields) throws -> StopRule {
    StopRule(
        minRuns: try fields["min_runs"].wholeNumber(least: 1),
        minNs: try fields["min_ns"].wholeNumber(),
        maxNs: try fields["max_ns"].wholeNumber(),
        floorRuns: try fields["floor_runs"].wholeNumber(least: 1))
}

/// The fields of an object, which know where they stand.
private struct Fields {
    let place: String
    let members: [Json.Member]

    subscript(key: String) -> Field {
        get throws {
            guard let member = members.last(where: { $0.key.utf8.elementsEqual(key.utf8) }) else {
                throw InvalidRequest(message: "\(place) lacks \(key)")
            }
            return Field(place == "the request" ? key : "\(place).\(key)", member.value)
        }
    }
}

/// A value and its place, for the sentence that refuses it.
private struct Field {
    let place: String
    let value: Json

    init(_ place: String, _ value: Json) {
        self.place = place
        self.value = value
    }

    func refusal(_ complaint: String) -> InvalidRequest {
        InvalidRequest(message: "\(place) \(complaint)")
    }

    private var impossible: InvalidRequest { refusal("cannot be \(value.encoded)") }

    func fields() throws -> Fields {
        guard case .object(let members) = value else { throw refusal("is no object") }
        return Fields(place: place, members: members)
    }

    func items() throws -> [Field] {
        guard case .array(let items) = value else { throw refusal("is no array") }
        return items.enumerated().map { Field("\(place)[\($0.offset)]", $0.element) }
    }

    func orNull<Value>(_ read: (Field) throws -> Value) rethrows -> Value? {
        if case .null = value { return nil }
        return try read(self)
    }

    func text() throws -> String {
        guard case .text(let text) = value else { throw impossible }
        return text
    }

    func name() throws -> String {
        let text = try text()
        if text.isEmpty || text.utf8.contains(0) { throw impossible }
        return text
    }

    func sha256() throws -> String {
        let text = try text()
        let digits = Set("0123456789abcdef".utf8)
        guard text.utf8.count == 64, text.utf8.allSatisfy(digits.contains) else { throw impossible }
        return text
    }

    func oneOf<Value: RawRepresentable & CaseIterable>(_ type: Value.Type) throws -> Value
    where Value.RawValue == String {
        if case .text(let text) = value, let found = Value(rawValue: text) { return found }
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        throw refusal("is \(value.encoded), none of \(known)")
    }

    func texts() throws -> [String: String] {
        guard case .object(let members) = value else { throw impossible }
        var texts: [String: String] = [:]
        for member in members {
            texts[member.key] = try Field("\(place).\(member.key)", member.value).text()
        }
        return texts
    }

    func boolean() throws -> Bool {
        guard case .boolean(let boolean) = value else { throw impossible }
        return boolean
    }

    func wholeNumber(least: Int64 = 0) throws -> Int64 {
        guard case .digits(let digits) = value, isNumber(digits, isWhole: true),
            let number = Int64(digits), (least...largest).contains(number)
        else { throw impossible }
        return number
    }

    func number() throws -> Double {
        guard case .digits(let digits) = value, isNumber(digits), let number = Double(digits),
            number >= 0, number < secondsLimit
        else { throw impossible }
        return number
    }
}
