"""How much memory a worker may use: little for a small model, however broken it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortlab.errors import ModelError
from ortlab.prepare.job import Job

if TYPE_CHECKING:
    import onnx

    from ortlab.prepare.source import SourceModel

LARGEST_WEIGHTS_BYTES = 2**31 - 2**20

_BASE_BYTES = 2_000_000_000
_FACTOR = 8
_ELEMENT_BYTES = {"float": 4, "int32": 4, "uint32": 4, "double": 8, "int64": 8, "uint64": 8}


def limit_memory(requested_bytes: int | None) -> None:
    """Limit the address space of this process until its model is known.

    Args:
        requested_bytes: The user's own limit, which then stands; None allows 2 GB.
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = requested_bytes or _BASE_BYTES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def allow_memory(job: Job, weights: int) -> None:
    """Raise the limit to 2 GB and eight times the weights, unless the user gave one.

    Raises:
        ModelError: No file in ORT format can hold so much.
    """
    if weights > LARGEST_WEIGHTS_BYTES:
        message = (
            f"cannot prepare {job.model}: its weights would take {weights / 1e9:.1f} GB, and a"
            " file in ORT format holds at most 2 GB"
        )
        raise ModelError(message, next_step="quantize the model, or split it")
    if job.options.memory_limit_bytes is None:
        limit_memory(_BASE_BYTES + _FACTOR * weights)


def weight_bytes(source: SourceModel) -> int:
    """Return the bytes of a model with the constants that it makes from a shape alone."""
    total = len(source.data) + sum(0 for _ in source.external)
    if source.external:
        total = source.proto.ByteSize()
    shapes = {tensor.name: tensor for tensor in source.proto.graph.initializer}
    for node in source.proto.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            shapes[node.output[0]] = node.attribute[0].t
    for node in source.proto.graph.node:
        if node.op_type == "ConstantOfShape" and node.input and node.input[0] in shapes:
            total += _filled_bytes(node, shapes[node.input[0]])
    return total


def _filled_bytes(node: onnx.NodeProto, shape: onnx.TensorProto) -> int:
    import math

    import onnx

    try:
        sizes = onnx.numpy_helper.to_array(shape).ravel().tolist()
        count = math.prod(max(0, int(size)) for size in sizes)
    except (ValueError, TypeError):
        return 0  # ORT says what is wrong with it
    element = "float"
    if node.attribute and node.attribute[0].HasField("t"):
        number = node.attribute[0].t.data_type
        known = number in onnx.TensorProto.DataType.values()
        element = onnx.TensorProto.DataType.Name(number).lower() if known else "float"
    return count * _ELEMENT_BYTES.get(element, 2)
