"""Compile the Kotlin benchmark core and put it where virtual phones find it.

    python scripts/build_bench_core.py

Needs the jars of `make android-tools`. The core's jar and those it runs with are copied to
`.cache/android/bench-core`; the class path is printed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / ".cache/android/bench-core"


def main() -> int:
    """Compile, copy, print."""
    sys.path.insert(0, str(ROOT / "tests"))
    from android import core, toolchain

    try:
        jars = core.core_jars()
    except toolchain.ToolFailedError as error:
        print(error, file=sys.stderr)
        return 1
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    kept = [DIRECTORY / jar.name for jar in jars]
    for stale in set(DIRECTORY.glob("*.jar")) - set(kept):
        stale.unlink()
    for jar, copy in zip(jars, kept, strict=True):
        staged = copy.with_suffix(".part")
        shutil.copyfile(jar, staged)
        staged.replace(copy)
    print(os.pathsep.join(map(str, kept)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
