"""fp16, int8 and int4 models made from real ones, and what is refused with which reason."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_models import convolutions, integers, products, run

from ortlab.domain import Precision
from ortlab.prepare.precision import PrecisionOptions, make_precision_models


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def sqnr_db(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    noise = np.sum((actual - expected) ** 2)
    return float(10 * np.log10(np.sum(expected**2) / noise))


def images(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((1, 8, 16, 16)).astype(np.float32)} for _ in range(count)]


def rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((5, 64)).astype(np.float32)} for _ in range(count)]


def save(model: onnx.ModelProto, directory: Path, name: str = "model") -> Path:
    directory.mkdir(exist_ok=True)
    onnx.save(model, directory / f"{name}.onnx")
    return directory / f"{name}.onnx"


def make(
    source: Path, directory: Path, precision: Precision, **options: Any
) -> tuple[Path | str, list[str]]:
    """Make one precision; return it and the names left in the directory."""
    directory.mkdir(exist_ok=True)
    made = make_precision_models(source, directory, [precision], **options)
    return made[precision], sorted(path.name for path in directory.iterdir())


def test_fp16_keeps_inputs_and_outputs_and_is_close(tmp_path: Path) -> None:
    source = save(convolutions(), tmp_path / "given")
    made, left = make(source, tmp_path / "out", Precision.FP16)
    assert isinstance(made, Path)
    assert left == ["model.fp16.onnx"]
    model = onnx.load(made)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    weights = [t for t in model.graph.initializer if len(t.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {TensorProto.FLOAT16}
    onnx.checker.check_model(model)
    sample = images(1)[0]
    np.testing.assert_allclose(run(made, sample)[0], run(source, sample)[0], rtol=1e-2, atol=1e-3)


def test_fp16_may_change_inputs_and_outputs_too(tmp_path: Path) -> None:
    source = save(convolutions(), tmp_path / "given")
    made, _ = make(
        source, tmp_path / "out", Precision.FP16, options=PrecisionOptions(keep_io_types=False)
    )
    assert isinstance(made, Path)
    model = onnx.load(made)
    kinds = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    assert kinds == {TensorProto.FLOAT16}


def test_fp16_survives_constants_that_fp16_cannot_hold(tmp_path: Path) -> None:
    """A variance of 1e6 must not become 65504: the model would answer something else."""
    source = save(convolutions(variance=1e6), tmp_path / "given")
    made, _ = make(source, tmp_path / "out", Precision.FP16)
    assert isinstance(made, Path)
    sample = images(1)[0]
    np.testing.assert_allclose(run(made, sample)[0], run(source, sample)[0], rtol=1e-2, atol=1e-3)

    scaled = products()
    scaled.graph.node.append(helper.make_node("Div", ["y", "huge"], ["z"]))
    scaled.graph.initializer.append(helper.make_tensor("huge", TensorProto.FLOAT, [1], [1e6]))
    scaled.graph.output[0].name = "z"
    source = save(scaled, tmp_path / "given", "scaled")
    made, _ = make(source, tmp_path / "out", Precision.FP16)
    assert isinstance(made, Path)
    sample = rows(1)[0]
    expected = run(source, sample)[0]
    np.testing.assert_allclose(run(made, sample)[0], expected, rtol=5e-2, atol=6e-8)


def test_blocked_operators_stay_fp32(tmp_path: Path) -> None:
    source = save(products(), tmp_path / "given")
    options = PrecisionOptions(fp16_blocked_operators=("MatMul", "Gemm"))
    made, _ = make(source, tmp_path / "out", Precision.FP16, options=options)
    assert isinstance(made, Path)
    kinds = {t.data_type for t in onnx.load(made).graph.initializer if len(t.dims) == 2}
    assert kinds == {TensorProto.FLOAT}


@pytest.mark.parametrize("build", [convolutions, products])
def test_int8_dynamic(tmp_path: Path, build: Callable[[], onnx.ModelProto]) -> None:
    source = save(build(), tmp_path / "given")
    made, left = make(source, tmp_path / "out", Precision.INT8_DYNAMIC)
    assert isinstance(made, Path)
    assert left == ["model.int8-dynamic.onnx"]
    assert operators(made)["DynamicQuantizeLinear"] > 0
    sample = images(1)[0] if build is convolutions else rows(1)[0]
    assert sqnr_db(run(made, sample)[0], run(source, sample)[0]) > 20


@pytest.mark.parametrize("build", [convolutions, products])
def test_int8_static(tmp_path: Path, build: Callable[[], onnx.ModelProto]) -> None:
    source = save(build(), tmp_path / "given")
    samples = images(8) if build is convolutions else rows(8)
    made, left = make(source, tmp_path / "out", Precision.INT8_STATIC, calibration=samples)
    assert isinstance(made, Path)
    assert left == ["model.int8-static.onnx"]
    counts = operators(made)
    assert counts["QuantizeLinear"] > 0
    assert counts["DequantizeLinear"] > counts["QuantizeLinear"]
    assert sqnr_db(run(made, samples[0])[0], run(source, samples[0])[0]) > 20


def test_int8_static_uses_the_calibration_data(tmp_path: Path) -> None:
    """Calibrated on inputs a hundred times too small, it clips the real ones."""
    source = save(products(), tmp_path / "given")
    real = rows(8)
    tiny = [{"x": sample["x"] / 100} for sample in real]
    good, _ = make(source, tmp_path / "good", Precision.INT8_STATIC, calibration=real)
    bad, _ = make(source, tmp_path / "bad", Precision.INT8_STATIC, calibration=tiny)
    assert isinstance(good, Path)
    assert isinstance(bad, Path)
    expected = run(source, real[0])[0]
    good_db = sqnr_db(run(good, real[0])[0], expected)
    assert good_db > sqnr_db(run(bad, real[0])[0], expected) + 15


@pytest.mark.requires("int4")
def test_int4_takes_the_weights_that_are_large_enough(tmp_path: Path) -> None:
    source = save(products(), tmp_path / "given")
    made, left = make(source, tmp_path / "out", Precision.INT4)
    assert isinstance(made, Path)
    assert left == ["model.int4.onnx"]
    assert operators(made)["MatMulNBits"] == 1
    assert operators(made)["MatMul"] == 1
    sample = rows(1)[0]
    assert sqnr_db(run(made, sample)[0], run(source, sample)[0]) > 10


@pytest.mark.requires("int4")
@pytest.mark.parametrize("build", [convolutions, lambda: products(rows=16)])
def test_int4_is_refused_without_weights_for_it(
    tmp_path: Path, build: Callable[[], onnx.ModelProto]
) -> None:
    source = save(build(), tmp_path / "given")
    reason, left = make(source, tmp_path / "out", Precision.INT4)
    assert isinstance(reason, str)
    assert "no MatMul with constant weights: nothing to quantize" in reason
    assert left == []


def test_int4_without_its_package_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnx_ir" else find_spec(name)
    )
    source = save(products(), tmp_path / "given")
    reason, _ = make(source, tmp_path / "out", Precision.INT4)
    assert isinstance(reason, str)
    assert "pip install 'ortlab[int4]'" in reason


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        (Precision.FP16, "no fp32 tensors"),
        (Precision.INT8_DYNAMIC, "nothing to quantize"),
        (Precision.INT8_STATIC, "needs calibration data"),
    ],
)
def test_a_precision_without_sense_is_refused(
    tmp_path: Path, precision: Precision, said: str
) -> None:
    source = save(integers(), tmp_path / "given")
    reason, left = make(source, tmp_path / "out", precision)
    assert isinstance(reason, str)
    assert said in reason
    assert left == []


def test_a_quantized_model_is_not_quantized_again(tmp_path: Path) -> None:
    source = save(products(), tmp_path / "given")
    quantized, _ = make(source, tmp_path / "once", Precision.INT8_DYNAMIC)
    assert isinstance(quantized, Path)
    for precision in (Precision.FP16, Precision.INT8_DYNAMIC, Precision.INT4):
        reason, _ = make(quantized, tmp_path / "twice", precision)
        assert isinstance(reason, str)
        assert "quantized already" in reason


def test_one_refusal_does_not_stop_the_others_and_nothing_is_said_aloud(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import tempfile

    source = save(products(), tmp_path / "given")
    before, handlers, place = source.read_bytes(), logging.getLogger().handlers[:], tempfile.tempdir
    (tmp_path / "out").mkdir()
    precisions = (Precision.INT8_STATIC, Precision.FP32, Precision.INT8_DYNAMIC, Precision.FP16)
    made = make_precision_models(source, tmp_path / "out", precisions)
    assert list(made) == list(precisions)
    assert isinstance(made[Precision.INT8_STATIC], str)
    assert made[Precision.FP32] == source
    assert isinstance(made[Precision.INT8_DYNAMIC], Path)
    assert capfd.readouterr().out == ""
    assert source.read_bytes() == before
    assert (logging.getLogger().handlers, tempfile.tempdir) == (handlers, place)
    assert {path.name for path in (tmp_path / "given").iterdir()} == {"model.onnx"}


def test_a_damaged_model_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    for precision in (Precision.FP16, Precision.INT8_DYNAMIC, Precision.INT4):
        reason, left = make(tmp_path / "bad.onnx", tmp_path / "out", precision)
        assert isinstance(reason, str)
        assert "could not be made" in reason
        assert left == []


def test_made_models_import_only_the_domains_they_use(tmp_path: Path) -> None:
    source = save(products(), tmp_path / "given")
    made, _ = make(source, tmp_path / "out", Precision.INT8_DYNAMIC)
    assert isinstance(made, Path)
    model = onnx.load(made)
    used = {node.domain for node in model.graph.node}
    assert {opset.domain for opset in model.opset_import} <= used | {""}
    assert model.ir_version <= 10


def test_two_processes_make_the_same_model(tmp_path: Path) -> None:
    """Hash seeds differ between processes; the cache and the content digest need the same."""
    source = save(convolutions(), tmp_path / "given")
    np.savez(tmp_path / "sample.npz", **images(1)[0])
    program = (
        "import sys, numpy; from pathlib import Path;"
        "from ortlab.domain import Precision;"
        "from ortlab.prepare.precision import make_precision_models as make;"
        "sample = dict(numpy.load(sys.argv[3]));"
        "make(Path(sys.argv[1]), Path(sys.argv[2]), list(Precision)[1:4], calibration=[sample])"
    )
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", program, source, tmp_path / seed, tmp_path / "sample.npz"],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
        )
    first = {path.name: path.read_bytes() for path in (tmp_path / "1").iterdir()}
    second = {path.name: path.read_bytes() for path in (tmp_path / "2").iterdir()}
    assert len(first) == 3
    assert first == second


@pytest.mark.requires("models")
def test_a_trained_classifier_in_every_precision(
    tmp_path: Path, package_models: Callable[[str], Path]
) -> None:
    source = package_models("ch_ppocr_mobile_v2.0_cls_infer.onnx")
    rng = np.random.default_rng(3)
    samples = [{"x": rng.uniform(-1, 1, (1, 3, 48, 192)).astype(np.float32)} for _ in range(4)]
    made = make_precision_models(source, tmp_path, list(Precision), calibration=samples)
    expected = run(source, samples[0])[0]
    fp16 = made[Precision.FP16]
    assert isinstance(fp16, Path)
    np.testing.assert_allclose(run(fp16, samples[0])[0], expected, rtol=1e-2, atol=1e-3)
    for precision in (Precision.INT8_DYNAMIC, Precision.INT8_STATIC):
        path = made[precision]
        assert isinstance(path, Path)
        assert path.stat().st_size < source.stat().st_size / 2
        assert sqnr_db(run(path, samples[0])[0], expected) > 10
    assert isinstance(made[Precision.INT4], str)
