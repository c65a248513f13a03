"""Builds for iPhones as users see them, and bundles from elsewhere held to what phones want."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from recorded_xcode import called, project, recorded_mac

import bundle_writer as writer
from bundle_writer import bundle_files, info_plist, make_app, make_ipa, profile, program
from ortlab.build import build_ios, check_signature, find_app, read_bundle
from ortlab.build.xcode import PACKAGES_PROJECT
from ortlab.cli import run
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import OrtlabError, ToolchainError, UsageError
from ortlab.plists import cms_content, read_plist
from ortlab.process import SystemProcesses

WRITTEN = Path(__file__).parents[1] / "data" / "xcode_errors"
PODS = """Analyzing dependencies
Downloading dependencies
Installing onnxruntime-c (1.24.2)
Generating Pods project
Integrating client project
Pod installation complete! There are 4 dependencies from the Podfile and 5 total pods installed.
"""
STEPS = """Command line invocation:
    /Applications/Xcode.app/Contents/Developer/usr/bin/xcodebuild -workspace Starter.xcworkspace

Resolve Package Graph
SwiftCompile normal arm64 Compiling\\ Runtime.swift /p/Runtime.swift (in target 'Ort' from project 'Pods')
SwiftCompile normal arm64 Compiling\\ Options.swift /p/Options.swift (in target 'Ort' from project 'Pods')
    cd /p
Ld /p/Bench.app/Bench normal (in target 'Bench' from project 'Starter')
ProcessInfoPlistFile /p/Bench.app/Info.plist /p/Info.plist (in target 'Bench' from project 'Starter')
CodeSign /p/Bench.app (in target 'Bench' from project 'Starter')

** BUILD SUCCEEDED **
"""  # noqa: E501


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes this machine a Mac, as far as programs are looked for."""

    def make(*arguments: Any, **options: Any) -> None:
        directory = recorded_mac(tmp_path / "mac", *arguments, **options)
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return make


Mac = Callable[..., None]


def build(directory: Path, say: Callable[[str], None] = lambda _: None, **options: Any) -> BuiltApp:
    return build_ios(directory, processes=SystemProcesses(), say=say, **options)


# ------------------------------------------------------------------------------ a build that works


def test_an_app_is_built_with_pods_and_read(tmp_path: Path, mac: Mac) -> None:
    made = make_app(tmp_path / "Made.app", bundle_files(files={"M.bundle/ortlab/m.ort": b"m" * 70}))
    mac(STEPS, pod=PODS, app=made)
    directory = project(tmp_path / "my project")
    said: list[str] = []
    app = build(directory, said.append)
    pod, xcodebuild = called(directory)
    assert pod == ["pod", str(directory), "en_US.UTF-8", "YES", "install"]
    assert xcodebuild[1:] == [
        *(str(directory), "en_US.UTF-8", "YES", "-workspace", "Starter.xcworkspace"),
        *("-scheme", "Bench", "-configuration", "Release", "-destination", "generic/platform=iOS"),
        *("-derivedDataPath", "build/xcode", "-allowProvisioningUpdates", "build"),
    ]
    assert said == [
        "CocoaPods: pod install",
        "CocoaPods: Analyzing dependencies",
        "CocoaPods: Downloading dependencies",
        "CocoaPods: Installing onnxruntime-c (1.24.2)",
        "CocoaPods: Generating Pods project",
        "CocoaPods: Integrating client project",
        "Xcode: Bench, Release",
        "Xcode: Resolve Package Graph",
        "Xcode: Ort: compile Swift",
        "Xcode: Bench: link",
        "Xcode: Bench: sign",
    ]
    assert (directory / "build/ortlab-pods.log").read_text() == PODS
    assert (directory / "build/ortlab-xcode.log").read_text() == STEPS
    assert app.platform is AppPlatform.IOS
    assert app.files == (directory / "build/xcode/Build/Products/Release-iphoneos/Bench.app",)
    assert (app.application_id, app.version_code, app.version_name) == (
        *("com.example.reader.bench", 7),
        "1.2",
    )
    assert (app.abis, app.minimum_os, app.executable) == (("arm64",), "15.1", "Bench")
    assert app.signed
    assert not app.debuggable
    assert app.size_by_part["models"] == 70
    assert find_app(directory) == app
    check_signature(app, device_id=writer.UDID)


