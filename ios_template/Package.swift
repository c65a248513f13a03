// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "OrtStarter",
    platforms: [.iOS(.v15), .macOS(.v14)],
    products: [
        .library(name: "ModelSDK", targets: ["ModelSDK"]),
        .library(name: "BenchCore", targets: ["BenchCore"]),
        .executable(name: "bench-cli", targets: ["bench-cli"]),
    ],
    targets: [
        .target(name: "COrt", linkerSettings: [.linkedLibrary("onnxruntime")]),
        .target(name: "Ort", dependencies: ["COrt"]),
        .target(name: "BenchCore", dependencies: ["Ort"]),
        .target(name: "ModelSDK", dependencies: ["Ort"]),
        .executableTarget(name: "bench-cli", dependencies: ["BenchCore"]),
    ]
)
