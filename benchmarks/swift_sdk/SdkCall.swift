import COrt
import Foundation
import ModelSDK

/// Times chunks of calls of the generated class and of the C API's bare `Run` with pre-bound values,
/// in random order; prints the nanoseconds of both for each round: `SDK BARE`.
///
/// Arguments: assets, rounds, calls of a chunk.
@main
struct SdkCall {
    private static let warmUpRuns = 100_000

    static func main() throws {
        let arguments = CommandLine.arguments
        let assets = URL(fileURLWithPath: arguments[1])
        guard let rounds = Int(arguments[2]), let calls = Int(arguments[3]) else {
            fatalError("rounds and calls are numbers")
        }
        let model = try Tiny.open(
            SessionOptions(intraOpThreads: 1), from: ModelSource(directory: assets))
        let input = try Tiny.Input.allocate()
        let file = assets.appendingPathComponent(model.report.variant.path)
        let bare = BareCall(path: file.path)
        func generated(_ count: Int) throws {
            for _ in 0..<count { _ = try model.run(input).y }
        }
        bare.run(warmUpRuns)
        try generated(warmUpRuns)
        for _ in 0..<rounds {
            var times: [UInt64] = [0, 0]
            for which in Bool.random() ? [0, 1] : [1, 0] {
                let started = DispatchTime.now().uptimeNanoseconds
                if which == 0 { try generated(calls) } else { bare.run(calls) }
                times[which] = DispatchTime.now().uptimeNanoseconds - started
            }
            print(times[0], times[1])
        }
    }
}

/// A session, two tensors of four floats, and nothing around the runtime's own call.
final class BareCall {
    private let api: UnsafePointer<OrtApi>
    private var session: OpaquePointer?
    private var inputs: [OpaquePointer?] = [nil]
    private var outputs: [OpaquePointer?] = [nil]
    private let inputNames = BareCall.names("x")
    private let outputNames = BareCall.names("y")

    init(path: String) {
        guard let found = COrtApi() else { fatalError("the library is older than its headers") }
        api = found
        var environment: OpaquePointer?
        check(api.pointee.CreateEnv(ORT_LOGGING_LEVEL_WARNING, "bare", &environment))
        var options: OpaquePointer?
        check(api.pointee.CreateSessionOptions(&options))
        check(api.pointee.SetIntraOpNumThreads(options, 1))
        check(api.pointee.CreateSession(environment, path, options, &session))
        var place: OpaquePointer?
        check(api.pointee.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &place))
        inputs[0] = tensor(place)
        outputs[0] = tensor(place)
    }

    func run(_ count: Int) {
        inputs.withUnsafeBufferPointer { inputs in
            outputs.withUnsafeMutableBufferPointer { outputs in
                for _ in 0..<count {
                    check(
                        api.pointee.Run(
                            session, nil, inputNames, inputs.baseAddress, 1, outputNames, 1,
                            outputs.baseAddress))
                }
            }
        }
    }

    private func tensor(_ place: OpaquePointer?) -> OpaquePointer? {
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: 16)
        var value: OpaquePointer?
        check(
            api.pointee.CreateTensorWithDataAsOrtValue(
                place, bytes, 16, [1, 4], 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value))
        return value
    }

    private func check(_ status: OpaquePointer?) {
        if status != nil { fatalError("the runtime refuses") }
    }

    private static func names(_ text: String) -> UnsafePointer<UnsafePointer<CChar>?> {
        let names = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: 1)
        names.initialize(to: UnsafePointer(strdup(text)))
        return UnsafePointer(names)
    }
}
