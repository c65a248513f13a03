"""What every change of precision shares: the work order, preparing the model, finishing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.prepare.custom_ops import all_nodes, register_custom_ops

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, Any]
    CalibrationSample = Mapping[str, Array]

_QUANTIZED_OPERATORS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


class RefusedError(Exception):
    """A precision that this model cannot have; the text is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionOptions:
    """How the precisions are made.

    Attributes:
        keep_io_types: Whether inputs and outputs of an fp16 model stay fp32.
        fp16_blocked_operators: Operator types that stay fp32, beside those that ORT blocks.
        per_channel: Whether int8 weights have a scale for each channel: more accurate on models
            whose channels differ, a little slower.
        reduce_range: Whether int8 weights use 7 bits, for x86-64 CPUs without VNNI.
        int4_block_size: Rows of a weight that share a scale; 16, 32, 64, 128 or 256.
        int4_symmetric: Whether int4 weights have no zero point.
    """

    keep_io_types: bool = True
    fp16_blocked_operators: tuple[str, ...] = ()
    per_channel: bool = False
    reduce_range: bool = False
    int4_block_size: int = 32
    int4_symmetric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one conversion needs."""

    model_path: Path
    target: Path
    scratch: Path
    options: PrecisionOptions
    calibration: Sequence[CalibrationSample] | None
    custom_op_library: Path | None


def optimize(work: Work, disabled: Sequence[str] = (), suffix: str = ".onnx") -> Path:
    """Save the model as ORT optimizes it at level BASIC: constants folded into initializers."""
    import onnxruntime

    target = work.scratch / f"optimized{suffix}"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    if suffix == ".ort":
        options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    if work.custom_op_library is not None:
        register_custom_ops(options, work.custom_op_library)
    onnxruntime.InferenceSession(
        str(work.model_path),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(disabled),
    )
    return target


def finish(model: onnx.ModelProto, work: Work) -> None:
    """Sort, save, and load once with the CPU provider.

    Raises:
        RefusedError: ORT refuses the model.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization.onnx_model import ONNXModel

    source = onnx.load(work.model_path, load_external_data=False)
    # The converters may stamp the newest IR version that `onnx` knows, which ORT may refuse.
    model.ir_version = min(model.ir_version, max(source.ir_version, 10))
    _drop_unused_opsets(model)
    ONNXModel(model).topological_sort()
    onnx.save(model, work.target)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    if work.custom_op_library is not None:
        register_custom_ops(options, work.custom_op_library)
    try:
        onnxruntime.InferenceSession(str(work.target), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message = f"ORT does not load the converted model: {first_line(str(error), work)}"
        raise RefusedError(message) from error


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    """ORT's saved models import every domain it knows, which older releases refuse to load."""
    used = {"", "ai.onnx"} | {node.domain for node in all_nodes(model)}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raise RefusedError when a model is quantized already."""
    if any(is_quantized(node) for node in model.graph.node):
        message = "the model is quantized already: give the fp32 model it was made from"
        raise RefusedError(message)


def is_quantized(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to quantized arithmetic."""
    return (
        node.op_type in _QUANTIZED_OPERATORS
        or node.op_type.startswith("QLinear")
        or node.op_type in {"ConvInteger", "MatMulInteger", "MatMulNBits"}
    )


def name_uniquely(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """Give nodes names that no other node has; ORT's converters select nodes by name."""
    taken = Counter(node.name for node in graph.node)
    for index, node in enumerate(nodes):
        if not node.name or taken[node.name] > 1:
            number = index
            while f"{node.op_type}_{number}" in taken:
                number += len(nodes)
            taken[node.name] -= 1
            node.name = f"{node.op_type}_{number}"
            taken[node.name] += 1
    return [node.name for node in nodes]


def first_line(text: str, work: Work) -> str:
    """Return what a library said, without its further lines and our temporary paths."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), text)
    return line.replace(f"{work.scratch}/", "")
