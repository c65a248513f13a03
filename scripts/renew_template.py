"""Fill the generated folder of `android_template/` with the sample model, as `generate` would.

``python scripts/renew_template.py`` writes it from what `tests/data/sample_model/` holds prepared;
``--prepare`` makes and prepares that model anew, which changes bytes of `.ort` files that mean
nothing; ``--check`` says whether the folder is current.

The sample tells the colour of a picture: a smoothing convolution, the mean of each channel, and a
linear layer over them, with weights that are written down here.
"""

# ruff: noqa: D103 (small functions whose names say it)

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ortlab.domain import AppSpec, ClassificationKind, ImageKind, ResizeRule, TargetPlatform
from ortlab.prepare import PrepareOptions, load_prepared, prepare_models
from ortlab.scaffold.android import GENERATED, android_parts, template_directory
from ortlab.scaffold.files import place

ROOT = Path(__file__).parents[1]
PREPARED = ROOT / "tests" / "data" / "sample_model" / "prepared"
NAME = "sample"
SIDE = 32
LABELS = ("red", "green", "blue", "grey")
SPEC = AppSpec(
    name="ortlab sample",
    application_id="com.example.ortlab.sample",
    kinds={
        "picture": ImageKind(resize=ResizeRule.CROP),
        "colour": ClassificationKind(labels=LABELS, top_k=3),
    },
)


def sample_model() -> Any:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    smoothing = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        smoothing[channel, channel] = 1 / 9
    linear = np.full((3, 4), -6, np.float32)
    linear[:, 3] = 0
    linear[range(3), range(3)] = 12
    constants = {
        "smoothing": smoothing,
        "linear": linear,
        "bias": np.array([0, 0, 0, 1.5], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["picture", "smoothing"], ["smooth"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["smooth"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "linear", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["colour"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("colour", TensorProto.FLOAT, [1, len(LABELS)])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def prepare() -> None:
    import onnx

    options = PrepareOptions(targets=(TargetPlatform.ARM,), configs=False, predictions=False)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / f"{NAME}.onnx"
        onnx.save(sample_model(), source)
        summary = prepare_models([source], Path(temporary) / "prepared", options)
        if summary.error:
            raise summary.error
        shutil.rmtree(PREPARED, ignore_errors=True)
        shutil.copytree(Path(temporary) / "prepared" / NAME, PREPARED)


def wanted_files(target: Path) -> dict[str, bytes]:
    """Return the generated folder, by path in the template; ``target`` is an empty directory."""
    for path, content in android_parts(load_prepared(PREPARED), PREPARED, SPEC).files.items():
        place(content, target / path)
    return files_below(target)


def files_below(directory: Path) -> dict[str, bytes]:
    folder = directory / GENERATED
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prepare", action="store_true", help="prepare the sample anew too")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    options = parser.parse_args()
    if options.prepare:
        prepare()
    template = template_directory()
    with tempfile.TemporaryDirectory() as temporary:
        wanted = wanted_files(Path(temporary))
    current = files_below(template) == wanted
    if not current and not options.check:
        shutil.rmtree(template / GENERATED, ignore_errors=True)
        for path, data in wanted.items():
            (template / path).parent.mkdir(parents=True, exist_ok=True)
            (template / path).write_bytes(data)
    print("current" if current else "stale" if options.check else f"{len(wanted)} files written")
    return int(options.check and not current)


if __name__ == "__main__":
    sys.exit(main())
