"""Calibration folders: what fits is read, what does not is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ortlab.domain import TensorSpec
from ortlab.errors import UsageError
from ortlab.prepare.calibration import load_calibration

IMAGE = TensorSpec(name="image", element_type="float", shape=("batch", 3, None))
LABEL = TensorSpec(name="label", element_type="int64", shape=("batch",))


def sample(batch: int = 2, **changes: Any) -> dict[str, Any]:
    arrays = {
        "image": np.zeros((batch, 3, 7), np.float32),
        "label": np.zeros((batch,), np.int64),
    }
    return {**arrays, **changes}


def test_samples_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, batch in (("b", 2), ("a", 1), ("c", 3)):
        np.savez(tmp_path / f"{name}.npz", **sample(batch))
    (tmp_path / "readme.txt").write_text("left alone")
    samples = load_calibration(tmp_path, (IMAGE, LABEL))
    assert [len(s["label"]) for s in samples] == [1, 2, 3]
    assert samples[0]["image"].dtype == np.float32


def test_strings_may_be_of_any_width(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", text=np.array(["one", "three"]))
    (read,) = load_calibration(
        tmp_path, (TensorSpec(name="text", element_type="string", shape=(2,)),)
    )
    assert list(read["text"]) == ["one", "three"]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (sample(image=np.zeros((2, 3, 7), np.float64)), "'image' is float64"),
        (sample(image=np.zeros((2, 4, 7), np.float32)), r"shape \[2, 4, 7\]"),
        (sample(image=np.zeros((2, 3), np.float32)), r"takes \[batch, 3, \?\]"),
        (sample(label=np.zeros((5,), np.int64)), "batch = 2"),
        (sample(extra=np.zeros(1)), "it holds 'image', 'label', 'extra'"),
        ({"image": np.zeros((2, 3, 7), np.float32)}, "it holds 'image', but the model takes"),
        ({}, "it holds nothing"),
        (sample(image=np.array([None, 3], object)), "allow_pickle"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "good.npz", **sample())
    np.savez(tmp_path / "later.npz", **arrays)
    with pytest.raises(UsageError, match=said) as caught:
        load_calibration(tmp_path, (IMAGE, LABEL))
    assert "later.npz" in caught.value.message
    assert "numpy.savez" in (caught.value.next_step or "")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(UsageError, match=r"torn\.npz"):
        load_calibration(tmp_path, (IMAGE,))
    (tmp_path / "torn.npz").unlink()
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(UsageError, match="single array"):
        load_calibration(tmp_path, (IMAGE,))


def test_no_samples_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.npz"):
        load_calibration(tmp_path, (IMAGE,))
    with pytest.raises(UsageError, match="not a folder"):
        load_calibration(tmp_path / "absent", (IMAGE,))
