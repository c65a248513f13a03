"""App bundles whose program is a script of this machine, so that virtual iPhones can run them."""

from __future__ import annotations

import os
import plistlib
import shlex
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ortlab.devices.virtual.iphone.launching import QUESTION
from ortlab.devices.virtual.programs import BenchmarkProgram, SwiftCore, guarded

RUNNER_BUNDLE_ID: Final = "dev.ortlab.runner.bench"
RUNNER_VERSION: Final = "1.0"
MINIMUM_OS: Final = "15.1"

_EXECUTABLE: Final = "Bench"
_DIRECTORY: Final = "Bench.app"
_LAUNCHING: Final = Path(__file__).parent / "launching.py"
_EXECUTABLE_MODE: Final = 0o755
_LAUNCHER: Final = "launcher.sh"
_REGULAR_FILE: Final = 0o100000


def launcher_script(program: BenchmarkProgram) -> str:
    """Return a script of `/bin/sh` that does with a program what the app on a phone does."""
    if isinstance(program, SwiftCore):  # it says by itself what the app says
        start = shlex.join(program.arguments("")[:-1])
        return f'#!/bin/sh\ncd "$HOME/Documents" && exec {start} "$@"\n'
    started = guarded(program.arguments(QUESTION))
    command = (sys.executable, "-I", "-S", str(_LAUNCHING), *started, "--")
    return f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'


def launcher_command(program: BenchmarkProgram, directory: Path) -> tuple[str, ...]:
    """Return how to start a program in place of one for other processors.

    Args:
        program: For this machine.
        directory: In which a script may be written.
    """
    path = directory / _LAUNCHER
    staged = path.with_suffix(".part")
    staged.write_text(launcher_script(program), encoding="utf-8")
    os.replace(staged, path)  # noqa: PTH105
    return ("/bin/sh", str(path))


def runner_bundle(
    path: Path,
    program: BenchmarkProgram,
    *,
    bundle_id: str = RUNNER_BUNDLE_ID,
    script: str | None = None,
    info: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write an app that runs a benchmark program of this machine.

    Args:
        path: To write: an `.ipa`, or an `.app` directory.
        program: That it runs.
        bundle_id: Of the app.
        script: Its program, in place of one that runs the benchmark.
        info: Further or other values of its Info.plist; None removes one.
        files: Further files, by name in the bundle.

    Raises:
        OSError: It cannot be written.
    """
    values: dict[str, Any] = {
        "CFBundleDisplayName": _EXECUTABLE,
        "CFBundleExecutable": _EXECUTABLE,
        "CFBundleIdentifier": bundle_id,
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleName": _EXECUTABLE,
        "CFBundlePackageType": "APPL",
        "CFBundleShortVersionString": RUNNER_VERSION,
        "CFBundleSupportedPlatforms": ["iPhoneOS"],
        "CFBundleVersion": "1",
        "LSRequiresIPhoneOS": True,
        "LSSupportsOpeningDocumentsInPlace": True,
        "MinimumOSVersion": MINIMUM_OS,
        "UIFileSharingEnabled": True,
        **(info or {}),
    }
    values = {key: value for key, value in values.items() if value is not None}
    content = {
        "Info.plist": plistlib.dumps(values, fmt=plistlib.FMT_BINARY),
        _EXECUTABLE: (launcher_script(program) if script is None else script).encode(),
        **(files or {}),
    }
    if path.suffix == ".app":
        for name, data in content.items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (path / _EXECUTABLE).chmod(_EXECUTABLE_MODE)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            member = zipfile.ZipInfo(f"Payload/{_DIRECTORY}/{name}")
            mode = _EXECUTABLE_MODE if name == _EXECUTABLE else 0o644
            member.external_attr = (_REGULAR_FILE | mode) << 16
            archive.writestr(member, data)
    return path
