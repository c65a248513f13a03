import Foundation
import ModelSDK

extension Checks {
    func typedCalls() async {
        await check("symbolic dimensions as parameters") {
            let model = try await Product.open(from: source)
            for (rows, inner) in [(1, 1), (5, 2), (2, 7)] {
                let input = try Product.Input.allocate(rows: rows, inner: inner)
                try input.left.write(Array(repeating: 1, count: rows * inner))
                try input.right.write(Array(repeating: 2, count: 4 * inner))
                try input.bias.write([0, 1, 2, 3])
                let output = try await model.run(input)
                try same([rows, 4], output.sum.shape)
                try same(Float(2 * inner + 3), try output.sum.elements()[3])
                try same([], output.total.shape)
                try same(Float(rows * (8 * inner + 6)), try output.total.elements()[0])
            }
        }
        await check("empty tensors") {
            let model = try await Product.open(from: source)
            let output = try await model.run(Product.Input.allocate(rows: 0, inner: 3))
            try same([0, 4], output.sum.shape)
            try same([], try output.sum.elements())
            try same(0, try output.total.elements()[0])
        }
        await check("no shape, several ranks") {
            let model = try await NoShape.open(from: source)
            for shape in [[], [3], [2, 1, 2]] {
                let input = try NoShape.Input.allocate(xShape: shape)
                try input.x.write(Array(repeating: 2, count: input.x.elementCount))
                let output = try await model.run(input)
                try same(shape, output.y.shape)
                try same(-2, try output.y.elements()[0])
            }
        }
        await check("scalars and text that changes") {
            let model = try await Scalars.open(from: source)
            let input = try Scalars.Input.allocate()
            try input.a.write([-5])
            try input.b.write([7])
            for text in ["caf\u{E9} \u{4E2D}", "", "two"] {
                try input.text.write([text])
                let output = try await model.run(input)
                try same([2], try output.sum.elements())
                try same([true], try output.less.elements())
                try same([text], try output.same.elements())
            }
        }
        await check("unsigned outputs") {
            let model = try await Unsigned.open(from: source)
            let numbers: [Int64] = [0, 1, 65_535, 4_294_967_295, .max]
            let output = try await model.run(Unsigned.Input(x: Tensor(numbers, shape: [5])))
            try same(65_535, try output.uint16.elements()[2])
            try same(4_294_967_295, try output.uint32.elements()[3])
            try same(UInt64(Int64.max), try output.uint64.elements()[4])
        }
        await check("unsigned inputs") {
            let model = try await TypeUint64.open(from: source)
            let input = try TypeUint64.Input(x: Tensor([0, 1, .max, 3, 4, 5], shape: [2, 3]))
            try same(.max, try await model.run(input).twice.elements()[8])
        }
        await check("a size that depends on the numbers") {
            let model = try await Nonzero.open(from: source)
            let input = try Nonzero.Input.allocate()
            try same([2, 0], try await model.run(input).y.shape)
            try input.x.write([0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
            try same([1, 2], try await model.run(input).y.elements())
        }
        await check("a picture in, labels out") {
            let model = try await Digits.open(from: source)
            let bytes = (0..<192).flatMap { (number: Int) -> [UInt8] in
                [UInt8(number), UInt8(255 - number), UInt8(number / 2), 255]
            }
            let picture = try Picture(width: 16, height: 12, rgba: bytes)
            let labels = try await model.run(picture).labels()
            try same(2, labels.count)
            let input = try Digits.Input.allocate()
            try input.writePicture(picture)
            let again = try await model.run(input)
            try same(labels, try again.labels())
            let scores = try again.scores.elements()
            let names = ["zero", "o\"n$e", "two */", "three\u{202E}"]
            let best = scores.indices.max { scores[$0] < scores[$1] }
            try same(best.map { names[$0] }, labels[0].text)
            try same(true, labels[0].confidence >= labels[1].confidence)
        }
        await check("metrics of load, runs and failures") {
            let events = Events()
            let options = SessionOptions(metrics: { events.add($0) })
            let model = try await TypeFloat.open(options, from: source)
            let input = try TypeFloat.Input.allocate()
            for _ in 0..<3 { _ = try await model.run(input) }
            try same(4, events.all.count)
            guard case .sessionLoaded(let report) = events.all[0] else {
                throw Failure(description: "\(events.all)")
            }
            try same(model.report, report)
            try same(true, report.loadDurationNanoseconds > 0)
            for event in events.all.dropFirst() {
                guard case .runCompleted("type-float", let duration) = event, duration > 0 else {
                    throw Failure(description: "\(event)")
                }
            }
            let nowhere = ModelSource(directory: URL(fileURLWithPath: "/nowhere"))
            try await refused("modelNotFound") {
                _ = try await TypeFloat.open(options, from: nowhere)
            }
            guard case .failed("type-float", .load, .modelNotFound) = events.all[4] else {
                throw Failure(description: "\(events.all)")
            }
        }
    }

    func providers() async {
        let others: [ExecutionProvider] = [.coreML(), .xnnpack(threads: 2)]
        await check("providers that the runtime lacks are refused") {
            for provider in others {
                for fallback in [CPUFallback.none, .operators] {
                    let options = SessionOptions(providers: [provider], cpuFallback: fallback)
                    let words = [provider.name, "not available"]
                    let error = try await refused("providerUnavailable", words[0], words[1]) {
                        _ = try await TypeFloat.open(options, from: source)
                    }
                    guard case .providerUnavailable(provider.name, let available, _) = error,
                        available.contains("CPU"), !available.contains(provider.name)
                    else { throw Failure(description: "\(error)") }
                }
            }
            try same(0, CoreMLCache.sizeBytes())
            try same(false, FileManager.default.fileExists(atPath: CoreMLCache.directory.path))
        }
        await check("the CPU steps in only when asked, and says so") {
            for provider in others {
                let options = SessionOptions(providers: [provider], cpuFallback: .wholeModel)
                let model = try await TypeFloat.open(options, from: source)
                try same(.wholeModel, model.report.providers.cpuFallback)
                try same([provider.name], model.report.providers.requested)
                try same(["CPU"], model.report.providers.registered)
                try same([provider.name], Array(model.report.providers.missing.keys))
                try same(nil, model.report.coreMLCache)
                _ = try await model.run(TypeFloat.Input.allocate())
            }
            for options in [SessionOptions(), SessionOptions(providers: [.cpu])] {
                let model = try await TypeFloat.open(options, from: source)
                try same(.nothing, model.report.providers.cpuFallback)
                try same(["CPU"], model.report.providers.registered)
            }
        }
        await check("options of the CPU") {
            let cpu = CPUOptions(
                keepsMemory: false, plansMemory: false, spins: false, flushesDenormals: true)
            let options = SessionOptions(cpu: cpu, intraOpThreads: 2, interOpThreads: 2)
            let model = try await Product.open(options, from: source)
            _ = try await model.run(Product.Input.allocate(rows: 2, inner: 2))
        }
        await check("options that mean nothing") {
            for options in [
                SessionOptions(intraOpThreads: 0), SessionOptions(interOpThreads: -1),
                SessionOptions(providers: [.xnnpack(threads: 0)]),
            ] {
                try await refused("invalidOptions", "positive") {
                    _ = try await TypeFloat.open(options, from: source)
                }
            }
            try await refused("invalidOptions", "more than once") {
                let options = SessionOptions(providers: [.coreML(), .coreML(.init(cache: .none))])
                _ = try await TypeFloat.open(options, from: source)
            }
            try await refused("invalidOptions", "the SDK sets them") {
                let entries = ["session.disable_cpu_ep_fallback": "0"]
                _ = try await TypeFloat.open(SessionOptions(configEntries: entries), from: source)
            }
            for library in [
                CustomOpLibrary.file("/nowhere/libnone.so"), .framework("Nothing"),
                .linked(function: "ortlab_no_such_function"),
            ] {
                try await refused("modelLoadFailed") {
                    let options = SessionOptions(customOpLibraries: [library])
                    _ = try await TypeFloat.open(options, from: source)
                }
            }
        }
    }

    func loading() async {
        await check("styles") {
            try same([.fixed, .runtime], TypeFloat.descriptor.styles)
            for style in TypeFloat.descriptor.styles {
                let options = SessionOptions(style: style, intraOpThreads: 1)
                let model = try await TypeFloat.open(options, from: source)
                try same(style, model.report.variant.style)
                _ = try await model.run(TypeFloat.Input.allocate())
            }
            try await refused("invalidOptions", "onnx", "fixed") {
                _ = try await TypeFloat.open(SessionOptions(style: .onnx), from: source)
            }
        }
        await check("the package's own resources") {
            let model = try await TypeFloat.open()
            _ = try await model.run(TypeFloat.Input.allocate())
            try same(true, ModelResources.bundle != nil)
            try same(1, try TypeFloat.descriptor.loadSample().count)
        }
        await check("files that are missing, cut, garbled or another model's") {
            let path = TypeFloat.descriptor.variants[0].path
            let place = FileManager.default.temporaryDirectory
                .appendingPathComponent("ortlab-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: place) }
            let file = place.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            let there = ModelSource(directory: place)
            try await refused("modelNotFound", path) { _ = try await TypeFloat.open(from: there) }
            let whole = try Data(contentsOf: URL(fileURLWithPath: "\(assets)/\(path)"))
            try whole.prefix(100).write(to: file)
            try await refused("modelLoadFailed", "100 bytes instead of") {
                _ = try await TypeFloat.open(from: there)
            }
            try Data(count: whole.count).write(to: file)
            try await refused("modelLoadFailed", "Cannot load") {
                _ = try await TypeFloat.open(from: there)
            }
            try whole.write(to: file)
            let other = ModelDescriptor(
                name: "other", inputs: TypeFloat.descriptor.inputs,
                outputs: Array(TypeFloat.descriptor.outputs.prefix(1)),
                variants: [TypeFloat.descriptor.variants[0]])
            try await refused("modelLoadFailed", "it is not the one") {
                _ = try await other.open(from: there)
            }
        }
        await check("names of models are those of the files") {
            let names = Set(Models.all.map(\.name))
            try same(true, names.isSuperset(of: ["product", "digits", "hostile"]))
        }
        await check("caches of Core ML are counted and removed") {
            let place = CoreMLCache.directory.appendingPathComponent("model/1", isDirectory: true)
            try FileManager.default.createDirectory(
                at: place, withIntermediateDirectories: true)
            try Data(count: 1234).write(to: place.appendingPathComponent("compiled"))
            try same(1234, CoreMLCache.sizeBytes())
            try CoreMLCache.removeAll()
            try CoreMLCache.removeAll()
            try same(0, CoreMLCache.sizeBytes())
        }
    }
}
