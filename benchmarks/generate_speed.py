"""How long `generate` takes for one model, and whether it writes the same twice.

``python benchmarks/generate_speed.py [PREPARED]``: a fresh process each time, warm file cache, from
its start to its end: the interpreter, reading and verifying the model, writing the project.
Without a prepared model, that of the tests' golden project is taken. Reach: 1.5 s at most (median),
and the same bytes in two places.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT = ROOT / "tests" / "data" / "golden_android" / "digits" / "prepared"
LIMIT_S = 1.5


def generate(prepared: Path, project: Path) -> float:
    """Generate in a process of its own and return its duration in seconds."""
    command: Sequence[str] = (
        *(sys.executable, "-m", "ortlab", "generate", str(prepared)),
        *("--android", str(project), "--name", "Speed", "--id", "dev.example.speed"),
    )
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    duration = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return duration


def digest(project: Path) -> tuple[str, int]:
    """Return what changes with any byte, mode or name of a project, and the number of files."""
    sums = hashlib.sha256()
    paths = sorted(path for path in project.rglob("*") if path.is_file())
    for path in paths:
        sums.update(f"{path.relative_to(project)} {path.stat().st_mode:o}\n".encode())
        sums.update(path.read_bytes())
    return sums.hexdigest(), len(paths)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("prepared", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        generate(options.prepared, Path(temporary) / "warm")
        first, again, digests = [], [], set()
        for run in range(options.runs):
            project = Path(temporary) / str(run) / "project"
            first.append(generate(options.prepared, project))
            digests.add(digest(project))
            again.append(generate(options.prepared, project))
            digests.add(digest(project))
    ((_, files),) = digests if len(digests) == 1 else (("", 0),)
    median = statistics.median(first)
    print(f"{options.prepared.name}: {files} files, {options.runs} fresh processes")
    print(f"first run:  median {median:.2f} s, slowest {max(first):.2f} s (reach: {LIMIT_S} s)")
    print(f"rerun:      median {statistics.median(again):.2f} s, slowest {max(again):.2f} s")
    print(f"same bytes: {'yes' if len(digests) == 1 else f'NO, {len(digests)} kinds'}")
    return int(median > LIMIT_S or len(digests) != 1)


if __name__ == "__main__":
    sys.exit(main())
