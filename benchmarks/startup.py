"""Print how much longer `ortlab --help` takes than the --help of a Typer hello-world.

Whole processes of the same interpreter, in balanced order (ABBA); the ratio is the geometric mean
over pairs with its 95 % t interval. Exit code 1 when the mean is above the limit.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.3

HELLO_WORLD = """\
import typer

app = typer.Typer()


@app.command()
def main(name: str) -> None:
    print(f"Hello {name}")


app()
"""


Cost = tuple[float, float]  # seconds of wall clock, seconds of CPU time


def cost_of(arguments: list[str]) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(pairs: int) -> tuple[list[Cost], list[Cost]]:
    """Return what `ortlab --help` and the hello-world cost, pair by pair."""
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "hello.py"
        program.write_text(HELLO_WORLD)
        ours = [sys.executable, str(Path(sys.executable).with_name("ortlab")), "--help"]
        theirs = [sys.executable, str(program), "--help"]
        for arguments in (ours, theirs):  # fills the bytecode and file caches
            cost_of(arguments)
        costs: tuple[list[Cost], list[Cost]] = ([], [])
        for pair in range(pairs):
            for which in (0, 1) if pair % 2 == 0 else (1, 0):
                costs[which].append(cost_of((ours, theirs)[which]))
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    os.environ["COLUMNS"] = "80"
    ours, theirs = measure(pairs)
    ratios = []
    for kind, name in enumerate(("wall clock", "CPU time")):
        a, b = ([cost[kind] for cost in costs] for costs in (ours, theirs))
        ratio, low, high = mean_ratio(a, b)
        ratios.append(ratio)
        print(
            f"{name:<10}  ortlab --help {statistics.median(a) * 1000:5.0f} ms,"
            f" Typer hello-world {statistics.median(b) * 1000:5.0f} ms (medians),"
            f" ratio {ratio:.3f} [{low:.3f}, {high:.3f}]"
        )
    print(f"{pairs} pairs; reach: wall clock ratio <= {LIMIT}")
    return int(ratios[0] > LIMIT)


def mean_ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its 95 % t interval."""
    from scipy.stats import t

    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(logs)
    half = t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


if __name__ == "__main__":
    sys.exit(main())
