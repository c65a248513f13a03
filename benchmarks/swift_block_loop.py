"""The Swift core's timed loop ÷ a bare loop over the C API, alternating in one process.

    python benchmarks/swift_block_loop.py [--rounds N]

Reach: 1.00 ± 0.01 for a model of about 1 ms. Both loops run the same session, with outputs that
exist already; the bare one, in C, is two clock reads and a store. See `block_loop.py` for Python's.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from block_loop import layers_for
from convolutions import save_model
from ios import swift
from ortlab.process import Command, SystemProcesses

PACKAGE = Path(__file__).parent / "swift"
SCRATCH = swift.CACHE / "build" / "benchmarks"
PRODUCT = "BlockLoop"
TARGET_NS = 1e6
CHUNK_RUNS = 20
"""Short chunks, so that what others do to the machine meets both loops alike."""


def build_program() -> Path:
    """Build the two loops with the core, whose internals they use."""
    swift.run(
        [
            *("swift", "build", "--configuration", "release", "--scratch-path", SCRATCH),
            *("-Xswiftc", "-enable-testing", "-Xlinker", f"-L{swift.ort_directory()}"),
            *("--product", PRODUCT),
        ],
        directory=PACKAGE,
        deadline_s=1200,
    )
    return SCRATCH / "release" / PRODUCT


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=600)
    rounds = parser.parse_args().rounds
    program = build_program()
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "chain.onnx"
        save_model(model, layers=layers_for(TARGET_NS))
        arguments = swift.program(program, str(model), str(rounds), str(CHUNK_RUNS))
        done = SystemProcesses().run(Command(arguments=arguments, deadline_s=60 + rounds))
    if not done.succeeded:
        print(done.stderr, file=sys.stderr)
        return 1
    pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    ratio = math.exp(statistics.median(math.log(block / bare) for block, bare in pairs))
    run_ms = statistics.median(bare for _, bare in pairs) / CHUNK_RUNS / 1e6
    good = abs(ratio - 1) <= 0.01
    word = "reached" if good else "MISSED"
    print(f"Swift block ÷ bare C loop, model of {run_ms:.2f} ms: {ratio:.4f} (1.00 ± 0.01) {word}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
