"""Compile the Kotlin benchmark core and put it where virtual phones find it.

    python scripts/build_bench_core.py

Needs the jars of `make android-tools`. The core's jar, those it runs with and the runtime's
libraries for this
machine are copied to `.cache/android/bench-core`; the class path is printed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / ".cache/android/bench-core"


def copy(source: Path, destination: Path) -> None:
    """Copy a file, so that whoever has the old one open keeps it."""
    staged = destination.with_name(destination.name + ".part")
    shutil.copyfile(source, staged)
    staged.replace(destination)


def main() -> int:
    """Compile, copy, print."""
    sys.path.insert(0, str(ROOT / "tests"))
    from android import core, toolchain

    try:
        jars = core.core_jars()
    except toolchain.ToolFailedError as error:
        print(error, file=sys.stderr)
        return 1
    native = DIRECTORY / "native"
    native.mkdir(parents=True, exist_ok=True)
    kept = [DIRECTORY / jar.name for jar in jars]
    for stale in set(DIRECTORY.glob("*.jar")) - set(kept):
        stale.unlink()
    for library in core.native_libraries().iterdir():
        copy(library, native / library.name)
    for jar, path in zip(jars, kept, strict=True):
        copy(jar, path)
    print(os.pathsep.join(map(str, kept)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
