"""Calibration data for static int8: a folder of `.npz` files, one a sample."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import TensorSpec
from ortlab.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    Sample = Mapping[str, np.ndarray[Any, Any]]


def load_calibration(folder: Path, inputs: tuple[TensorSpec, ...]) -> tuple[Sample, ...]:
    """Read calibration samples and check them against a model's inputs.

    Args:
        folder: With one ``.npz`` file a sample, read in the order of their names; each holds one
            array for each input, named as the input. Other files are left alone.
        inputs: Of the model.

    Returns:
        One mapping of input name to array for each file.

    Raises:
        UsageError: There is no sample, a file is no ``.npz``, or an array is missing, unknown, of
            another type, or of a shape that the model does not take; the file is named.
    """
    how = f"save each sample with numpy.savez(file, **{{{_names(inputs)}}})"
    if not folder.is_dir():
        message = f"cannot calibrate with {folder}: it is not a folder"
        raise UsageError(message, next_step=how)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".npz")
    if not files:
        message = f"cannot calibrate with {folder}: it holds no .npz file"
        raise UsageError(message, next_step=how)
    samples = []
    for path in files:
        try:
            sample = _read(path)
            _check(sample, inputs)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            message = f"cannot calibrate with {path}: {error}"
            raise UsageError(message, next_step=how) from error
        samples.append(sample)
    return tuple(samples)


def _read(path: Path) -> Sample:
    import numpy as np

    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        message = "it is a single array, not an .npz archive"
        raise ValueError(message)  # noqa: TRY004 - a fact of the file, not of a caller's type
    with archive:
        return {name: archive[name] for name in archive.files}


def _check(sample: Sample, inputs: tuple[TensorSpec, ...]) -> None:
    """Raise ValueError with the first thing that does not fit."""
    names = {spec.name for spec in inputs}
    missing, unknown = sorted(names - set(sample)), sorted(set(sample) - names)
    if missing or unknown:
        found = ", ".join(map(repr, sample)) or "nothing"
        message = f"it holds {found}, but the model takes {_names(inputs)}"
        raise ValueError(message)
    symbols: dict[str, int] = {}
    for spec in inputs:
        _check_type(spec, sample[spec.name])
        _check_shape(spec, sample[spec.name].shape, symbols)


def _check_type(spec: TensorSpec, array: np.ndarray[Any, Any]) -> None:
    from ortlab.tensors import numpy_type

    is_text = spec.element_type == "string" and array.dtype.kind in "US"
    if not is_text and array.dtype != numpy_type(spec.element_type):
        message = f"{spec.name!r} is {array.dtype}, but the model takes {spec.element_type}"
        raise ValueError(message)


def _check_shape(spec: TensorSpec, shape: tuple[int, ...], symbols: dict[str, int]) -> None:
    if spec.shape is None:
        return
    message = f"{spec.name!r} has shape {list(shape)}, but the model takes {_sizes(spec.shape)}"
    if len(shape) != len(spec.shape):
        raise ValueError(message)
    for size, expected in zip(shape, spec.shape, strict=True):
        if isinstance(expected, str) and symbols.setdefault(expected, size) != size:
            detail = f"{message} with {expected} = {symbols[expected]}"
            raise ValueError(detail)
        if isinstance(expected, int) and expected != size:
            raise ValueError(message)


def _sizes(shape: tuple[int | str | None, ...]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _names(inputs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name!r}: …" for spec in inputs)