def test_without_pods_the_package_is_taken(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS, app=make_app(tmp_path / "Made.app"), configuration="Debug", bundle="App.app")
    directory = project(tmp_path / "p")
    app = build(directory, module="app", variant="debug")
    (xcodebuild,) = called(directory)
    assert xcodebuild[4:8] == ["-project", "StarterPackages.xcodeproj", "-scheme", "App"]
    assert app.files[0].parent.name == "Debug-iphoneos"
    assert find_app(directory, module="app") == app
    with pytest.raises(UsageError, match="the module bench was not built"):
        find_app(directory)


def test_a_bundle_of_another_name_is_known_by_its_id(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS, app=make_app(tmp_path / "Made.app"), bundle="Messgerät.app")
    directory = project(tmp_path / "p")
    assert build(directory).files[0].name == "Messgerät.app"
    with pytest.raises(UsageError, match="the module app was not built"):
        find_app(directory, module="app")


def test_a_podspec_needs_pods(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS)
    directory = project(tmp_path / "p", "ORT_PODSPEC = ../my.podspec\n")
    with pytest.raises(ToolchainError, match=r"names \.\./my\.podspec\), and there is no pod") as e:
        build(directory)
    assert e.value.next_step == "brew install cocoapods"
    assert called(directory) == []


def test_steps_are_told_while_it_runs(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS, exit_code=65, pause_s=0.4)
    when: list[float] = []
    with pytest.raises(ToolchainError):
        build(project(tmp_path / "p"), lambda _: when.append(time.monotonic()))
    assert when[-1] - when[0] > 1.0  # twelve lines of 0.4 s: not all at the end


# ------------------------------------------------------------------------------ builds that fail


@pytest.mark.parametrize("name", ["no_team", "device_locked", "swift_error", "something_else"])
def test_a_failure_says_why_what_to_do_and_where_the_log_is(
    tmp_path: Path, mac: Mac, name: str
) -> None:
    log = (WRITTEN / f"{name}.txt").read_text().partition("\n")[2]
    mac(log, pod=PODS, exit_code=65)
    directory = project(tmp_path / "p")
    with pytest.raises(ToolchainError, match=f"cannot build bench of {directory}: ") as caught:
        build(directory)
    assert caught.value.next_step
    assert caught.value.log_path == directory / "build/ortlab-xcode.log"
    assert caught.value.log_path.read_text() == log


def test_pods_that_fail_stop_the_build(tmp_path: Path, mac: Mac) -> None:
    log = (WRITTEN / "pod_version.txt").read_text().partition("\n")[2]
    mac(STEPS, pod=log, pod_exit_code=1)
    directory = project(tmp_path / "p")
    with pytest.raises(ToolchainError, match=r"CocoaPods knows no onnxruntime-c") as caught:
        build(directory)
    assert caught.value.log_path == directory / "build/ortlab-pods.log"
    assert [call[0] for call in called(directory)] == ["pod"]


def test_a_build_that_is_too_slow_is_ended(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS, pause_s=5)
    with pytest.raises(ToolchainError, match="it was not done after 1 s") as caught:
        build(project(tmp_path / "p"), deadline_s=1.0)
    assert "--deadline-s" in (caught.value.next_step or "")


def test_a_build_that_makes_nothing_is_no_app(tmp_path: Path, mac: Mac) -> None:
    mac(STEPS)
    with pytest.raises(ToolchainError, match="made no app"):
        build(project(tmp_path / "p"))


