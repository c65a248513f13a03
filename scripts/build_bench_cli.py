"""Build the Swift benchmark core and put it where virtual iPhones find it.

    python scripts/build_bench_cli.py

Needs Swift (`scripts/install_swift.sh`). The program is copied to `.cache/ios/bench-cli` beside a
launcher, `bench-cli`, that starts it from anywhere with an environment of any kind; the launcher's
path is printed.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / ".cache/ios/bench-cli"
LAUNCHER = DIRECTORY / "bench-cli"
PROGRAM = DIRECTORY / "bench-cli.program"


def put(path: Path, staged: Path) -> None:
    """Give a file its name, so that whoever has the old one open keeps it."""
    staged.chmod(0o755)
    staged.replace(path)


def main() -> int:
    """Build, copy, print."""
    sys.path.insert(0, str(ROOT / "tests"))
    from ios import core, swift

    if not swift.present():
        print("there is no Swift here; scripts/install_swift.sh installs it", file=sys.stderr)
        return 1
    try:
        built = core.core_program()
    except swift.SwiftFailedError as error:
        print(error, file=sys.stderr)
        return 1
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    staged = PROGRAM.with_suffix(".part")
    shutil.copyfile(built, staged)
    put(PROGRAM, staged)
    command = shlex.join(swift.program(PROGRAM))
    libraries = f"export LD_LIBRARY_PATH={shlex.quote(str(swift.ort_directory()))}"
    staged = LAUNCHER.with_suffix(".part")
    staged.write_text(f'#!/bin/sh\n{libraries}\nexec {command} "$@"\n', encoding="utf-8")
    put(LAUNCHER, staged)
    print(LAUNCHER)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
