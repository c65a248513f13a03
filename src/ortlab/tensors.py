"""Raw tensor files and numeric comparison; pure but for reading and writing the files.

A tensor file holds the elements in C order, little-endian, without a header: name, element type
and shape travel beside it in JSON. A bool is one byte, a string is its UTF-8 behind a 32-bit
length. Source of the format: `bench_protocol/README.md`, "Tensor files".
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ortlab.domain import Parity, ParityStatus, Precision
from ortlab.errors import BenchmarkError, StorageError
from ortlab.wire import TensorFile

if TYPE_CHECKING:
    from numpy import dtype
    from numpy.typing import NDArray

    Array = NDArray[Any]

STRING: Final = "string"
BFLOAT16: Final = "bfloat16"
_NUMPY_NAMES: Final[dict[str, str]] = {
    "float": "<f4",
    "double": "<f8",
    "float16": "<f2",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "bool": "?",
}
ELEMENT_TYPES: Final = (*_NUMPY_NAMES, BFLOAT16, STRING)
_LENGTH_BYTES: Final = 4
_ROW_AXIS: Final = -1
_SQNR_LIMIT_DB: Final = 1000.0


# ------------------------------------------------------------------------------ files


def numpy_type(element_type: str) -> dtype[Any]:
    """Return the numpy type that holds an ONNX element type; objects for strings.

    numpy has no bfloat16: it is that of ``ml_dtypes`` where installed (``onnx`` brings it), else
    its bits as uint16, which then compare as bits.

    Raises:
        BenchmarkError: There is no raw file for this element type.
    """
    import numpy as np

    if element_type == STRING:
        return np.dtype(object)
    if element_type == BFLOAT16:
        try:
            from ml_dtypes import bfloat16
        except ImportError:
            return np.dtype("<u2")
        kind: dtype[Any] = np.dtype(bfloat16)
        return kind
    if element_type not in _NUMPY_NAMES:
        known = ", ".join(ELEMENT_TYPES)
        message = f"cannot store tensors of element type {element_type!r}: known are {known}"
        raise BenchmarkError(message)
    return np.dtype(_NUMPY_NAMES[element_type])


def element_type_of(array: Array) -> str:
    """Return the ONNX element type of an array; uint16 is never taken for bfloat16.

    Raises:
        BenchmarkError: No ONNX element type has this numpy type.
    """
    if _is_text(array):
        return STRING
    if array.dtype.name == BFLOAT16:
        return BFLOAT16
    for element_type, name in _NUMPY_NAMES.items():
        if array.dtype.newbyteorder("<") == name:
            return element_type
    message = f"cannot store a numpy array of type {array.dtype}: no ONNX element type has it"
    raise BenchmarkError(message)


def encode(array: Array, element_type: str) -> bytes:
    """Return the bytes of a tensor file.

    Raises:
        BenchmarkError: The array does not hold this element type.
    """
    import numpy as np

    kind = numpy_type(element_type)
    is_bits = element_type == BFLOAT16 and array.dtype == np.uint16
    if not is_bits and element_type_of(array) != element_type:
        message = f"cannot store a numpy array of type {array.dtype} as {element_type}"
        raise BenchmarkError(message)
    if element_type != STRING:
        return np.ascontiguousarray(array, dtype=array.dtype if is_bits else kind).tobytes()
    parts = []
    for item in array.ravel().tolist():
        try:
            text = item if isinstance(item, bytes) else str(item).encode()
            parts += [len(text).to_bytes(_LENGTH_BYTES, "little"), text]
        except (UnicodeEncodeError, OverflowError) as error:
            message = f"cannot store a string tensor: {error}"
            raise BenchmarkError(message) from error
    return b"".join(parts)


def decode(data: bytes, element_type: str, shape: tuple[int, ...], *, source: str) -> Array:
    """Return the array that a tensor file holds, writable and of its own memory.

    Raises:
        BenchmarkError: The bytes do not hold exactly this type and shape.
    """
    import numpy as np

    kind = numpy_type(element_type)
    if any(size < 0 for size in shape):
        message = f"cannot read tensor {source}: the shape {list(shape)} has a negative size"
        raise BenchmarkError(message)
    count = math.prod(shape)
    expected = count * kind.itemsize
    if element_type != STRING and len(data) != expected:
        message = (
            f"cannot read tensor {source}: {element_type} {list(shape)} takes {expected} bytes,"
            f" the file has {len(data)}"
        )
        raise BenchmarkError(message)
    if element_type == "bool" and data.strip(b"\0\1"):
        message = f"cannot read tensor {source}: it holds a bool that is neither 0 nor 1"
        raise BenchmarkError(message)
    try:
        if element_type == STRING:
            return _decode_strings(data, count, source).reshape(shape)
        return np.frombuffer(data, dtype=kind).reshape(shape).copy()
    except (ValueError, OverflowError) as error:  # a shape that numpy cannot hold
        message = f"cannot read tensor {source}: {error}"
        raise BenchmarkError(message) from error


def _decode_strings(data: bytes, count: int, source: str) -> Array:
    import numpy as np

    texts: list[str] = []
    at = 0
    while at + _LENGTH_BYTES <= len(data) and len(texts) < count:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "little")
        if at > len(data):
            break
        texts.append(data[start:at].decode())  # no UTF-8 is a ValueError
    if len(texts) != count or at != len(data):
        message = f"cannot read tensor {source}: it does not hold exactly {count} strings"
        raise BenchmarkError(message)
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array


def write_tensor(
    path: Path, name: str, array: Array, element_type: str | None = None
) -> TensorFile:
    """Write a tensor file, staged, and return its description.

    Args:
        path: File to write.
        name: ONNX value name.
        array: The elements; any shape.
        element_type: When the numpy type alone does not tell (bfloat16).

    Raises:
        BenchmarkError: The element type cannot be stored.
        StorageError: The file cannot be written.
    """
    kind = element_type or element_type_of(array)
    data = encode(array, kind)
    staged = path.with_name(path.name + ".part")
    try:
        with staged.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        message = f"cannot write tensor {name!r} to {path}: {error.strerror or error}"
        raise StorageError(message) from error
    return TensorFile(
        name=name,
        element_type=kind,
        shape=tuple(int(size) for size in array.shape),
        path=str(path),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def read_tensor(tensor: TensorFile, base: Path | None = None) -> Array:
    """Read a tensor file; its hash is checked when the description has one.

    Args:
        tensor: The description.
        base: Directory that a relative path starts from.

    Raises:
        BenchmarkError: The bytes do not hold this type and shape, or are not those described.
        StorageError: The file cannot be read.
    """
    path = Path(tensor.path) if base is None else base / tensor.path
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a NUL in the path is a ValueError
        why = error.strerror if isinstance(error, OSError) else error
        message = f"cannot read tensor {tensor.name!r} from {path}: {why}"
        raise StorageError(message) from error
    if tensor.sha256 is not None and hashlib.sha256(data).hexdigest() != tensor.sha256:
        message = f"cannot use tensor {tensor.name!r}: {path} was changed since it was written"
        raise BenchmarkError(message)
    return decode(data, tensor.element_type, tensor.shape, source=f"{tensor.name!r} in {path}")


# ------------------------------------------------------------------------------ comparison


def tolerance_of(precision: Precision) -> tuple[float, float] | None:
    """Return ``rtol`` and ``atol`` of a precision; None for quantized ones."""
    return {Precision.FP32: (1e-3, 1e-5), Precision.FP16: (1e-2, 1e-3)}.get(precision)


def compare_outputs(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    *,
    rtol: float,
    atol: float,
    reference: str = "original",
) -> Parity:
    """Hold outputs to a reference: ``|actual - expected| ≤ atol + rtol × |expected|``.

    NaN equals NaN and an infinity equals itself; integers, bools and strings must be equal. A
    missing output, another shape or another element type fails, save that floats may differ in
    width: an fp16 model answers fp16. Outputs that the reference lacks are not looked at.

    Args:
        actual: Output name to array.
        expected: Likewise.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        reference: What ``expected`` is, for the record.
    """
    rule = f"rtol={rtol:g}, atol={atol:g}"
    mismatch = _mismatch(actual, expected)
    if mismatch:
        return Parity(status=ParityStatus.FAILED, reference=reference, rule=rule, reason=mismatch)
    worst = max(
        (_violation(name, actual[name], expected[name], rtol, atol) for name in expected),
        key=lambda item: item.excess,
        default=None,
    )
    if worst is None:
        return Parity(
            status=ParityStatus.NOT_CHECKED,
            reference=reference,
            rule=rule,
            reason="there are no outputs to compare",
        )
    errors = [_largest_errors(actual[name], expected[name]) for name in expected]
    failed = worst.excess > 1
    return Parity(
        status=ParityStatus.FAILED if failed else ParityStatus.PASSED,
        reference=reference,
        rule=rule,
        reason=worst.sentence if failed else "",
        worst_output=worst.name,
        worst_index=worst.index,
        max_abs_error=max(absolute for absolute, _ in errors),
        max_rel_error=max(relative for _, relative in errors),
    )


def compare_quantized(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    *,
    min_sqnr_db: float,
    min_top1_agreement: float | None,
    reference: str = "original",
) -> Parity:
    """Hold a quantized model's outputs to thresholds of SQNR and top-1 agreement.

    SQNR in dB is ``10 log10(Σ expected² ÷ Σ (actual - expected)²)`` over all float outputs;
    top-1 agreement is the share of rows (last axis) with the same largest element.
    """
    words = [f"SQNR ≥ {min_sqnr_db:g} dB"]
    if min_top1_agreement is not None:
        words.append(f"top-1 agreement ≥ {min_top1_agreement:.0%}")
    rule = ", ".join(words)
    mismatch = _mismatch(actual, expected)
    if mismatch:
        return Parity(status=ParityStatus.FAILED, reference=reference, rule=rule, reason=mismatch)
    floats = [name for name in expected if _is_float(expected[name])]
    if not floats:
        return compare_outputs(actual, expected, rtol=0, atol=0, reference=reference)
    sqnr_db = _sqnr_db(actual, expected, floats)
    agreement = _top1_agreement(actual, expected, floats)
    errors = {name: _largest_errors(actual[name], expected[name]) for name in floats}
    worst = max(floats, key=lambda name: errors[name][0])
    problems = []
    if not sqnr_db >= min_sqnr_db:
        problems.append(f"SQNR is {sqnr_db:.1f} dB, below {min_sqnr_db:g} dB")
    if min_top1_agreement is not None and agreement is not None and agreement < min_top1_agreement:
        problems.append(f"top-1 agreement is {agreement:.0%}, below {min_top1_agreement:.0%}")
    return Parity(
        status=ParityStatus.FAILED if problems else ParityStatus.PASSED,
        reference=reference,
        rule=rule,
        reason="; ".join(problems),
        worst_output=worst,
        worst_index=_largest_difference_at(actual[worst], expected[worst]),
        max_abs_error=errors[worst][0],
        max_rel_error=max(relative for _, relative in errors.values()),
        sqnr_db=sqnr_db,
        top1_agreement=agreement,
    )


@dataclass(frozen=True, slots=True)
class _Violation:
    """The element of one output that is worst against its tolerance; above 1 is outside."""

    name: str
    excess: float
    index: tuple[int, ...]
    sentence: str


def _mismatch(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> str:
    for name, wanted in expected.items():
        if name not in actual:
            return f"output {name!r} is missing"
        got = actual[name]
        if got.shape != wanted.shape:
            return f"output {name!r} has shape {list(got.shape)}, expected {list(wanted.shape)}"
        both = (_is_float(got) and _is_float(wanted)) or (_is_text(got) and _is_text(wanted))
        if not both and got.dtype != wanted.dtype:
            return f"output {name!r} has type {got.dtype}, expected {wanted.dtype}"
    return ""


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == BFLOAT16


def _is_text(array: Array) -> bool:
    return array.dtype.kind in "OUST"


def _differences(actual: Array, expected: Array) -> tuple[Array, Array]:
    """Return absolute differences and expected values in double; nothing where both are alike.

    Alike are equal values and two NaNs; the difference to one NaN or infinity is infinite.
    """
    import numpy as np

    got, wanted = actual.astype(np.float64), expected.astype(np.float64)
    alike = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    with np.errstate(all="ignore"):
        difference = np.abs(got - wanted)
    difference = np.where(np.isnan(difference), math.inf, difference)
    return np.where(alike, 0.0, difference), wanted


def _violation(name: str, actual: Array, expected: Array, rtol: float, atol: float) -> _Violation:
    import numpy as np

    if expected.size == 0:
        return _Violation(name, 0.0, (), "")
    if not _is_float(expected):
        different = np.asarray(actual != expected)
        at = int(np.argmax(different))
        excess = math.inf if different.any() else 0.0
    else:
        difference, wanted = _differences(actual, expected)
        with np.errstate(all="ignore"):
            ratio = difference / (atol + rtol * np.abs(wanted))
        # 0 ÷ 0 is no violation, infinity ÷ infinity is one.
        ratio = np.where(difference == 0, 0.0, np.where(np.isnan(ratio), math.inf, ratio))
        at = int(np.argmax(ratio))
        excess = float(ratio.ravel()[at])
    index = tuple(int(i) for i in np.unravel_index(at, expected.shape))
    got_item, wanted_item = actual[index], expected[index]
    sentence = f"output {name!r} at {list(index)} is {got_item!s}, expected {wanted_item!s}"
    return _Violation(name, excess, index, sentence)


def _largest_errors(actual: Array, expected: Array) -> tuple[float, float]:
    """Return the largest absolute and relative difference; infinite where only one is finite."""
    import numpy as np

    if expected.size == 0 or _is_text(expected):
        return 0.0, 0.0
    absolute, wanted = _differences(actual, expected)
    with np.errstate(all="ignore"):
        relative = np.where(absolute == 0, 0.0, absolute / np.abs(wanted))
    return _in_json(absolute), _in_json(relative)


def _in_json(values: Array) -> float:
    """Return the largest value; JSON knows no infinity: the largest double stands for it."""
    import numpy as np

    limit = float(np.finfo(np.float64).max)
    return float(np.nan_to_num(values, nan=limit, posinf=limit).max())


def _largest_difference_at(actual: Array, expected: Array) -> tuple[int, ...]:
    import numpy as np

    if expected.size == 0:
        return ()
    difference, _ = _differences(actual, expected)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), expected.shape))


def _sqnr_db(actual: Mapping[str, Array], expected: Mapping[str, Array], names: list[str]) -> float:
    """Return the ratio in dB, within ±``_SQNR_LIMIT_DB``: JSON knows no infinity."""
    import numpy as np

    signal = noise = 0.0
    for name in names:
        difference, wanted = _differences(actual[name], expected[name])
        with np.errstate(all="ignore"):
            signal += float(np.square(wanted[np.isfinite(wanted)]).sum())
            noise += float(np.square(difference).sum())
    if noise == 0:
        return _SQNR_LIMIT_DB
    if not math.isfinite(noise) or signal == 0:
        return -_SQNR_LIMIT_DB
    if not math.isfinite(signal):
        return _SQNR_LIMIT_DB
    return 10 * (math.log10(signal) - math.log10(noise))


def _top1_agreement(
    actual: Mapping[str, Array], expected: Mapping[str, Array], names: list[str]
) -> float | None:
    import numpy as np

    rows = agreeing = 0
    for name in names:
        wanted, got = expected[name], actual[name]
        if wanted.ndim < 1 or wanted.shape[_ROW_AXIS] < 2 or wanted.size == 0:
            continue
        same = np.argmax(got, axis=_ROW_AXIS) == np.argmax(wanted, axis=_ROW_AXIS)
        rows += int(np.size(same))
        agreeing += int(np.sum(same))
    return agreeing / rows if rows else None
