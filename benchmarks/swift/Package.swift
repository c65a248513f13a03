// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "Benchmarks",
    platforms: [.macOS(.v14)],
    dependencies: [.package(name: "OrtStarter", path: "../../ios_template")],
    targets: [
        .target(
            name: "BareLoop",
            dependencies: [.product(name: "Ort", package: "OrtStarter")]),
        .executableTarget(
            name: "BlockLoop",
            dependencies: [
                "BareLoop",
                .product(name: "BenchCore", package: "OrtStarter"),
                .product(name: "Ort", package: "OrtStarter"),
            ]),
    ]
)
