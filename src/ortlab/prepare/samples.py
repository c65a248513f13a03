"""Inputs: the user's own, or made up from a seed in ranges that most models take.

Runs in the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import TensorSpec
from ortlab.errors import BenchmarkError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

LARGEST_MADE_UP_BYTES = 256 * 2**20

GIVE_INPUTS = "give real inputs with --inputs FILE.npz (arrays by input name)"

_BATCH = ("batch", "n", "b", "bs")
_FULL_RANGE = ("uint8", "int8")
_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSet:
    """One set of inputs in memory.

    Attributes:
        sample_id: Directory name.
        origin: ``seeded``, or the name of the user's file.
        arrays: Input name to array.
        types: Input name to ONNX element type.
        notes: Sizes chosen for unknown dimensions, in sentences.
    """

    sample_id: str
    origin: str
    arrays: Mapping[str, Array]
    types: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """Sizes and ranges that are tried together, from likely to harmless."""

    image: int
    other: int
    largest_integer: int
    low: float = -1.0


_ATTEMPTS = (
    _Attempt(image=224, other=16, largest_integer=9),
    _Attempt(image=224, other=16, largest_integer=1, low=0.0),
    _Attempt(image=64, other=8, largest_integer=1, low=0.0),
    _Attempt(image=32, other=1, largest_integer=1, low=0.5),
)


class CannotMakeUpError(Exception):
    """Inputs of this kind cannot be made up; the text is the reason."""


@dataclass(slots=True)
class _Sizes:
    """Sizes chosen so far: symbols keep theirs, unnamed unknowns are each their own."""

    attempt: _Attempt
    chosen: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def shape(self, spec: TensorSpec) -> tuple[int, ...]:
        if spec.shape is None:
            message = f"input {spec.name!r} has no known rank, or is no tensor"
            raise CannotMakeUpError(message)
        rank = len(spec.shape)
        return tuple(self._size(spec, index, rank) for index in range(rank))

    def _size(self, spec: TensorSpec, index: int, rank: int) -> int:
        assert spec.shape is not None
        dim = spec.shape[index]
        if isinstance(dim, int):
            return dim
        if dim is not None and dim in self.chosen:
            return self.chosen[dim]
        size = self._guess(dim, index, rank)
        said = f"dimension {dim!r}" if dim is not None else f"unknown dimension {index}"
        self.notes.append(f"{said} of input {spec.name!r} was taken as {size}")
        if dim is not None:
            self.chosen[dim] = size
        return size

    def _guess(self, dim: str | None, index: int, rank: int) -> int:
        if index == 0 or (dim is not None and dim.casefold() in _BATCH):
            return 1
        if rank == _IMAGE_RANK:
            return 3 if index == 1 else self.attempt.image
        return self.attempt.other


def made_up_inputs(specs: Sequence[TensorSpec], seed: int) -> Iterator[InputSet]:
    """Yield sets of inputs, from likely to harmless, until the caller has one that works.

    Floats are uniform in [-1, 1), later in [0, 1); integers of 8 bits take their whole range,
    others lie in 0 to 9, later in 0 to 1; strings are digits.

    Raises:
        CannotMakeUpError: An input is no tensor, has no rank, or would be huge.
    """
    import numpy as np

    seen: set[tuple[tuple[str, ...], int, float]] = set()
    for attempt in _ATTEMPTS:
        sizes = _Sizes(attempt)
        random = np.random.default_rng(seed)
        arrays = {spec.name: _random(spec, sizes, random) for spec in specs}
        key = (tuple(sizes.notes), attempt.largest_integer, attempt.low)
        if key in seen or (seen and not arrays):
            continue
        seen.add(key)
        yield InputSet(sample_id="seeded", origin="seeded", arrays=arrays, notes=tuple(sizes.notes))


def _random(spec: TensorSpec, sizes: _Sizes, random: np.random.Generator) -> Array:
    import numpy as np

    from ortlab.tensors import numpy_type

    shape = sizes.shape(spec)
    count = 1
    for size in shape:
        count *= size
    if spec.element_type == "string":
        if count * 8 > LARGEST_MADE_UP_BYTES:
            raise CannotMakeUpError(_too_large(spec, shape))
        digits = random.integers(0, sizes.attempt.largest_integer + 1, shape)
        return np.asarray(digits).astype(str).astype(object)
    try:
        kind = np.dtype(numpy_type(spec.element_type))
    except BenchmarkError as error:
        message = f"input {spec.name!r} holds {spec.element_type}, which cannot be made up"
        raise CannotMakeUpError(message) from error
    if count * max(kind.itemsize, 8) > LARGEST_MADE_UP_BYTES:
        raise CannotMakeUpError(_too_large(spec, shape))
    if spec.element_type == "bool":
        return random.integers(0, 2, shape).astype(kind)
    if kind.kind in "iu":
        high = sizes.attempt.largest_integer
        low = 0
        if spec.element_type in _FULL_RANGE and high > 1:
            limits = np.iinfo(kind)
            low, high = int(limits.min), int(limits.max)
        return random.integers(low, high + 1, shape).astype(kind)
    return np.asarray(random.uniform(sizes.attempt.low, 1.0, shape)).astype(kind)


def _too_large(spec: TensorSpec, shape: tuple[int, ...]) -> str:
    return f"input {spec.name!r} of {'×'.join(map(str, shape))} would be huge"


def read_inputs(path: Path, specs: Sequence[TensorSpec]) -> tuple[InputSet, ...]:
    """Read the user's inputs: an `.npz` file, or every one in a folder, sorted by name.

    Raises:
        UsageError: There is none, one cannot be read, or it lacks an input of the model or holds
            another type.
    """
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files:
        message = f"cannot use the inputs in {path}: it holds no .npz file"
        raise UsageError(message, next_step="save arrays by input name with numpy.savez")
    sets = []
    for number, file in enumerate(files):
        arrays = read_npz(file)
        if missing := [spec.name for spec in specs if spec.name not in arrays]:
            message = (
                f"cannot use the inputs in {file}: it lacks {missing[0]!r}; it holds"
                f" {', '.join(map(repr, arrays)) or 'nothing'}"
            )
            raise UsageError(message, next_step="save arrays by input name with numpy.savez")
        chosen = {spec.name: _as_input(arrays[spec.name], spec, file) for spec in specs}
        sets.append(
            InputSet(
                sample_id=f"given-{number:03d}",
                origin=file.name,
                arrays=chosen,
                types={spec.name: spec.element_type for spec in specs},
            )
        )
    return tuple(sets)


def _as_input(array: Array, spec: TensorSpec, file: Path) -> Array:
    """Turn NumPy's own strings into Python's, and doubles into floats, its default."""
    import numpy as np

    from ortlab.tensors import numpy_type

    if spec.element_type == "string":
        return array.astype(object)
    try:
        wanted = np.dtype(numpy_type(spec.element_type))
    except BenchmarkError:
        return array  # ORT says what it makes of it
    if not np.can_cast(array.dtype, wanted, casting="same_kind"):
        message = (
            f"cannot use the inputs in {file}: {spec.name!r} is {array.dtype}, and the model takes"
            f" {spec.element_type}"
        )
        raise UsageError(message, next_step="save the array in the model's own type")
    return array.astype(wanted, copy=False)


def read_npz(path: Path) -> dict[str, Array]:
    """Read arrays by name; nothing in the file is executed.

    Raises:
        UsageError: It cannot be read as `.npz`.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        message = f"cannot read {path} as .npz: {error}"
        raise UsageError(message, next_step="save arrays by name with numpy.savez") from error
