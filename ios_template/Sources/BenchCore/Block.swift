import Ort

private let profileName = "profile.json"

/// One request on its way through the stages.
final class Block {
    private let request: BlockRequest
    private let platform: any Platform
    private let base: String
    private let directory: String
    private let deadlineNs: Int64
    private let sharesProcess: Bool
    private let progress: (Stage) -> Void
    private var memory: MemoryReader
    private var result: BlockResult
    private var stage = Stage.start

    /// - Parameters:
    ///   - base: Directory that relative paths of the request start from.
    ///   - directory: Where progress, result and outputs go.
    ///   - startedNs: Start of the deadline.
    ///   - sharesProcess: Whether other blocks run in this process.
    ///   - progress: Told of each stage.
    init(
        _ request: BlockRequest, _ platform: any Platform, base: String, directory: String,
        startedNs: Int64, sharesProcess: Bool, progress: @escaping (Stage) -> Void
    ) {
        self.request = request
        self.platform = platform
        self.base = base
        self.directory = directory
        self.sharesProcess = sharesProcess
        self.progress = progress
        deadlineNs = startedNs + Int64(request.deadlineSeconds * 1e9)
        memory = MemoryReader(platform)
        result = BlockResult(blockId: request.blockId, requestedProviders: request.providers)
    }

    /// Goes through the stages and returns the result, failed or not.
    func run() -> BlockResult {
        do {
            try goThroughStages()
        } catch {
            result.failure = describeFailure(error, in: stage)
        }
        result.memory = memory.points
        return result
    }

    private func goThroughStages() throws {
        try enter(.start)
        let load = LoadMeter(platform)
        readMemory(.baseline)
        try start()
        let inputs = try request.inputs.map {
            (name: $0.name, value: try readInput($0, from: base))
        }
        readMemory(.environment)
        result.conditionsBefore = platform.conditions(busyFraction: nil)
        try runSession(inputs)
        if request.purpose == .memory { settle() }
        result.conditionsAfter = platform.conditions(busyFraction: load.busyFraction)
    }

    private func start() throws {
        let runtime = try startRuntime(platform, sharesProcess: sharesProcess)
        result.runtime = runtime.facts
        result.timing.environmentNs = runtime.startNs
        try checkAvailable(request.providers, runtime.facts.availableProviders)
    }

    private func runSession(_ inputs: [(name: String, value: OrtValue)]) throws {
        var session: OrtSession? = try createSession()
        readMemory(.loaded)
        if let session { try useSession(session, inputs) }
        let startedNs = SystemClock.nowNs()
        session = nil
        result.timing.closeNs = SystemClock.nowNs() - startedNs
    }

    private func createSession() throws -> OrtSession {
        try enter(.loadModel)
        let model = try loadModel(request.model, request.session, from: base)
        result.timing.loadModelNs = model.loadNs
        try enter(.createSession)
        let prefix = request.purpose == .profile ? join(directory, "ort") : nil
        let open = try openSession(request, model, from: base, profilePrefix: prefix)
        result.timing.sessionCreationNs = open.creationNs
        result.registeredProviders = open.registeredProviders
        return open.session
    }

    private func useSession(
        _ session: OrtSession, _ inputs: [(name: String, value: OrtValue)]
    ) throws {
        try enter(.firstRun)
        let call = try ModelCall(session, inputs: inputs)
        try firstRun(call, session)
        switch request.purpose {
        case .latency: try measureLatency(call)
        case .memory: try measureMemory(call)
        case .profile: try recordProfile(call, session)
        case .parity, .coldStart: break
        }
        try enter(.close)
    }

    private func firstRun(_ call: ModelCall, _ session: OrtSession) throws {
        let startedNs = SystemClock.nowNs()
        try call.runFirst()
        result.timing.firstRunNs = SystemClock.nowNs() - startedNs
        defer { call.release() }
        readMemory(.firstRun)
        guard request.purpose == .parity else { return }
        try enter(.readOutput)
        for (index, declared) in session.outputs.enumerated() {
            let output = try call.output(index)
            result.outputs.append(
                try writeOutput(output, declared, index: index, to: directory))
        }
    }

    private func measureLatency(_ call: ModelCall) throws {
        try enter(.warmUp)
        result.timing.warmUpConverged = false
        var rule = WarmUp(request.warmUp, firstRunNs: result.timing.firstRunNs ?? 0)
        try sample(into: \.warmUpNs) { samples in
            result.timing.warmUpConverged =
                try warmUp(call, &rule, &samples, deadlineNs: deadlineNs)
        }
        try enter(.measure)
        let room = capacity(for: request.stop, expectedNs: rule.lastMedianNs)
        try sample(into: \.measuredNs, capacity: room) { samples in
            result.timing.stopReason =
                try measureRuns(call, request.stop, &samples, deadlineNs: deadlineNs)
        }
    }

    private func measureMemory(_ call: ModelCall) throws {
        try enter(.measure)
        let warm = min(request.warmUp.windowMinRuns, request.measuredRuns)
        try countRuns(call, warm)
        readMemory(.warm)
        try countRuns(call, request.measuredRuns - warm)
        readMemory(.end)
    }

    private func recordProfile(_ call: ModelCall, _ session: OrtSession) throws {
        try enter(.measure)
        try countRuns(call, request.measuredRuns - 1)
        try enter(.readOutput)
        try renameFile(session.endProfiling(), to: join(directory, profileName))
        result.profilePath = profileName
    }

    private func countRuns(_ call: ModelCall, _ count: Int64) throws {
        try sample(into: \.measuredNs) { samples in
            for _ in 0..<count {
                let startedNs = SystemClock.nowNs()
                try call.run()
                let endedNs = SystemClock.nowNs()
                call.release()
                samples.add(endedNs - startedNs)
                try checkDeadline()
            }
        }
    }

    /// Adds durations to the result, also when what takes them throws.
    private func sample(
        into durations: WritableKeyPath<Timing, [Int64]>, capacity: Int = 1,
        _ body: (inout Samples) throws -> Void
    ) rethrows {
        var samples = Samples(capacity: capacity)
        defer { result.timing[keyPath: durations] += samples.durationsNs }
        try body(&samples)
    }

    private func settle() {
        SystemClock.sleep(ns: min(request.settleNs, deadlineNs - SystemClock.nowNs()))
        readMemory(.closed)
    }

    private func enter(_ next: Stage) throws {
        stage = next
        try appendLine(next.rawValue, to: join(directory, "progress"))
        progress(next)
        try checkDeadline()
    }

    private func checkDeadline() throws {
        if SystemClock.nowNs() >= deadlineNs { throw DeadlinePassed() }
    }

    private func readMemory(_ phase: MemoryPhase) {
        if request.purpose == .memory { memory.read(phase) }
    }
}
