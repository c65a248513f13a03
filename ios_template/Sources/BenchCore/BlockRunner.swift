import Ort

/// What became of one block request.
public struct BlockAnswer: Sendable {
    /// Of the request; nil where it has none.
    public let blockId: String?

    /// The written `result.json`, also of a block that failed; nil where none could be written.
    public let result: String?

    /// Why there is no result; nil where there is one.
    public let problem: String?

    /// Stage and words of the failure that the result tells of; nil where the block succeeded.
    public let failure: String?
}

/// Runs benchmark blocks as `bench_protocol/README.md` defines them.
///
/// One block belongs into one fresh process; only a batch request shares it.
public struct BlockRunner: Sendable {
    private let platform: any Platform

    /// Makes a runner for a platform.
    public init(_ platform: any Platform) { self.platform = platform }

    /// Runs the block, or the batch of blocks, that a file asks for, on the calling thread.
    ///
    /// - Parameters:
    ///   - requestFile: A block or batch request, in JSON; relative paths in it start from its
    ///     directory.
    ///   - startedNs: ``SystemClock/nowNs()`` when the program started; the deadline of the block
    ///     counts from there (that of a batch's block from its own start).
    ///   - progress: Told of each block's stage when it is entered, never inside of a timed section.
    /// - Returns: One answer for each block, in order. Nothing that a request can cause is thrown.
    public func run(
        requestFile: String, startedNs: Int64 = SystemClock.nowNs(),
        progress: @escaping (_ blockId: String, _ stage: Stage) -> Void = { _, _ in }
    ) -> [BlockAnswer] {
        let request: Json
        do {
            request = try JsonParser.parse(readFile(requestFile))
        } catch let error as FileError {
            return [unreadable(requestFile, error.message)]
        } catch {
            return [unreadable(requestFile, "\(error)")]
        }
        let base = directory(of: requestFile)
        guard let batch = requestsOfBatch(request) else {
            return [answer(request, base, startedNs, sharesProcess: false, progress)]
        }
        return batch.map {
            answer($0, base, SystemClock.nowNs(), sharesProcess: true, progress)
        }
    }

    /// Describes machine and runtime as one line of JSON; the runtime's facts stand in `runtime`.
    ///
    /// - Throws: `OrtError` where the runtime does not start.
    public func probe() throws -> String {
        let runtime = try startRuntime(platform, sharesProcess: false).facts
        let machine = platform.machine
        return Json.fields([
            ("name", .text(machine.name)),
            ("os_version", .text(machine.osVersion)),
            ("architecture", .text(machine.architecture)),
            ("cpu", .text(machine.cpu)),
            ("memory_bytes", .number(machine.memoryBytes)),
            ("runtime", runtime.json),
        ]).encoded
    }

    /// The state of the device as one line of JSON; takes a tenth of a second to see how busy it is.
    public func conditions() -> String {
        let load = LoadMeter(platform)
        SystemClock.sleep(ns: 100_000_000)
        return platform.conditions(busyFraction: load.busyFraction).json.encoded
    }

    private func unreadable(_ file: String, _ why: String) -> BlockAnswer {
        unanswered(nil, "cannot read the request \(file): \(why)")
    }

    private func unanswered(_ blockId: String?, _ problem: String) -> BlockAnswer {
        BlockAnswer(blockId: blockId, result: nil, problem: problem, failure: nil)
    }

    private func answer(
        _ request: Json, _ base: String, _ startedNs: Int64, sharesProcess: Bool,
        _ progress: @escaping (String, Stage) -> Void
    ) -> BlockAnswer {
        guard let address = address(of: request) else {
            return unanswered(
                nil, "the request has no block_id and output_directory to answer to")
        }
        let directory = resolve(address.outputDirectory, from: base)
        do {
            try makeDirectory(directory)
            let result: BlockResult
            do {
                let block = Block(
                    try readBlockRequest(request), platform, base: base, directory: directory,
                    startedNs: startedNs, sharesProcess: sharesProcess,
                    progress: { progress(address.blockId, $0) })
                result = block.run()
            } catch let error as InvalidRequest {
                result = refusedResult(address.blockId, error)
            }
            let path = try writeResult(result, to: directory)
            let failure = result.failure.map { "\($0.stage.rawValue): \($0.message)" }
            return BlockAnswer(
                blockId: address.blockId, result: path, problem: nil, failure: failure)
        } catch {
            let why = (error as? FileError)?.message ?? "\(error)"
            return unanswered(address.blockId, "the result cannot be written: \(why)")
        }
    }
}