def test_elsewhere_than_on_a_mac_the_command_for_a_mac_is_told(tmp_path: Path, mac: Mac) -> None:
    mac(None, pod=PODS)
    directory = project(tmp_path / "reader")
    with pytest.raises(ToolchainError, match="by Xcode, which runs on macOS alone") as caught:
        build(directory, module="bench")
    step = caught.value.next_step or ""
    assert "pod install && xcodebuild -workspace Starter.xcworkspace -scheme Bench" in step
    assert "ortlab build reader --module bench" in step
    assert "--app" in step
    assert called(directory) == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"module": "sdk"}, "it is one of app, bench"),
        ({"variant": "profile"}, "it is one of release, debug"),
    ],
)
def test_words_that_mean_nothing_are_refused(
    tmp_path: Path, options: Mapping[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        build(project(tmp_path / "p"), **options)
    with pytest.raises(UsageError, match="there is no project for iPhones"):
        build(tmp_path)


# ------------------------------------------------------------------------------ given apps


def test_apps_are_found_wherever_a_mac_puts_them(tmp_path: Path) -> None:
    app = make_app(tmp_path / "Build" / "Bench.app")
    ipa = make_ipa(tmp_path / "export" / "Bench.ipa")
    archived = make_app(tmp_path / "Bench.xcarchive/Products/Applications/Bench.app")
    for target, file in (
        (app, app), (app.parent, app), (ipa, ipa), (ipa.parent, ipa),
        (tmp_path / "Bench.xcarchive", archived),
    ):  # fmt: skip
        found = find_app(target)
        assert found.files == (file,)
        assert found.application_id == "com.example.reader.bench"
    make_app(tmp_path / "Build" / "App.app")
    with pytest.raises(UsageError, match=r"there are several: App\.app, Bench\.app"):
        find_app(app.parent)


def test_equal_bundles_have_equal_digests(tmp_path: Path) -> None:
    first, second = make_app(tmp_path / "a" / "A.app"), make_app(tmp_path / "b" / "A.app")
    assert read_bundle(first).sha256 == read_bundle(second).sha256
    (second / "PkgInfo").rename(second / "PkgInf0")
    assert read_bundle(first).sha256 != read_bundle(second).sha256


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"executable": program(platform=writer.SIMULATOR)}, "built for the simulator"),
        ({"executable": program(platform=writer.MACOS)}, "built for macos"),
        ({"executable": program(encrypted=True)}, "it is encrypted"),
    ],
)
def test_what_is_for_no_iphone_is_refused(
    tmp_path: Path, changes: Mapping[str, Any], why: str
) -> None:
    path = make_ipa(tmp_path / "Bench.ipa", bundle_files(**changes))
    with pytest.raises(ToolchainError, match=why) as caught:
        find_app(path)
    assert caught.value.next_step


def test_debug_builds_are_told(tmp_path: Path) -> None:
    files = bundle_files(files={"Bench.debug.dylib": b"x"})
    assert read_bundle(make_app(tmp_path / "Bench.app", files)).debuggable


@pytest.mark.parametrize(("build", "number"), [("42.1", 42), ("x", 0), ("9" * 30, 0), ("", 0)])
def test_build_numbers_become_numbers(tmp_path: Path, build: str, number: int) -> None:
    path = make_app(tmp_path / "A.app", bundle_files(info_plist(CFBundleVersion=build)))
    assert read_bundle(path).version_code == number


YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(tzinfo=None)
DISTRIBUTED = {"application-identifier": "A1B2C3D4E5.com.example.reader.bench"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sealed": False}, "it is not signed"),
        ({"executable": program(signed=False)}, "it is not signed"),
        ({"executable": program(identity=False)}, "without an identity"),
        ({"provisioning": b""}, "it holds no provisioning profile"),
        ({"provisioning": profile(expires_at=YESTERDAY)}, f"expired on {YESTERDAY:%Y-%m-%d}"),
        (
            {"provisioning": profile(application_id="A1B2C3D4E5.com.example.other")},
            r"is for com\.example\.other, not for com\.example\.reader\.bench",
        ),
        ({"provisioning": profile(devices=["00008110-0000000000000001"])}, "does not list 0000811"),
        ({"executable": program(entitlements=DISTRIBUTED)}, "no get-task-allow"),
    ],
)
def test_what_a_phone_would_refuse_is_told_before(
    tmp_path: Path, changes: Mapping[str, Any], why: str
) -> None:
    app = read_bundle(make_ipa(tmp_path / "Bench.ipa", bundle_files(**changes)))
    with pytest.raises(ToolchainError, match=why) as caught:
        check_signature(app, device_id=writer.UDID)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "changes",
    [
        {"provisioning": profile(application_id="A1B2C3D4E5.com.example.*")},
        {"provisioning": profile(application_id="A1B2C3D4E5.com.example.reader.bench")},
        {"provisioning": profile(devices=None, all_devices=True)},
        {"provisioning": profile(devices=[writer.UDID.lower()])},
        {"provisioning": profile(expires_at=None)},
    ],
)
def test_what_fits_is_taken(tmp_path: Path, changes: Mapping[str, Any]) -> None:
    app = read_bundle(make_app(tmp_path / "Bench.app", bundle_files(**changes)))
    check_signature(app, device_id=writer.UDID)


