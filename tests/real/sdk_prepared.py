"""Models prepared for generated SDKs, and what they answer: the same for every language."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import constant, model, value
from onnx import TensorProto, helper
from sdk_models import KINDS, counter

from android import sdk
from ortlab.domain import OptimizationStyle, PreparedModel, TargetPlatform
from ortlab.prepare import PrepareOptions, prepare_models
from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.tensors import numpy_type, read_tensor, write_tensor
from ortlab.wire import TensorFile


def prepared_models(
    protos: Mapping[str, onnx.ModelProto], directory: Path
) -> tuple[dict[str, PreparedModel], tuple[ModelForSdk, ...]]:
    """Prepare models for this machine; their files go to ``directory``'s ``assets``.

    Returns:
        What was prepared, by the name of the model's file, and what an SDK is generated from.
    """
    sources = []
    for name, proto in protos.items():
        path = directory / f"{name}.onnx"
        onnx.save(proto, path)
        sources.append(path)
    options = PrepareOptions(
        targets=(TargetPlatform.AMD64,),
        allow_failures=True,
        configs=False,
        predictions=False,
    )
    summary = prepare_models(sources, directory / "prepared", options)
    assert not [result.error for result in summary.results if result.error]
    prepared, models = {}, []
    for result in summary.results:
        assert result.prepared
        assert result.directory
        prepared[result.source.stem] = result.prepared
        models.append(model_for_sdk(result.prepared, result.directory, directory / "assets"))
    return prepared, tuple(models)


def model_for_sdk(prepared: PreparedModel, directory: Path, assets: Path) -> ModelForSdk:
    """Copy a model's files where the SDK finds them, with a sample of our own where it has none."""
    inputs = prepared.samples[0].inputs if prepared.samples else made_up(prepared, directory)
    kinds = KINDS.get(prepared.name, {})
    hostile = prepared.name == "hostile"
    return sdk.shipped(prepared, directory, assets, inputs=inputs, kinds=kinds, with_onnx=hostile)


def made_up(prepared: PreparedModel, directory: Path) -> tuple[TensorFile, ...]:
    """Write inputs of shape 2×3 where `prepare` made none, which is so with bfloat16."""
    tensors = []
    for index, tensor in enumerate(prepared.original.inputs):
        numbers: Any = np.random.default_rng(index).integers(0, 2, (2, 3))
        array = numbers.astype(numpy_type(tensor.element_type))
        path = f"made-up-{index}.bin"
        tensors.append(write_tensor(directory / path, tensor.name, array, tensor.element_type))
    return tuple(replace(tensor, path=Path(tensor.path).name) for tensor in tensors)


def check_outputs(
    prepared: PreparedModel,
    models: Sequence[ModelForSdk],
    directory: Path,
    actual: Mapping[str, Any],
) -> None:
    """Hold a model's outputs, by their names, to what Python's ONNX Runtime answers."""
    if prepared.samples:
        place = directory / "prepared" / prepared.name
        expected = {t.name: read_tensor(t, place) for t in prepared.samples[0].outputs}
    else:
        expected = reference(prepared, models, directory)
    assert list(actual) == list(expected)
    for tensor, array in expected.items():
        assert actual[tensor].dtype == array.dtype
        assert actual[tensor].shape == array.shape
        if array.dtype.kind == "f":
            np.testing.assert_allclose(actual[tensor], array, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(actual[tensor], array)


def reference(
    prepared: PreparedModel, models: Sequence[ModelForSdk], directory: Path
) -> dict[str, Any]:
    """Run Python's ONNX Runtime on made-up inputs.

    It takes bfloat16 only as bits and gives none: what the model hands on unchanged is its input.
    """
    import onnxruntime

    given = next(m for m in models if m.prepared == prepared)
    session = onnxruntime.InferenceSession(str(directory / f"{prepared.name}.onnx"))
    (asset,) = given.sample
    array = read_tensor(replace(asset.tensor, path=asset.asset_path), directory / "assets")
    bits = {}
    if asset.tensor.element_type == "bfloat16":
        bits = {"y": array}
        kind = TensorProto.BFLOAT16
        value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), kind)
    else:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    feeds = {asset.tensor.name: value}
    names = [output.name for output in session.get_outputs()]
    wanted = [name for name in names if name not in bits]
    found = session.run_with_ort_values(wanted, feeds)
    answers = bits | {n: answer.numpy() for n, answer in zip(wanted, found, strict=True)}
    return {name: answers[name] for name in names}


def counted(steps: int) -> list[float]:
    """Return what the counter answers step by step, its state carried by hand."""
    import onnxruntime

    session = onnxruntime.InferenceSession(counter().SerializeToString())
    memory, answers = np.zeros((2, 4), np.float32), []
    for step in range(steps):
        x = (np.arange(8, dtype=np.float32).reshape(2, 4) - 3) * np.float32(0.125 * (step % 5))
        y, memory = session.run(None, {"x": x, "memory": memory})
        answers.append(float(y))
    return answers


# ------------------------------------------------------------------------------ own operators


def python_symbols() -> dict[str, str]:
    """Let a library that was made for Python load into another process."""
    directory, name = map(sysconfig.get_config_var, ("LIBDIR", "INSTSONAME"))
    python = Path(directory or "") / (name or "none")
    if not python.is_file() or ".so" not in python.name:
        pytest.skip("this Python has no shared library, which the operator library needs")
    return {"LD_PRELOAD": str(python)}


OPERATOR_WEIGHT = np.random.default_rng(0).standard_normal((32, 40)).astype(np.float32)


def prepared_operators(directory: Path) -> tuple[Path, str, Path]:
    """Prepare a model with operators of its own.

    Returns:
        Where it is, its file's path there, the operators' library.
    """
    import onnxruntime_extensions

    nodes = [
        helper.make_node("NegPos", ["x"], ["n", "p"], domain="ai.onnx.contrib"),
        helper.make_node("Sub", ["p", "n"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    x, y = value("x", TensorProto.FLOAT, [4, 32]), value("y", TensorProto.FLOAT, [4, 40])
    weight = constant("w", OPERATOR_WEIGHT)
    proto = model(nodes, [x], [y], [weight], domains=[("ai.onnx.contrib", 1)])
    onnx.save(proto, directory / "operators.onnx")
    library = Path(onnxruntime_extensions.get_library_path())
    options = PrepareOptions(
        styles=(OptimizationStyle.FIXED,),
        targets=(TargetPlatform.AMD64,),
        custom_op_library=library,
        configs=False,
        predictions=False,
    )
    (result,) = prepare_models([directory / "operators.onnx"], directory / "p", options).results
    assert result.prepared
    assert result.directory
    return result.directory, result.prepared.variants[0].path, library


def check_operators(said: str) -> None:
    """Hold what the model answers on `(i - 64) / 8` to its definition."""
    given = (np.arange(128, dtype=np.float32).reshape(4, 32) - 64) / 8
    found = np.array(said.split(), np.float32).reshape(4, 40)
    np.testing.assert_allclose(found, np.abs(given) @ OPERATOR_WEIGHT, rtol=1e-4, atol=1e-4)
