#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The clock of all durations, which goes on at one pace whatever the time of day is set to.
public enum SystemClock {
    /// Nanoseconds since a moment before the start of this process.
    public static func nowNs() -> Int64 {
        #if canImport(Darwin)
            return Int64(clock_gettime_nsec_np(CLOCK_UPTIME_RAW))
        #else
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        #endif
    }

    /// Does nothing for a while.
    static func sleep(ns: Int64) {
        let untilNs = nowNs() + max(0, ns)
        while true {
            let leftNs = untilNs - nowNs()
            if leftNs <= 0 { return }
            var pause = timespec(
                tv_sec: Int(leftNs / 1_000_000_000), tv_nsec: Int(leftNs % 1_000_000_000))
            nanosleep(&pause, nil)
        }
    }
}

/// Name and resolution of the clock.
struct ClockFacts {
    let name: String
    let resolutionNs: Int64

    /// Finds the smallest difference other than 0 between successive readings.
    static func measured() -> ClockFacts {
        var least = Int64.max
        var last = SystemClock.nowNs()
        for _ in 0..<1000 {
            let now = SystemClock.nowNs()
            if now > last { least = min(least, now - last) }
            last = now
        }
        #if canImport(Darwin)
            let name = "clock_gettime_nsec_np(CLOCK_UPTIME_RAW)"
        #else
            let name = "clock_gettime(CLOCK_MONOTONIC)"
        #endif
        return ClockFacts(name: name, resolutionNs: least == Int64.max ? 1 : least)
    }

    var json: Json {
        .fields([("name", .text(name)), ("resolution_ns", .number(resolutionNs))])
    }
}
