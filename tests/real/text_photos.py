"""Photos of text, what PP-OCR's direction classifier wants of them, and what it must say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ortlab.domain import ClassificationKind, ColorOrder, ImageKind, ResizeRule
from ortlab.pictures import Label, image_tensor, labels_of

CLASSIFIER = "ch_ppocr_mobile_v2.0_cls_infer.onnx"
PADDLE = ImageKind(
    color_order=ColorOrder.BGR,
    mean=(0.5,),
    std=(0.5,),
    resize=ResizeRule.FIT_HEIGHT,
    padding=127.5,
    antialias=False,
)


def store_pictures(directory: Path, pictures: dict[str, np.ndarray]) -> None:
    (directory / "pictures").mkdir()
    for name, picture in pictures.items():
        (directory / f"pictures/{name}.rgba").write_bytes(picture.tobytes())
    sizes = {
        name: {"width": picture.shape[1], "height": picture.shape[0]}
        for name, picture in pictures.items()
    }
    (directory / "pictures.json").write_text(json.dumps(sizes))


def photo_of_text(text: str, seed: int) -> np.ndarray:
    """Render dark text on uneven paper with noise, as RGBA."""
    font = ImageFont.load_default(size=40)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 24, int(bottom - top) + 20), 255)
    ImageDraw.Draw(image).text((12 - left, 10 - top), text, font=font, fill=30)
    ink = np.asarray(image, float)[..., None]
    shade = np.linspace(0.75, 1.0, ink.shape[1])[None, :, None] * np.array([1.0, 0.97, 0.9])
    noise = np.random.default_rng(seed).normal(0, 4, (*ink.shape[:2], 3))
    colors = np.clip(ink * shade + noise, 0, 255).astype(np.uint8)
    return np.dstack([colors, np.full(colors.shape[:2], 255, np.uint8)])


def photos(seed: int) -> dict[str, np.ndarray]:
    """Return photos of text, upright and turned by 180 degrees."""
    upright = {
        text.split()[0]: photo_of_text(text, seed)
        for text in ("Direction", "Hamburg 4711", "a quite long line of plain text")
    }
    turned = {f"{name}-turned": np.rot90(picture, 2) for name, picture in upright.items()}
    return {name: np.ascontiguousarray(picture) for name, picture in (upright | turned).items()}


def check_directions(
    answers: dict[str, list[Label]], pictures: dict[str, np.ndarray], model: Path
) -> None:
    """Hold labels to Python's own, and to the truth."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    kind = ClassificationKind(labels=("0", "180"), top_k=2)
    for name, picture in pictures.items():
        tensor = image_tensor(picture, PADDLE, (192, 48))
        wanted = labels_of(session.run(None, {session.get_inputs()[0].name: tensor})[0], kind)
        labels = answers[name]
        assert [label.text for label in labels] == [label.text for label in wanted]
        assert labels[0].text == ("180" if name.endswith("-turned") else "0"), (name, labels)
        assert labels[0].confidence > 0.9
        for label, expected in zip(labels, wanted, strict=True):
            assert label.confidence == pytest.approx(expected.confidence, abs=1e-4)
