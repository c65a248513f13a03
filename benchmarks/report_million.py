"""A report over 1,000,000 samples: seconds after import, peak memory, size of the HTML.

    python benchmarks/report_million.py

The run is made in memory, four arms in 24 rounds, as a fast model gives it: blocks of some ten
thousand samples, each a tuple of integers as it comes from a run directory. Measuring happens in a
fresh process, so that the peak is the report's own; reach: 5 s, 600 MB, 3 MB.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from ortlab.domain import Outcome
from ortlab.report import write_report
from ortlab.wire import Purpose
from report_samples import ReportSample, analyze_sample, make_sample

SAMPLES = 1_000_000
ROUNDS = 24
IMPORTS = ("altair", "jinja2", "numpy", "pandas", "pyarrow.csv", "pyarrow.parquet", "vl_convert")


def build(samples: int) -> ReportSample:
    """Return a run whose latency blocks hold ``samples`` measured samples in all."""
    sample = make_sample(rounds=ROUNDS, samples=5)
    latency = [b for b in sample.run.blocks if b.purpose is Purpose.LATENCY]
    good = [b for b in latency if b.outcome is Outcome.OK and b.result is not None]
    generator = np.random.default_rng(1)
    blocks = list(sample.run.blocks)
    share = [samples // len(good) + (i < samples % len(good)) for i in range(len(good))]
    for block, count in zip(good, share, strict=True):
        assert block.result is not None
        base = float(np.median(block.result.timing.measured_ns)) / 10
        noise = generator.normal(0, 0.015, count) + (
            generator.random(count) < 0.02
        ) * generator.exponential(0.25, count)
        measured = tuple(np.rint(base * np.exp(noise)).astype(np.int64).tolist())
        timing = replace(block.result.timing, measured_ns=measured)
        place = blocks.index(block)
        blocks[place] = replace(block, result=replace(block.result, timing=timing))
    run = replace(sample.run, blocks=tuple(blocks))
    return replace(sample, run=run, analysis=analyze_sample(run))


def measure() -> None:
    """Write the report once and print what it took as JSON."""
    sample = build(SAMPLES)
    for name in IMPORTS:
        importlib.import_module(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        files = write_report(sample.run, sample.analysis, sample.prepared, Path(directory))
        seconds = time.perf_counter() - start
        assert files.html is not None
        html_bytes = files.html.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "samples": sum(
            len(b.result.timing.measured_ns)
            for b in sample.run.blocks
            if b.result and b.purpose is Purpose.LATENCY
        ),
        "seconds": seconds,
        "peak_mb": peak * 1024 / 1e6,
        "before_mb": before * 1024 / 1e6,
        "html_mb": html_bytes / 1e6,
    }
    print(json.dumps(figures))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="measure in this process")
    parser.add_argument("--times", type=int, default=3, help="fresh processes (default 3)")
    arguments = parser.parse_args()
    if arguments.here:
        measure()
        return 0
    command = [sys.executable, __file__, "--here"]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(arguments.times)
    ]
    middle = {name: sorted(run[name] for run in runs)[len(runs) // 2] for name in runs[0]}
    print(f"report over {middle['samples']:,} samples, median of {len(runs)} fresh processes")
    print(f"  time after import  {middle['seconds']:6.2f} s    reach ≤ 5 s")
    print(
        f"  peak memory        {middle['peak_mb']:6.0f} MB   reach ≤ 600 MB"
        f"   (imports and the run itself: {middle['before_mb']:.0f} MB)"
    )
    print(f"  HTML               {middle['html_mb']:6.2f} MB   reach ≤ 3 MB")
    good = middle["seconds"] <= 5 and middle["peak_mb"] <= 600 and middle["html_mb"] <= 3
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
