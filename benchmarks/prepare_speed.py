"""`ortlab prepare` ÷ the converter that ORT ships, whole processes, interleaved; and the cache.

    python benchmarks/prepare_speed.py [--pairs N]

Reach: one target, both styles, no parity ≤ 1.2; everything on ≤ 2.0; unchanged input from the
cache ≤ 0.3 s plus the time to hash the files.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import onnx

from pairs import interleave, run, verdict

LEAN = ["--target", "arm", "--style", "fixed,runtime", "--no-parity", "--no-predictions"]


def models(directory: Path) -> dict[str, Path]:
    """Return the two models; resnet50's IR 3 is raised for the converter that cannot take it."""
    light = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    resnet = onnx.load(light)
    initializers = {tensor.name for tensor in resnet.graph.initializer}
    kept = [value for value in resnet.graph.input if value.name not in initializers]
    del resnet.graph.input[:]
    resnet.graph.input.extend(kept)
    resnet.ir_version = 8
    onnx.save(resnet, directory / "resnet50.onnx")
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    assert package
    assert package.submodule_search_locations
    found = next(Path(package.submodule_search_locations[0]).rglob("ch_PP-OCRv4_det_infer.onnx"))
    shutil.copy(found, directory / "ppocr_det.onnx")
    return {"resnet50": directory / "resnet50.onnx", "ppocr_det": directory / "ppocr_det.onnx"}


def fresh(model: Path, scratch: Path, options: list[str]) -> float:
    """Prepare into an empty directory, without any cache."""
    shutil.rmtree(scratch, ignore_errors=True)
    command = [sys.executable, "-m", "ortlab", "prepare", str(model), "-o", str(scratch)]
    return run([*command, *options])


def converter(model: Path, scratch: Path) -> float:
    """Run ORT's own converter into an empty directory: one target, both styles."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    module = "onnxruntime.tools.convert_onnx_models_to_ort"
    arguments = ["--target_platform", "arm", "--output_dir", str(scratch), str(model)]
    return run([sys.executable, "-m", module, *arguments])


def cached(model: Path, scratch: Path, hashed: Path) -> float:
    """Return seconds beyond hashing for an unchanged input, the median of five."""
    beyond = []
    for _ in range(5):
        elapsed = run([sys.executable, "-m", "ortlab", "prepare", str(model), "-o", str(scratch)])
        started = time.monotonic()
        for path in (model, *hashed.rglob("*")):
            if path.is_file():
                hashlib.sha256(path.read_bytes()).digest()
        beyond.append(elapsed - (time.monotonic() - started))
    return statistics.median(beyond)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    reached = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        ours, theirs = root / "ours", root / "theirs"
        for model_name, model in models(root).items():
            for label, options, limit in (("lean", LEAN, 1.2), ("everything", [], 2.0)):
                measured = interleave(
                    partial(fresh, model, ours, options),
                    partial(converter, model, theirs),
                    pairs=pairs,
                )
                print(f"{model_name} {label}: {measured.row()}", flush=True)
                reached.append(verdict(f"{model_name} {label} ÷ converter", measured.ratio, limit))
            seconds = cached(model, ours, ours)
            reached.append(verdict(f"{model_name} unchanged, beyond hashing", seconds, 0.3, " s"))
    return 0 if all(reached) else 1


if __name__ == "__main__":
    raise SystemExit(main())
