"""fp16 models: ORT's converter, kept from what fp16 cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortlab.prepare.custom_ops import ORT_DOMAINS
from ortlab.prepare.ort_format import read_ort
from ortlab.prepare.precision_work import (
    RefusedError,
    Work,
    finish,
    name_uniquely,
    optimize,
    refuse_quantized,
)

if TYPE_CHECKING:
    import onnx


def make_fp16(work: Work) -> None:
    """Make a model of fp16 weights and arithmetic.

    Raises:
        RefusedError: Nothing in it is fp32, it is quantized, or ORT refuses the result.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    original = onnx.load(work.model_path, load_external_data=False)
    refuse_quantized(original)
    if not _uses_float(original):
        message = "the model has no fp32 tensors: there is nothing to turn into fp16"
        raise RefusedError(message)
    # Optimized first: a BatchNormalization's variance may exceed fp16, folded into Conv it is gone.
    model = onnx.load(optimize(work))
    _add_custom_types(model, work)
    converted = convert_float_to_float16(
        model,
        keep_io_types=work.options.keep_io_types,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *work.options.fp16_blocked_operators],
        node_block_list=_name_fp32_nodes(model),
    )
    finish(converted, work)


def _add_custom_types(model: onnx.ModelProto, work: Work) -> None:
    """State the types of what custom operators give, which only ORT's own format tells.

    Without them the converter puts no Cast behind these operators.
    """
    import onnx

    made = {
        name
        for node in model.graph.node
        if (node.domain or "ai.onnx") not in ORT_DOMAINS
        for name in node.output
    }
    known = {value.name for value in (*model.graph.value_info, *model.graph.output)}
    if made <= known:
        return
    for value in read_ort(optimize(work, suffix=".ort")).graph.values:
        if value.name in made - known and value.element_type == "float":
            info = onnx.helper.make_tensor_value_info(
                value.name, onnx.TensorProto.FLOAT, value.shape
            )
            model.graph.value_info.append(info)


def _name_fp32_nodes(model: onnx.ModelProto) -> list[str]:
    """Name and return the nodes that must stay fp32: constants beyond fp16, custom operators."""
    import numpy as np
    from onnx import numpy_helper

    largest = float(np.finfo(np.float16).max)
    beyond = set()
    for tensor in model.graph.initializer:
        if tensor.data_type == tensor.FLOAT:
            values = numpy_helper.to_array(tensor)
            if np.any(np.isfinite(values) & (np.abs(values) > largest)):
                beyond.add(tensor.name)
    nodes = [
        node
        for node in model.graph.node
        if not beyond.isdisjoint(node.input) or (node.domain or "ai.onnx") not in ORT_DOMAINS
    ]
    return name_uniquely(model.graph, nodes)


def _uses_float(model: onnx.ModelProto) -> bool:
    import onnx

    fp32 = onnx.TensorProto.FLOAT
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return (
        any(value.type.tensor_type.elem_type == fp32 for value in values)
        or any(tensor.data_type == fp32 for tensor in model.graph.initializer)
        or any(
            attribute.HasField("t") and attribute.t.data_type == fp32
            for node in model.graph.node
            for attribute in node.attribute
        )
    )
