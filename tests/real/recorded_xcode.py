"""A Mac as far as a build sees it: `xcodebuild` and `pod` are real programs that print logs.

They are no model of Xcode: each prints a log line by line, `xcodebuild` copies a bundle to where
Xcode puts them if it is given one, and both end with an exit code. What they were called with is
kept in the project.
"""

from __future__ import annotations

import shutil
from pathlib import Path

PROGRAM = """#!/bin/sh
set -eu
here='@HERE@'
{ printf '%s\\n' '@NAME@' "$PWD" "${LANG:-}" "${NSUnbufferedIO:-}"; printf '%s\\n' "$@"; echo; } \\
    >> called.txt
while IFS= read -r line; do
    printf '%s\\n' "$line"
    @PAUSE@
done < "$here/@NAME@.txt"
if [ '@NAME@' = xcodebuild ] && [ -d "$here/made.app" ]; then
    target="build/xcode/Build/Products/@CONFIGURATION@-iphoneos"
    mkdir -p "$target"
    cp -R "$here/made.app" "$target/@BUNDLE@"
fi
exit @EXIT@
"""


def recorded_mac(
    directory: Path,
    xcodebuild: str | None = "",
    *,
    pod: str | None = None,
    exit_code: int = 0,
    pod_exit_code: int = 0,
    app: Path | None = None,
    bundle: str = "Bench.app",
    configuration: str = "Release",
    pause_s: float = 0,
) -> Path:
    """Write the programs; return the directory for PATH, which holds a shell's tools, too.

    Args:
        directory: New.
        xcodebuild: What it prints; None where there is no Xcode.
        pod: What it prints; None where there is no CocoaPods.
        exit_code: Of `xcodebuild`.
        pod_exit_code: Of `pod`.
        app: Bundle that it makes.
        bundle: Name that it gets.
        configuration: That it is made in.
        pause_s: After each line.
    """
    directory.mkdir(parents=True)
    if app is not None:
        shutil.copytree(app, directory / "made.app")
    for name, log, code in (("xcodebuild", xcodebuild, exit_code), ("pod", pod, pod_exit_code)):
        if log is None:
            continue
        (directory / f"{name}.txt").write_text(log)
        text = PROGRAM.replace("@HERE@", str(directory)).replace("@NAME@", name)
        text = text.replace("@CONFIGURATION@", configuration).replace("@BUNDLE@", bundle)
        text = text.replace("@PAUSE@", f"sleep {pause_s}" if pause_s else ":")
        (directory / name).write_text(text.replace("@EXIT@", str(code)))
        (directory / name).chmod(0o755)
    return directory


def project(directory: Path, settings: str = "") -> Path:
    """Write what makes a directory a project for iPhones, as far as a build looks."""
    directory.mkdir(parents=True)
    (directory / "App.xcconfig").write_text(f"APP_NAME = Reader\n{settings}")
    (directory / "Podfile").write_text("")
    (directory / "StarterPackages.xcodeproj").mkdir()
    return directory


def called(project: Path) -> list[list[str]]:
    """Return of each call the program, its directory, two variables and the arguments."""
    path = project / "called.txt"
    calls = path.read_text().split("\n\n") if path.exists() else []
    return [call.split("\n") for call in calls if call]
