"""Print how much longer `ortlab --help` takes than the --help of a Typer hello-world.

With ``--extra``: how much longer with the extra for iPhones installed than without, in two
environments of links to the same packages.

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
import sysconfig
import tempfile
import time
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LIMIT = 1.3
EXTRA_LIMIT = 1.05
EXTRA = "pymobiledevice3"

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


def measure(pairs: int, commands: tuple[list[str], list[str]]) -> tuple[list[Cost], list[Cost]]:
    """Return what two commands cost, pair by pair."""
    for arguments in commands:  # fills the bytecode and file caches
        cost_of(arguments)
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            costs[which].append(cost_of(commands[which]))
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument(
        "--extra", action="store_true", help="compare with and without the extra for iPhones"
    )
    options = parser.parse_args()
    os.environ["COLUMNS"] = "80"
    with tempfile.TemporaryDirectory() as directory:
        if options.extra:
            names, limit = ("with the extra", "without"), EXTRA_LIMIT
            commands = with_and_without(Path(directory))
        else:
            names, limit = ("ortlab --help", "Typer hello-world"), LIMIT
            program = Path(directory) / "hello.py"
            program.write_text(HELLO_WORLD)
            ours = [sys.executable, str(Path(sys.executable).with_name("ortlab")), "--help"]
            commands = (ours, [sys.executable, str(program), "--help"])
        first, second = measure(options.pairs, commands)
    ratios = []
    for kind, name in enumerate(("wall clock", "CPU time")):
        a, b = ([cost[kind] for cost in costs] for costs in (first, second))
        ratio, low, high = mean_ratio(a, b)
        ratios.append(ratio)
        print(
            f"{name:<10}  {names[0]} {statistics.median(a) * 1000:5.0f} ms,"
            f" {names[1]} {statistics.median(b) * 1000:5.0f} ms (medians),"
            f" ratio {ratio:.3f} [{low:.3f}, {high:.3f}]"
        )
    print(f"{options.pairs} pairs; reach: wall clock ratio <= {limit}")
    return int(ratios[0] > limit)


# ------------------------------------------------------------------ environments that differ


def with_and_without(directory: Path) -> tuple[list[str], list[str]]:
    """Return `ortlab --help` in two environments of links that differ by the extra alone."""
    without = needed_for("ortlab", extras=frozenset({"dev"}))
    left_out = needed_for(EXTRA) - without
    if not left_out:
        sys.exit(f"{EXTRA} is not installed: pip install 'ortlab[ios]'")
    print(f"the extra brings {len(left_out)} packages")
    commands = []
    for name, missing in (("with", frozenset[str]()), ("without", left_out)):
        root = directory / name
        venv.create(root, symlinks=True, with_pip=False)
        python = root / "bin" / "python"
        link_packages(next((root / "lib").glob("python*")) / "site-packages", missing)
        commands.append([str(python), "-c", "from ortlab.cli import main; main()", "--help"])
    return commands[0], commands[1]


def needed_for(package: str, extras: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return a package and all that it needs here, by normalized name."""
    found: set[str] = set()
    waiting = [(package, extras)]
    while waiting:
        name, wanted = waiting.pop()
        name = canonicalize_name(name)
        if name in found:
            continue
        try:
            requirements = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for requirement in requirements:
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *wanted)):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return frozenset(found)


def link_packages(target: Path, missing: frozenset[str]) -> None:
    """Link what is installed here, but for what the missing packages alone hold."""
    kept: set[str] = set()
    dropped: set[str] = set()
    for distribution in metadata.distributions():
        entries = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        name = canonicalize_name(distribution.metadata["Name"])
        (dropped if name in missing else kept).update(entries)
    for source in Path(sysconfig.get_path("purelib")).iterdir():
        if source.name not in dropped - kept and not (target / source.name).exists():
            (target / source.name).symlink_to(source)


def mean_ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its 95 % t interval."""
    from scipy.stats import t

    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(logs)
    half = t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


if __name__ == "__main__":
    sys.exit(main())
