"""Xcode projects are written whole, the same twice, and again around what a user changed."""

from __future__ import annotations

import plistlib
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortlab.domain import AppSpec, Basis, GeneratedApp, ReleaseVerdict, ReplayAnswer
from ortlab.errors import ModelError, UsageError
from ortlab.scaffold import generate_ios
from ortlab.scaffold.application_id import LONGEST_BUNDLE_ID, bundle_id
from ortlab.scaffold.xcconfig import read_xcconfig, xcconfig_text
from ortlab.scaffold.xcframework import read_xcframework
from prepared_models import prepared_model, with_other_weights, write

SPEC = AppSpec(name="Reader", application_id="dev.example.reader", team_id="A1B2C3D4E5")
GENERATED = "Sources/ModelSDK/Generated"
FIXED = f"{GENERATED}/Resources/ortlab/small/fixed-arm.ort"
SUM = "ab" * 32
ARCHIVE, MACH_O = b"!<arch>\n", 0xFEEDFACF


def library(file_type: int) -> bytes:
    return struct.pack("<7I", MACH_O, 0x0100000C, 0, file_type, 0, 0, 0)


def fat_library(file_type: int) -> bytes:
    inside = library(file_type)
    return struct.pack(">7I", 0xCAFEBABE, 1, 0x0100000C, 0, 28, len(inside), 14) + inside


def xcframework(
    directory: Path,
    name: str,
    inside: str,
    binary: bytes = ARCHIVE,
    *,
    slices: Mapping[str, Mapping[str, str]] | None = None,
    header: bool = False,
) -> Path:
    """Write an XCFramework with a slice for iPhones and one for simulators, or with others."""
    slices = slices or {
        "ios-arm64": {"SupportedPlatform": "ios"},
        "ios-arm64-simulator": {
            "SupportedPlatform": "ios",
            "SupportedPlatformVariant": "simulator",
        },
    }
    path = directory / f"{name}.xcframework"
    entries = [
        {"LibraryIdentifier": key, "LibraryPath": inside, **more} for key, more in slices.items()
    ]
    write(path, "Info.plist", plistlib.dumps({"AvailableLibraries": entries}))
    for key in slices:
        stem = Path(inside).stem
        where = f"{key}/{inside}/{stem}" if inside.endswith(".framework") else f"{key}/{inside}"
        write(path, where, binary)
        (path / where).chmod(0o755)
        if header:
            write(path, f"{key}/{inside}/Headers/onnxruntime_c_api.h", b"// C\n")
    return path


def small_template(directory: Path) -> Path:
    for name, text in {
        "App.xcconfig": "// Ours.\nAPP_NAME = Sample\nDEVELOPMENT_TEAM =\n"
        f"ORT_VERSION = 1.24.2\nORT_CHECKSUM = {SUM}\nORT_PODSPEC =\nORT_XCFRAMEWORK =\n"
        "CUSTOM_OPS =\n",
        "Package.swift": "// swift-tools-version:5.9\n// settings: of the template\n",
        "Podfile": "platform :ios\n",
        "App/Main.swift": "let a = 1\n",
        "Starter.xcodeproj/project.pbxproj": "// project\n",
        f"{GENERATED}/Swift/Sample.swift": "class Sample {}\n",
        ".build/debug/x.o": "built",
        "Pods/Manifest.lock": "pods",
        "Podfile.lock": "pods",
        "Starter.xcworkspace/contents.xcworkspacedata": "pods",
        "Starter.xcodeproj/xcuserdata/me.xcuserdatad/x.plist": "mine",
    }.items():
        write(directory, name, text.encode())
    return directory


class Workshop:
    """A prepared model, a small template, and the project that is generated from them."""

    def __init__(self, directory: Path) -> None:
        self.prepared_directory = directory / "prepared"
        self.prepared = prepared_model(self.prepared_directory)
        self.template = small_template(directory / "template")
        self.project = directory / "project"

    def generate(self, spec: AppSpec = SPEC, destination: Path | None = None) -> GeneratedApp:
        return generate_ios(
            self.prepared,
            self.prepared_directory,
            spec,
            destination or self.project,
            template=self.template,
        )

    def settings(self) -> Mapping[str, str]:
        return read_xcconfig((self.project / "App.xcconfig").read_bytes())

    def tree(self, directory: Path | None = None) -> Mapping[str, tuple[bytes, int]]:
        directory = directory or self.project
        return {
            path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o111)
            for path in directory.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


