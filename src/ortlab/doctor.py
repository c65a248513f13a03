"""Which tools are there, what is missing, and what installs it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from ortlab.wire import Conditions


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    OPTIONAL = "optional"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What was looked at.
        state: How it stands.
        detail: What was seen, in words.
        next_step: What to do; empty when nothing needs doing.
    """

    subject: str
    state: State
    detail: str
    next_step: str = ""


_MINIMUM_FREE_BYTES = 2 << 30
_LEAST_JAVA = 17
_LEAST_XCODE = 15
_LEAST_NODE = 18
_USBMUXD = "/var/run/usbmuxd"
_OPTIONAL_PACKAGES = (
    ("onnx-ir", "int4 weights", "pip install 'ortlab[int4]'"),
    ("rapidocr-onnxruntime", "the demo's model", "make models"),
)


def examine(
    conditions: Conditions | None,
    directory: Path,
    java_version: str | None = None,
    xcode_version: str | None = None,
    pod_version: str | None = None,
    node_version: str | None = None,
    chromium: str | None = None,
) -> tuple[Finding, ...]:
    """Look at this machine.

    Args:
        conditions: Of the host, or None when they could not be read.
        directory: Where runs would be written.
        java_version: What ``java -version`` said, or None where there is no Java.
        xcode_version: What ``xcodebuild -version`` said, or None where there is no Xcode.
        pod_version: What ``pod --version`` said, or None where there is no CocoaPods.
        node_version: What ``node --version`` said, or None where there is no Node.js.
        chromium: Program of the Chromium that blocks would run in, or None.
    """
    return (
        Finding(subject="Python", state=State.OK, detail=sys.version.split()[0]),
        *(_package(name) for name in ("onnxruntime", "onnx", "altair")),
        *(_optional(*entry) for entry in _OPTIONAL_PACKAGES),
        _adb(),
        _java(java_version),
        _android_sdk(),
        _iphone_tools(),
        _usbmuxd(),
        *_xcode(xcode_version, pod_version, on_a_mac=sys.platform == "darwin"),
        _optional("playwright", "browsers", "pip install 'ortlab[web]'"),
        _chromium(chromium),
        _node(node_version),
        _disk(directory),
        *(_host(conditions) if conditions else ()),
    )


def worst(findings: Sequence[Finding]) -> State:
    """Return the worst state of all."""
    order = list(State)
    return max((finding.state for finding in findings), key=order.index, default=State.OK)


