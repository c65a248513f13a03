"""Each phone takes the app for its platform, and what this machine needs for apps is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from apk_writer import Writer, make_apk, manifest
from bundle_writer import UDID, bundle_files, info_plist, make_app, make_ipa, profile
from ortlab.build import find_app
from ortlab.doctor import Finding, State, examine
from ortlab.errors import ToolchainError, UsageError
from ortlab.pipeline.apps import app_for, check_fits

SERIAL = "R58M123ABC"


@pytest.fixture
def apk(tmp_path: Path) -> Path:
    return make_apk(tmp_path / "bench.apk", Writer().write(manifest()))


@pytest.fixture
def ipa(tmp_path: Path) -> Path:
    return make_ipa(tmp_path / "Bench.ipa")


def test_each_phone_takes_the_app_of_its_platform(apk: Path, ipa: Path) -> None:
    both = [str(apk), str(ipa)]
    for device_id, file in (
        (SERIAL, apk), (UDID, ipa), ("virtual:android:29", apk), ("virtual:ios", ipa),
    ):  # fmt: skip
        app = app_for(device_id, both)
        assert app is not None
        assert app.files == (file,)


def test_no_app_is_no_app(apk: Path) -> None:
    for device_id in (SERIAL, UDID, "virtual:android", "virtual:ios:16.7"):
        assert app_for(device_id, []) is None
    assert app_for("virtual:ios", [str(apk)]) is None  # it brings its own


def test_a_phone_whose_app_is_missing_is_told(apk: Path, ipa: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot use {UDID}: no app that was given is for ios"):
        app_for(UDID, [str(apk)])
    with pytest.raises(UsageError, match=r"no app that was given is for android") as caught:
        app_for(SERIAL, [str(ipa)])
    assert "--app" in (caught.value.next_step or "")


def test_two_apps_of_one_platform_are_no_choice(tmp_path: Path, ipa: Path) -> None:
    other = make_app(tmp_path / "Other.app")
    with pytest.raises(UsageError, match=r"both .*Bench\.ipa and .*Other\.app are for ios"):
        app_for(UDID, [str(ipa), str(other)])


def test_an_app_is_held_to_the_phone_it_goes_to(tmp_path: Path) -> None:
    files = bundle_files(provisioning=profile(devices=["00008110-0000000000000001"]))
    path = make_ipa(tmp_path / "Bench.ipa", files)
    with pytest.raises(ToolchainError, match=f"does not list {UDID}"):
        app_for(UDID, [str(path)])
    app = app_for("virtual:ios", [str(path)])
    assert app is not None
    with pytest.raises(UsageError, match=f"cannot put Bench.ipa on {SERIAL}: it is for ios"):
        check_fits(app, SERIAL)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bundle_id": "com.example.reader"}, r"com\.example\.reader is no benchmark app"),
        ({"UIFileSharingEnabled": None}, "lacks UIFileSharingEnabled"),
    ],
)
def test_only_a_benchmark_app_measures(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    path = make_ipa(tmp_path / "Bench.ipa", bundle_files(info_plist(**changes)))
    with pytest.raises(ToolchainError, match=why) as caught:
        app_for(UDID, [str(path)])
    assert "--module bench" in (caught.value.next_step or "")
    check_fits(find_app(path), UDID)  # it may be installed all the same


def test_a_script_is_left_to_the_phone(tmp_path: Path) -> None:
    files = bundle_files(info_plist("a.b"), executable=b"#!/bin/sh\n", provisioning=b"")
    assert app_for(UDID, [str(make_app(tmp_path / "A.app", files))]) is not None


# ------------------------------------------------------------------ doctor


def findings(**versions: str | None) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(None, Path(), **versions)}


def test_the_extra_is_told_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ortlab.doctor.metadata.version", _missing)
    found = findings()["pymobiledevice3"]
    assert found.state is State.OPTIONAL
    assert "GPL-3.0-or-later" in found.detail
    assert found.next_step == "pip install 'ortlab[ios]'"


def _missing(name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    raise PackageNotFoundError(name)


def test_usbmuxd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ortlab.doctor._USBMUXD", "/nowhere/usbmuxd")
    monkeypatch.delenv("USBMUXD_SOCKET_ADDRESS", raising=False)
    found = findings()["usbmuxd"]
    assert found.state is State.OPTIONAL
    assert "apt-get install usbmuxd" in found.next_step
    monkeypatch.setenv("USBMUXD_SOCKET_ADDRESS", "127.0.0.1:27015")
    assert findings()["usbmuxd"].state is State.OK


@pytest.mark.parametrize(
    ("xcode", "pod", "states", "words"),
    [
        (None, None, (State.OPTIONAL, State.OPTIONAL), ("App Store", "brew install cocoapods")),
        ("Xcode 14.3.1\nBuild version 14E300c", "1.16.2\n", (State.WARNING, State.OK), ("15", "")),
        ("Xcode 26.1\nBuild version 17B55", "1.16.2\n", (State.OK, State.OK), ("", "")),
    ],
)
def test_on_a_mac_xcode_and_cocoapods_are_told(
    monkeypatch: pytest.MonkeyPatch,
    xcode: str | None,
    pod: str | None,
    states: tuple[State, State],
    words: tuple[str, str],
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = findings(xcode_version=xcode, pod_version=pod)
    assert (found["Xcode"].state, found["CocoaPods"].state) == states
    assert words[0] in found["Xcode"].next_step
    assert words[1] in found["CocoaPods"].next_step


def test_elsewhere_xcode_is_nothing_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    found = findings()
    assert found["Xcode"].state is State.OPTIONAL
    assert "--app" in found["Xcode"].detail
    assert found["Xcode"].next_step == ""
    assert "CocoaPods" not in found


# ------------------------------------------------------------------ browsers


def test_a_browser_needs_no_app_beside_those_of_phones(apk: Path) -> None:
    assert app_for("web", [str(apk)]) is None
    assert app_for("web:chromium", []) is None
    with pytest.raises(UsageError, match="no app that was given is for ios"):
        app_for(UDID, [str(apk)])


def test_what_browsers_need_is_told() -> None:
    found = findings()
    for subject in ("Chromium", "Node.js"):
        assert found[subject].state is State.OPTIONAL
        assert found[subject].next_step
    found = findings(node_version="v20.20.2\n", chromium="/usr/bin/chromium")
    assert (found["Chromium"].state, found["Node.js"].state) == (State.OK, State.OK)
    old = findings(node_version="v16.1.0")["Node.js"]
    assert old.state is State.WARNING
    assert "18" in old.next_step
    assert "playwright" in found
