#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The system's cheapest lock, at an address that never changes.
final class Lock: @unchecked Sendable {
    #if canImport(Darwin)
        private let primitive: UnsafeMutablePointer<os_unfair_lock>

        init() {
            primitive = .allocate(capacity: 1)
            primitive.initialize(to: os_unfair_lock())
        }

        deinit {
            primitive.deinitialize(count: 1)
            primitive.deallocate()
        }

        func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
            os_unfair_lock_lock(primitive)
            defer { os_unfair_lock_unlock(primitive) }
            return try body()
        }
    #else
        private let primitive: UnsafeMutablePointer<pthread_mutex_t>

        init() {
            primitive = .allocate(capacity: 1)
            primitive.initialize(to: pthread_mutex_t())
            pthread_mutex_init(primitive, nil)
        }

        deinit {
            pthread_mutex_destroy(primitive)
            primitive.deinitialize(count: 1)
            primitive.deallocate()
        }

        func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
            pthread_mutex_lock(primitive)
            defer { pthread_mutex_unlock(primitive) }
            return try body()
        }
    #endif
}

/// A value that is made when it is first asked for, from any thread.
final class Lazily<Value: Sendable>: @unchecked Sendable {
    private let lock = Lock()
    private var made: Value?

    func value(_ make: () throws -> Value) rethrows -> Value {
        try lock.withLock {
            if let made { return made }
            let value = try make()
            made = value
            return value
        }
    }
}

/// Whether something may be used, by one at a time, and when it is let go of.
final class Usage: @unchecked Sendable {
    private enum State {
        case free, inUse, closing, closed
    }

    enum Refusal {
        case busy, closed
    }

    private let lock = Lock()
    private var state = State.free

    var isClosed: Bool {
        lock.withLock { state == .closing || state == .closed }
    }

    /// Begins a use; nil if it may begin.
    func begin() -> Refusal? {
        lock.withLock {
            switch state {
            case .free:
                state = .inUse
                return nil
            case .inUse: return .busy
            case .closing, .closed: return .closed
            }
        }
    }

    /// Ends a use; whether it was closed meanwhile, so that the caller lets go of it.
    func end() -> Bool {
        lock.withLock {
            let isLast = state == .closing
            state = isLast ? .closed : .free
            return isLast
        }
    }

    /// Closes; whether the caller lets go of it now.
    func close() -> Bool {
        lock.withLock {
            switch state {
            case .free:
                state = .closed
                return true
            case .inUse:
                state = .closing
                return false
            case .closing, .closed:
                return false
            }
        }
    }
}
