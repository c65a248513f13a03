"""Models for the generated SDKs: every element type, shape and kind of name, from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
from models import constant, model, value
from onnx import TensorProto, helper

from ortlab.domain import (
    ClassificationKind,
    ColorOrder,
    ImageKind,
    ResizeRule,
    StateKind,
    TensorKind,
)

ONNX_TYPES: Final = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
"""Element types that the Java API can create, and their numbers."""

UNSIGNED: Final = {
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}

HOSTILE: Final = (
    "class", "fun", "a$b", "${x}", 'a"b', "a'b`c", "*/ println() /*", "😀", "x😀y", "\u202egnp.exe",
    "line\nbreak", "x" * 300, "x" * 299 + "y", "1", "***", "a b", "a_b", "A B", " ", "\\u0022",
    "é中", "binding", "close", "descriptor", "tensors", "labels", "toString", "hashCode", "equals",
    "getClass", "{{ name }}", "</script>", "null", "Input", "Output", "input", "TODO()", "\x1b[31m",
)  # fmt: skip

DIGITS: Final = ("zero", 'o"n$e', "two */", "three\u202e")


def one_type(name: str) -> onnx.ModelProto:
    """Hands a 2×3 tensor of one type on, unchanged, and in a copy of its own."""
    kind = (ONNX_TYPES | UNSIGNED)[name]
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("Concat", ["x", "x"], ["twice"], axis=0)
        if name != "bfloat16"
        else helper.make_node("Cast", ["x"], ["twice"], to=TensorProto.FLOAT),
    ]
    twice = (
        value("twice", TensorProto.FLOAT, [2, 3])
        if name == "bfloat16"
        else value("twice", kind, [4, 3])
    )
    return model(nodes, [value("x", kind, [2, 3])], [value("y", kind, [2, 3]), twice])


def all_types() -> onnx.ModelProto:
    """One input and output of every type that numpy has, of open shapes that share a dimension."""
    inputs, outputs, nodes = [], [], []
    for name, kind in ONNX_TYPES.items():
        if name == "bfloat16":
            continue
        inputs.append(value(f"{name}_in", kind, ["n", None]))
        outputs.append(value(f"{name}_out", kind, ["n", None]))
        nodes.append(helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]))
    return model(nodes, inputs, outputs)


def unsigned() -> onnx.ModelProto:
    """Outputs that cannot be inputs: 16, 32 and 64 bits without a sign."""
    nodes = [helper.make_node("Abs", ["x"], ["positive"])]
    nodes += [
        helper.make_node("Cast", ["positive"], [name], to=kind) for name, kind in UNSIGNED.items()
    ]
    outputs = [value(name, kind, [5]) for name, kind in UNSIGNED.items()]
    return model(nodes, [value("x", TensorProto.INT64, [5])], outputs)


def product() -> onnx.ModelProto:
    """Two matrices that share a symbolic dimension, and a sum that takes several inputs."""
    nodes = [
        helper.make_node("MatMul", ["left", "right"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("ReduceSum", ["sum"], ["total"], keepdims=0),
    ]
    inputs = [
        value("left", TensorProto.FLOAT, ["rows", "inner"]),
        value("right", TensorProto.FLOAT, ["inner", 4]),
        value("bias", TensorProto.FLOAT, [4]),
    ]
    outputs = [
        value("sum", TensorProto.FLOAT, ["rows", 4]),
        value("total", TensorProto.FLOAT, []),
    ]
    return model(nodes, inputs, outputs)


def no_shape() -> onnx.ModelProto:
    """Declares not even the rank."""
    x, y = value("x", TensorProto.FLOAT, None), value("y", TensorProto.FLOAT, None)
    return model([helper.make_node("Neg", ["x"], ["y"])], [x], [y])


def scalars() -> onnx.ModelProto:
    """Scalars in and out, text among them."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Less", ["a", "b"], ["less"]),
        helper.make_node("Identity", ["text"], ["same"]),
    ]
    inputs = [
        value("a", TensorProto.INT64, []),
        value("b", TensorProto.INT64, []),
        value("text", TensorProto.STRING, []),
    ]
    outputs = [
        value("sum", TensorProto.INT64, []),
        value("less", TensorProto.BOOL, []),
        value("same", TensorProto.STRING, []),
    ]
    return model(nodes, inputs, outputs)


