"""A model in other precisions: fp16, int8 dynamic and static, int4 weights of MatMul.

The conversions are ORT's own (``onnxruntime.transformers.float16``,
``onnxruntime.quantization``); this module prepares their input as their documentation asks,
keeps them quiet, keeps their temporary files in one directory, and turns what they refuse into a
sentence. Every model made is loaded once, without graph optimization, before it is handed out.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import Precision
from ortlab.errors import OrtlabError, StorageError
from ortlab.prepare.calibration import load_calibration
from ortlab.prepare.half_precision import make_fp16
from ortlab.prepare.precision_work import (
    PrecisionOptions,
    RefusedError,
    Work,
    finish,
    first_line,
    is_quantized,
    name_uniquely,
    optimize,
    refuse_quantized,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    CalibrationSample = Mapping[str, Array]

__all__ = ["PrecisionOptions", "load_calibration", "make_precision_models"]

MIN_INT4_WEIGHT_ELEMENTS = 1024
"""Below this a 4-bit weight saves less than half a kilobyte and costs a dequantization a run."""

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_INT4_COMMAND = "pip install 'ortlab[int4]'"


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

    Raises:
        StorageError: The disk is full or read-only.
        UsageError: The custom-op library is none for this machine.
        ModelError: The custom-op library cannot be registered.
    """
    made: dict[Precision, Path | str] = {}
    for precision in precisions:
        if precision is Precision.FP32:
            made[precision] = model_path
            continue
        target = directory / f"{model_path.stem}.{precision}.onnx"
        with tempfile.TemporaryDirectory(dir=directory, prefix=".precision-") as scratch:
            work = Work(
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


def _attempt(precision: Precision, work: Work) -> str | None:
    """Make one model; return the reason if it cannot be made."""
    makers: Mapping[Precision, Callable[[Work], None]] = {
        Precision.FP16: make_fp16,
        Precision.INT8_DYNAMIC: _make_int8_dynamic,
        Precision.INT8_STATIC: _make_int8_static,
        Precision.INT4: _make_int4,
    }
    with _quiet(work.scratch) as log:
        try:
            makers[precision](work)
        except RefusedError as refusal:
            return str(refusal)
        except OrtlabError:
            raise
        except MemoryError:
            return f"{precision} could not be made: not enough memory"
        except Exception as error:  # the converters raise anything, down to bare AssertionError
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                message = f"cannot write the {precision} model: {error.strerror}"
                raise StorageError(message) from error
            said = first_line(str(error) or type(error).__name__, work)
            hint = f" ({first_line(log[-1], work)})" if log and log[-1] not in said else ""
            return f"{precision} could not be made: {said}{hint}"
    return None


def _make_int8_dynamic(work: Work) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        _preprocess(work),
        work.target,
        weight_type=QuantType.QInt8,
        per_channel=work.options.per_channel,
        reduce_range=work.options.reduce_range,
    )
    _finish_quantized(work)


def _make_int8_static(work: Work) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    if not work.calibration:
        message = (
            "int8-static needs calibration data: give a folder of .npz files, one a sample, each"
            " with one array for each input of the model, named as the input"
        )
        raise RefusedError(message)
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
    _finish_quantized(work)


def _make_int4(work: Work) -> None:
    import onnx

    if importlib.util.find_spec("onnx_ir") is None:
        message = f"int4 needs the package onnx-ir, which is not installed: {_INT4_COMMAND}"
        raise RefusedError(message)
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # Fusing MatMul and Add into Gemm would hide weights from the quantizer.
    model = onnx.load(optimize(work, disabled=["MatMulAddFusion"]))
    refuse_quantized(model)
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    block_size = work.options.int4_block_size
    names = name_uniquely(model.graph, products)
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
        raise RefusedError(message)
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=block_size,
        is_symmetric=work.options.int4_symmetric,
        nodes_to_exclude=excluded,
    )
    quantizer.process()
    finish(quantizer.model.model, work)


def _is_worth_int4(shape: tuple[int, ...], block_size: int) -> bool:
    is_matrix = len(shape) >= 2 and all(size == 1 for size in shape[:-2])
    return is_matrix and shape[-2] >= block_size and math.prod(shape) >= MIN_INT4_WEIGHT_ELEMENTS


# ---------------------------------------------------------------- before and after a conversion


def _preprocess(work: Work) -> Path:
    """Optimize and infer shapes, as ORT's quantization documentation recommends."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    refuse_quantized(onnx.load(work.model_path, load_external_data=False))
    target = work.scratch / "preprocessed.onnx"
    # Optimization is done by optimize, which knows custom operators. Symbolic inference takes
    # minutes on some models with unknown sizes, and ONNX's own already gives every type.
    quant_pre_process(optimize(work), target, skip_optimization=True, skip_symbolic_shape=True)
    return target


def _finish_quantized(work: Work) -> None:
    """Check that something was quantized, and finish the model."""
    import onnx

    model = onnx.load(work.target)
    if not any(is_quantized(node) for node in model.graph.node):
        message = "the model has no operator that ORT quantizes: nothing to quantize to int8"
        raise RefusedError(message)
    finish(model, work)


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
