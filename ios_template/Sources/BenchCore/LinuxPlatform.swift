#if os(Linux)
    import Glibc

    private let cpuDirectory = "/sys/devices/system/cpu"
    private let cpuZones = ["cpu", "pkg", "core", "soc", "acpitz"]
    private let statusMetrics = ["VmRSS", "RssAnon", "RssFile"]
    private let rollupMetrics = ["Pss", "Private_Dirty", "SwapPss"]

    /// A Linux machine; what `/proc` and `/sys` tell of it.
    public struct LinuxPlatform: Platform {
        /// Makes the platform of this machine.
        public init() {}

        public var appBuild: String? { nil }

        public var isDebuggerAttached: Bool? {
            let line = lines("/proc/self/status").first { $0.hasPrefix("TracerPid:") }
            return line.map { words($0).last != "0" }
        }

        public var machine: Machine {
            var facts = utsname()
            uname(&facts)
            let architecture = text(of: facts.machine)
            let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
            return Machine(
                name: text(of: facts.nodename),
                osVersion: osVersion("\(text(of: facts.sysname)) \(text(of: facts.release))"),
                architecture: architecture,
                cpu: "\(cpuModel() ?? architecture), \(cores) cores",
                memoryBytes: kilobyteFields("/proc/meminfo")["MemTotal"] ?? 0)
        }

        public func conditions() -> Conditions {
            var now = Conditions()
            now.temperatureCelsius = temperature()
            now.cpuGovernor = governor()
            now.cpuFrequenciesKhz = cores().compactMap {
                number("\($0)/cpufreq/scaling_cur_freq").map { Int64($0) }
            }
            if let battery = battery() {
                now.batteryPercent = number("\(battery)/capacity")
                let status = word("\(battery)/status")
                let charging = ["Charging", "Full", "Not charging"]
                now.isCharging = status.map(charging.contains)
            }
            return now
        }

        public func cpuTimes() -> CpuTimes? {
            let line = lines("/proc/stat").first.map(words) ?? []
            guard line.first == "cpu", line.count >= 9 else { return nil }
            // proc(5): what follows the eighth is time of guests, which others hold already; the
            // fourth and fifth are idle.
            let ticks = line[1...8].compactMap { Double($0) }
            guard ticks.count == 8 else { return nil }
            let total = ticks.reduce(0, +)
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            let own = seconds(usage.ru_utime) + seconds(usage.ru_stime)
            return CpuTimes(
                total: total, busy: total - ticks[3] - ticks[4],
                own: own * Double(sysconf(Int32(_SC_CLK_TCK))))
        }

        public func memory() -> [MemoryFigure] {
            let status = kilobyteFields("/proc/self/status")
            let rollup = kilobyteFields("/proc/self/smaps_rollup")
            let named =
                statusMetrics.map { ($0, status[$0]) } + rollupMetrics.map { ($0, rollup[$0]) }
            var figures = named.compactMap { metric, byteCount in
                byteCount.map { MemoryFigure(metric: metric, isPeak: false, byteCount: $0) }
            }
            if let peak = status["VmHWM"] {
                // The kernel updates VmRSS in batches, so that a peak can read a little below it.
                let atLeast = max(peak, status["VmRSS"] ?? 0)
                figures.append(MemoryFigure(metric: "VmHWM", isPeak: true, byteCount: atLeast))
            }
            return figures
        }

        /// Source: proc(5), `clear_refs`: 5 resets the peak resident set size.
        public func resetMemoryPeak() -> Bool {
            let file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
            if file < 0 { return false }
            defer { close(file) }
            return Array("5".utf8).withUnsafeBytes { writeAll($0, to: file) }
        }
    }

    private func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }

    private func text<Characters>(of characters: Characters) -> String {
        withUnsafeBytes(of: characters) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private func lines(_ path: String) -> [Substring] {
        let bytes = (try? readFile(path)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    private func words(_ line: Substring) -> [String] {
        line.split { $0 == " " || $0 == "\t" }.map(String.init)
    }

    /// Returns what a file holds without spaces around it, or nil where that is nothing.
    private func word(_ path: String) -> String? {
        let bytes = (try? readFile(path)) ?? []
        let kept = bytes.filter { $0 != 0 }
        let text = String(decoding: kept, as: UTF8.self)
        let trimmed = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        return trimmed.isEmpty ? nil : String(trimmed)
    }

    private func number(_ path: String) -> Double? { word(path).flatMap { Double($0) } }

    /// Returns the fields of a `/proc` file that are given in kB, in bytes.
    private func kilobyteFields(_ path: String) -> [String: Int64] {
        var sizes: [String: Int64] = [:]
        for line in lines(path) {
            let parts = words(line)
            guard parts.count == 3, parts[2] == "kB", let size = Int64(parts[1]) else { continue }
            sizes[String(parts[0].dropLast())] = size * 1024
        }
        return sizes
    }

    private func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) { names.append(text(of: entry.pointee.d_name)) }
        return names.sorted()
    }

    private func cores() -> [String] {
        let numbers = names(in: cpuDirectory).compactMap { name in
            name.hasPrefix("cpu") ? Int(name.dropFirst(3)) : nil
        }
        return numbers.sorted().map { "\(cpuDirectory)/cpu\($0)" }
    }

    private func governor() -> String? {
        let found = Set(cores().compactMap { word("\($0)/cpufreq/scaling_governor") })
        return found.isEmpty ? nil : found.sorted().joined(separator: ", ")
    }

    private func temperature() -> Double? {
        let zones = names(in: "/sys/class/thermal").filter { $0.hasPrefix("thermal_zone") }
        let found = zones.compactMap { zone -> Double? in
            let kind = word("/sys/class/thermal/\(zone)/type")?.lowercased() ?? ""
            guard cpuZones.contains(where: { kind.range(of: $0) }) else { return nil }
            return number("/sys/class/thermal/\(zone)/temp")
        }
        return found.max().map { $0 / 1000 }
    }

    /// Returns the directory of the machine's battery; those of mice and the like do not count.
    private func battery() -> String? {
        names(in: "/sys/class/power_supply").map { "/sys/class/power_supply/\($0)" }.first {
            word("\($0)/type") == "Battery" && word("\($0)/scope") != "Device"
        }
    }

    private func osVersion(_ kernel: String) -> String {
        let line = lines("/etc/os-release").first { $0.hasPrefix("PRETTY_NAME=") }
        let name = line?.dropFirst("PRETTY_NAME=".count).filter { !"\"'".contains($0) } ?? ""
        return name.isEmpty ? kernel : "\(name), \(kernel)"
    }

    private func cpuModel() -> String? {
        for line in lines("/proc/cpuinfo") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let key = words(parts[0]).joined(separator: " ").lowercased()
            if key == "model name" || key == "hardware" {
                return words(parts[1]).joined(separator: " ")
            }
        }
        return word("/proc/device-tree/model")
    }

    extension String {
        fileprivate func range(of part: String) -> Bool {
            indices.contains { self[$0...].hasPrefix(part) }
        }
    }
#endif
