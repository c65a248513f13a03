"""Whole processes timed in alternating pairs; what the scripts beside this one share."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pairs:
    """Wall seconds of two commands that ran in turn.

    Attributes:
        first_s: Of the first command, one a pair.
        second_s: Of the second.
    """

    first_s: tuple[float, ...]
    second_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over pairs of first ÷ second."""
        return statistics.median(a / b for a, b in zip(self.first_s, self.second_s, strict=True))

    def row(self) -> str:
        """Return the figures as one line."""
        ratios = [a / b for a, b in zip(self.first_s, self.second_s, strict=True)]
        return (
            f"{statistics.median(self.first_s):.2f} s ÷ {statistics.median(self.second_s):.2f} s,"
            f" ratio {self.ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs)"
        )


def run(arguments: Sequence[str], *, cwd: Path | None = None, deadline_s: float = 300) -> float:
    """Run a program to its end and return its wall seconds; a failure is an error."""
    started = time.monotonic()
    done = subprocess.run(
        list(arguments),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=deadline_s,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        check=False,
    )
    elapsed_s = time.monotonic() - started
    if done.returncode:
        output = f"{list(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        raise SystemExit(output)
    return elapsed_s


def interleave(
    first: Callable[[], float], second: Callable[[], float], *, pairs: int, warm_up: int = 1
) -> Pairs:
    """Time two commands in turn, the order alternating from pair to pair."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(-warm_up, pairs):
        order = (0, 1) if number % 2 else (1, 0)
        measured = {index: (first, second)[index]() for index in order}
        if number >= 0:
            times[0].append(measured[0])
            times[1].append(measured[1])
    return Pairs(tuple(times[0]), tuple(times[1]))


def verdict(name: str, value: float, limit: float, unit: str = "") -> bool:
    """Print a figure beside what it should reach."""
    reached = value <= limit
    word = "reached" if reached else "MISSED"
    print(f"{name}: {value:.3g}{unit} (≤ {limit:g}{unit}) {word}", flush=True)
    return reached


def peak_rss_bytes() -> int:
    """Return this process's largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
