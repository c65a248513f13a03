#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

private let usage = """
    Runs one block and writes its result: REQUEST.json
    --probe prints machine and runtime as JSON, --conditions the machine's state.
    Exit code 0 when every result was written, also that of a failed block; 2 otherwise.
    """

private let noAnswer: Int32 = 2

/// Runs the benchmark core as a program.
///
/// Of each block it prints `ORTLAB stage=STAGE` when a stage is entered and `ORTLAB done BLOCK_ID`
/// when the result was written; complaints go to standard error.
///
/// - Parameters:
///   - arguments: Of the program, without its name: a request's path, `--probe` or `--conditions`.
///   - platform: What the core cannot know by itself.
///   - startedNs: ``SystemClock/nowNs()`` when the program started.
/// - Returns: The exit code: 0 when every result was written, also that of a failed block.
public func runProgram(
    _ arguments: [String], on platform: any Platform, startedNs: Int64
) -> Int32 {
    // Whoever reads what is printed may go away, and files may grow too large: both are told by the
    // calls that fail.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    let runner = BlockRunner(platform)
    guard arguments.count == 1, let argument = arguments.first else {
        say(usage, to: STDERR_FILENO)
        return noAnswer
    }
    switch argument {
    case "--probe":
        do {
            say(try runner.probe(), to: STDOUT_FILENO)
            return 0
        } catch {
            say("\(error)", to: STDERR_FILENO)
            return noAnswer
        }
    case "--conditions":
        say(runner.conditions(), to: STDOUT_FILENO)
        return 0
    default:
        return report(
            runner.run(requestFile: argument, startedNs: startedNs) { _, stage in
                say("ORTLAB stage=\(stage.rawValue)", to: STDOUT_FILENO)
            })
    }
}

private func report(_ answers: [BlockAnswer]) -> Int32 {
    for answer in answers {
        if let failure = answer.failure { say(failure, to: STDERR_FILENO) }
        if let problem = answer.problem {
            say(problem, to: STDERR_FILENO)
        } else if let blockId = answer.blockId {
            say("ORTLAB done \(blockId)", to: STDOUT_FILENO)
        }
    }
    return answers.contains { $0.problem != nil } ? noAnswer : 0
}

/// Writes a line at once; where nobody reads, nothing is lost that the result does not hold.
private func say(_ line: String, to file: Int32) {
    _ = Array((line + "\n").utf8).withUnsafeBytes { writeAll($0, to: file) }
}
