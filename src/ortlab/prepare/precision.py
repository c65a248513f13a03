"""A model in other precisions: fp16, int8 dynamic and static, int4 weights of MatMul.

The conversions are ORT's own (``onnxruntime.transformers.float16``,
``onnxruntime.quantization``); this module prepares their input as their documentation asks,
keeps them quiet, keeps their temporary files in one directory, and turns what they refuse into a
sentence. Every model made is loaded once, without graph optimization, before it is handed out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import Precision
from ortlab.prepare.calibration import load_calibration
from ortlab.prepare.custom_ops import ORT_DOMAINS, all_nodes, register_custom_ops

if TYPE_CHECKING:
    import numpy as np
    import onnx

    Array = np.ndarray[Any, Any]
    CalibrationSample = Mapping[str, Array]

__all__ = ["PrecisionOptions", "load_calibration", "make_precision_models"]

MIN_INT4_WEIGHT_ELEMENTS = 1024
"""Below this a 4-bit weight saves less than half a kilobyte and costs a dequantization a run."""

_INT4_COMMAND = "pip install 'ortlab[int4]'"
_QUANTIZED_OPERATORS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


class _RefusedError(Exception):
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
class _Work:
    """What one conversion needs."""

    model_path: Path
    target: Path
    scratch: Path
    options: PrecisionOptions
    calibration: Sequence[CalibrationSample] | None
    custom_op_library: Path | None


def make_precision_models(
    model_path: Path,
    directory: Path,
    precisions: Sequence[Precision],
    *,
    calibration: Sequence[CalibrationSample] | None = None,
    options: PrecisionOptions | None = None,
    custom_op_library: Path | None = None,
) -> Mapping[Precision, Path | str]:
    """Make a model in other precisions.

    Args:
        model_path: Repaired fp32 ``.onnx``; read only.
        directory: Existing directory for the results, ``<stem>.<precision>.onnx``; temporary
            files live in it too and are gone afterwards.
        precisions: Asked for; FP32 answers with ``model_path`` itself.
        calibration: Samples for static int8: one mapping of input name to array for each.
        options: How they are made.
        custom_op_library: Shared library with the kernels of the model's custom operators.

    Returns:
        For each precision the path of its model, or the reason it was refused.
    """
    made: dict[Precision, Path | str] = {}
    for precision in precisions:
        if precision is Precision.FP32:
            made[precision] = model_path
            continue
        target = directory / f"{model_path.stem}.{precision}.onnx"
        with tempfile.TemporaryDirectory(dir=directory, prefix=".precision-") as scratch:
            work = _Work(
                model_path=model_path,
                target=Path(scratch) / target.name,
                scratch=Path(scratch),
                options=options or PrecisionOptions(),
                calibration=calibration,
                custom_op_library=custom_op_library,
            )
            reason = _attempt(precision, work)
            if reason is None:
                _publish(work.target, target)
            made[precision] = reason or target
    return made


def _attempt(precision: Precision, work: _Work) -> str | None:
    """Make one model; return the reason if it cannot be made."""
    makers: Mapping[Precision, Callable[[_Work], None]] = {
        Precision.FP16: _make_fp16,
        Precision.INT8_DYNAMIC: _make_int8_dynamic,
        Precision.INT8_STATIC: _make_int8_static,
        Precision.INT4: _make_int4,
    }
    with _quiet(work.scratch) as log:
        try:
            makers[precision](work)
        except _RefusedError as refusal:
            return str(refusal)
        except MemoryError:
            return f"{precision} could not be made: not enough memory"
        except Exception as error:  # the converters raise anything, down to bare AssertionError
            said = str(error) or type(error).__name__
            hint = f" ({log[-1]})" if log and log[-1] not in said else ""
            return f"{precision} could not be made: {_first_line(said)}{hint}"
    return None


def _make_fp16(work: _Work) -> None:
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    original = onnx.load(work.model_path, load_external_data=False)
    _refuse_quantized(original)
    if not _uses_float(original):
        message = "the model has no fp32 tensors: there is nothing to turn into fp16"
        raise _RefusedError(message)
    # Optimized first: a BatchNormalization's variance may exceed fp16, folded into Conv it is gone.
    model = onnx.load(_optimize(work))
    converted = convert_float_to_float16(
        model,
        keep_io_types=work.options.keep_io_types,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *work.options.fp16_blocked_operators],
        node_block_list=_name_fp32_nodes(model),
    )
    _finish(converted, work)


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
    return _name_uniquely(model.graph, nodes)


def _make_int8_dynamic(work: _Work) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = _preprocess(work)
    reasons = []
    # ORT's ConvInteger takes unsigned weights only; MatMulInteger is more accurate with signed.
    for weight_type in (QuantType.QInt8, QuantType.QUInt8):
        quantize_dynamic(
            source,
            work.target,
            weight_type=weight_type,
            per_channel=work.options.per_channel,
            reduce_range=work.options.reduce_range,
        )
        reason = _finish_quantized(work)
        if reason is None:
            return
        reasons.append(reason)
    raise _RefusedError(reasons[0])


def _make_int8_static(work: _Work) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    if not work.calibration:
        message = (
            "int8-static needs calibration data: give a folder of .npz files, one a sample, each"
            " with one array for each input of the model, named as the input"
        )
        raise _RefusedError(message)
    source = _preprocess(work)
    quantize_static(
        source,
        work.target,
        _Reader(work.calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=work.options.per_channel,
        reduce_range=work.options.reduce_range,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    reason = _finish_quantized(work)
    if reason is not None:
        raise _RefusedError(reason)


def _make_int4(work: _Work) -> None:
    import onnx

    if importlib.util.find_spec("onnx_ir") is None:
        message = f"int4 needs the package onnx-ir, which is not installed: {_INT4_COMMAND}"
        raise _RefusedError(message)
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # Fusing MatMul and Add into Gemm would hide weights from the quantizer.
    model = onnx.load(_optimize(work, disabled=["MatMulAddFusion"]))
    _refuse_quantized(model)
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    block_size = work.options.int4_block_size
    names = _name_uniquely(model.graph, products)
    excluded = [
        name
        for name, node in zip(names, products, strict=True)
        if not _is_worth_int4(weights.get(node.input[1], ()), block_size)
    ]
    if len(excluded) == len(products):
        message = (
            "no MatMul with constant weights: nothing to quantize to int4 (a weight counts from"
            f" {MIN_INT4_WEIGHT_ELEMENTS} elements and {block_size} rows on)"
        )
        raise _RefusedError(message)
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=block_size,
        is_symmetric=work.options.int4_symmetric,
        nodes_to_exclude=excluded,
    )
    quantizer.process()
    _finish(quantizer.model.model, work)


def _is_worth_int4(shape: tuple[int, ...], block_size: int) -> bool:
    is_matrix = len(shape) >= 2 and all(size == 1 for size in shape[:-2])
    return is_matrix and shape[-2] >= block_size and math.prod(shape) >= MIN_INT4_WEIGHT_ELEMENTS


def _name_uniquely(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
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


# ---------------------------------------------------------------- before and after a conversion


def _preprocess(work: _Work) -> Path:
    """Optimize and infer shapes, as ORT's quantization documentation recommends."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    _refuse_quantized(onnx.load(work.model_path, load_external_data=False))
    target = work.scratch / "preprocessed.onnx"
    # Optimization is done by _optimize, which knows custom operators. Symbolic inference takes
    # minutes on some models with unknown sizes, and ONNX's own already gives every type.
    quant_pre_process(_optimize(work), target, skip_optimization=True, skip_symbolic_shape=True)
    return target


