"""Seconds of latency blocks of a two-arm experiment on a 10 ms model, decided by round 12.

    python benchmarks/decision_time.py

Reach: at most 90 s of latency blocks. The arms are one model at graph optimization levels `all`
and `disabled`, through the command line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from block_loop import layers_for
from convolutions import save_model
from pairs import verdict


def main() -> int:
    """Measure, and print the figure."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        save_model(home / "chain.onnx", layers=layers_for(1e7))
        ortlab = [sys.executable, "-m", "ortlab"]
        prepare = [*ortlab, "prepare", "chain.onnx", "--style", "onnx", "--no-predictions"]
        subprocess.run(prepare, cwd=home, check=True, capture_output=True)
        bench = [*ortlab, "bench", "prepared/chain", "--level", "all,disabled", "--threads", "1"]
        options = ["--max-rounds", "12", "--json"]
        done = subprocess.run([*bench, *options], cwd=home, check=True, capture_output=True)
        (run,) = json.loads(done.stdout)["runs"]
        blocks = [
            json.loads(line)
            for line in (home / run["directory"] / "blocks.jsonl").read_text().splitlines()
        ]
    latency_s = sum(b["duration_s"] for b in blocks if b["purpose"] == "latency")
    rounds = run["analysis"]["rounds"]
    (comparison,) = run["analysis"]["comparisons"]
    print(f"{rounds} rounds, verdict {comparison['verdict']}: {comparison['sentence']}")
    decided = comparison["verdict"] != "inconclusive" and rounds <= 12
    return 0 if verdict("latency blocks until decided", latency_s, 90, " s") and decided else 1


if __name__ == "__main__":
    raise SystemExit(main())
