"""The Kotlin SDK's kinds do to the bit what `docs/kinds.md` and Python do, with real ORT."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from state_models import hundred_steps, recurrent_model
from text_photos import CLASSIFIER, PADDLE, check_directions, photo_of_text, photos, store_pictures

from android import toolchain
from ortlab.domain import (
    ColorOrder,
    ImageKind,
    Layout,
    ResizeRule,
)
from ortlab.pictures import CHANNEL_TYPES, Label, image_tensor

pytestmark = pytest.mark.requires("kotlin")

SDK = toolchain.ROOT / "android_template/sdk/src/main/kotlin/dev/ortlab/sdk"
SOURCES = (SDK / "image", SDK / "Classification.kt", SDK / "State.kt")
PROGRAM = toolchain.ROOT / "tests/android/kinds"
VECTORS = toolchain.ROOT / "sdk_vectors"
ODD_SIZES = ((1, 1), (3, 5), (7, 4), (224, 3), (5, 219), (97, 61))
Program = Callable[[str, Path], bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Compile the kinds and a program that answers cases with them."""
    built = tmp_path_factory.mktemp("kinds")
    sdk = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="sdk",
            sources=SOURCES,
            libraries=(toolchain.ANDROID, toolchain.ONNXRUNTIME),
            explicit_api=True,
        ),
        built / "sdk",
    )
    libraries = (sdk, toolchain.ONNXRUNTIME, *toolchain.SERIALIZATION)
    tests = toolchain.compile_kotlin(
        toolchain.KotlinModule(name="tests", sources=(PROGRAM,), libraries=libraries),
        built / "tests",
    )

    def run(command: str, cases: Path) -> bytes:
        answer = built / "answer"
        toolchain.java(
            "dev.ortlab.tests.KindsProgramKt",
            *(command, cases, answer),
            classes=(tests, *libraries, *toolchain.RUNTIME),
        )
        return answer.read_bytes()

    return run


def test_sources_are_in_the_official_style() -> None:
    toolchain.ktlint(["image/*.kt", "Classification.kt", "State.kt"], SDK)
    toolchain.ktlint(["kinds*/*.kt"], PROGRAM.parent)


# ------------------------------------------------------------------------------ vectors


def test_tensors_are_those_of_the_vectors_to_the_last_bit(program: Program) -> None:
    cases = json.loads((VECTORS / "image.json").read_text())
    tensors = program("images", VECTORS / "image.json")
    for case in cases:
        wanted = base64.b64decode(case["tensor"])
        assert tensors[: len(wanted)] == wanted, case
        tensors = tensors[len(wanted) :]
    assert not tensors


def test_orientations_are_those_of_the_vectors(program: Program) -> None:
    cases = json.loads((VECTORS / "orientation.json").read_text())
    wanted = b"".join(base64.b64decode(case["rgba"]) for case in cases)
    assert program("orientations", VECTORS / "orientation.json") == wanted


def test_labels_are_those_of_the_vectors(program: Program) -> None:
    cases = json.loads((VECTORS / "classification.json").read_text())
    answers = json.loads(program("labels", VECTORS / "classification.json"))
    for case, labels in zip(cases, answers, strict=True):
        assert [label["index"] for label in labels] == case["indices"], case
        assert all(label["text"] == f"class {label['index']}" for label in labels)
        np.testing.assert_allclose(
            [float(label["confidence"]) for label in labels],
            [float(confidence) for confidence in case["confidences"]],
            rtol=2e-7,
            equal_nan=True,
        )


def test_states_follow_the_vectors(program: Program, tmp_path: Path) -> None:
    given = json.loads((VECTORS / "state.json").read_text())
    shutil.copy(VECTORS / given["model"], tmp_path)
    np.array([step["x"] for step in given["steps"]], "<f4").tofile(tmp_path / "steps.bin")
    resets = [number for number, step in enumerate(given["steps"]) if step["reset"]]
    cases = {
        **{key: given[key] for key in ("model", "input", "output")},
        "type": "float",
        "shape": [1, 3],
        "step_shape": [1, 3],
        "steps": "steps.bin",
        "resets": resets,
    }
    answers = np.frombuffer(program("state", write_json(tmp_path, cases)), "<f4").reshape(-1, 3)
    assert answers.tolist() == [step["y"] for step in given["steps"]]


# ------------------------------------------------------------------------------ against Python


def write_json(directory: Path, value: object) -> Path:
    path = directory / "cases.json"
    path.write_text(json.dumps(value))
    return path


def case_of(kind: ImageKind, size: tuple[int, int], element_type: str) -> dict[str, Any]:
    return {
        "width": size[0],
        "height": size[1],
        "element_type": element_type,
        "layout": kind.layout,
        "color_order": kind.color_order,
        "resize": kind.resize,
        "scale": kind.scale,
        "mean": kind.mean,
        "std": kind.std,
        "padding": kind.padding,
        "antialias": kind.antialias,
    }


