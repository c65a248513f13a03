import BenchCore

#if canImport(Darwin)
    import Darwin

    let platform = ApplePlatform()
#else
    import Glibc

    let platform = LinuxPlatform()
#endif

let startedNs = SystemClock.nowNs()
exit(runProgram(Array(CommandLine.arguments.dropFirst()), on: platform, startedNs: startedNs))
