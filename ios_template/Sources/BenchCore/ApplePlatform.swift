#if canImport(Darwin)
    import Darwin
    import Foundation

    #if canImport(UIKit)
        import UIKit
    #endif

    /// An iPhone, an iPad or a Mac; what the system tells of it.
    public struct ApplePlatform: Platform {
        private let battery: @Sendable () -> (percent: Double?, isCharging: Bool?)
        private let foreground: @Sendable () -> Bool?

        /// Makes the platform of this device.
        public init() {
            #if canImport(UIKit) && !os(watchOS)
                battery = { onMainThread { readBattery() } }
                foreground = { onMainThread { UIApplication.shared.applicationState == .active } }
            #else
                battery = { (nil, nil) }
                foreground = { nil }
            #endif
        }

        public var appBuild: String? {
            #if DEBUG
                return "debug"
            #else
                return "release"
            #endif
        }

        /// Source: Apple's Technical Q&A QA1361.
        public var isDebuggerAttached: Bool? {
            var facts = kinfo_proc()
            var size = MemoryLayout<kinfo_proc>.stride
            var name: [Int32] = [CTL_KERN, KERN_PROC, KERN_PROC_PID, getpid()]
            guard sysctl(&name, UInt32(name.count), &facts, &size, nil, 0) == 0 else { return nil }
            return facts.kp_proc.p_flag & P_TRACED != 0
        }

        public var machine: Machine {
            let process = ProcessInfo.processInfo
            let model = systemText("hw.machine") ?? "unknown"
            return Machine(
                name: process.hostName,
                osVersion: process.operatingSystemVersionString,
                architecture: architecture,
                cpu: "\(systemText("machdep.cpu.brand_string") ?? model), "
                    + "\(process.processorCount) cores",
                memoryBytes: Int64(process.physicalMemory))
        }

        public func conditions() -> Conditions {
            var now = Conditions()
            let process = ProcessInfo.processInfo
            now.thermalStatus = name(of: process.thermalState)
            if #available(macOS 12, *) { now.isLowPowerMode = process.isLowPowerModeEnabled }
            (now.batteryPercent, now.isCharging) = battery()
            now.isForeground = foreground()
            return now
        }

        public func cpuTimes() -> CpuTimes? {
            var load = host_cpu_load_info_data_t()
            let word = MemoryLayout<integer_t>.size
            var count = mach_msg_type_number_t(
                MemoryLayout<host_cpu_load_info_data_t>.size / word)
            let host = mach_host_self()
            defer { mach_port_deallocate(mach_task_self_, host) }
            let status = withUnsafeMutablePointer(to: &load) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                    host_statistics(host, HOST_CPU_LOAD_INFO, $0, &count)
                }
            }
            guard status == KERN_SUCCESS else { return nil }
            // User, system, idle, nice.
            let ticks = load.cpu_ticks
            let busy = Double(ticks.0) + Double(ticks.1) + Double(ticks.3)
            var usage = rusage()
            getrusage(RUSAGE_SELF, &usage)
            let own = seconds(usage.ru_utime) + seconds(usage.ru_stime)
            return CpuTimes(
                total: busy + Double(ticks.2), busy: busy,
                own: own * Double(sysconf(_SC_CLK_TCK)))
        }

        public func memory() -> [MemoryFigure] {
            var facts = task_vm_info_data_t()
            let word = MemoryLayout<integer_t>.size
            var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / word)
            let status = withUnsafeMutablePointer(to: &facts) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                    task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
                }
            }
            guard status == KERN_SUCCESS else { return [] }
            return [
                figure("phys_footprint", facts.phys_footprint),
                figure("resident_size", facts.resident_size),
                figure("internal", facts.internal),
                figure("external", facts.external),
                figure("compressed", facts.compressed),
                figure("resident_size_peak", facts.resident_size_peak, isPeak: true),
                figure(
                    "ledger_phys_footprint_peak", facts.ledger_phys_footprint_peak, isPeak: true),
            ]
        }

        public func resetMemoryPeak() -> Bool { false }
    }

    private var architecture: String {
        #if arch(arm64)
            return "arm64"
        #else
            return "x86_64"
        #endif
    }

    private func name(of state: ProcessInfo.ThermalState) -> String {
        switch state {
        case .nominal: return "nominal"
        case .fair: return "fair"
        case .serious: return "serious"
        case .critical: return "critical"
        @unknown default: return "unknown"
        }
    }

    private func figure(
        _ metric: String, _ byteCount: some BinaryInteger, isPeak: Bool = false
    ) -> MemoryFigure {
        MemoryFigure(
            metric: metric, isPeak: isPeak, byteCount: Int64(clamping: max(0, byteCount)))
    }

    private func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }

    private func systemText(_ name: String) -> String? {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return nil }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    #if canImport(UIKit) && !os(watchOS)
        /// UIKit answers on the main thread alone.
        private func onMainThread<Value: Sendable>(
            _ ask: @MainActor @Sendable () -> Value
        ) -> Value {
            if Thread.isMainThread { return MainActor.assumeIsolated(ask) }
            return DispatchQueue.main.sync { MainActor.assumeIsolated(ask) }
        }

        @MainActor
        private func readBattery() -> (percent: Double?, isCharging: Bool?) {
            let device = UIDevice.current
            device.isBatteryMonitoringEnabled = true
            let level = device.batteryLevel
            switch device.batteryState {
            case .unknown: return (nil, nil)
            case .unplugged: return (Double(level) * 100, false)
            default: return (Double(level) * 100, true)
            }
        }
    #endif
#endif
