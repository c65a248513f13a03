"""Pictures to tensors and scores to labels: vectors, properties, and Pillow as a witness."""

from __future__ import annotations

import base64
import json
import math
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ortlab.domain import ClassificationKind, ColorOrder, ImageKind, Layout, ResizeRule
from ortlab.errors import UsageError
from ortlab.pictures import image_tensor, labels_of, oriented, place, softmax, taps_of, top_k

VECTORS = Path(__file__).parents[2] / "sdk_vectors"
SIZES = st.integers(1, 40)


def vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def stored_picture(name: str) -> np.ndarray:
    size = vectors("pictures.json")[name]
    levels = np.frombuffer((VECTORS / f"pictures/{name}.rgba").read_bytes(), np.uint8)
    return levels.reshape(size["height"], size["width"], 4)


def kind_of(case: dict[str, Any]) -> ImageKind:
    return ImageKind(
        layout=Layout(case["layout"]),
        color_order=ColorOrder(case["color_order"]),
        scale=case["scale"],
        mean=tuple(case["mean"]),
        std=tuple(case["std"]),
        resize=ResizeRule(case["resize"]),
        padding=case["padding"],
        antialias=case["antialias"],
    )


def noise(width: int, height: int, seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


# ------------------------------------------------------------------------------ vectors


def test_vectors_are_those_that_the_script_makes() -> None:
    made = runpy.run_path(str(VECTORS.parent / "scripts/make_sdk_vectors.py"))["make_files"]()
    stored = {
        path.relative_to(VECTORS).as_posix(): path.read_bytes()
        for path in VECTORS.rglob("*")
        if path.is_file()
    }
    assert made == stored
    assert sum(map(len, made.values())) < 300_000


def test_tensors_are_those_of_the_vectors_to_the_last_bit() -> None:
    cases = vectors("image.json")
    assert {case["resize"] for case in cases} == {rule.value for rule in ResizeRule}
    for case in cases:
        size = (case["width"], case["height"])
        picture = stored_picture(case["picture"])
        tensor = image_tensor(picture, kind_of(case), size, case["element_type"])
        assert tensor.tobytes() == base64.b64decode(case["tensor"]), case
        channels = 1 if case["color_order"] == "gray" else 3
        width, height = size
        planar = case["layout"] == "nchw"
        assert tensor.shape == (
            (1, channels, height, width) if planar else (1, height, width, channels)
        )


def test_orientations_are_those_of_the_vectors() -> None:
    for case in vectors("orientation.json"):
        turned = oriented(stored_picture(case["picture"]), case["orientation"])
        assert turned.shape[:2] == (case["height"], case["width"])
        assert turned.tobytes() == base64.b64decode(case["rgba"]), case


def test_labels_are_those_of_the_vectors() -> None:
    for case in vectors("classification.json"):
        scores = np.array([float(score) for score in case["scores"]], dtype=np.float32)
        kind = ClassificationKind(
            labels=tuple(f"class {index}" for index in range(scores.size)),
            top_k=case["top_k"],
            apply_softmax=case["apply_softmax"],
        )
        labels = labels_of(scores[np.newaxis], kind)
        assert [label.index for label in labels] == case["indices"], case
        assert [label.text for label in labels] == [f"class {index}" for index in case["indices"]]
        wanted = [float(confidence) for confidence in case["confidences"]]
        np.testing.assert_allclose(
            [label.confidence for label in labels], wanted, rtol=2e-7, equal_nan=True
        )


def test_states_follow_the_vectors() -> None:
    state = np.zeros(3, np.float32)
    for step in vectors("state.json")["steps"]:
        if step["reset"]:
            state = np.zeros_like(state)
        state = np.float32(0.5) * state + np.array(step["x"], np.float32)
        assert (state - 1).tolist() == step["y"]


# ------------------------------------------------------------------------------ properties


@given(
    source=st.tuples(SIZES, SIZES),
    frame=st.tuples(SIZES, SIZES),
    rule=st.sampled_from(ResizeRule),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    antialias=st.booleans(),
)
def test_one_color_stays_that_color(
    source: tuple[int, int],
    frame: tuple[int, int],
    rule: ResizeRule,
    color: tuple[int, int, int],
    antialias: bool,
) -> None:
    picture = np.full((source[1], source[0], 3), color, np.uint8)
    kind = ImageKind(layout=Layout.NHWC, scale=1.0, resize=rule, padding=7, antialias=antialias)
    seen = {tuple(pixel) for pixel in image_tensor(picture, kind, frame, "uint8").reshape(-1, 3)}
    assert color in seen
    assert seen <= {color, (7, 7, 7)}


@given(
    width=st.integers(1, 5000), height=st.integers(1, 5000), frame=st.tuples(SIZES, SIZES),
    rule=st.sampled_from(ResizeRule),
)  # fmt: skip
def test_fitting_never_leaves_the_frame_and_covering_leaves_none_of_it(
    width: int, height: int, frame: tuple[int, int], rule: ResizeRule
) -> None:
    placed = place((width, height), frame, rule)
    right, bottom = placed.left + placed.width, placed.top + placed.height
    assert placed.width >= 1
    assert placed.height >= 1
    if rule in {ResizeRule.CROP, ResizeRule.STRETCH}:
        assert placed.left <= 0
        assert placed.top <= 0
        assert right >= frame[0]
        assert bottom >= frame[1]
    else:
        assert placed.left >= 0
        assert placed.top >= 0
        assert right <= frame[0]
        assert bottom <= frame[1]
        assert placed.width == frame[0] or placed.height == frame[1]
    if rule in {ResizeRule.FIT, ResizeRule.CROP}:
        sides = (-placed.left, right - frame[0], -placed.top, bottom - frame[1])
        assert abs(abs(sides[0]) - abs(sides[1])) <= 1
        assert abs(abs(sides[2]) - abs(sides[3])) <= 1


@given(source=st.integers(1, 300), resized=st.integers(1, 300), antialias=st.booleans())
def test_every_sample_is_a_whole_of_samples_that_exist(
    source: int, resized: int, antialias: bool
) -> None:
    for tap in taps_of(source, resized, range(resized), antialias=antialias):
        assert tap.first >= 0
        assert tap.first + len(tap.weights) <= source
        assert abs(sum(tap.weights) - (1 << 22)) <= len(tap.weights)
        assert min(tap.weights) >= 0


@given(source=st.tuples(SIZES, SIZES), seed=st.integers(0, 999))
def test_a_picture_of_the_tensors_size_is_left_alone(source: tuple[int, int], seed: int) -> None:
    picture = noise(*source, seed)
    for rule in ResizeRule:
        kind = ImageKind(layout=Layout.NHWC, scale=1.0, resize=rule)
        assert (image_tensor(picture, kind, source, "uint8")[0] == picture).all()


@given(
    source=st.tuples(SIZES, SIZES), frame=st.tuples(SIZES, SIZES), seed=st.integers(0, 999),
    order=st.sampled_from(ColorOrder),
)  # fmt: skip
def test_stretching_is_pillows_bilinear(
    source: tuple[int, int], frame: tuple[int, int], seed: int, order: ColorOrder
) -> None:
    picture = noise(*source, seed)
    kind = ImageKind(layout=Layout.NHWC, color_order=order, scale=1.0)
    levels = image_tensor(picture, kind, frame, "uint8")[0].astype(int)
    image = Image.fromarray(picture)
    if order is ColorOrder.GRAY:
        image = image.convert("L")
    wanted = np.asarray(image.resize(frame, Image.Resampling.BILINEAR)).astype(int)
    wanted = wanted.reshape(frame[1], frame[0], -1)
    if order is ColorOrder.BGR:
        wanted = wanted[..., ::-1]
    # Pillow may take the height first, which rounds another value; one axis alone is the same.
    tolerance = 0 if source[0] == frame[0] or source[1] == frame[1] else 1
    assert np.abs(levels - wanted).max() <= tolerance


@given(source=st.tuples(SIZES, SIZES), frame=st.tuples(SIZES, SIZES), seed=st.integers(0, 999))
def test_without_antialias_two_samples_a_side_decide(
    source: tuple[int, int], frame: tuple[int, int], seed: int
) -> None:
    picture = noise(*source, seed)
    kind = ImageKind(layout=Layout.NHWC, scale=1.0, antialias=False)
    levels = image_tensor(picture, kind, frame, "float")[0]

    def neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = (np.arange(new) + 0.5) * (old / new) - 0.5
        low = np.floor(at).astype(int)
        return low.clip(0, old - 1), (low + 1).clip(0, old - 1), at - low

    left, right, across = neighbours(source[0], frame[0])
    above, below, down = neighbours(source[1], frame[1])
    exact = picture.astype(float)
    rows = exact[above] + (exact[below] - exact[above]) * down[:, None, None]
    wanted = rows[:, left] + (rows[:, right] - rows[:, left]) * across[None, :, None]
    assert np.abs(levels - wanted).max() <= 1.001  # rounded to whole levels once an axis


def test_shrinking_averages_only_with_antialias() -> None:
    lines = np.zeros((1, 80, 3), np.uint8)
    lines[:, 7::16] = 255  # one of sixteen columns, beside each new sample's centre

    def shrunk(*, antialias: bool) -> np.ndarray:
        kind = ImageKind(scale=1.0, antialias=antialias)
        return image_tensor(lines, kind, (5, 1), "uint8")[0, 0, 0, 1:-1]

    assert shrunk(antialias=True).tolist() == [16, 16, 16]
    assert shrunk(antialias=False).tolist() == [128, 128, 128]


@given(
    scores=st.lists(st.floats(width=32) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=30),
    count=st.integers(1, 40),
)
def test_the_best_come_first(scores: list[float], count: int) -> None:
    ranked = top_k(np.array(scores, np.float32), count)
    assert len(ranked) == len(set(ranked)) == min(count, len(scores))
    for better, worse in pairwise(ranked):
        first, second = scores[better], scores[worse]
        if math.isnan(first):
            assert math.isnan(second)
        elif not math.isnan(second):
            assert first > second or (first == second and better < worse)
    if len(ranked) < len(scores) and not math.isnan(scores[ranked[-1]]):
        rest = set(range(len(scores))) - set(ranked)
        assert not any(scores[index] > scores[ranked[-1]] for index in rest)


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=30))
def test_softmax_shares_one(logits: list[float]) -> None:
    shares = softmax(np.array(logits, np.float32))
    assert shares.dtype == np.float32
    assert abs(float(shares.sum()) - 1) < 1e-5
    assert (shares >= 0).all()


# ------------------------------------------------------------------------------ refusals


def test_what_is_no_picture_is_refused() -> None:
    kind = ImageKind()
    with pytest.raises(UsageError, match="2 × 2 as a picture"):
        image_tensor(np.zeros((2, 2), np.uint8), kind, (2, 2))
    with pytest.raises(UsageError, match="0 × 2 × 3 as a picture"):
        image_tensor(np.zeros((0, 2, 3), np.uint8), kind, (2, 2))
    with pytest.raises(UsageError, match="float64 as a picture"):
        image_tensor(np.zeros((2, 2, 3)), kind, (2, 2))
    with pytest.raises(UsageError, match="element type 'int64': known are uint8, float16, float"):
        image_tensor(np.zeros((2, 2, 3), np.uint8), kind, (2, 2), "int64")
    for orientation in (-1, 9):
        with pytest.raises(UsageError, match=f"no orientation {orientation}"):
            oriented(np.zeros((2, 2, 3), np.uint8), orientation)


def test_labels_of_other_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="scores 3 classes, and there are 2 labels"):
        labels_of(np.zeros((1, 3), np.float32), ClassificationKind(labels=("a", "b")))
