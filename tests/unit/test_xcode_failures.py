"""What CocoaPods and Xcode print when they fail becomes a cause and a next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortlab.build.xcode_failures import explain_xcode_failure

WRITTEN = Path(__file__).parents[1] / "data" / "xcode_errors"

EXPECTED = {
    "apple_refuses": ("refuse the account ann@example.org", "sign in again"),
    "c_error": ("COrt.c:12: use of undeclared identifier 'ort'", "mend that line"),
    "command_line_tools": (
        "hold no Xcode /Library/Developer/CommandLineTools", "xcode-select --switch",
    ),
    "device_locked": ("the iPhone is locked", "unlock it"),
    "device_locked_older": ("the iPhone is locked", "unlock it"),
    "disk_full": ("disk is full", "free some space"),
    "first_launch": ("not set up", "-runFirstLaunch"),
    "header_missing": ("onnxruntime/onnxruntime_c_api.h is missing", "pod install"),
    "id_taken": ("com.example.reader.bench belongs to somebody else", "APP_ID"),
    "keychain_locked": ("keychain with the signing key is locked", "security unlock-keychain"),
    "library_missing": ("linker finds no onnxruntime", "Starter.xcworkspace"),
    "licence": ("licence was not accepted", "sudo xcodebuild -license accept"),
    "licence_older": ("licence was not accepted", "sudo xcodebuild -license accept"),
    "module_missing": ("module BenchCore is missing", "pod install"),
    "no_account": ("no account of the team A1B2C3D4E5", "Settings, Accounts"),
    "no_certificate": ("no certificate iOS Development", "Manage Certificates"),
    "no_destination": ("no place to build for", "-downloadPlatform iOS"),
    "no_profile": (
        "no provisioning profile for com.example.reader.bench", "connect the iPhone",
    ),
    "no_scheme": ("no scheme Bnech", "--module"),
    "no_slice": ("onnxruntime.xcframework holds no library for iPhones", "--ort-ios"),
    "no_team": ("no team is named that signs Bench", "--team"),
    "old_xcode": ("its Swift is 5.7.1, and the package asks for 5.9.0", "Xcode 15"),
    "old_xcode_for_phone": ("too old for the iPhone's iOS", "newest Xcode"),
    "old_xcode_project": ("too old for the project's format 77", "Xcode 15"),
    "package_checksum": (
        "archive of onnxruntime is not the one that ORT_CHECKSUM names",
        "--ort-ios-checksum 00000a992d2a8135168c8afd831e6a58b465349101982aa58b3e11d36e600b54",
    ),
    "package_not_found": (
        "no https://downloads.example.org/pod-archive-onnxruntime-c-9.9.9.zip (HTTP 404)",
        "ORT_VERSION",
    ),
    "package_offline": ("cannot be fetched: A server with the specified hostname", "the network"),
    "platform_missing": ("lacks the platform iOS 26.0", "xcodebuild -downloadPlatform iOS"),
    "pod_checksum": ("an archive that CocoaPods fetched is not the one", "pod cache clean"),
    "pod_deployment_target": ("asks for a newer iOS", "choose an older ONNX Runtime"),
    "pod_download": ("CocoaPods cannot fetch onnxruntime-c", "the network"),
    "pod_locale": ("locale of UTF-8", "export LANG=en_US.UTF-8"),
    "pod_offline": ("CocoaPods cannot fetch", "the network"),
    "pod_unknown": ("finds no pod BenchCore", "pod repo update"),
    "pod_version": ("CocoaPods knows no onnxruntime-c (= 9.9.9)", "--ort-ios"),
    "podfile": ("Podfile cannot be read: syntax error", "mend it"),
    "pods_out_of_date": ("is not what the Podfile asks for", "pod install"),
    "profile_device": (
        'it doesn\'t include the currently selected device "Ann\'s iPhone"', "add the device",
    ),
    "profile_expired": ("profile Reader Dev has expired", "renew the profile"),
    "profile_wanted": ("no provisioning profile for Bench", "connect the iPhone"),
    "script_sandbox": ("may not touch /srv/me/reader/ios/Pods", "ENABLE_USER_SCRIPT_SANDBOXING"),
    "something_else": ("Cycle in dependencies between targets 'App' and 'Bench'", None),
    "swift_error": (
        "ContentView.swift:31: cannot find 'modle' in scope (and 1 more)", "mend that line",
    ),
    "team_without_devices": ("the team has no device yet", "connect the iPhone"),
    "undefined_symbols": ("lacks _OrtGetApiBase, _RegisterCustomOps", "CUSTOM_OPS"),
}  # fmt: skip


def log_of(name: str) -> str:
    return (WRITTEN / f"{name}.txt").read_text().partition("\n")[2]


def test_every_log_is_expected_and_says_what_it_stands_for() -> None:
    assert {path.stem for path in WRITTEN.glob("*.txt")} == set(EXPECTED)
    for path in WRITTEN.glob("*.txt"):
        assert path.read_text().startswith("# "), path


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_failure_has_a_cause_and_a_next_step(name: str, line_end: str) -> None:
    cause, step = EXPECTED[name]
    failure = explain_xcode_failure(log_of(name).replace("\n", line_end))
    assert cause in failure.cause
    if step is None:
        assert failure.next_step is None
    else:
        assert step in (failure.next_step or "")
    assert not failure.cause.endswith(("\n", " ", "."))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_stands_before_it_changes_nothing(name: str) -> None:
    noise = (
        "Analyzing dependencies\nDownloading dependencies\nInstalling onnxruntime-c (1.24.2)\n"
        "Pod installation complete! There are 5 dependencies from the Podfile and 5 total pods"
        " installed.\n\n[!] Your project does not explicitly specify the CocoaPods master specs"
        " repo.\n--- xcodebuild: WARNING: Using the first of multiple matching destinations:\n"
        "/p/A.swift:1:1: warning: 'lock' is deprecated: the license of it was not agreed to\n"
    )
    assert explain_xcode_failure(noise + log_of(name)).next_step == (
        explain_xcode_failure(log_of(name)).next_step
    )


@given(log=st.text(max_size=400))
def test_whatever_is_printed_there_is_a_cause(log: str) -> None:
    assert explain_xcode_failure(log).cause


def test_nothing_printed_is_said_so() -> None:
    assert explain_xcode_failure("").cause == "it printed nothing"


@pytest.mark.parametrize(
    "log",
    [
        'could not find compatible versions for pod "a"\n' * 20_000,
        ": " * 500_000,
        "a.swift" * 140_000,
        "/p/a.swift:1:1: error: x\n" * 40_000,
    ],
)
def test_a_long_log_has_a_short_cause(log: str) -> None:
    assert len(explain_xcode_failure(log).cause) < 600
