import BareLoop
import Foundation

@testable import BenchCore
@testable import Ort

// Times chunks of runs by the core's loop and by a bare one over the C API, on the same session and
// values, in random order; prints the wall nanoseconds of both for each round: `BLOCK BARE`.
//
// Arguments: model with one float input and output of fixed shapes, rounds, runs of a chunk.

let farNs: Int64 = 3_600_000_000_000

func blockLoop(_ call: ModelCall, runs: Int) throws {
    let rule = StopRule(minRuns: Int64(runs), minNs: 0, maxNs: farNs, floorRuns: 5)
    var samples = Samples(capacity: capacity(for: rule, expectedNs: 1))
    _ = try measureRuns(call, rule, &samples, deadlineNs: SystemClock.nowNs() + farNs)
}

func wallNs(_ body: () throws -> Void) rethrows -> Int64 {
    let startedNs = SystemClock.nowNs()
    try body()
    return SystemClock.nowNs() - startedNs
}

func zeros(_ declared: OrtValueInfo) throws -> OrtValue {
    let shape = declared.shape.map { $0 ?? 1 }
    return try OrtValue([Float](repeating: 0, count: shape.reduce(1, *)), shape: shape)
}

func compare(_ model: String, rounds: Int, runs: Int) throws {
    let options = try OrtSessionOptions()
    try options.setIntraOpThreads(1)
    let session = try OrtSession(path: model, options: options)
    let (declared, made) = (session.inputs[0], session.outputs[0])
    let (input, output) = (try zeros(declared), try zeros(made))
    let call = try ModelCall(session, inputs: [(name: declared.name, value: input)])
    try call.runFirst()
    var samples = [Int64](repeating: 0, count: max(runs, 500))

    func bare(_ runs: Int) {
        let slowest = bareLoop(
            session.handle, declared.name, input.handle, made.name, output.handle, &samples,
            Int32(runs))
        precondition(slowest >= 0)
    }

    bare(500)
    try blockLoop(call, runs: 500)
    for _ in 0..<rounds {
        let isBlockFirst = Bool.random()
        let first = try wallNs { isBlockFirst ? try blockLoop(call, runs: runs) : bare(runs) }
        let second = try wallNs { isBlockFirst ? bare(runs) : try blockLoop(call, runs: runs) }
        print(isBlockFirst ? "\(first) \(second)" : "\(second) \(first)")
    }
}

let arguments = CommandLine.arguments
try compare(arguments[1], rounds: Int(arguments[2]) ?? 1, runs: Int(arguments[3]) ?? 1)