def _optimize(work: _Work, disabled: Sequence[str] = ()) -> Path:
    """Save the model as ORT optimizes it at level BASIC: constants folded into initializers."""
    import onnxruntime

    target = work.scratch / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
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


def _finish_quantized(work: _Work) -> str | None:
    """Check that something was quantized and that ORT takes it; return the reason if not."""
    import onnx

    model = onnx.load(work.target)
    if not any(_is_quantized(node) for node in model.graph.node):
        message = "the model has no operator that ORT quantizes: nothing to quantize to int8"
        raise _RefusedError(message)
    try:
        _finish(model, work)
    except _RefusedError as refusal:
        return str(refusal)
    return None


def _finish(model: onnx.ModelProto, work: _Work) -> None:
    """Sort, save, and load once with the CPU provider.

    Raises:
        _RefusedError: ORT refuses the model.
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
        message = f"ORT does not load the converted model: {_first_line(str(error))}"
        raise _RefusedError(message) from error


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    """ORT's saved models import every domain it knows, which older releases refuse to load."""
    used = {"", "ai.onnx"} | {node.domain for node in all_nodes(model)}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _refuse_quantized(model: onnx.ModelProto) -> None:
    if any(_is_quantized(node) for node in model.graph.node):
        message = "the model is quantized already: give the fp32 model it was made from"
        raise _RefusedError(message)


def _is_quantized(node: onnx.NodeProto) -> bool:
    return (
        node.op_type in _QUANTIZED_OPERATORS
        or node.op_type.startswith("QLinear")
        or node.op_type in {"ConvInteger", "MatMulInteger", "MatMulNBits"}
    )


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


class _Reader:
    """Gives the calibrator one sample after the other."""

    def __init__(self, samples: Sequence[CalibrationSample]) -> None:
        self._rest = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._rest, None)
        return None if sample is None else dict(sample)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        while (sample := self.get_next()) is not None:
            yield sample


def _publish(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)


# ------------------------------------------------------------------------------------- quietness


@contextlib.contextmanager
def _quiet(scratch: Path) -> Iterator[list[str]]:
    """Keep the libraries' prints, logs and temporary files to ourselves; yield what they logged.

    They log through the root logger, which would print and install a handler for good.
    """
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    handlers, temporary = root.handlers[:], tempfile.tempdir
    root.handlers[:] = [handler]
    tempfile.tempdir = str(scratch)
    try:
        with contextlib.redirect_stdout(StringIO()), contextlib.redirect_stderr(StringIO()):
            yield said
    finally:
        tempfile.tempdir = temporary
        root.handlers[:] = handlers


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), text)