# ------------------------------------------------------------------------------ a first run


def test_a_project_is_the_template_with_the_generated_folder_filled(workshop: Workshop) -> None:
    app = workshop.generate()
    expected = {
        "App.xcconfig", "Package.swift", "Podfile", "App/Main.swift",
        "Starter.xcodeproj/project.pbxproj", FIXED,
        f"{GENERATED}/Resources/ortlab/small/runtime-arm.ort",
        f"{GENERATED}/Resources/ortlab/small/sample/input-0.bin",
        f"{GENERATED}/Swift/Models.swift", f"{GENERATED}/Swift/Small.swift",
    }  # fmt: skip
    assert set(app.written) == expected
    assert set(workshop.tree()) == {*expected, ".ortlab/generated.json"}
    assert (app.kept, app.notes) == ((), ())
    assert "class Small" in (workshop.project / GENERATED / "Swift/Small.swift").read_text()
    assert workshop.settings() == {
        "APP_NAME": "Reader", "APP_ID": "dev.example.reader", "APP_VERSION": "1.0",
        "APP_BUILD": "1", "DEVELOPMENT_TEAM": "A1B2C3D4E5", "ORT_VERSION": "1.24.2",
        "ORT_CHECKSUM": SUM, "ORT_PODSPEC": "", "ORT_XCFRAMEWORK": "", "CUSTOM_OPS": "",
    }  # fmt: skip


def test_the_same_twice_byte_for_byte(workshop: Workshop, tmp_path: Path) -> None:
    ops = xcframework(tmp_path, "Ops", "Ops.framework", library(6))
    spec = replace(SPEC, custom_op_libraries={"ios": str(ops)})
    workshop.generate(spec)
    workshop.generate(spec, tmp_path / "elsewhere" / "deeper")
    assert workshop.tree() == workshop.tree(tmp_path / "elsewhere" / "deeper")
    before = workshop.tree()
    again = workshop.generate(spec)
    assert (again.written, again.kept, again.notes) == ((), (), ())
    assert workshop.tree() == before


def test_the_manifest_changes_with_the_settings_that_it_reads(workshop: Workshop) -> None:
    manifest = workshop.project / "Package.swift"
    workshop.generate()
    first = manifest.read_text()
    workshop.generate(replace(SPEC, name="Another", version_code=3))
    assert manifest.read_text() == first
    app = workshop.generate(replace(SPEC, ort_package="1.25.0", ort_checksum="cd" * 32))
    assert manifest.read_text() != first
    assert "Package.swift" in app.written


# ------------------------------------------------------------------------------ later runs


def test_edits_stay_and_are_told(workshop: Workshop) -> None:
    workshop.generate()
    write(workshop.project, "App/Main.swift", b"let mine = 2\n")
    write(workshop.project, "App/Mine.swift", b"let b = 3\n")
    (workshop.project / "Podfile").unlink()
    write(workshop.template, "App/Main.swift", b"let a = 9\n")
    write(workshop.template, "Starter.xcodeproj/project.pbxproj", b"// newer\n")
    workshop.prepared = with_other_weights(workshop.prepared, workshop.prepared_directory)
    app = workshop.generate()
    assert app.kept == ("App/Main.swift",)
    assert any("Podfile" in note for note in app.notes)
    assert (workshop.project / "App/Main.swift").read_text() == "let mine = 2\n"
    assert (workshop.project / "App/Mine.swift").is_file()
    assert not (workshop.project / "Podfile").exists()
    assert (workshop.project / FIXED).read_bytes() == b"other weights"
    assert {"Starter.xcodeproj/project.pbxproj", FIXED} <= set(app.written)


def test_settings_of_the_users_stay_and_ours_follow_the_spec(workshop: Workshop) -> None:
    workshop.generate()
    path = workshop.project / "App.xcconfig"
    edited = path.read_text().replace("ORT_VERSION = 1.24.2", "ORT_VERSION = 1.20.0 // mine")
    path.write_text(edited + "OTHER_LDFLAGS = -ObjC\n")
    app = workshop.generate(replace(SPEC, name="Writer // $1"))
    assert any("your ORT_VERSION='1.20.0' stays" in note for note in app.notes)
    settings = workshop.settings()
    assert (settings["ORT_VERSION"], settings["OTHER_LDFLAGS"]) == ("1.20.0", "-ObjC")
    assert xcconfig_text(settings["APP_NAME"]) == "Writer // $1"
    assert "ORT_VERSION = 1.20.0 // mine\n" in path.read_text()


