"""A preparation is found again only when everything that decides it is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortlab.domain import OptimizationStyle, Precision, TargetPlatform
from ortlab.prepare import cache
from ortlab.prepare.cache import (
    MANIFEST_FILE,
    cache_key,
    hash_file,
    is_unchanged,
    model_digest,
    write_identity,
)
from ortlab.prepare.options import PrepareOptions
from ortlab.wire import GraphOptimizationLevel

DEFAULT = PrepareOptions()


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    """A model with external data, and a directory as a worker leaves it."""
    model = tmp_path / "net.onnx"
    model.write_bytes(b"model")
    (tmp_path / "net.data").write_bytes(b"weights")
    directory = tmp_path / "out" / "net"
    (directory / "variants").mkdir(parents=True)
    (directory / MANIFEST_FILE).write_text("{}")
    (directory / "variants" / "onnx.onnx").write_bytes(b"variant")
    external = {"net.data": hash_file(tmp_path / "net.data")}
    key = cache_key(model_digest(hash_file(model), external), DEFAULT, "net", "net.onnx")
    write_identity(directory, key=key, external=external, known={})
    return model, directory


def test_unchanged_is_found(prepared: tuple[Path, Path]) -> None:
    model, directory = prepared
    assert is_unchanged(directory, model, DEFAULT, "net")
    patient = PrepareOptions(deadline_s=5, memory_limit_bytes=10**9)
    assert is_unchanged(directory, model, patient, "net")


@pytest.mark.parametrize(
    "changed", ["net.onnx", "net.data", "out/net/manifest.json", "out/net/variants/onnx.onnx"]
)
@pytest.mark.parametrize("removed", [True, False])
def test_any_changed_or_missing_file_is_noticed(
    changed: str, *, removed: bool, prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    model, directory = prepared
    path = tmp_path / changed
    path.unlink() if removed else path.write_bytes(b"changed")
    assert not is_unchanged(directory, model, DEFAULT, "net")


@pytest.mark.parametrize("identity", ["", "{", "[]", '{"schema": "other/1"}', "\xff"])
def test_a_damaged_identity_counts_as_changed(identity: str, prepared: tuple[Path, Path]) -> None:
    model, directory = prepared
    (directory / cache.IDENTITY_FILE).write_text(identity, encoding="latin-1")
    assert not is_unchanged(directory, model, DEFAULT, "net")


@pytest.mark.parametrize(
    "change",
    [
        {"styles": (OptimizationStyle.FIXED,)},
        {"targets": (TargetPlatform.ARM,)},
        {"precisions": (Precision.FP32, Precision.FP16)},
        {"level": GraphOptimizationLevel.BASIC},
        {"input_shapes": {"x": (1, 2)}},
        {"dims": {"batch": 1}},
        {"type_reduction": True},
        {"save_optimized_onnx": True},
        {"nnapi_stop_ops": ("Softmax",)},
        {"min_sqnr_db": 20.0},
        {"min_top1_agreement": 0.9},
        {"allow_failures": True},
        {"allow_parity_failure": True},
        {"parity": False},
        {"configs": False},
        {"predictions": False},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_that_matters_changes_the_key(change: dict[str, Any]) -> None:
    changed = replace(DEFAULT, **change)
    assert cache_key("0", changed, "n", "f") != cache_key("0", DEFAULT, "n", "f")


def test_the_users_files_count_by_content(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "a.npz").write_bytes(b"one")
    options = PrepareOptions(inputs=folder)
    first = cache_key("0", options, "n", "f")
    (folder / "ignored.txt").write_bytes(b"")
    assert cache_key("0", options, "n", "f") == first
    (folder / "a.npz").write_bytes(b"two")
    second = cache_key("0", options, "n", "f")
    (folder / "b.npz").write_bytes(b"three")
    assert len({first, second, cache_key("0", options, "n", "f")}) == 3


def test_versions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key("0", DEFAULT, "n", "f")
    monkeypatch.setattr(cache, "toolchain", lambda: {"onnxruntime": "1.99"})
    assert cache_key("0", DEFAULT, "n", "f") != before


def test_external_data_is_part_of_the_models_digest() -> None:
    assert model_digest("a", {}) == "a"
    digests = {model_digest("a", {"w": "1"}), model_digest("a", {"w": "2"})}
    digests |= {model_digest("b", {"w": "1"}), model_digest("a", {"v": "1"})}
    digests |= {model_digest("a", {"v": "1", "w": "1"}), model_digest("a", {"v": "1", "w": "2"})}
    assert len(digests) == 6
