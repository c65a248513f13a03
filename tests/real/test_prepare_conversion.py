"""Every `.ort` variant holds what ORT's own converter makes of the repaired model."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from models import BUILT, build, custom

from ortlab.domain import OptimizationStyle, ParityStatus, PreparedModel, TargetPlatform, Variant
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.prepare.content import content_digest, semantic_difference

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))
HEAVY = ("light_vgg19", "light_bvlc_alexnet", "light_zfnet512")
TRAINED = (
    "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "ch_PP-OCRv4_det_infer.onnx",
    "ch_PP-OCRv4_rec_infer.onnx",
    "model.onnx",
)
NAMES = [*BUILT, "external"]
CONVERSION_ONLY = {"parity": False, "configs": False, "predictions": False}


def prepare(sources: list[Path], output: Path, **options: Any) -> dict[str, PreparedModel]:
    chosen = PrepareOptions(**{**CONVERSION_ONLY, **options})
    summary = prepare_models(sources, output, chosen, jobs=2)
    assert [result.error for result in summary.results] == [None] * len(sources)
    return {r.source.stem: r.prepared for r in summary.results if r.prepared is not None}


def convert_with_ort(
    model: Path, output: Path, target: TargetPlatform, library: Path | None = None
) -> dict[str, Path]:
    """Run ORT's own converter; return its file for each style."""
    from onnxruntime.tools import convert_onnx_models_to_ort as converter

    output.mkdir()
    copy = shutil.copy(model, output / "m.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        converter.convert_onnx_models_to_ort(
            Path(copy),
            output_dir=output,
            optimization_styles=list(converter.OptimizationStyle),
            target_platform=target.value,
            custom_op_library_path=library,
        )
    return {"fixed": output / "m.ort", "runtime": output / "m.with_runtime_opt.ort"}


def assert_equal_to_ort(
    directory: Path, prepared: PreparedModel, scratch: Path, library: Path | None = None
) -> int:
    """Compare every `.ort` variant; return how many were."""
    base = directory / prepared.variant("onnx").path
    ours: dict[TargetPlatform, list[Variant]] = {}
    for variant in prepared.variants:
        if variant.target is not None:
            ours.setdefault(variant.target, []).append(variant)
    for target, variants in ours.items():
        theirs = convert_with_ort(base, scratch / target.value, target, library)
        for variant in variants:
            path, reference = directory / variant.path, theirs[variant.style.value]
            if content_digest(reference) != variant.content_digest:
                pytest.fail(f"{variant.variant_id}: {semantic_difference(path, reference)}")
        shutil.rmtree(scratch / target.value)
    return sum(map(len, ours.values()))


Built = tuple[Path, dict[str, PreparedModel]]


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    home = tmp_path_factory.mktemp("built")
    (home / "in").mkdir()
    sources = [build(name, home / "in") for name in NAMES]
    yield home / "out", prepare(sources, home / "out")
    shutil.rmtree(home)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_model_converts_as_ort_converts_it(name: str, built: Built, tmp_path: Path) -> None:
    output, prepared = built
    assert assert_equal_to_ort(output / name, prepared[name], tmp_path) == 4


@pytest.mark.parametrize("source", LIGHT, ids=lambda path: path.stem)
def test_a_light_model_converts_as_ort_converts_it(source: Path, tmp_path: Path) -> None:
    targets = (TargetPlatform.ARM,) if source.stem in HEAVY else tuple(TargetPlatform)
    prepared = prepare([source], tmp_path / "out", targets=targets)[source.stem]
    assert any("IR version 3" in repair for repair in prepared.repairs)
    directory = tmp_path / "out" / source.stem
    assert assert_equal_to_ort(directory, prepared, tmp_path) == 2 * len(targets)
    shutil.rmtree(tmp_path / "out")


@pytest.mark.requires("models")
@pytest.mark.parametrize("name", TRAINED)
def test_a_trained_model_converts_as_ort_converts_it(
    name: str, package_models: Callable[[str], Path], tmp_path: Path
) -> None:
    source = package_models(name)
    prepared = prepare([source], tmp_path / "out")[source.stem]
    assert assert_equal_to_ort(tmp_path / "out" / prepared.name, prepared, tmp_path) == 4


@pytest.mark.requires("models")
def test_fixed_sizes_convert_as_ort_converts_them(
    package_models: Callable[[str], Path], tmp_path: Path
) -> None:
    source = package_models("ch_ppocr_mobile_v2.0_cls_infer.onnx")
    shapes = {"x": (1, 3, 48, 192)}
    prepared = prepare([source], tmp_path / "out", input_shapes=shapes)[source.stem]
    assert assert_equal_to_ort(tmp_path / "out" / prepared.name, prepared, tmp_path) == 4
    fused = {
        v.variant_id: v.operator_counts.get("com.microsoft:FusedConv", 0)
        for v in prepared.variants
        if v.style is OptimizationStyle.FIXED
    }
    assert fused["fixed-arm"] == 31
    assert prepared.variant("runtime-arm").saved_optimizations == {"ConvActivationFusion": 24}


@pytest.mark.requires("custom_ops")
def test_a_custom_operator_converts_as_ort_converts_it(tmp_path: Path) -> None:
    import onnxruntime_extensions

    library = Path(onnxruntime_extensions.get_library_path())
    source = tmp_path / "custom.onnx"
    source.write_bytes(custom().SerializeToString())
    options = {"custom_op_library": library, "parity": True}
    prepared = prepare([source], tmp_path / "out", **options)["custom"]
    assert assert_equal_to_ort(tmp_path / "out/custom", prepared, tmp_path, library) == 4
    assert {v.parity.status for v in prepared.variants} == {ParityStatus.PASSED}
    assert prepared.custom_op_library == str(library)
