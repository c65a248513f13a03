"""Broken models through `prepare` and `inspect`, and what must hold of every answer.

    python tests/fuzzing.py [--count 2000] [--seed N]      (or: make fuzz)

Every file: exit code 0 or that of the model family, the file named in the error, no traceback, at
most 20 s, at most 2 GB, no temporary file left. At least 30 % get as far as ONNX Runtime.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutations import Mutant, mutants

DATA = Path(__file__).parent / "data/ort_formats"
ORIGINALS = (
    *("small.onnx", "small_qdq.onnx", "small.onnx", "small_qdq.onnx"),
    *("small.fixed.ort-1.31.1.ort", "small.runtime.ort-1.31.1.ort", "small.fixed.ort-1.8.1.ort"),
)
LIMIT_S = 20.0
LIMIT_BYTES = 2_000_000_000
MODEL_FAMILY = 3
AT_ORT = ("onnxruntime says", "run the original", "step make ")
BATCH = 40


@dataclass
class Tally:
    """What was seen of all files.

    Attributes:
        outcomes: How `prepare` and `inspect` ended, by exit code.
        reached_ort: Files that got as far as ONNX Runtime.
        slowest_s: Longest a single file took.
        peak_bytes: Largest resident set of any process.
        problems: What must not be, in sentences.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    reached_ort: int = 0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    problems: list[str] = field(default_factory=list)


def fuzz(files: Sequence[Mutant], tally: Tally) -> None:
    """Put a batch of files through both commands."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "in").mkdir()
        (home / "tmp").mkdir()
        for mutant in files:
            (home / "in" / mutant.name).write_bytes(mutant.data)
        _prepare([m.name for m in files if m.name.endswith(".onnx")], home, tally)
        _inspect([m.name for m in files], home, tally)
        leftovers = [
            path
            for path in (*(home / "tmp").rglob("*"), *(home / "out").glob(".*"))
            if "ortlab-bug" not in path.name or path.is_file()
        ]
        if leftovers:
            tally.problems.append(f"left behind: {leftovers[:3]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    tally.peak_bytes = max(tally.peak_bytes, peak)
    if peak > LIMIT_BYTES:
        tally.problems.append(f"a process took {peak / 1e9:.2f} GB")


def _run(arguments: Sequence[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(home / "tmp"), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S * BATCH + 60,
        env=environment,
        check=False,
    )


def _prepare(names: Sequence[str], home: Path, tally: Tally) -> None:
    if not names:
        return
    files = [f"in/{name}" for name in names]
    options = ["-o", "out", "--json", "--deadline-s", str(LIMIT_S), "--no-predictions"]
    done = _run(["-m", "ortlab", "prepare", *files, *options], home)
    if "Traceback" in done.stdout + done.stderr or done.returncode not in (0, MODEL_FAMILY):
        text = (done.stdout + done.stderr)[-600:]
        tally.problems.append(f"prepare ended with {done.returncode}: {text}")
        return
    for answer in json.loads(done.stdout)["models"]:
        error = answer["error"]
        code = error["exit_code"] if error else 0
        tally.outcomes[f"prepare {code}"] += 1
        tally.slowest_s = max(tally.slowest_s, answer["duration_s"])
        source = Path(answer["source"]).name
        if error and (code != MODEL_FAMILY or source not in error["message"]):
            tally.problems.append(f"{source}: {code}: {error['message']}")
        if answer["duration_s"] > LIMIT_S + 5:
            tally.problems.append(f"{source} took {answer['duration_s']:.1f} s")
        tally.reached_ort += not error or any(word in error["message"] for word in AT_ORT)


def _inspect(names: Sequence[str], home: Path, tally: Tally) -> None:
    done = _run([__file__, "--inspect", *(f"in/{name}" for name in names)], home)
    if done.returncode:
        tally.problems.append(f"inspect died with {done.returncode}: {done.stderr[-600:]}")
        return
    for name, answer in zip(names, json.loads(done.stdout), strict=True):
        tally.outcomes[f"inspect {answer['code']}"] += 1
        tally.slowest_s = max(tally.slowest_s, answer["duration_s"])
        said = answer["said"]
        if answer["code"] not in (0, MODEL_FAMILY) or "Traceback" in said:
            tally.problems.append(f"inspect {name}: {answer['code']}: {said[-300:]}")
        elif answer["code"] and name not in said:
            tally.problems.append(f"inspect {name}: the file is not named: {said[-300:]}")
        if answer["duration_s"] > LIMIT_S:
            tally.problems.append(f"inspect {name} took {answer['duration_s']:.1f} s")


def inspect_here(paths: Sequence[str]) -> None:
    """Inspect files in this process, under the memory limit, and print the answers as JSON."""
    from ortlab.cli import run

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    answers = []
    for path in paths:
        said = io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(["inspect", path, "--json"])
        duration_s = time.monotonic() - started
        text = said.getvalue() if code else ""
        answers.append({"code": code, "said": text, "duration_s": duration_s})
    print(json.dumps(answers))


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--inspect", nargs="*")
    arguments = parser.parse_args()
    if arguments.inspect is not None:
        inspect_here(arguments.inspect)
        return 0
    files = mutants([DATA / name for name in ORIGINALS], arguments.count, arguments.seed)
    tally = Tally()
    for start in range(0, len(files), BATCH):
        fuzz(files[start : start + BATCH], tally)
        print(f"{min(start + BATCH, len(files))} of {len(files)}", file=sys.stderr, flush=True)
    for problem in tally.problems:
        print("PROBLEM", problem)
    outcomes = ", ".join(f"{key}: {count}" for key, count in sorted(tally.outcomes.items()))
    share = tally.reached_ort / len(files)
    print(f"{len(files)} files, seed {arguments.seed}; {outcomes}")
    print(f"slowest {tally.slowest_s:.1f} s, largest process {tally.peak_bytes / 1e9:.2f} GB")
    print(f"got as far as ONNX Runtime: {tally.reached_ort} ({share:.0%}, at least 30 %)")
    return 0 if not tally.problems and share >= 0.3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
