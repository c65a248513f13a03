"""Models with kinds for a typed SDK's generated classes, and what those must answer."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from text_photos import photos, store_pictures

from ortlab.domain import ClassificationKind, ImageKind, Layout, OptimizationStyle, ResizeRule
from ortlab.pictures import Label, image_tensor, labels_of
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.scaffold.kinds import kinds_of
from ortlab.scaffold.sdk_model import ModelForSdk, ShippedVariant


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


def photo_and_bias() -> bytes:
    """Return few = the photo's mean color + bias, many = few · weights as float16."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(3).normal(size=(3, 2500)).astype(np.float32)
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["photo"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Add", ["means", "bias"], ["few"]),
        helper.make_node("MatMul", ["few", "weights"], ["products"]),
        helper.make_node("Cast", ["products"], ["many"], to=TensorProto.FLOAT16),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [
            value("photo", TensorProto.UINT8, [1, 9, 7, 3]),
            value("bias", TensorProto.FLOAT, [1, 3]),
        ],
        [
            value("few", TensorProto.FLOAT, ["batch", 3]),
            value("many", TensorProto.FLOAT16, [1, 2500]),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = helper.make_opsetid("", 13)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return data


HOSTILE = ('a"b$c${d}', "*/ /* \\u0000", "\ttab", "😀 \u202e Ärger", "", " ", "\\")
MANY = tuple(f"{HOSTILE[index % len(HOSTILE)]}{index or ''}" for index in range(2500))
FEW = ('"$red"', "green\nline", "blue")
APP = {
    "mixed": f"""
        [inputs.photo]
        kind = "image"
        resize = "crop"
        [outputs.few]
        kind = "classification"
        labels = {json.dumps(FEW)}
        apply_softmax = true
        [outputs.many]
        kind = "classification"
        labels = "many.txt"
        top_k = 7
        """,
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


def models_with_kinds(classifier: Path, directory: Path) -> list[ModelForSdk]:
    """Prepare PP-OCR's direction classifier, a sum with a state and a mixture of kinds.

    The packaged files are in `assets` of the directory.
    """
    shutil.copy(classifier, directory / "direction.onnx")
    (directory / "sums.onnx").write_bytes(running_sums())
    (directory / "mixed.onnx").write_bytes(photo_and_bias())
    (directory / "many.txt").write_text("".join(f"{label}\n" for label in MANY), encoding="utf-8")
    models = [directory / f"{name}.onnx" for name in APP]
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
    return for_sdk


def store_photos(directory: Path, seed: int) -> dict[str, np.ndarray]:
    """Store photos of text, upright and turned, with a list that is easy to read."""
    pictures = photos(seed)
    store_pictures(directory, pictures)
    rows = [f"{name}\t{p.shape[1]}\t{p.shape[0]}\n" for name, p in pictures.items()]
    (directory / "pictures.tsv").write_text("".join(rows))
    return pictures


def labels_in(fields: list[str]) -> list[Label]:
    return [
        Label(index=int(index), text=bytes.fromhex(text).decode(), confidence=float(confidence))
        for index, text, confidence in zip(*[iter(fields)] * 3, strict=True)
    ]


def check_sums(steps: list[list[float]]) -> None:
    state = np.zeros(6, np.float32)
    assert len(steps) == 100
    for number, y in enumerate(steps):
        if number == 60:
            state = np.zeros_like(state)
        x = ((number - 7 * np.arange(6)) / 64).astype(np.float32)
        state = np.float32(0.5) * state + x
        np.testing.assert_allclose(y, state + x, rtol=1e-6, atol=1e-6)


def check_mixed(answers: dict[str, list[Label]], model: Path) -> None:
    import onnxruntime

    pixels = np.array([(0xFF << 24) + index * 1_234_567 for index in range(6)], ">u4")
    argb = pixels.view(np.uint8).reshape(3, 2, 4)
    picture = np.ascontiguousarray(argb[..., [1, 2, 3, 0]])
    kind = ImageKind(layout=Layout.NHWC, scale=1.0, resize=ResizeRule.CROP)
    photo = image_tensor(picture, kind, (7, 9), "uint8")
    bias = np.array([[0.5, -1.0, 2.0]], np.float32)
    session = onnxruntime.InferenceSession(str(model))
    scores = dict(
        zip(("few", "many"), session.run(None, {"photo": photo, "bias": bias}), strict=True)
    )
    kinds = {
        "few": ClassificationKind(labels=FEW, top_k=5, apply_softmax=True),
        "many": ClassificationKind(labels=MANY, top_k=7),
    }
    assert answers.keys() == kinds.keys()
    for name, labels in answers.items():
        wanted = labels_of(scores[name], kinds[name])
        assert [label.text for label in labels] == [label.text for label in wanted]
        for label, expected in zip(labels, wanted, strict=True):
            assert label.confidence == pytest.approx(expected.confidence, rel=2e-3)
