"""The generated Swift class's call ÷ the C API's bare ``Run`` with pre-bound values.

    python benchmarks/swift_sdk_call.py [--rounds N]

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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ios import sdk, swift
from kotlin_sdk_call import CHUNK_CALLS, tiny
from ortlab.domain import TargetPlatform
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.process import Command, SystemProcesses
from pairs import verdict

PROGRAM = Path(__file__).parent / "swift_sdk"


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
        assets = directory / "assets"
        model = sdk.shipped(result.prepared, result.directory, assets)
        program = sdk.build_sdk([model], assets, "sdk-call", PROGRAM)
        arguments = swift.program(program, assets, str(rounds), str(CHUNK_CALLS))
        said = SystemProcesses().run(Command(arguments=arguments, deadline_s=600))
    if not said.succeeded:
        raise SystemExit(said.stderr)
    pairs = [tuple(map(int, line.split())) for line in said.stdout.splitlines()]
    ratio = math.exp(statistics.median(math.log(own / bare) for own, bare in pairs))
    call_us = statistics.median(bare for _, bare in pairs) / CHUNK_CALLS / 1e3
    print(f"bare call: {call_us:.2f} µs, {len(pairs)} rounds of {CHUNK_CALLS} calls")
    return 0 if verdict("generated Swift SDK's call ÷ bare Run of the C API", ratio, 1.3) else 1


if __name__ == "__main__":
    raise SystemExit(main())