def test_random_pictures_become_the_same_tensors_as_in_python(
    program: Program, tmp_path: Path, seed: int
) -> None:
    source = np.random.default_rng(seed)
    pictures = {}
    for number, (width, height) in enumerate(ODD_SIZES):
        picture = source.integers(0, 256, (height, width, 4), dtype=np.uint8)
        if number % 2:
            picture[..., 3] = 255
        pictures[f"{width}x{height}"] = picture
    store_pictures(tmp_path, pictures)
    types = itertools.cycle(CHANNEL_TYPES)
    orders = itertools.cycle(ColorOrder)
    crossed = itertools.product(pictures, ODD_SIZES, ResizeRule, Layout, (True, False))
    cases, wanted = [], []
    for name, size, rule, layout, antialias in crossed:
        element_type, order = next(types), next(orders)
        numbers = 1 if order is ColorOrder.GRAY else 3
        kind = ImageKind(
            layout=layout,
            color_order=order,
            scale=1.0 if element_type == "uint8" else 1 / 255,
            mean=tuple(source.uniform(-0.5, 0.5, numbers).tolist()),
            std=tuple(source.uniform(0.5, 2.0, numbers).tolist()),
            resize=rule,
            padding=114,
            antialias=antialias,
        )
        cases.append({**case_of(kind, size, element_type), "picture": name})
        wanted.append(image_tensor(pictures[name], kind, size, element_type))
    answer = program("images", write_json(tmp_path, cases))
    assert len(answer) == sum(tensor.nbytes for tensor in wanted)
    for case, tensor in zip(cases, wanted, strict=True):
        assert answer[: tensor.nbytes] == tensor.tobytes(), case
        answer = answer[tensor.nbytes :]


@pytest.mark.parametrize("element_type", ["float", "float16"])
def test_a_hundred_steps_of_a_state_are_those_of_python(
    program: Program, tmp_path: Path, seed: int, element_type: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(recurrent_model(element_type))
    resets = [40, 41, 77]
    steps, wanted = hundred_steps(tmp_path / "model.onnx", element_type, resets, seed)
    steps.tofile(tmp_path / "steps.bin")
    cases = {
        "model": "model.onnx",
        "input": "state_in",
        "output": "state_out",
        "resets": resets,
        "type": element_type,
        "shape": [2, 1, 3],
        "step_shape": [2, 1, 3],
        "steps": "steps.bin",
    }
    answer = np.frombuffer(program("state", write_json(tmp_path, cases)), steps.dtype)
    rounding = 1e-6 if element_type == "float" else 2e-3
    np.testing.assert_allclose(answer.reshape(steps.shape), wanted, atol=rounding)


# ------------------------------------------------------------------------------ a real model


@pytest.mark.requires("models")
def test_a_photo_of_text_tells_its_direction(
    program: Program, tmp_path: Path, package_models: Callable[[str], Path], seed: int
) -> None:
    pictures = photos(seed)
    store_pictures(tmp_path, pictures)
    model = package_models(CLASSIFIER)
    cases = {
        **case_of(PADDLE, (192, 48), "float"),
        "model": str(model),
        "labels": ["0", "180"],
        "pictures": list(pictures),
    }
    answers = json.loads(program("classify", write_json(tmp_path, cases)))
    labels = {
        name: [
            Label(index=each["index"], text=each["text"], confidence=float(each["confidence"]))
            for each in answer
        ]
        for name, answer in zip(pictures, answers, strict=True)
    }
    check_directions(labels, pictures, model)


def test_the_preparation_is_what_the_direction_classifier_was_trained_with() -> None:
    """Redo rapidocr's `resize_norm_img` in exact numbers: BGR, height kept, width cut, zeros."""
    picture = photo_of_text("short", 1)
    rows, columns = picture.shape[:2]
    width = min(192, -(-48 * columns // rows))
    levels = image_tensor(picture, replace(PADDLE, scale=1.0, mean=(0.0,), std=(1.0,)), (192, 48))[
        0
    ]
    tensor = image_tensor(picture, PADDLE, (192, 48))[0]
    assert width < 192
    np.testing.assert_allclose(
        tensor[:, :, :width], (levels[:, :, :width] / 255 - 0.5) / 0.5, atol=1e-6
    )
    assert not tensor[:, :, width:].any()
    resized = Image.fromarray(picture[..., :3]).resize((width, 48), Image.Resampling.NEAREST)
    nearest = np.asarray(resized)[..., ::-1].transpose(2, 0, 1).astype(float)
    assert np.corrcoef(levels[:, :, :width].ravel(), nearest.ravel())[0, 1] > 0.8


# ------------------------------------------------------------------------------ limits


def test_misuse_is_refused_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    messages = json.loads(program("misuse", write_json(tmp_path, None)))
    assert None not in messages, messages
    assert len(set(messages)) >= 15


def test_a_call_allocates_nothing_to_speak_of(program: Program, tmp_path: Path) -> None:
    figures = json.loads(program("speed", write_json(tmp_path, None)))
    assert figures["antialias_allocated_bytes"] < 1000
    assert figures["two_samples_allocated_bytes"] < 1000


def test_bitmaps_and_photos_are_read_upright_and_let_go(tmp_path: Path) -> None:
    """Run `BitmapPictures.kt` on stand-ins for the few Android classes that it wraps."""
    sdk = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="sdk", sources=(SDK / "image",), libraries=(toolchain.ANDROID,), explicit_api=True
        ),
        tmp_path / "sdk",
    )
    android = toolchain.compile_kotlin(
        toolchain.KotlinModule(name="android", sources=(PROGRAM.parent / "kinds_android",)),
        tmp_path / "android",
    )
    tests = toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="tests",
            sources=(PROGRAM.parent / "kinds_pictures",),
            libraries=(sdk, android),
        ),
        tmp_path / "tests",
    )
    completed = toolchain.java(
        "dev.ortlab.tests.PicturesProgramKt", classes=(tests, sdk, android, *toolchain.RUNTIME)
    )
    assert completed.stdout.strip() == "all as it should be"
