"""Time from a 1920 × 1080 picture to a 224 × 224 float tensor in Kotlin, and bytes it allocates.

    python benchmarks/kotlin_pictures.py [--repeat N]

Median of 30 calls after 30 to warm up, in a fresh JVM each time; with averaging (`antialias`), and
with two samples a side.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from android import toolchain

SDK = toolchain.ROOT / "android_template/sdk/src/main/kotlin/dev/ortlab/sdk"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        built = Path(text)
        sdk = toolchain.compile_kotlin(
            toolchain.KotlinModule(
                name="sdk",
                sources=(SDK / "image", SDK / "Classification.kt", SDK / "State.kt"),
                libraries=(toolchain.ANDROID, toolchain.ONNXRUNTIME),
                explicit_api=True,
            ),
            built / "sdk",
        )
        libraries = (sdk, toolchain.ONNXRUNTIME, *toolchain.SERIALIZATION)
        program = toolchain.compile_kotlin(
            toolchain.KotlinModule(
                name="tests",
                sources=(toolchain.ROOT / "tests/android/kinds",),
                libraries=libraries,
            ),
            built / "program",
        )
        (built / "cases.json").write_text("null")
        for _ in range(arguments.repeat):
            toolchain.java(
                "dev.ortlab.tests.KindsProgramKt",
                *("speed", built / "cases.json", built / "answer.json"),
                classes=(program, *libraries, *toolchain.RUNTIME),
            )
            figures = json.loads((built / "answer.json").read_text())
            print("   ".join(f"{name} {value:.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
