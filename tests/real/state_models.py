"""A model that carries a state, and what Python's ONNX Runtime makes of a hundred steps of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ortlab.pictures import CHANNEL_TYPES

SHAPE = (2, 1, 3)


def recurrent_model(element_type: str) -> bytes:
    """Return state_out = tanh(0.9 · state_in + x), y = state_out + x, of float or float16."""
    from onnx import TensorProto, helper

    proto = TensorProto.FLOAT if element_type == "float" else TensorProto.FLOAT16
    values = {
        name: helper.make_tensor_value_info(name, proto, SHAPE)
        for name in ("x", "state_in", "y", "state_out")
    }
    keep = helper.make_tensor("keep", TensorProto.FLOAT, [], [0.9])
    nodes = [
        helper.make_node("Cast", ["keep"], ["kept_share"], to=proto),
        helper.make_node("Mul", ["state_in", "kept_share"], ["kept"]),
        helper.make_node("Add", ["kept", "x"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["state_out"]),
        helper.make_node("Add", ["state_out", "x"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [values["x"], values["state_in"]],
        [values["y"], values["state_out"]],
        [keep],
    )
    opset = helper.make_opsetid("", 17)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return data


def hundred_steps(
    model: Path, element_type: str, resets: Collection[int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return made-up inputs of a hundred steps and the outputs, both of 100 × ``SHAPE``.

    The state is zeros again before each step among ``resets``.
    """
    import onnxruntime

    kind = CHANNEL_TYPES[element_type]
    steps = np.random.default_rng(seed).normal(size=(100, *SHAPE)).astype(kind)
    session = onnxruntime.InferenceSession(str(model))
    state, outputs = np.zeros(SHAPE, kind), []
    for number, x in enumerate(steps):
        if number in resets:
            state = np.zeros_like(state)
        y, state = session.run(["y", "state_out"], {"x": x, "state_in": state})
        outputs.append(y)
    return steps, np.stack(outputs)
