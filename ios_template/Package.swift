// swift-tools-version:5.9
import Foundation
import PackageDescription

/// The settings in `App.xcconfig`, where every version stands once.
///
/// Swift caches what this manifest says until the manifest changes. After a change of a setting that
/// starts with `ORT_` or `CUSTOM_`: File > Packages > Reset Package Caches, or `swift package
/// purge-cache`. `ortlab generate` writes the comment below anew, so that it needs neither.
let settings = readSettings("App.xcconfig")
// settings: of the template

#if os(Linux)
    // The library of the system, and Swift 6: here everything is checked that can be.
    let languages: [SwiftVersion] = [.version("6")]
    let runtime: [Target] = [
        .target(name: "COrt", linkerSettings: [.linkedLibrary("onnxruntime")])
    ]
    let customOps: [Target] = []
#else
    let languages: [SwiftVersion] = [.v5]
    let runtime: [Target] = [
        onnxRuntime(),
        .target(
            name: "COrt",
            dependencies: ["onnxruntime"],
            linkerSettings: [
                .linkedLibrary("c++"), .linkedFramework("CoreML"), .linkedFramework("Foundation"),
            ]),
    ]
    let customOps: [Target] =
        settings["CUSTOM_OPS"].map { [.binaryTarget(name: "CustomOps", path: $0)] } ?? []
#endif
let linked: [Target.Dependency] = ["Ort"] + customOps.map { .target(name: $0.name) }

let ours: [Target] = [
    .target(name: "Ort", dependencies: ["COrt"]),
    .target(name: "BenchCore", dependencies: linked),
    .executableTarget(name: "bench-cli", dependencies: ["BenchCore"]),
    .target(
        name: "ModelSDK", dependencies: linked, resources: [.copy("Generated/Resources/ortlab")]),
    .testTarget(name: "OrtTests", dependencies: ["Ort"]),
    .testTarget(name: "BenchCoreTests", dependencies: ["BenchCore"]),
    .testTarget(name: "ModelSDKTests", dependencies: ["ModelSDK"]),
]

let package = Package(
    name: "OrtStarter",
    platforms: [.iOS("15.1"), .macOS(.v14)],
    products: [
        .library(name: "ModelSDK", targets: ["ModelSDK"]),
        .library(name: "BenchCore", targets: ["BenchCore"]),
        .library(name: "Ort", targets: ["Ort"]),
        .executable(name: "bench-cli", targets: ["bench-cli"]),
    ],
    targets: runtime + customOps + ours,
    swiftLanguageVersions: languages
)

/// ONNX Runtime as Microsoft packages it for CocoaPods, or an XCFramework of your own.
func onnxRuntime() -> Target {
    if let path = settings["ORT_XCFRAMEWORK"] {
        return .binaryTarget(name: "onnxruntime", path: path)
    }
    if let podspec = settings["ORT_PODSPEC"] {
        fatalError("ORT_PODSPEC is \(podspec), for CocoaPods alone: open Starter.xcworkspace")
    }
    guard let version = settings["ORT_VERSION"], let checksum = settings["ORT_CHECKSUM"] else {
        fatalError("App.xcconfig needs ORT_VERSION and ORT_CHECKSUM, or ORT_XCFRAMEWORK")
    }
    return .binaryTarget(
        name: "onnxruntime",
        url: "https://download.onnxruntime.ai/pod-archive-onnxruntime-c-\(version).zip",
        checksum: checksum)
}

/// Reads `KEY = value` lines of a file beside this one; keys without a value are left out.
func readSettings(_ name: String) -> [String: String] {
    let path = "\(Context.packageDirectory)/\(name)"
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return [:] }
    var settings: [String: String] = [:]
    for line in text.components(separatedBy: .newlines) {
        let code = line.components(separatedBy: "//")[0]
        guard let sign = code.firstIndex(of: "=") else { continue }
        let key = code[..<sign].trimmingCharacters(in: .whitespaces)
        let value = code[code.index(after: sign)...].trimmingCharacters(in: .whitespaces)
        settings[key] = value.isEmpty ? nil : value
    }
    return settings
}
