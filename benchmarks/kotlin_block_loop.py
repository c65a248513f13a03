"""The Kotlin core's timed loop ÷ a bare loop over ``OrtSession.run``, alternating in one JVM.

    python benchmarks/kotlin_block_loop.py [--rounds N]

Reach: 1.00 ± 0.01 for a model of about 1 ms. Both loops make the same call, with outputs that exist
already; the bare one is two clock reads and a store. See `block_loop.py` for Python's.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from android import core, toolchain
from block_loop import layers_for
from convolutions import save_model

ROOT = Path(__file__).parents[1]


TARGET_NS = 1e6
CHUNK_RUNS = 20
"""Short chunks, so that what others do to the machine meets both loops alike."""


def compile_program(directory: Path) -> Path:
    """Compile the two loops against the core, whose internals they use."""
    jar = core.core_jar()
    module = toolchain.KotlinModule(
        name="block-loop",
        sources=(ROOT / "benchmarks/kotlin/BlockLoop.kt",),
        libraries=(jar, *core.LIBRARIES),
        friends=(jar,),
    )
    return toolchain.compile_kotlin(module, directory / "block-loop")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=600)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        program = compile_program(directory)
        save_model(directory / "chain.onnx", layers=layers_for(TARGET_NS))
        said = toolchain.java(
            "dev.ortlab.benchcore.BlockLoopKt",
            *(directory / "chain.onnx", str(rounds), str(CHUNK_RUNS)),
            classes=(program, *core.core_jars()),
            options=(*core.JVM_OPTIONS, f"-Donnxruntime.native.path={core.native_libraries()}"),
            deadline_s=60 + rounds,
        ).stdout
    pairs = [tuple(map(int, line.split())) for line in said.splitlines()]
    ratio = math.exp(statistics.median(math.log(block / bare) for block, bare in pairs))
    run_ms = statistics.median(bare for _, bare in pairs) / CHUNK_RUNS / 1e6
    good = abs(ratio - 1) <= 0.01
    word = "reached" if good else "MISSED"
    print(f"Kotlin block ÷ bare loop, model of {run_ms:.2f} ms: {ratio:.4f} (1.00 ± 0.01) {word}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
