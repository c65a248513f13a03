"""The Swift SDK's kinds do to the bit what `docs/kinds.md` and Python do, with real ORT."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from state_models import hundred_steps, recurrent_model
from text_photos import CLASSIFIER, PADDLE, check_directions, photos, store_pictures

from ios import swift
from ortlab.domain import ColorOrder, ImageKind, Layout, ResizeRule
from ortlab.pictures import CHANNEL_TYPES, Label, image_tensor
from ortlab.process import Command, SystemProcesses

pytestmark = pytest.mark.requires("swift")

DRIVER = swift.CHECKOUT / "tests/ios/kinds_driver"
VECTORS = swift.CHECKOUT / "sdk_vectors"
SDK = swift.TEMPLATE / "Sources/ModelSDK"
ODD_SIZES = ((1, 1), (3, 5), (7, 4), (224, 3), (5, 219), (97, 61))
Program = Callable[[str, Path], bytes]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Build a program that answers cases with the SDK's kinds."""
    built = swift.build(DRIVER, product="kinds-driver") / "kinds-driver"
    answer = tmp_path_factory.mktemp("kinds") / "answer"

    def run(command: str, cases: Path) -> bytes:
        completed = SystemProcesses().run(
            Command(arguments=swift.program(built, command, cases, answer), deadline_s=120.0)
        )
        assert completed.succeeded, completed.stderr
        return answer.read_bytes()

    return run


def test_sources_are_in_the_template_s_style() -> None:
    swift.format_lint([SDK / "Image", SDK / "Kinds"], swift.TEMPLATE)
    swift.format_lint([DRIVER], swift.TEMPLATE)


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
    cases = {
        **{key: given[key] for key in ("model", "input", "output")},
        "type": "float",
        "shape": [1, 3],
        "step_shape": [1, 3],
        "steps": "steps.bin",
        "resets": [number for number, step in enumerate(given["steps"]) if step["reset"]],
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
    import onnxruntime

    pictures = photos(seed)
    store_pictures(tmp_path, pictures)
    model = package_models(CLASSIFIER)
    shutil.copy(model, tmp_path / "direction.onnx")
    session = onnxruntime.InferenceSession(str(model))
    cases = {
        **case_of(PADDLE, (192, 48), "float"),
        "model": "direction.onnx",
        "input": session.get_inputs()[0].name,
        "output": session.get_outputs()[0].name,
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


# ------------------------------------------------------------------------------ limits


def test_misuse_is_refused_before_anything_is_written(program: Program, tmp_path: Path) -> None:
    messages = json.loads(program("misuse", write_json(tmp_path, None)))
    assert len(set(messages)) == len(messages) >= 15
