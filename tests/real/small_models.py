"""Small models with real weights, built from a seed, and ORT's own converter run on them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def _constant(name: str, array: np.ndarray[Any, Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def _model(
    nodes: Any, inputs: Any, outputs: Any, constants: Any, opset: int = 17
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def convolutions(seed: int = 0, *, count: int = 3, variance: float = 1.0) -> onnx.ModelProto:
    """`count` times Conv, BatchNormalization, Relu over 1×8×16×16, then a mean; unnamed nodes."""
    rng = np.random.default_rng(seed)
    nodes, constants, name = [], [], "x"
    for i in range(count):
        weight = rng.standard_normal((8, 8, 3, 3)).astype(np.float32) * np.sqrt(variance / 72)
        constants += [
            _constant(f"w{i}", weight.astype(np.float32)),
            _constant(f"scale{i}", rng.uniform(0.5, 1.5, 8).astype(np.float32)),
            _constant(f"bias{i}", rng.standard_normal(8).astype(np.float32)),
            _constant(f"mean{i}", rng.standard_normal(8).astype(np.float32)),
            _constant(f"var{i}", np.full(8, variance, np.float32)),
        ]
        statistics = [f"scale{i}", f"bias{i}", f"mean{i}", f"var{i}"]
        nodes += [
            helper.make_node("Conv", [name, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", [f"c{i}", *statistics], [f"b{i}"]),
            helper.make_node("Relu", [f"b{i}"], [f"r{i}"]),
        ]
        name = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 1, 1])
    return _model(nodes, [x], [y], constants)


def products(seed: int = 0, *, rows: int = 64) -> onnx.ModelProto:
    """Two MatMuls with constant weights, the second too small for int4; all nodes unnamed."""
    rng = np.random.default_rng(seed)
    constants = [
        _constant("w0", rng.standard_normal((rows, 48)).astype(np.float32) / 8),
        _constant("b0", rng.standard_normal(48).astype(np.float32)),
        _constant("w1", rng.standard_normal((48, 4)).astype(np.float32) / 8),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["m0"]),
        helper.make_node("Add", ["m0", "b0"], ["a0"]),
        helper.make_node("Relu", ["a0"], ["r0"]),
        helper.make_node("MatMul", ["r0", "w1"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", rows])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    return _model(nodes, [x], [y], constants)


def branches() -> onnx.ModelProto:
    """If over integers and strings of types: Cast, Gather and Add in the branches."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, [3])
    left = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["l"], to=TensorProto.INT64)],
        "left",
        [],
        [helper.make_tensor_value_info("l", TensorProto.INT64, [3])],
    )
    right = helper.make_graph(
        [
            helper.make_node("Neg", ["x"], ["n"]),
            helper.make_node("Cast", ["n"], ["i"], to=TensorProto.INT64),
            helper.make_node("Gather", ["i", "order"], ["g"]),
        ],
        "right",
        [],
        [helper.make_tensor_value_info("g", TensorProto.INT64, [3])],
    )
    node = helper.make_node("If", ["flag"], ["y"], then_branch=left, else_branch=right)
    order = _constant("order", np.array([2, 1, 0], np.int64))
    return _model([node], [x, flag], [y], [order])


def integers() -> onnx.ModelProto:
    """Nothing of it is a float."""
    x = helper.make_tensor_value_info("x", TensorProto.INT64, [3])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, [3])
    return _model([helper.make_node("Add", ["x", "x"], ["y"])], [x], [y], [])


def light(name: str) -> onnx.ModelProto:
    """A light model of the `onnx` package, with initializers taken out of its inputs."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    model.ir_version = 8
    constants = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return model


def run(path: Path, inputs: Mapping[str, Any]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, dict(inputs))
    return outputs


def convert_with_ort(
    model: Path,
    output: Path,
    *,
    target: str | None = None,
    types: bool = False,
    library: Path | None = None,
) -> None:
    """Run ORT's own converter, both styles."""
    from onnxruntime.tools.convert_onnx_models_to_ort import (
        OptimizationStyle,
        convert_onnx_models_to_ort,
    )

    with contextlib.redirect_stdout(io.StringIO()):
        convert_onnx_models_to_ort(
            model,
            output,
            list(OptimizationStyle),
            target_platform=target,
            enable_type_reduction=types,
            custom_op_library_path=library,
        )