def test_only_what_is_started_needs_a_development_signature(tmp_path: Path) -> None:
    files = bundle_files(executable=program(entitlements=DISTRIBUTED))
    check_signature(read_bundle(make_app(tmp_path / "Bench.app", files)), launch=False)


def test_a_script_is_left_to_the_phone(tmp_path: Path) -> None:
    files = bundle_files(executable=b"#!/bin/sh\n", provisioning=b"", sealed=False)
    app = read_bundle(make_app(tmp_path / "Bench.app", files))
    assert not app.signed
    check_signature(app)


# ------------------------------------------------------------------------------ other writers


def test_a_profile_in_a_message_of_openssl_is_read(tmp_path: Path) -> None:
    """The message is signed by another program, both as a whole and in parts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    plist = cms_content(profile())
    (tmp_path / "profile.plist").write_bytes(plist)
    for option in ((), ("-stream",)):
        subprocess.run(
            [
                *(openssl, "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", *option),
                *("-in", tmp_path / "profile.plist", "-signer", certificate, "-inkey", key),
                *("-out", tmp_path / "signed"),
            ],
            check=True,
            capture_output=True,
        )
        signed = (tmp_path / "signed").read_bytes()
        assert read_plist(cms_content(signed)) == read_plist(plist)
    path = make_app(tmp_path / "Bench.app", bundle_files(provisioning=signed))
    check_signature(read_bundle(path))


def test_errors_are_of_the_family(tmp_path: Path) -> None:
    for target in (tmp_path / "no.app", tmp_path / "no.ipa", tmp_path):
        with pytest.raises(OrtlabError):
            find_app(target)


# ------------------------------------------------------------------------------ both platforms


def test_one_command_generates_for_both_and_what_is_built_fits(
    tmp_path: Path, mac: Mac, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = Path(__file__).parents[1] / "data" / "sample_model"
    platforms = ["--android", str(tmp_path / "android"), "--ios", str(tmp_path / "ios")]
    ort = ["--ort-android", "1.23.0", "--ort-ios", "1.22.0", "--ort-ios-checksum", "a" * 64]
    words = ["--team", "A1B2C3D4E5", "--id", "com.example.both", *ort, "--json"]
    assert run(["generate", str(sample), *platforms, *words]) == 0
    apps = json.loads(capsys.readouterr().out)["apps"]
    assert [app["platform"] for app in apps] == ["android", "ios"]
    assert [app["spec"]["ort_package"] for app in apps] == ["1.23.0", "1.22.0"]
    assert [app["spec"]["team_id"] for app in apps] == ["", "A1B2C3D4E5"]
    settings = (tmp_path / "ios" / "App.xcconfig").read_text()
    for line in (
        "APP_ID = com.example.both", "DEVELOPMENT_TEAM = A1B2C3D4E5", "ORT_VERSION = 1.22.0",
        f"ORT_CHECKSUM = {'a' * 64}",
    ):  # fmt: skip
        assert line in settings
    # what a build names is there
    for name in ("Starter.xcodeproj", PACKAGES_PROJECT):
        schemes = tmp_path / "ios" / name / "xcshareddata" / "xcschemes"
        assert {path.stem for path in schemes.glob("*.xcscheme")} >= {"App", "Bench"}
    assert "project 'Starter.xcodeproj'" in (tmp_path / "ios" / "Podfile").read_text()
    mac(STEPS, pod=PODS, app=make_app(tmp_path / "Made.app"))
    assert run(["build", str(tmp_path / "ios"), "--module", "bench", "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert (built["platform"], built["minimum_os"]) == ("ios", "15.1")
    ignored = (tmp_path / "ios" / ".gitignore").read_text().split()
    assert {"build/", "Pods/"} <= set(ignored)