def test_a_framework_that_is_no_longer_wanted_goes(workshop: Workshop, tmp_path: Path) -> None:
    ops = xcframework(tmp_path, "Ops", "Ops.framework", library(6))
    workshop.generate(replace(SPEC, custom_op_libraries={"ios": str(ops)}))
    assert (workshop.project / "Frameworks/Ops.xcframework/Info.plist").is_file()
    workshop.generate()
    assert workshop.settings()["CUSTOM_OPS"] == ""
    assert not [path for path in workshop.tree() if path.startswith("Frameworks/")]


# ------------------------------------------------------------------------------ ONNX Runtime


def test_a_release_without_a_checksum_is_for_cocoapods(workshop: Workshop) -> None:
    app = workshop.generate(replace(SPEC, ort_package="1.23.0"))
    assert any("1.23.0 comes with CocoaPods alone" in note for note in app.notes)
    settings = workshop.settings()
    assert (settings["ORT_VERSION"], settings["ORT_CHECKSUM"]) == ("1.23.0", "")
    app = workshop.generate(replace(SPEC, ort_package="1.23.0", ort_checksum=SUM.upper()))
    assert app.notes == ()
    assert workshop.settings()["ORT_CHECKSUM"] == SUM


def test_a_podspec_is_taken_along(workshop: Workshop, tmp_path: Path) -> None:
    spec = b'Pod::Spec.new do |spec|\n  spec.name = "onnxruntime-c"\nend\n'
    write(tmp_path, "own.podspec", spec)
    app = workshop.generate(replace(SPEC, ort_package=str(tmp_path / "own.podspec")))
    path = workshop.settings()["ORT_PODSPEC"]
    assert (workshop.project / path).read_bytes() == spec
    assert workshop.settings()["ORT_VERSION"] == ""
    assert any("with CocoaPods alone" in note for note in app.notes)


def test_an_xcframework_is_taken_along_without_what_no_iphone_needs(
    workshop: Workshop, tmp_path: Path
) -> None:
    slices = {
        "ios-arm64": {"SupportedPlatform": "ios"},
        "tvos-arm64": {"SupportedPlatform": "tvos"},
        "ios-arm64-maccatalyst": {
            "SupportedPlatform": "ios",
            "SupportedPlatformVariant": "maccatalyst",
        },
        "macos-arm64": {"SupportedPlatform": "macos"},
    }
    source = xcframework(
        tmp_path, "onnxruntime", "onnxruntime.framework", slices=slices, header=True
    )
    (source / "macos-arm64/onnxruntime.framework/Current").symlink_to("onnxruntime")
    app = workshop.generate(replace(SPEC, ort_package=str(source)))
    place = workshop.settings()["ORT_XCFRAMEWORK"]
    assert place == "Frameworks/onnxruntime.xcframework"
    packaged = {p.removeprefix(place + "/") for p in workshop.tree() if p.startswith(place)}
    assert packaged == {
        "Info.plist",
        "ios-arm64/onnxruntime.framework/onnxruntime",
        "ios-arm64/onnxruntime.framework/Headers/onnxruntime_c_api.h",
    }
    assert workshop.tree()[f"{place}/ios-arm64/onnxruntime.framework/onnxruntime"][1]
    info = plistlib.loads((workshop.project / place / "Info.plist").read_bytes())
    assert [entry["LibraryIdentifier"] for entry in info["AvailableLibraries"]] == ["ios-arm64"]
    assert any("tvos-arm64" in note and "macos-arm64" in note for note in app.notes)
    assert any("nothing for simulators" in note for note in app.notes)
    assert read_xcframework(workshop.project / place).library == "onnxruntime.framework"


