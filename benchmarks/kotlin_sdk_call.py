"""The generated Kotlin class's call ÷ bare ``OrtSession.run`` with pinned outputs, in one JVM.

    python benchmarks/kotlin_sdk_call.py [--rounds N]

Reach: ≤ 1.3 for a model that does next to nothing, so that the call is all there is. Both reuse
their input and output tensors; short chunks alternate in random order.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from android import sdk, toolchain
from ortlab.domain import TargetPlatform
from ortlab.prepare import PrepareOptions, prepare_models
from pairs import verdict

PROGRAM = Path(__file__).parent / "kotlin/SdkCall.kt"
CHUNK_CALLS = 500


def tiny() -> onnx.ModelProto:
    """One addition of four numbers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        onnx.save(tiny(), directory / "tiny.onnx")
        options = PrepareOptions(targets=(TargetPlatform.AMD64,), configs=False, predictions=False)
        summary = prepare_models([directory / "tiny.onnx"], directory / "prepared", options)
        (result,) = summary.results
        assert result.prepared
        assert result.directory
        model = sdk.shipped(result.prepared, result.directory, directory / "assets")
        classes = sdk.compile_sdk([model], directory, PROGRAM)
        said = toolchain.java(
            "dev.ortlab.sdkbench.SdkCallKt",
            *(directory / "assets", str(rounds), str(CHUNK_CALLS)),
            classes=(classes, *sdk.RUNTIME),
            options=("-Xms128m", "-Xmx128m", "-XX:+UseSerialGC"),
        ).stdout
    pairs = [tuple(map(int, line.split())) for line in said.splitlines()]
    ratio = math.exp(statistics.median(math.log(own / bare) for own, bare in pairs))
    call_us = statistics.median(bare for _, bare in pairs) / CHUNK_CALLS / 1e3
    print(f"bare call: {call_us:.2f} µs, {len(pairs)} rounds of {CHUNK_CALLS} calls")
    return 0 if verdict("generated SDK's call ÷ bare OrtSession.run", ratio, 1.3) else 1


if __name__ == "__main__":
    raise SystemExit(main())
