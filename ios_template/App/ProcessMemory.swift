import Foundation

/// Memory that counts against this process, in bytes.
struct ProcessMemory: Hashable, Sendable {
    /// Now.
    var current: Int
    /// Most so far.
    var peak: Int
}

#if canImport(Darwin)
    import Darwin

    extension ProcessMemory {
        /// Reads the footprint that the system holds against the app's limit; nil where it says
        /// nothing.
        static func read() -> ProcessMemory? {
            var info = task_vm_info_data_t()
            let words = MemoryLayout<task_vm_info_data_t>.stride / MemoryLayout<natural_t>.stride
            var count = mach_msg_type_number_t(words)
            let outcome = withUnsafeMutablePointer(to: &info) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: words) {
                    task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
                }
            }
            guard outcome == KERN_SUCCESS else { return nil }
            let current = Int(info.phys_footprint)
            return ProcessMemory(
                current: current, peak: max(current, Int(info.ledger_phys_footprint_peak)))
        }
    }
#else
    extension ProcessMemory {
        /// Reads what is in RAM, as proc(5) describes it; nil where the system says nothing.
        static func read() -> ProcessMemory? {
            guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
                let current = kilobytes("VmRSS:", in: status),
                let peak = kilobytes("VmHWM:", in: status)
            else { return nil }
            return ProcessMemory(current: current * 1024, peak: peak * 1024)
        }

        private static func kilobytes(_ key: String, in status: String) -> Int? {
            let line = status.split(separator: "\n").first { $0.hasPrefix(key) }
            return line.flatMap { Int($0.filter(\.isNumber)) }
        }
    }
#endif
