"""The generated Swift SDK outside Xcode: models shipped into a package, built with a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from android.sdk import shipped
from ios import swift
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.swift_sdk import swift_sources

__all__ = ["DRIVER", "SOURCES", "build_sdk", "run_template_tests", "shipped"]

SOURCES = swift.TEMPLATE / "Sources/ModelSDK"
DRIVER = Path(__file__).parent / "sdk_driver"
PROGRAM = "sdk-driver"
GENERATED = "Sources/ModelSDK/Generated"
RESOURCES = f"{GENERATED}/Resources"

_MANIFEST = """\
// swift-tools-version:5.9
import PackageDescription

let strict: [SwiftSetting] = [.unsafeFlags(["-swift-version", "6"])]
let package = Package(
    name: "SdkCheck",
    products: [.executable(name: "sdk-driver", targets: ["sdk-driver"])],
    targets: [
        .target(name: "COrt", linkerSettings: [.linkedLibrary("onnxruntime")]),
        .target(name: "Ort", dependencies: ["COrt"], swiftSettings: strict),
        .target(
            name: "ModelSDK", dependencies: ["Ort"],
            resources: [.copy("Generated/Resources/ortlab")], swiftSettings: strict),
        .executableTarget(
            name: "sdk-driver", dependencies: ["ModelSDK", "Ort", "COrt"], swiftSettings: strict),
    ]
)
"""
_TEST_MANIFEST = """\
// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "SdkTests",
    targets: [
        .target(name: "COrt", linkerSettings: [.linkedLibrary("onnxruntime")]),
        .target(name: "Ort", dependencies: ["COrt"]),
        .target(
            name: "ModelSDK", dependencies: ["Ort"],
            resources: [.copy("Generated/Resources/ortlab")]),
        .testTarget(name: "ModelSDKTests", dependencies: ["ModelSDK"]),
    ]
)
"""


def build_sdk(models: Sequence[ModelForSdk], assets: Path, name: str, program: Path) -> Path:
    """Build the SDK with models' generated classes, and a program on top of it.

    Args:
        models: To generate classes for.
        assets: Directory with their files, which become the package's resources.
        name: Of the package's directory among the cached ones: what was compiled there before and
            is the same is not compiled again.
        program: Directory with the program's sources.

    Returns:
        The program.

    Raises:
        SwiftFailedError: It does not compile without a warning.
    """
    package = swift.CACHE / "packages" / name
    files: dict[str, bytes] = {"Package.swift": _MANIFEST.encode()}
    for target in ("COrt", "Ort", "ModelSDK"):
        files |= _tree(swift.TEMPLATE / "Sources" / target, f"Sources/{target}")
    files = {path: data for path, data in files.items() if not path.startswith(GENERATED)}
    for path, text in swift_sources(models).items():
        files[f"{GENERATED}/Swift/{path}"] = text.encode()
    files |= _tree(assets, RESOURCES)
    files |= _tree(program, f"Sources/{PROGRAM}")
    _renew(package, files)
    return swift.build(package, product=PROGRAM) / PROGRAM


def run_template_tests() -> str:
    """Run the template's own tests of `ModelSDK`, with its sample; return what is said of them.

    Only this module and what it stands on is built, in Swift 5's language as Xcode does.

    Raises:
        SwiftFailedError: It does not compile without a warning, or a test fails.
    """
    package = swift.CACHE / "packages" / "sdk-tests"
    files: dict[str, bytes] = {"Package.swift": _TEST_MANIFEST.encode()}
    for target in ("Sources/COrt", "Sources/Ort", "Sources/ModelSDK", "Tests/ModelSDKTests"):
        files |= _tree(swift.TEMPLATE / target, target)
    _renew(package, files)
    libraries = f"-L{swift.ort_directory()}"
    completed = swift.run(
        [
            *("swift", "test", "--scratch-path", swift.CACHE / "build" / "sdk-tests"),
            *("-Xswiftc", "-warnings-as-errors", "-Xlinker", libraries),
        ],
        directory=package,
    )
    return completed.stdout + completed.stderr


def _tree(directory: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix}/{path.relative_to(directory).as_posix()}": path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def _renew(package: Path, files: Mapping[str, bytes]) -> None:
    """Make a directory hold exactly these files; those that are the same keep their times."""
    if package.is_dir():
        for path in package.rglob("*"):
            if path.is_file() and path.relative_to(package).as_posix() not in files:
                path.unlink()
    for name, data in files.items():
        path = package / name
        if not (path.is_file() and path.read_bytes() == data):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
