import Ort

/// Inputs that a session feeds with its own outputs: two tensors for each, one to read from and one
/// to write to, which change places after every run.
struct CarriedStates {
    private struct Slot {
        var current: AnyTensor
        var next: AnyTensor
    }

    private var slots: [Slot]

    init(_ descriptors: [StateDescriptor]) throws {
        slots = try descriptors.map { state in
            Slot(
                current: try AnyTensor.allocate(state.elementType, shape: state.shape),
                next: try AnyTensor.allocate(state.elementType, shape: state.shape))
        }
    }

    var count: Int { slots.count }

    /// The values now.
    func current(_ index: Int) throws -> OrtValue { try slots[index].current.handle() }

    /// Where the next ones belong.
    func next(_ index: Int) throws -> OrtValue { try slots[index].next.handle() }

    mutating func advance() {
        guard !slots.isEmpty else { return }
        for index in slots.indices {
            let slot = slots[index]
            slots[index] = Slot(current: slot.next, next: slot.current)
        }
    }

    func reset() throws {
        for slot in slots { try slot.current.clear() }
    }
}
