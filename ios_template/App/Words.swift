import Foundation
import ModelSDK

/// Says in words what the app knows.
enum Words {
    static let noModel = "This app carries no model. Generate it again with a prepared model."

    static func name(of style: ModelStyle) -> String {
        switch style {
        case .onnx: return "ONNX, optimized when loaded"
        case .fixed: return "Fixed, optimized when packaged"
        case .runtime: return "Runtime, optimized in part when packaged"
        }
    }

    /// Names the style that is taken when none is chosen.
    static func recommended(of model: ModelDescriptor) -> String {
        guard let style = model.styles.first else { return "Recommended" }
        return "Recommended (\(style.rawValue))"
    }

    static func name(of provider: ProviderChoice) -> String {
        switch provider {
        case .cpu: return "CPU"
        case .coreML: return "Core ML"
        case .xnnpack: return "XNNPACK (CPU)"
        }
    }

    static func name(ofThreads threads: Int?) -> String {
        threads.map(String.init) ?? "The runtime decides"
    }

    /// Says what an input will get.
    static func source(of input: TensorDescriptor, _ model: ModelDescriptor, _ picture: Picture?)
        -> String
    {
        if let picture { return "A picture of \(picture.width) × \(picture.height) pixels" }
        let isSampled = model.sample.contains { $0.name == input.name }
        return isSampled ? "The packaged sample" : "Zeros; sizes that may vary are 1"
    }

    static func status(of state: ScreenState) -> String {
        switch state.work {
        case .running: return "Running…"
        case .readingPicture: return "Reading the picture…"
        case .nothing: break
        }
        if let problem = state.problem { return explanation(of: problem) }
        return state.answer.map(latency) ?? "Not run yet"
    }

    static func latency(of answer: RunAnswer) -> String {
        let measured = answer.runNanoseconds
        let sorted = (measured.isEmpty ? [answer.firstRunNanoseconds] : measured).sorted()
        let median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
        if sorted.count == 1 { return "Latency: \(milliseconds(median)) (1 run)" }
        return "Latency: \(milliseconds(median)) "
            + "(median of \(sorted.count) runs, fastest \(milliseconds(sorted[0])))"
    }

    /// All that was measured, a figure a line.
    static func figures(of answer: RunAnswer) -> [String] {
        let report = answer.report
        var lines = [
            latency(of: answer),
            "First run: \(milliseconds(answer.firstRunNanoseconds))",
            "Loading: \(milliseconds(report.loadDurationNanoseconds, digits: 1))",
            "Execution providers: \(report.providers.registered.joined(separator: ", "))",
        ]
        if report.providers.cpuFallback != .nothing {
            lines.append("The CPU steps in for operators that they do not take.")
        }
        if let cache = report.coreMLCache {
            let size = megabytes(cache.sizeBytes, digits: 1)
            lines.append(
                cache.wasWarm
                    ? "Core ML's compiled model: \(size), found in the cache"
                    : "Core ML's compiled model: \(size), compiled while loading")
        }
        if let memory = answer.memory {
            lines.append(
                "Memory of the app: \(megabytes(memory.current)), "
                    + "at most \(megabytes(memory.peak)) so far")
        }
        lines.append("File: \(report.variant.id)")
        lines.append("Usage data of ONNX Runtime: off")
        return lines
    }

    /// The first values of an output, and the range of all.
    static func values(of output: OutputSummary) -> [String] {
        guard output.elementCount > 0 else { return ["empty"] }
        let first = output.firstValues.joined(separator: ", ")
        let isShortened = output.firstValues.count < output.elementCount
        var lines = [isShortened ? "\(first) … (\(output.elementCount) in all)" : first]
        if let range = output.range {
            let bounds = "from \(number(range.minimum)) to \(number(range.maximum))"
            let others = range.notFinite > 0 ? "; \(range.notFinite) are not finite" : ""
            lines.append("\(bounds), mean \(number(range.mean))\(others)")
        }
        return lines
    }

    static func confidence(of label: Classification.Label) -> String {
        label.confidence.formatted(.number.precision(.fractionLength(3)))
    }

    private static func explanation(of problem: Problem) -> String {
        let why = problem.cause.localizedDescription
        if problem.work == .readingPicture { return "The picture cannot be read: \(why)" }
        guard let error = problem.cause as? SDKError else { return "That went wrong: \(why)" }
        switch error {
        case .providerUnavailable(let provider, _, _):
            return "\(provider) cannot be used here: \(why)"
        case .modelNotFound: return "The model cannot be read: \(why)"
        case .modelLoadFailed: return "The model cannot be loaded: \(why)"
        case .runFailed: return "The model failed: \(why)"
        case .shapeMismatch, .elementTypeMismatch, .invalidElements, .sharedTensor, .invalidInputs:
            return "The inputs do not fit: \(why)"
        default: return "That went wrong: \(why)"
        }
    }

    private static func milliseconds(_ nanoseconds: UInt64, digits: Int = 2) -> String {
        fixed(Double(nanoseconds) / 1e6, digits: digits) + " ms"
    }

    private static func megabytes(_ bytes: Int, digits: Int = 0) -> String {
        fixed(Double(bytes) / 1e6, digits: digits) + " MB"
    }

    private static func fixed(_ value: Double, digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)))
    }

    private static func number(_ value: Double) -> String {
        value.formatted(.number.precision(.significantDigits(1...4)))
    }
}
