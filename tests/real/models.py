"""Models of every kind that `prepare` must take, built small and from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
HOSTILE = (
    "<script>alert(1)</script>",
    "$(touch owned)",
    "../../../../tmp/owned",
    "a\"b'c`d",
    "line\nbreak\ttab",
    "\u202egnp.exe",
    "😀" * 20,
    " ",
    "x" * 300,
)


def value(name: str, kind: int, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, array: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def model(
    nodes: Any,
    inputs: Any,
    outputs: Any,
    constants: Any = (),
    *,
    opset: int = 17,
    ir: int = 8,
    domains: Sequence[tuple[str, int]] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(constants))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*each) for each in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def convolution(
    *,
    opset: int = 17,
    ir: int = 8,
    shape: Sequence[int | str | None] = (1, 3, 16, 16),
    names: tuple[str, str] = ("x", "y"),
    seed: int = 0,
    weights_as_inputs: bool = False,
) -> onnx.ModelProto:
    """Conv, Relu, Conv, Add with itself: enough for fusions of both styles."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((8, 3, 3, 3)).astype(np.float32) / 5
    second = rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8
    x, y = names
    nodes = [
        helper.make_node("Conv", [x, "w0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Add", ["r0", "r1"], [y]),
    ]
    constants = [constant("w0", first), constant("w1", second)]
    out = [shape[0], 8, *shape[2:]]
    if any(isinstance(size, str) or size is None for size in shape):
        out = [None, 8, None, None]
    inputs = [value(x, FLOAT, shape)]
    if weights_as_inputs:
        inputs += [value(c.name, FLOAT, list(c.dims)) for c in constants]
    return model(nodes, inputs, [value(y, FLOAT, out)], constants, opset=opset, ir=ir)


def strings() -> onnx.ModelProto:
    nodes = [
        helper.make_node("StringNormalizer", ["x"], ["n"], case_change_action="UPPER", locale="C"),
        helper.make_node("Identity", ["n"], ["y"]),
    ]
    kind = TensorProto.STRING
    return model(nodes, [value("x", kind, ["words"])], [value("y", kind, ["words"])])


def bools() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Not", ["a"], ["n"]),
        helper.make_node("And", ["n", "b"], ["both"]),
        helper.make_node("Where", ["both", "x", "zero"], ["y"]),
    ]
    inputs = [
        value("a", TensorProto.BOOL, [4]),
        value("b", TensorProto.BOOL, [4]),
        value("x", FLOAT, [4]),
    ]
    outputs = [value("both", TensorProto.BOOL, [4]), value("y", FLOAT, [4])]
    return model(nodes, inputs, outputs, [constant("zero", np.zeros(1, np.float32))])


def symbols() -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    weight = constant("w", rng.standard_normal((8, 4)).astype(np.float32))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Softmax", ["m"], ["y"], axis=-1),
    ]
    inputs = [value("x", FLOAT, ["batch", "sequence", 8])]
    return model(nodes, inputs, [value("y", FLOAT, ["batch", "sequence", 4])], [weight])


def zero_dims() -> onnx.ModelProto:
    nodes = [helper.make_node("Concat", ["x", "c"], ["y"], axis=0)]
    some = constant("c", np.ones((2, 4), np.float32))
    return model(nodes, [value("x", FLOAT, [0, 4])], [value("y", FLOAT, [2, 4])], [some])


def question_marks() -> onnx.ModelProto:
    return convolution(shape=(1, 3, "?", "?"))


def negative_dims() -> onnx.ModelProto:
    made = convolution(shape=(1, 3, None, None))
    dims = made.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_value = -1
    dims[2].dim_param = "-1"
    dims[3].dim_param = ""
    return made


def _branch(name: str, operator: str) -> onnx.GraphProto:
    nodes = [helper.make_node(operator, ["x", "k"], [name])]
    constants = [constant("k", np.full(3, 2, np.float32))]
    return helper.make_graph(nodes, name, [], [value(name, FLOAT, [3])], constants)


def if_branches() -> onnx.ModelProto:
    nodes = [
        helper.make_node(
            "If",
            ["flag"],
            ["y"],
            then_branch=_branch("t", "Add"),
            else_branch=_branch("e", "Mul"),
        )
    ]
    inputs = [value("flag", TensorProto.BOOL, []), value("x", FLOAT, [3])]
    return model(nodes, inputs, [value("y", FLOAT, [3])])


def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "x"], ["s_out"]),
            helper.make_node("Identity", ["go"], ["go_out"]),
            helper.make_node("Identity", ["s_out"], ["scan"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("s", FLOAT, [2]),
        ],
        [
            value("go_out", TensorProto.BOOL, []),
            value("s_out", FLOAT, [2]),
            value("scan", FLOAT, [2]),
        ],
    )
    nodes = [helper.make_node("Loop", ["n", "", "zero"], ["last", "all"], body=body)]
    inputs = [value("n", TensorProto.INT64, []), value("x", FLOAT, [2])]
    outputs = [value("last", FLOAT, [2]), value("all", FLOAT, [None, 2])]
    return model(nodes, inputs, outputs, [constant("zero", np.zeros(2, np.float32))])


