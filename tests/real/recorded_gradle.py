"""A project whose `gradlew` is a real program that prints what Gradle once printed.

It is no model of Gradle: it prints a recording line by line, copies an APK to where Gradle puts
them if it is given one, and ends with an exit code. What it was called with is kept beside it.
"""

from __future__ import annotations

from pathlib import Path

SCRIPT = """#!/bin/sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
printf '%s\\n' "$PWD" "${ANDROID_HOME:-unset}" "$@" > "$here/called.txt"
while IFS= read -r line; do
    printf '%s\\n' "$line"
    @PAUSE@
done < "$here/recording.txt"
echo 'to standard error' >&2
if [ -e "$here/made.apk" ]; then
    target="$here/@MODULE@/build/outputs/apk/@VARIANT@"
    mkdir -p "$target"
    cp "$here/made.apk" "$target/@MODULE@-@VARIANT@.apk"
fi
exit @EXIT@
"""


def recorded_project(
    directory: Path,
    recording: str,
    *,
    exit_code: int = 0,
    apk: Path | None = None,
    module: str = "bench",
    variant: str = "release",
    pause_s: float = 0,
) -> Path:
    """Write the project; its `gradlew` pauses after each line."""
    directory.mkdir(parents=True)
    (directory / "settings.gradle.kts").write_text("")
    (directory / "recording.txt").write_text(recording)
    if apk is not None:
        (directory / "made.apk").write_bytes(apk.read_bytes())
    script = SCRIPT.replace("@EXIT@", str(exit_code)).replace("@MODULE@", module)
    script = script.replace("@VARIANT@", variant)
    script = script.replace("@PAUSE@", f"sleep {pause_s}" if pause_s else ":")
    (directory / "gradlew").write_text(script)
    (directory / "gradlew").chmod(0o755)
    return directory


def called(project: Path) -> list[str]:
    """Return the directory, ANDROID_HOME and the arguments that `gradlew` was called with."""
    return (project / "called.txt").read_text().splitlines()
