"""A generated class takes a photo of text and says its direction; another keeps its state."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from text_photos import CLASSIFIER, check_directions, photos, store_pictures

from android import toolchain
from ortlab.domain import OptimizationStyle
from ortlab.pictures import Label
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.scaffold.kinds import kinds_of
from ortlab.scaffold.kotlin_sdk import ModelForSdk, ShippedVariant, kotlin_sources

pytestmark = pytest.mark.requires("kotlin")

SDK = toolchain.ROOT / "android_template/sdk/src/main/kotlin/dev/ortlab/sdk"
GENERATED_PROGRAM = toolchain.ROOT / "tests/android/kinds_generated"


def running_sums() -> bytes:
    """Return state_out = 0.5 · state_in + x, y = state_out + x, all of n × 3."""
    from onnx import TensorProto, helper

    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])
        for name in ("x", "state_in", "y", "state_out")
    }
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    nodes = [
        helper.make_node("Mul", ["state_in", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], ["state_out"]),
        helper.make_node("Add", ["state_out", "x"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [values["x"], values["state_in"]],
        [values["y"], values["state_out"]],
        [half],
    )
    opset = helper.make_opsetid("", 13)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return data


APP = {
    "direction": """
        [inputs.x]
        kind = "image"
        width = 192
        height = 48
        color_order = "bgr"
        mean = 0.5
        std = 0.5
        resize = "fit-height"
        padding = 127.5
        antialias = false
        [outputs."save_infer_model/scale_0.tmp_1"]
        kind = "classification"
        labels = ["0", "180"]
        """,
    "sums": """
        [outputs.state_out]
        kind = "state"
        input = "state_in"
        shape = [2, 3]
        """,
}


def generated(directory: Path, models: list[Path]) -> tuple[Path, Path]:
    """Prepare models, write their classes, and return the sources and the packaged files."""
    options = PrepareOptions(
        styles=(OptimizationStyle.ONNX,), parity=False, predictions=False, configs=False
    )
    for_sdk = []
    for result in prepare_models(models, directory / "prepared", options).results:
        assert result.prepared is not None, result.error
        assert result.directory is not None
        (variant,) = result.prepared.variants
        asset = f"ortlab/{result.name}/{variant.variant_id}.onnx"
        (directory / "assets" / asset).parent.mkdir(parents=True)
        shutil.copy(result.directory / variant.path, directory / "assets" / asset)
        shipped = ShippedVariant(
            variant=variant,
            asset_path=asset,
            sha256=variant.sha256,
            size_bytes=variant.size_bytes,
        )
        kinds = kinds_of(tomllib.loads(APP[result.name]), result.prepared.original, directory)
        for_sdk.append(ModelForSdk(prepared=result.prepared, variants=(shipped,), kinds=kinds))
    for name, text in kotlin_sources(for_sdk).items():
        path = directory / "kotlin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory / "kotlin", directory / "assets"


@pytest.mark.requires("models")
def test_generated_classes_take_pictures_answer_labels_and_keep_states(
    tmp_path: Path, package_models: Callable[[str], Path], seed: int
) -> None:
    classifier = package_models(CLASSIFIER)
    shutil.copy(classifier, tmp_path / "direction.onnx")
    (tmp_path / "sums.onnx").write_bytes(running_sums())
    sources, assets = generated(tmp_path, [tmp_path / "direction.onnx", tmp_path / "sums.onnx"])
    toolchain.ktlint(["**/*.kt"], sources)
    sdk = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="sdk",
            sources=(SDK, sources),
            libraries=(toolchain.ANDROID, toolchain.ONNXRUNTIME),
            explicit_api=True,
        ),
        tmp_path / "sdk",
    )
    program = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="tests", sources=(GENERATED_PROGRAM,), libraries=(sdk, toolchain.ANDROID)
        ),
        tmp_path / "tests",
    )
    pictures = photos(seed)
    store_pictures(tmp_path, pictures)
    rows = [f"{name}\t{p.shape[1]}\t{p.shape[0]}\n" for name, p in pictures.items()]
    (tmp_path / "pictures.tsv").write_text("".join(rows))
    completed = toolchain.java(
        "dev.ortlab.tests.GeneratedProgramKt",
        *(assets, tmp_path),
        classes=(program, sdk, toolchain.ONNXRUNTIME, *toolchain.RUNTIME),
    )
    answers: dict[str, list[Label]] = {}
    steps = []
    for line in completed.stdout.splitlines():
        what, *fields = line.split("\t")
        if what == "step":
            steps.append([float(field) for field in fields])
        else:
            name, *labels = fields
            answers[name] = [
                Label(index=int(index), text=text, confidence=float(confidence))
                for index, text, confidence in zip(
                    labels[::3], labels[1::3], labels[2::3], strict=True
                )
            ]
    check_directions(answers, pictures, classifier)
    state = np.zeros(6, np.float32)
    assert len(steps) == 100
    for number, y in enumerate(steps):
        if number == 60:
            state = np.zeros_like(state)
        x = ((number - 7 * np.arange(6)) / 64).astype(np.float32)
        state = np.float32(0.5) * state + x
        np.testing.assert_allclose(y, state + x, rtol=1e-6, atol=1e-6)