def hostile() -> onnx.ModelProto:
    """Every hostile name as an input, an output and a dimension; each input is scaled."""
    inputs, outputs, nodes, factors = [], [], [], []
    for index, name in enumerate(HOSTILE):
        inputs.append(value(name, TensorProto.FLOAT, [f"{name}%", 2]))
        outputs.append(value(f"{name}'", TensorProto.FLOAT, [f"{name}%", 2]))
        factors.append(constant(f"factor {index}", np.float32(index + 1)))
        nodes.append(helper.make_node("Mul", [name, f"factor {index}"], [f"{name}'"]))
    return model(nodes, inputs, outputs, factors)


def nonzero() -> onnx.ModelProto:
    """Its output's size depends on the numbers, not on the shapes."""
    x, y = value("x", TensorProto.FLOAT, [2, 5]), value("y", TensorProto.INT64, [2, "found"])
    return model([helper.make_node("NonZero", ["x"], ["y"])], [x], [y])


def digits(seed: int = 0) -> onnx.ModelProto:
    """Scores four classes of a picture of 8 columns and 6 rows."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((3 * 6 * 8, len(DIGITS))).astype(np.float32) / 4
    nodes = [
        helper.make_node("Flatten", ["picture"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    x = value("picture", TensorProto.FLOAT, [1, 3, 6, 8])
    y = value("scores", TensorProto.FLOAT, [1, len(DIGITS)])
    return model(nodes, [x], [y], [constant("w", weight)])


def counter(seed: int = 0) -> onnx.ModelProto:
    """`memory' = tanh(memory·w + x)`, `y` its sum; the memory's batch is symbolic."""
    rng = np.random.default_rng(seed)
    weight = (rng.standard_normal((4, 4)) / 2).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["memory", "w"], ["mixed"]),
        helper.make_node("Add", ["mixed", "x"], ["moved"]),
        helper.make_node("Tanh", ["moved"], ["next"]),
        helper.make_node("ReduceSum", ["next"], ["y"], keepdims=0),
    ]
    inputs = [
        value("x", TensorProto.FLOAT, ["batch", 4]),
        value("memory", TensorProto.FLOAT, ["batch", 4]),
    ]
    outputs = [value("y", TensorProto.FLOAT, []), value("next", TensorProto.FLOAT, ["batch", 4])]
    return model(nodes, inputs, outputs, [constant("w", weight)])


def sdk_models() -> Mapping[str, onnx.ModelProto]:
    """All of them, by the name of their file."""
    return {
        **{f"type-{name}": one_type(name) for name in ONNX_TYPES},
        "all types": all_types(),
        "unsigned": unsigned(),
        "product": product(),
        "no-shape": no_shape(),
        "scalars": scalars(),
        "hostile": hostile(),
        "nonzero": nonzero(),
        "digits": digits(),
        "counter": counter(),
    }


def unsigned_inputs() -> Mapping[str, onnx.ModelProto]:
    """Models that take what the Java API cannot create, by the name of their file."""
    return {f"type-{name}": one_type(name) for name in UNSIGNED}


KINDS: Final[Mapping[str, Mapping[str, TensorKind]]] = {
    "digits": {
        "picture": ImageKind(
            color_order=ColorOrder.BGR, mean=(0.5,), std=(0.25, 0.5, 1.0), resize=ResizeRule.FIT
        ),
        "scores": ClassificationKind(labels=DIGITS, top_k=2, apply_softmax=True),
    },
    "counter": {"next": StateKind(input_name="memory", shape=(2, 4))},
}