@pytest.mark.parametrize(
    ("file_type", "inside", "expected"),
    [
        (6, "Ops.framework", '.framework("Ops")'),
        (6, "libops.dylib", '.file("libops.dylib")'),
        (0, "libops.a", ".linked()"),
        (1, "Ops.framework", ".linked()"),
    ],
)
@pytest.mark.parametrize("fat", [False, True])
def test_custom_ops_are_found_where_they_are_linked(
    workshop: Workshop, tmp_path: Path, file_type: int, inside: str, expected: str, *, fat: bool
) -> None:
    binary = (fat_library if fat else library)(file_type) if file_type else ARCHIVE
    ops = xcframework(tmp_path, "Ops", inside, binary)
    workshop.generate(replace(SPEC, custom_op_libraries={"ios": str(ops)}))
    assert workshop.settings()["CUSTOM_OPS"] == "Frameworks/Ops.xcframework"
    source = (workshop.project / GENERATED / "Swift/Small.swift").read_text()
    assert f"customOpLibraries: [{expected}]" in source


def test_what_is_no_package_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    write(tmp_path, "other.podspec", b"Pod::Spec.new do |s|\n  s.name = 'else'\nend\n")
    wrong_library = xcframework(tmp_path, "Ops", "Ops.framework")
    no_header = xcframework(tmp_path, "bare", "onnxruntime.framework")
    tv = {"tvos-arm64": {"SupportedPlatform": "tvos"}}
    no_iphone = xcframework(tmp_path, "tv", "onnxruntime.framework", slices=tv)
    broken = xcframework(tmp_path, "broken", "onnxruntime.framework", b"no library")
    escaping = xcframework(tmp_path, "up", "../../etc.framework", slices={"ios": {}})
    damaged = tmp_path / "damaged.xcframework"
    write(damaged, "Info.plist", b"<plist")
    for package, why in {
        "latest": "no release",
        str(tmp_path / "missing.podspec"): "no podspec",
        str(tmp_path / "other.podspec"): "names 'else'",
        str(wrong_library): "holds no onnxruntime.framework",
        str(no_header): "holds no onnxruntime.framework",
        str(no_iphone): "no slice for iPhones",
        str(broken): "no library for iPhones",
        str(escaping): "does not list its libraries",
        str(damaged): "no property list",
    }.items():
        with pytest.raises(UsageError, match=why):
            workshop.generate(replace(SPEC, ort_package=package))
    assert not workshop.project.exists()


def test_a_release_that_does_not_load_the_model_is_refused(workshop: Workshop) -> None:
    verdict = ReleaseVerdict(
        release="1.24",
        loads=False,
        replay=ReplayAnswer.NOT_LOADED,
        reason="it has opset 99",
        basis=Basis.EXPECTED,
    )
    workshop.prepared = replace(workshop.prepared, compatibility={"fixed-arm": (verdict,)})
    with pytest.raises(ModelError, match=r"ONNX Runtime 1\.24\.2: it has opset 99"):
        workshop.generate()


# ------------------------------------------------------------------------------ the spec


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "  "}, "is empty"),
        ({"name": "two\nlines"}, r"cannot hold U\+000A"),
        ({"version_name": "1\u2028"}, r"cannot hold U\+2028"),
        ({"version_code": 0}, "version code"),
        ({"team_id": "a1b2c3d4e5"}, "ten capital letters"),
        ({"team_id": "A1B2"}, "ten capital letters"),
        ({"ort_checksum": "12"}, "64 hexadecimal"),
        ({"application_id": "reader"}, "at least two parts"),
        ({"custom_op_libraries": {"arm64-v8a": "x.so"}}, "into an iOS app"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(
    workshop: Workshop, change: Mapping[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        workshop.generate(replace(SPEC, **change))
    assert not workshop.project.exists()


def test_the_bundle_id_is_the_application_id_as_apple_takes_it(workshop: Workshop) -> None:
    app = workshop.generate(replace(SPEC, application_id="com.acme.mobilenet_v2"))
    assert app.spec.application_id == workshop.settings()["APP_ID"] == "com.acme.mobilenet-v2"
    assert any("no underscore" in note for note in app.notes)
    for text in ("a..b", ".a.b", "com.exämple.x", "com.a b.c", "com." + "x" * LONGEST_BUNDLE_ID):
        with pytest.raises(UsageError) as caught:
            bundle_id(text)
        suggested = str(caught.value.next_step).removeprefix("try ")
        assert bundle_id(suggested)[0] == suggested
