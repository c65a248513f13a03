"""Peak memory of resnet50 in the SDK's default load ÷ loaded by path, each in a fresh JVM.

    python benchmarks/kotlin_sdk_memory.py [--pairs N]

Reach: ≤ 0.75. The SDK maps the `.ort` file and the runtime uses the weights where they lie; both
processes run the model three times and answer the same numbers. Peak: `VmHWM` of the process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from android import sdk, toolchain
from ortlab.domain import OptimizationStyle, TargetPlatform
from ortlab.prepare import PrepareOptions, prepare_models
from pairs import verdict
from prepare_speed import models

PROGRAM = Path(__file__).parent / "kotlin/SdkMemory.kt"


def peak_mb(classes: Path, assets: Path, way: str) -> tuple[float, float]:
    """Return a fresh process's peak in megabytes, and what it calculated."""
    said = toolchain.java(
        "dev.ortlab.sdkbench.SdkMemoryKt",
        *(assets, way),
        classes=(classes, *sdk.RUNTIME),
        options=("-Xmx64m", "-XX:+UseSerialGC"),
    ).stdout.split()
    return int(said[0]) / 1e3, float(said[1])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = models(directory)["resnet50"]
        options = PrepareOptions(
            styles=(OptimizationStyle.FIXED,),
            targets=(TargetPlatform.AMD64,),
            configs=False,
            predictions=False,
        )
        (result,) = prepare_models([source], directory / "prepared", options).results
        assert result.prepared
        assert result.directory
        model = sdk.shipped(result.prepared, result.directory, directory / "assets")
        classes = sdk.compile_sdk([model], directory, PROGRAM)
        peaks: dict[str, list[float]] = {"sdk": [], "path": []}
        answers = set()
        for number in range(pairs):
            for way in ("sdk", "path") if number % 2 else ("path", "sdk"):
                peak, answer = peak_mb(classes, directory / "assets", way)
                peaks[way].append(peak)
                answers.add(answer)
    assert len(answers) == 1, answers
    middle = {way: statistics.median(values) for way, values in peaks.items()}
    print(f"peak: SDK {middle['sdk']:.0f} MB, by path {middle['path']:.0f} MB, {pairs} pairs")
    ratio = middle["sdk"] / middle["path"]
    return 0 if verdict("peak memory, SDK's default load ÷ by path", ratio, 0.75) else 1


if __name__ == "__main__":
    raise SystemExit(main())
