/// Memory that is used again from call to call; its content is whatever was left there.
final class WorkingMemory<Value> {
    private(set) var values: UnsafeMutableBufferPointer<Value>

    init() {
        values = .allocate(capacity: 0)
    }

    deinit {
        values.deallocate()
    }

    /// Makes room for at least `count` values, which are lost if there was not enough.
    func reserve(_ count: Int, zero: Value) {
        guard values.count < count else { return }
        values.deallocate()
        values = .allocate(capacity: count)
        values.initialize(repeating: zero)
    }
}
