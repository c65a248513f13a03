import Foundation
import ModelSDK

extension Checks {
    func lifetimes() async {
        await check("a closed tensor never reaches a run") {
            let (model, input) = try openProduct()
            _ = try await model.run(input)
            input.left.close()
            input.left.close()
            try await refused("closed", "closed") { _ = try await model.run(input) }
            try await refused("closed") { _ = try input.left.elements() }
            try await refused("closed") { try input.left.write([1, 2, 3, 4, 5, 6]) }
            try await refused("closed") { try input.left.withUnsafeMutableBytes { _ in } }
            try await refused("closed") {
                _ = try Product.Input(
                    left: input.left, right: Tensor(shape: [3, 4]), bias: Tensor(shape: [4]))
            }
            // The others were given back.
            let again = try Product.Input(
                left: Tensor(shape: [2, 3]), right: input.right, bias: input.bias)
            _ = try await model.run(again)
        }
        await check("a closed model never runs, and a second close does nothing") {
            let (model, input) = try openProduct()
            let output = try await model.run(input)
            model.close()
            model.close()
            try same(true, model.isClosed)
            try await refused("closed", "product") { _ = try await model.run(input) }
            try same(8, try output.sum.elements().count)
            let counter = try await Counter.open(from: source)
            counter.close()
            counter.close()
            try await refused("closed") { try counter.reset() }
            let digits = try await Digits.open(from: source)
            digits.close()
            let picture = try Picture(width: 1, height: 1, rgba: [1, 2, 3, 4])
            try await refused("closed") { _ = try await digits.run(picture) }
        }
        await check("outputs outlive the model") {
            func output() throws -> TypeFloat.Output {
                let model = try TypeFloat.open(from: source)
                let tensor = try Tensor<Float>([1, 2, 3, 4, 5, 6], shape: [2, 3])
                return try model.run(TypeFloat.Input(x: tensor))
            }
            let kept = try output()
            try same([1, 2, 3, 4, 5, 6], try kept.y.elements())
            func open() throws -> NoShape.Output {
                let model = try NoShape.open(from: source)
                return try model.run(NoShape.Input(x: Tensor([2, 3], shape: [2])))
            }
            try same([-2, -3], try open().y.elements())
        }
        await check("an output is not an input of its own model") {
            let model = try await TypeFloat.open(from: source)
            let output = try await model.run(TypeFloat.Input.allocate())
            try await refused("sharedTensor", "'y'") {
                _ = try await model.run(TypeFloat.Input(x: output.y))
            }
        }
        await check("an output of one model is an input of another") {
            let first = try await TypeFloat.open(from: source)
            let second = try await TypeFloat.open(from: source)
            let tensor = try Tensor<Float>([1, 2, 3, 4, 5, 6], shape: [2, 3])
            let passed = try await first.run(TypeFloat.Input(x: tensor))
            let output = try await second.run(TypeFloat.Input(x: passed.y))
            try same(6, try output.y.elements()[5])
        }
        await check("an output that the caller closes is made anew") {
            let model = try await TypeFloat.open(from: source)
            let input = try TypeFloat.Input.allocate()
            let first = try await model.run(input)
            try same(true, first.y === (try await model.run(input)).y)
            first.y.close()
            try input.x.write([7, 0, 0, 0, 0, 0])
            let second = try await model.run(input)
            try same(7, try second.y.elements()[0])
            try await refused("closed") { _ = try first.y.elements() }
        }
        await check("a model with other tensors every time") {
            let model = try await TypeFloat.open(from: source)
            for number in 0..<50 {
                let value = Float(number)
                let tensor = try Tensor<Float>(Array(repeating: value, count: 6), shape: [2, 3])
                let output = try await model.run(TypeFloat.Input(x: tensor))
                tensor.close()
                try same(value, try output.y.elements()[5])
                try same(12, try output.twice.elements().count)
            }
        }
    }

    func concurrency() async {
        await check("a run with a tensor that is being used is refused") {
            let (model, input) = try openProduct()
            _ = try await model.run(input)
            try input.left.withUnsafeMutableElements { elements in
                elements[0] = 1
                do {
                    _ = try model.run(input)
                    throw Failure(description: "nothing was thrown")
                } catch SDKError.busy(let message) {
                    try same(true, message.contains("being used"))
                }
            }
            _ = try await model.run(input)
            let fixed = try await TypeFloat.open(from: source)
            let other = try TypeFloat.Input.allocate()
            try (try await fixed.run(other)).y.withUnsafeElements { _ in
                do {
                    _ = try fixed.run(other)
                    throw Failure(description: "nothing was thrown")
                } catch SDKError.busy {
                    // The run would write what is being read.
                }
            }
            _ = try await fixed.run(other)
            try input.left.withUnsafeMutableElements { _ in input.left.close() }
            try await refused("closed") { _ = try await model.run(input) }
        }
        await check("a second run, a reset and a close during a run") {
            // The picture is read inside the run: its size is what holds it up.
            let side = 3_000
            let picture = try Picture(
                width: side, height: side, rgba: Array(repeating: 9, count: 4 * side * side))
            let model = try await Digits.open(from: source)
            let input = try Digits.Input.allocate()
            let finished = Count()
            async let slow: Digits.Output = {
                defer { finished.add() }
                while true {
                    do {
                        return try await model.run(picture)
                    } catch SDKError.busy {
                        // The other task's run came first.
                    }
                }
            }()
            var refusals = 0
            while finished.value == 0 {
                do {
                    _ = try await model.run(input)
                    try await Task.sleep(nanoseconds: 100_000)
                } catch SDKError.busy {
                    refusals += 1
                    model.close()
                    model.close()
                } catch SDKError.closed {
                    break
                }
            }
            try same(true, refusals > 0)
            // The run that was under way ends well.
            try same(4, try await slow.scores.elements().count)
            try same(true, model.isClosed)
            try await refused("closed") { _ = try await model.run(input) }
        }
        await check("many tasks: every run is right or refused, tensors too") {
            let model = try await TypeFloat.open(from: source)
            let right = Count()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        let input = try TypeFloat.Input.allocate()
                        for round in 0..<200 {
                            let value = Float(number * 1000 + round)
                            try input.x.write(Array(repeating: value, count: 6))
                            do {
                                let output = try await model.run(input)
                                // Another run may write to it before it is read.
                                try same(6, try output.y.elements().count)
                                right.add()
                            } catch SDKError.busy {
                                continue
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try same(true, right.value > 0)
        }
        await check("closing tensors and models while they run") {
            for number in 0..<40 {
                let model = try await TypeFloat.open(from: source)
                let input = try TypeFloat.Input.allocate()
                let running = Task {
                    for _ in 0..<500 { _ = try await model.run(input) }
                }
                try await Task.sleep(nanoseconds: UInt64(number) * 50_000)
                if number % 2 == 0 { model.close() } else { input.close() }
                do {
                    try await running.value
                } catch SDKError.closed {
                    // That is what closing does.
                }
            }
        }
        await check("a cancelled task runs nothing") {
            let model = try await TypeFloat.open(from: source)
            let input = try TypeFloat.Input.allocate()
            let task = Task {
                while !Task.isCancelled { try await Task.sleep(nanoseconds: 10_000_000) }
                _ = try await model.run(input)
            }
            task.cancel()
            let outcome = await task.result
            guard case .failure(let error) = outcome, error is CancellationError else {
                throw Failure(description: "\(outcome)")
            }
            _ = try await model.run(input)
        }
    }
}