def _package(name: str) -> Finding:
    try:
        return Finding(subject=name, state=State.OK, detail=metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(
            subject=name,
            state=State.MISSING,
            detail="not installed",
            next_step=f"pip install {name}",
        )


def _optional(name: str, purpose: str, install: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(
            subject=name,
            state=State.OPTIONAL,
            detail=f"not installed; needed for {purpose}",
            next_step=install,
        )
    return Finding(subject=name, state=State.OK, detail=f"{version}, for {purpose}")


def _adb() -> Finding:
    bundled = _optional("adbutils", "Android phones", "pip install adbutils")
    if bundled.state is not State.OK:
        return bundled
    found = os.environ.get("ADBUTILS_ADB_PATH") or shutil.which("adb")
    detail = f"{found}" if found else "the one inside adbutils"
    return Finding(subject="adb", state=State.OK, detail=f"{detail}, for Android phones")


def _java(version: str | None) -> Finding:
    """Gradle needs a JDK; the least version is that of the Android Gradle plugin."""
    said = re.search(r'version "(\d+)', version or "")
    if said is None:
        return Finding(
            subject="JDK",
            state=State.OPTIONAL,
            detail="not found; needed to build Android apps",
            next_step=f"install a JDK {_LEAST_JAVA}, or set JAVA_HOME",
        )
    if int(said[1]) < _LEAST_JAVA:
        return Finding(
            subject="JDK",
            state=State.WARNING,
            detail=f"Java {said[1]} is too old to build Android apps",
            next_step=f"install a JDK {_LEAST_JAVA}, or set JAVA_HOME",
        )
    return Finding(subject="JDK", state=State.OK, detail=f"Java {said[1]}, builds Android apps")


def _android_sdk() -> Finding:
    named = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    if not named:
        return Finding(
            subject="Android SDK",
            state=State.OPTIONAL,
            detail="ANDROID_HOME is not set; needed to build Android apps",
            next_step="install Android Studio, then set ANDROID_HOME",
        )
    if not (Path(named) / "platforms").is_dir():
        return Finding(
            subject="Android SDK",
            state=State.WARNING,
            detail=f"{named} holds no platform",
            next_step="sdkmanager 'platforms;android-36'",
        )
    return Finding(subject="Android SDK", state=State.OK, detail=named)


def _iphone_tools() -> Finding:
    """The extra is named with its licence, which is another than ours."""
    found = _optional("pymobiledevice3", "iPhones", "pip install 'ortlab[ios]'")
    if found.state is State.OK:
        return found
    detail = f"{found.detail}; its licence is GPL-3.0-or-later, unlike that of ortlab"
    return replace(found, detail=detail)


def has_usbmuxd() -> bool:
    """Whether something is there that could know of iPhones; it is not asked."""
    named = os.environ.get("USBMUXD_SOCKET_ADDRESS")
    return bool(named) or sys.platform == "darwin" or Path(_USBMUXD).exists()


def _usbmuxd() -> Finding:
    """The service that shares the cable; macOS has its own."""
    if has_usbmuxd():
        place = os.environ.get("USBMUXD_SOCKET_ADDRESS") or "there"
        return Finding(subject="usbmuxd", state=State.OK, detail=f"{place}, for iPhones")
    return Finding(
        subject="usbmuxd",
        state=State.OPTIONAL,
        detail="does not run; needed for iPhones",
        next_step="sudo apt-get install usbmuxd, then plug the iPhone in",
    )


def _xcode(
    xcode_version: str | None, pod_version: str | None, *, on_a_mac: bool
) -> tuple[Finding, ...]:
    if not on_a_mac:
        detail = "runs on macOS alone; an app that a Mac built is taken with --app"
        return (Finding(subject="Xcode", state=State.OPTIONAL, detail=detail),)
    said = re.search(r"Xcode (\d+)[.\d]*", xcode_version or "")
    pods = (pod_version or "").strip()
    pod = Finding(
        subject="CocoaPods",
        state=State.OK if pods else State.OPTIONAL,
        detail=f"{pods}, builds apps for iPhones"
        if pods
        else "not found; without it, ONNX Runtime comes as a Swift package",
        next_step="" if pods else "brew install cocoapods",
    )
    if said is None:
        xcode = Finding(
            subject="Xcode",
            state=State.OPTIONAL,
            detail="not found; needed to build apps for iPhones",
            next_step="install Xcode from the App Store and open it once",
        )
    elif int(said[1]) < _LEAST_XCODE:
        xcode = Finding(
            subject="Xcode",
            state=State.WARNING,
            detail=f"{said[0]} is too old to build the apps",
            next_step=f"install Xcode {_LEAST_XCODE} or later",
        )
    else:
        xcode = Finding(
            subject="Xcode", state=State.OK, detail=f"{said[0]}, builds apps for iPhones"
        )
    return (xcode, pod)


def _chromium(program: str | None) -> Finding:
    if program is not None:
        return Finding(subject="Chromium", state=State.OK, detail=f"{program}, for browsers")
    return Finding(
        subject="Chromium",
        state=State.OPTIONAL,
        detail="not found; needed for browsers",
        next_step="install chromium, or set ORTLAB_CHROMIUM to a Chromium or Chrome",
    )


def _node(version: str | None) -> Finding:
    """Node.js builds web apps and the page that browsers run."""
    install = f"install Node.js {_LEAST_NODE} or later"
    said = re.search(r"v(\d+)[.\d]*", version or "")
    if said is None:
        return Finding(
            subject="Node.js",
            state=State.OPTIONAL,
            detail="not found; needed to build web apps and the page that browsers run",
            next_step=install,
        )
    if int(said[1]) < _LEAST_NODE:
        detail = f"{said[0]} is too old to build web apps"
        return Finding(subject="Node.js", state=State.WARNING, detail=detail, next_step=install)
    return Finding(subject="Node.js", state=State.OK, detail=f"{said[0]}, builds web apps")


def _disk(directory: Path) -> Finding:
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= _MINIMUM_FREE_BYTES
    return Finding(
        subject="disk",
        state=State.OK if enough else State.WARNING,
        detail=f"{free / 2**30:.1f} GiB free at {existing}",
        next_step="" if enough else "make room, or choose another directory with --output",
    )


def _host(conditions: Conditions) -> tuple[Finding, ...]:
    findings = []
    if conditions.cpu_governor not in (None, "performance"):
        findings.append(
            Finding(
                subject="CPU frequency",
                state=State.WARNING,
                detail=f"governor {conditions.cpu_governor}: frequencies change under load",
                next_step="sudo cpupower frequency-set -g performance",
            )
        )
    if conditions.busy_fraction is not None and conditions.busy_fraction > 0.1:
        findings.append(
            Finding(
                subject="CPU load",
                state=State.WARNING,
                detail=f"{conditions.busy_fraction:.0%} of the machine is busy with other work",
                next_step="stop other programs before measuring",
            )
        )
    return tuple(findings)