def scan() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "e"], ["s_out"]),
            helper.make_node("Identity", ["s_out"], ["e_out"]),
        ],
        "body",
        [value("s", FLOAT, [2]), value("e", FLOAT, [2])],
        [value("s_out", FLOAT, [2]), value("e_out", FLOAT, [2])],
    )
    nodes = [helper.make_node("Scan", ["init", "x"], ["last", "all"], body=body, num_scan_inputs=1)]
    inputs = [value("init", FLOAT, [2]), value("x", FLOAT, [5, 2])]
    return model(nodes, inputs, [value("last", FLOAT, [2]), value("all", FLOAT, [5, 2])])


def qdq() -> onnx.ModelProto:
    """Quantized Conv with a Relu before the second QuantizeLinear, unnamed nodes."""
    rng = np.random.default_rng(2)
    constants = [
        constant("xs", np.float32(0.02)),
        constant("xz", np.int8(0)),
        constant("w", rng.integers(-100, 100, (8, 3, 3, 3), dtype=np.int8)),
        constant("ws", np.float32(0.01)),
        constant("wz", np.int8(0)),
        constant("ys", np.float32(0.05)),
        constant("yz", np.int8(0)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "ys", "yz"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "ys", "yz"], ["y"]),
    ]
    inputs = [value("x", FLOAT, [1, 3, 16, 16])]
    return model(nodes, inputs, [value("y", FLOAT, [1, 8, 16, 16])], constants)


def half() -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    weight = constant("w", rng.standard_normal((8, 4)).astype(np.float16))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    kind = TensorProto.FLOAT16
    return model(nodes, [value("x", kind, [2, 8])], [value("y", kind, [2, 4])], [weight])


def no_inputs() -> onnx.ModelProto:
    constants = [constant("a", np.arange(3, dtype=np.float32)), constant("b", np.float32(2))]
    nodes = [helper.make_node("Mul", ["a", "b"], ["y"])]
    return model(nodes, [], [value("y", FLOAT, [3])], constants)


def shapeless_output() -> onnx.ModelProto:
    made = convolution()
    made.graph.output[0].type.tensor_type.ClearField("shape")
    return made


def hostile_names() -> onnx.ModelProto:
    """Inputs, outputs, nodes and metadata with names that break naive code."""
    inputs = [value(name, FLOAT, [2]) for name in HOSTILE]
    outputs = [value(f"out {name}", FLOAT, [2]) for name in HOSTILE]
    nodes = [
        helper.make_node("Neg", [name], [f"out {name}"], name=f"node {name}") for name in HOSTILE
    ]
    made = model(nodes, inputs, outputs)
    helper.set_model_props(made, {name: name for name in HOSTILE})
    return made


def integers() -> onnx.ModelProto:
    """Gather with integer indices, which made-up inputs must keep in range."""
    rng = np.random.default_rng(4)
    table = constant("table", rng.standard_normal((12, 3)).astype(np.float32))
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"])]
    inputs = [value("ids", TensorProto.INT64, ["batch", "tokens"])]
    return model(nodes, inputs, [value("y", FLOAT, ["batch", "tokens", 3])], [table])


def picky() -> onnx.ModelProto:
    """Refuses every made-up input: 13 elements in a shape of two made-up numbers."""
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    inputs = [value("x", FLOAT, [13]), value("shape", TensorProto.INT64, [2])]
    return model(nodes, inputs, [value("y", FLOAT, [None, None])])


def custom() -> onnx.ModelProto:
    """An operator of onnxruntime-extensions, then a MatMul."""
    rng = np.random.default_rng(6)
    weight = constant("w", rng.standard_normal((8, 4)).astype(np.float32))
    nodes = [
        helper.make_node("NegPos", ["x"], ["n", "p"], domain="ai.onnx.contrib"),
        helper.make_node("Sub", ["p", "n"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    inputs, outputs = [value("x", FLOAT, [2, 8])], [value("y", FLOAT, [2, 4])]
    return model(nodes, inputs, outputs, [weight], domains=[("ai.onnx.contrib", 1)])


def with_external_data(path: Path) -> Path:
    made = convolution(seed=5)
    onnx.save_model(
        made,
        str(path),
        save_as_external_data=True,
        location=f"{path.stem}.weights",
        size_threshold=0,
        convert_attribute=False,
    )
    return path


BUILT: dict[str, Callable[[], onnx.ModelProto]] = {
    "string": strings,
    "bool": bools,
    "symbols": symbols,
    "zero_dims": zero_dims,
    "question_marks": question_marks,
    "negative_dims": negative_dims,
    "if": if_branches,
    "loop": loop,
    "scan": scan,
    "qdq": qdq,
    "no_inputs": no_inputs,
    "hostile_names": hostile_names,
    "integers": integers,
    "shapeless_output": shapeless_output,
    "ir14": lambda: convolution(ir=14, opset=26),
    "ir3": lambda: convolution(ir=3, opset=8, weights_as_inputs=True),
    "long_name": lambda: convolution(names=("i" * 300, "o" * 300)),
    **{
        f"opset{opset}": partial(convolution, opset=opset, ir=8 if opset < 19 else 10)
        for opset in range(7, 27)
    },
}


def build(name: str, directory: Path) -> Path:
    """Write a built model and return its path."""
    path = directory / f"{name}.onnx"
    if name == "external":
        return with_external_data(path)
    path.write_bytes(BUILT[name]().SerializeToString())
    return path
