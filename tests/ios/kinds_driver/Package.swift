// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "KindsDriver",
    platforms: [.iOS(.v15), .macOS(.v14)],
    dependencies: [.package(name: "OrtStarter", path: "../../../ios_template")],
    targets: [
        .executableTarget(
            name: "kinds-driver",
            dependencies: [.product(name: "ModelSDK", package: "OrtStarter")])
    ]
)
