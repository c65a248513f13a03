"""What the iOS template writes for Apple's frameworks alone fits together, and does its work.

Small stand-ins have the names, labels and types of the few things that are used of the frameworks.
That they are Apple's is what no machine without Apple's tools can tell.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ios import swift
from ortlab.process import Command, SystemProcesses

pytestmark = pytest.mark.requires("swift")

STAND_INS = swift.CHECKOUT / "tests/ios/apple_stand_ins"
MANIFEST = """// swift-tools-version:5.9
import PackageDescription

let sdk: [Target.Dependency] = ["ModelSDK", "CoreGraphics", "ImageIO", "UIKit"]
let package = Package(
    name: "AppleStandIns",
    platforms: [.iOS(.v15), .macOS(.v14)],
    targets: [
        .target(name: "COrt", linkerSettings: [.linkedLibrary("onnxruntime")]),
        .target(name: "Ort", dependencies: ["COrt"]),
        .target(name: "CoreGraphics"),
        .target(name: "ImageIO", dependencies: ["CoreGraphics"]),
        .target(name: "UIKit", dependencies: ["CoreGraphics"]),
        .target(name: "PhotosUI", dependencies: ["UIKit"]),
        .target(name: "Combine"),
        .target(name: "UniformTypeIdentifiers"),
        .target(name: "SwiftUI", dependencies: ["Combine", "CoreGraphics", "UIKit"]),
        .target(
            name: "ModelSDK", dependencies: ["Ort", "CoreGraphics", "ImageIO", "UIKit"],
            resources: [.copy("Generated/Resources/ortlab")]),
        .executableTarget(name: "Pictures", dependencies: sdk),
        .executableTarget(
            name: "Starter",
            dependencies: sdk + ["Combine", "PhotosUI", "SwiftUI", "UniformTypeIdentifiers"]),
    ]
)
"""


@pytest.fixture(scope="module")
def package() -> Path:
    """Lay the template's sources and the stand-ins side by side."""
    directory = swift.CACHE / "apple_stand_ins"
    shutil.rmtree(directory / "Sources", ignore_errors=True)
    (directory / "Sources").mkdir(parents=True)
    places = {
        **{path.name: path for path in STAND_INS.iterdir()},
        **{name: swift.TEMPLATE / "Sources" / name for name in ("COrt", "Ort", "ModelSDK")},
    }
    for name, place in places.items():
        (directory / "Sources" / name).symlink_to(place)
    (directory / "Sources/Starter").mkdir()
    for path in (swift.TEMPLATE / "App").glob("*.swift"):
        (directory / "Sources/Starter" / path.name).symlink_to(path)
    manifest = directory / "Package.swift"
    # A manifest that is written anew has everything compiled anew.
    if not manifest.is_file() or manifest.read_text() != MANIFEST:
        manifest.write_text(MANIFEST)
    return directory


def test_images_and_photos_are_read_upright(package: Path) -> None:
    program = swift.build(package, product="Pictures") / "Pictures"
    completed = SystemProcesses().run(Command(arguments=swift.program(program), deadline_s=60.0))
    assert completed.stdout.strip() == "all as it should be", completed.stderr


def test_the_starter_app_s_views_compile_with_its_logic(package: Path) -> None:
    swift.build(package, product="Starter")
