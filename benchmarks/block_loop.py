"""The block's timed loop ÷ a bare loop over ``session.run``, chunks alternating in one process.

    python benchmarks/block_loop.py [--rounds N]

Reach: 1.00 ± 0.01 for models of about 1 ms and 10 ms. The bare loop is two clock reads and a
store, nothing else. Across processes this would need some 100 pairs; alternating chunks in one
process needs a minute.
"""

from __future__ import annotations

import argparse
import gc
import math
import random
import statistics
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime

from convolutions import save_model
from ortlab.runner.measuring import measure_runs

CHUNK_NS = 200_000_000

Loop: TypeAlias = "Callable[[Callable[[], object], int], array[int]]"


def runner_of(layers: int) -> Callable[[], object]:
    """Return a call of the model on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "chain.onnx"
        save_model(path, layers=layers)
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    (spec,) = session.get_inputs()
    feed = {spec.name: np.zeros(spec.shape, np.float32)}
    run = session.run

    def call() -> object:
        return run(None, feed)

    for _ in range(20):
        call()
    return call


def layers_for(target_ns: float) -> int:
    """Return the layers with which a run takes about ``target_ns`` here."""
    layers = 20
    for _ in range(3):
        call = runner_of(layers)
        started = time.perf_counter_ns()
        for _ in range(10):
            call()
        layers = max(1, round(layers * target_ns / ((time.perf_counter_ns() - started) / 10)))
    return layers


def bare(call: Callable[[], object], count: int) -> array[int]:
    """Time ``count`` runs with two clock reads and a store."""
    clock = time.perf_counter_ns
    samples = array("q", bytes(8 * count))
    for index in range(count):
        started = clock()
        call()
        samples[index] = clock() - started
    return samples


def block(call: Callable[[], object], count: int) -> array[int]:
    """Time ``count`` runs as a block does."""
    rule = {"min_runs": count, "min_ns": 0, "max_ns": 10**12, "floor_runs": 5}
    samples, _ = measure_runs(call, rule)
    return samples


def wall_ns(loop: Loop, call: Callable[[], object], count: int) -> float:
    """Return wall nanoseconds a run, the loop's own cost included."""
    gc.collect()
    gc.disable()
    started = time.perf_counter_ns()
    loop(call, count)
    elapsed = time.perf_counter_ns() - started
    gc.enable()
    return elapsed / count


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    order = random.Random(0)
    reached = True
    for label, target_ns in (("1 ms", 1e6), ("10 ms", 1e7)):
        call = runner_of(layers_for(target_ns))
        count = max(5, round(CHUNK_NS / target_ns))
        logs = []
        for _ in range(rounds):
            loops = [block, bare] if order.random() < 0.5 else [bare, block]
            times = {loop: wall_ns(loop, call, count) for loop in loops}
            logs.append(math.log(times[block] / times[bare]))
        ratio = math.exp(statistics.median(logs))
        good = abs(ratio - 1) <= 0.01
        reached &= good
        word = "reached" if good else "MISSED"
        print(f"block ÷ bare loop, model of {label}: {ratio:.4f} (1.00 ± 0.01) {word}")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
