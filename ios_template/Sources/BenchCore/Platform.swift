/// What the core cannot know by itself: the platform that it runs on.
///
/// ``LinuxPlatform`` serves any Linux machine, `ApplePlatform` Apple's.
public protocol Platform: Sendable {
    /// Build type of the app, such as `release`; nil where there is no app.
    var appBuild: String? { get }

    /// Whether a debugger is attached to this process; nil where the platform does not tell.
    var isDebuggerAttached: Bool? { get }

    /// System, processor and memory of the machine.
    var machine: Machine { get }

    /// The state of the device now. ``Conditions/busyFraction`` is the core's affair.
    func conditions() -> Conditions

    /// What the machine's CPUs have done so far, and what of it this process did; nil where the
    /// platform does not tell. The unit is the same in all three.
    func cpuTimes() -> CpuTimes?

    /// Every figure of this process's memory that the platform gives.
    func memory() -> [MemoryFigure]

    /// Lets peaks of memory start anew; false where the platform cannot.
    func resetMemoryPeak() -> Bool
}

/// The state of the device at one moment; nil is what it does not tell.
public struct Conditions: Sendable {
    /// Charge, 0 to 100.
    public var batteryPercent: Double?
    /// Whether a charger is connected.
    public var isCharging: Bool?
    /// Of the hottest CPU sensor, in degrees Celsius.
    public var temperatureCelsius: Double?
    /// As the platform names it, such as `nominal` or `serious`.
    public var thermalStatus: String?
    /// Whether the system saves power.
    public var isLowPowerMode: Bool?
    /// Whether the app is in front.
    public var isForeground: Bool?
    /// Frequency governors of the cores.
    public var cpuGovernor: String?
    /// Current frequency of each core.
    public var cpuFrequenciesKhz: [Int64] = []
    /// Share of the machine's CPU time that went to others, 0 to 1.
    public var busyFraction: Double?

    /// Makes conditions of which nothing is known.
    public init() {}

    var json: Json {
        .fields([
            ("battery_percent", .measure(batteryPercent)),
            ("charging", .flag(isCharging)),
            ("temperature_c", .measure(temperatureCelsius)),
            ("thermal_status", .name(thermalStatus)),
            ("low_power_mode", .flag(isLowPowerMode)),
            ("foreground", .flag(isForeground)),
            ("cpu_governor", .name(cpuGovernor)),
            ("cpu_frequency_khz", .numbers(cpuFrequenciesKhz)),
            ("busy_fraction", .measure(busyFraction)),
        ])
    }
}

/// System, processor and memory of a machine.
public struct Machine: Sendable {
    /// Its name on the network, or that of its model.
    public let name: String
    /// Name and version of the system.
    public let osVersion: String
    /// Such as `arm64`.
    public let architecture: String
    /// Model and number of cores.
    public let cpu: String
    /// Its main memory.
    public let memoryBytes: Int64

    /// Makes a description.
    public init(
        name: String, osVersion: String, architecture: String, cpu: String, memoryBytes: Int64
    ) {
        self.name = name
        self.osVersion = osVersion
        self.architecture = architecture
        self.cpu = cpu
        self.memoryBytes = memoryBytes
    }
}

/// CPU time since the start of the system, in a unit of the platform's own.
public struct CpuTimes: Sendable {
    /// Of all cores, idle or not.
    public let total: Double
    /// Of all cores while they worked.
    public let busy: Double
    /// Of this process.
    public let own: Double

    /// Makes readings.
    public init(total: Double, busy: Double, own: Double) {
        self.total = total
        self.busy = busy
        self.own = own
    }
}

/// One figure of this process's memory.
public struct MemoryFigure: Sendable {
    /// As the system calls it.
    public let metric: String
    /// Whether it is the largest value since the start or the last reset.
    public let isPeak: Bool
    /// Its value.
    public let byteCount: Int64

    /// Makes a figure.
    public init(metric: String, isPeak: Bool, byteCount: Int64) {
        self.metric = metric
        self.isPeak = isPeak
        self.byteCount = byteCount
    }
}

/// Tells which share of the machine's CPU time others used since it was made.
struct LoadMeter {
    private let platform: any Platform
    private let before: CpuTimes?

    init(_ platform: any Platform) {
        self.platform = platform
        before = platform.cpuTimes()
    }

    /// The share, 0 to 1, or nil where the platform does not tell.
    var busyFraction: Double? {
        guard let before, let now = platform.cpuTimes(), now.total > before.total else {
            return nil
        }
        let others = (now.busy - before.busy) - (now.own - before.own)
        return min(1, max(0, others / (now.total - before.total)))
    }
}

extension Platform {
    func conditions(busyFraction: Double?) -> Conditions {
        var now = conditions()
        now.busyFraction = busyFraction
        return now
    }
}
