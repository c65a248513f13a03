#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What ``serveBatches(below:on:until:tell:)`` is doing.
public enum BatchEvent: Sendable {
    /// It waits for a batch.
    case waiting
    /// A block was started.
    case started(blockID: String)
    /// A batch was carried out; what could not be is said in sentences.
    case finished(results: Int, problems: [String])
}

/// Carries out what a computer lays down for an app that a person opened and leaves open.
///
/// It first writes `ortlab/runtime.json`, as `--probe` prints it, by which the computer knows that the
/// app is open. Then it carries out each `ortlab/batch.json` that appears, under another name, so that
/// the next one can be laid down meanwhile. All blocks share this process, and their results say so.
///
/// - Parameters:
///   - documents: Directory that `ortlab` is in.
///   - platform: What the core cannot know by itself.
///   - isOver: Asked between two looks; never, by default.
///   - tell: Told what is being done, on this thread.
/// - Throws: Where the runtime does not start, or nothing can be written.
public func serveBatches(
    below documents: String, on platform: any Platform,
    until isOver: () -> Bool = { false }, tell: @escaping (BatchEvent) -> Void
) throws {
    let place = join(documents, "ortlab")
    let runner = BlockRunner(platform)
    try makeDirectory(place)
    try writeFile(join(place, "runtime.json.part"), Array(runner.probe().utf8))
    try renameFile(join(place, "runtime.json.part"), to: join(place, "runtime.json"))
    let (batch, taken) = (join(place, "batch.json"), join(place, "taken.json"))
    tell(.waiting)
    while !isOver() {
        guard rename(batch, taken) == 0 else {
            SystemClock.sleep(ns: lookPeriodNs)
            continue
        }
        let answers = runner.run(requestFile: taken) { blockID, stage in
            if stage == .start { tell(.started(blockID: blockID)) }
        }
        tell(
            .finished(
                results: answers.filter { $0.problem == nil }.count,
                problems: answers.compactMap { $0.problem ?? $0.failure }))
    }
}

private let lookPeriodNs: Int64 = 200_000_000
