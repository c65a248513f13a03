"""A custom-op library on the host: conversion and run, and what goes wrong in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortlab.domain import OptimizationStyle, Precision, TargetPlatform
from ortlab.errors import ModelError, UsageError
from ortlab.prepare.convert import Recipe, convert
from ortlab.prepare.custom_ops import (
    check_custom_op_library,
    register_custom_ops,
    require_custom_op_library,
)
from ortlab.prepare.partitions import predict_partitions
from ortlab.prepare.precision import make_precision_models
from ortlab.wire import GraphOptimizationLevel

pytestmark = pytest.mark.requires("custom_ops")


@pytest.fixture
def library() -> Path:
    import onnxruntime_extensions

    return Path(onnxruntime_extensions.get_library_path())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """NegPos splits into the negative and the positive part; its sum with weights follows."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 32])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 40])
    weight = np.random.default_rng(0).standard_normal((32, 40)).astype(np.float32)
    nodes = [
        helper.make_node("NegPos", ["x"], ["n", "p"], domain="ai.onnx.contrib"),
        helper.make_node("Sub", ["p", "n"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [onnx.numpy_helper.from_array(weight, "w")])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def run(path: Path, library: Path, inputs: dict[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    register_custom_ops(options, library)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def test_a_model_with_custom_operators_is_converted_and_run(
    tmp_path: Path, model: Path, library: Path
) -> None:
    assert check_custom_op_library(library).shared
    inputs = {"x": np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)}
    weight = onnx.numpy_helper.to_array(onnx.load(model).graph.initializer[0])
    expected = np.abs(inputs["x"]) @ weight
    for style in (OptimizationStyle.FIXED, OptimizationStyle.RUNTIME):
        recipe = Recipe(
            style=style,
            target=TargetPlatform.AMD64,
            precision=Precision.FP32,
            level=GraphOptimizationLevel.ALL,
        )
        convert(recipe, model, tmp_path / recipe.file_name, library)
        actual = run(tmp_path / recipe.file_name, library, inputs)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_precisions_leave_custom_operators_alone(
    tmp_path: Path, model: Path, library: Path
) -> None:
    (tmp_path / "out").mkdir()
    precisions = (Precision.FP16, Precision.INT8_DYNAMIC)
    made = make_precision_models(model, tmp_path / "out", precisions, custom_op_library=library)
    inputs = {"x": np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)}
    expected = run(model, library, inputs)
    for precision in precisions:
        path = made[precision]
        assert isinstance(path, Path), path
        np.testing.assert_allclose(run(path, library, inputs), expected, rtol=0.1, atol=0.3)


def test_without_its_library_the_reason_names_the_operator(tmp_path: Path, model: Path) -> None:
    (tmp_path / "out").mkdir()
    made = make_precision_models(model, tmp_path / "out", [Precision.FP16])
    assert "NegPos" in str(made[Precision.FP16])
    with pytest.raises(ModelError, match="NegPos"):
        predict_partitions(model, "onnx")
    with pytest.raises(ModelError, match=r"NegPos of ai\.onnx\.contrib"):
        require_custom_op_library(onnx.load(model), model.name, None)


def test_partitions_are_predicted_with_the_library(model: Path, library: Path) -> None:
    nnapi = predict_partitions(model, "onnx", custom_op_library=library)[0]
    assert nnapi.unsupported_operators == ("ai.onnx.contrib:NegPos",)
    assert nnapi.node_count == 3
    # What follows is of unknown size: the library states no shapes.
    assert nnapi.supported_node_count == 0


def test_a_library_without_operators_is_a_model_error(tmp_path: Path, library: Path) -> None:
    import onnxruntime

    inside = Path(onnxruntime.__file__).parent / "capi"
    shared = inside / "libonnxruntime_providers_shared.so"
    with pytest.raises(ModelError, match="not one of custom operators"):
        register_custom_ops(onnxruntime.SessionOptions(), shared)
    # The loader would end the process with SIGBUS.
    (tmp_path / "torn.so").write_bytes(library.read_bytes()[:4096])
    with pytest.raises(UsageError, match=r"torn\.so on this machine: it is a truncated ELF file"):
        register_custom_ops(onnxruntime.SessionOptions(), tmp_path / "torn.so")
