"""What a user may ask of `prepare`, and what he is told while it runs and afterwards.

Light: the standard library only, because the driver reads it before the worker is started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ortlab.domain import OptimizationStyle, Precision, PreparedModel, TargetPlatform
from ortlab.errors import OrtlabError, UsageError
from ortlab.wire import GraphOptimizationLevel

LARGEST_DIMENSION = 2**31 - 1

_FILES = ("inputs", "reference", "calibration", "custom_op_library")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """What to make of a model.

    Attributes:
        styles: Styles of the variants.
        targets: CPU families of the `.ort` variants.
        precisions: Number formats; each but fp32 is made from the repaired model.
        level: Graph optimization level the `.ort` variants are saved with.
        input_shapes: Input name to the sizes its dimensions are fixed to.
        dims: Symbolic dimension to the size it is fixed to.
        inputs: `.npz` file, or folder of them, with real inputs by name; one file is one sample.
        reference: `.npz` with the framework's own outputs by name, for the first sample.
        calibration: Folder of `.npz`, one a sample, for static int8.
        custom_op_library: Shared library with the model's own operators.
        type_reduction: Recommend the operator config that lists element types.
        save_optimized_onnx: Also save what each style optimized as `.onnx`, to look at.
        nnapi_stop_ops: Operators at which the NNAPI prediction stops partitioning.
        min_sqnr_db: Least SQNR of int8 and int4 variants; their default if None.
        min_top1_agreement: Least top-1 agreement of them, 0 to 1; not required if None.
        allow_failures: A variant that cannot be converted is refused and the others go on.
        allow_parity_failure: A variant out of tolerance is no error.
        parity: Compare every variant with the reference.
        configs: Write operator configs and recipes for reduced builds.
        predictions: Predict partitions of NNAPI and CoreML.
        seed: Of made-up inputs.
        deadline_s: Total time one model may take.
        memory_limit_bytes: Address space of the worker; 2 GB and eight times the weights if None.

    Raises:
        UsageError: A value means nothing.
    """

    styles: tuple[OptimizationStyle, ...] = tuple(OptimizationStyle)
    targets: tuple[TargetPlatform, ...] = tuple(TargetPlatform)
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    level: GraphOptimizationLevel = GraphOptimizationLevel.ALL
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Path | None = None
    reference: Path | None = None
    calibration: Path | None = None
    custom_op_library: Path | None = None
    type_reduction: bool = False
    save_optimized_onnx: bool = False
    nnapi_stop_ops: tuple[str, ...] = ()
    min_sqnr_db: float | None = None
    min_top1_agreement: float | None = None
    allow_failures: bool = False
    allow_parity_failure: bool = False
    parity: bool = True
    configs: bool = True
    predictions: bool = True
    seed: int = 0
    deadline_s: float = 600.0
    memory_limit_bytes: int | None = None

    def __post_init__(self) -> None:  # noqa: D105
        for label, chosen in (
            ("style", self.styles),
            ("target", self.targets),
            ("precision", self.precisions),
        ):
            if not chosen:
                message = f"cannot prepare without a {label}: give at least one"
                raise UsageError(message)
        for name, sizes in self.input_shapes.items():
            for size in sizes:
                _check_size(size, f"input shape of {name!r}")
        for name, size in self.dims.items():
            _check_size(size, f"dimension {name!r}")
        if self.deadline_s <= 0:
            message = f"cannot use a deadline of {self.deadline_s} s: it must be positive"
            raise UsageError(message)
        agreement = self.min_top1_agreement
        if agreement is not None and not 0 <= agreement <= 1:
            message = f"cannot use a top-1 agreement of {agreement}: it lies between 0 and 1"
            raise UsageError(message)
        for name in _FILES:
            path = getattr(self, name)
            if path is not None and not path.exists():
                option = name.replace("_", "-")
                message = f"cannot use --{option} {path}: there is no such file or folder"
                raise UsageError(message)

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON structure; paths are made absolute."""
        plain: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            plain[item.name] = str(value.absolute()) if isinstance(value, Path) else value
        plain["input_shapes"] = {name: list(sizes) for name, sizes in self.input_shapes.items()}
        plain["dims"] = dict(self.dims)
        return plain


def options_from_plain(plain: Mapping[str, Any]) -> PrepareOptions:
    """Return what :meth:`PrepareOptions.to_plain` was called on."""
    values = dict(plain)
    values["styles"] = tuple(OptimizationStyle(value) for value in plain["styles"])
    values["targets"] = tuple(TargetPlatform(value) for value in plain["targets"])
    values["precisions"] = tuple(Precision(value) for value in plain["precisions"])
    values["level"] = GraphOptimizationLevel(plain["level"])
    values["nnapi_stop_ops"] = tuple(plain["nnapi_stop_ops"])
    values["input_shapes"] = {name: tuple(s) for name, s in plain["input_shapes"].items()}
    for name in _FILES:
        values[name] = Path(plain[name]) if plain[name] is not None else None
    return PrepareOptions(**values)


def parse_dims(texts: Sequence[str]) -> dict[str, int]:
    """Parse ``batch=1`` from a command line; the last ``=`` separates.

    Raises:
        UsageError: A text has no name or no positive whole number.
    """
    dims: dict[str, int] = {}
    for text in texts:
        name, separator, size = text.rpartition("=")
        if not separator or not name or not re.fullmatch(r"[0-9]{1,10}", size.strip()):
            message = f"cannot read --dim {text!r}: write NAME=SIZE, such as batch=1"
            raise UsageError(message)
        dims[name] = _check_size(int(size), f"dimension {name!r}")
    return dims


def parse_input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parse ``input=1,3,48,192`` from a command line; the last ``=`` separates.

    Nothing after the ``=`` is the shape of a scalar.

    Raises:
        UsageError: A text has no name, or its sizes are not positive whole numbers.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, separator, listed = text.rpartition("=")
        sizes = [size.strip() for size in re.split(r"[,x]", listed)] if listed.strip() else []
        if not separator or not name or not all(re.fullmatch(r"[0-9]{1,10}", s) for s in sizes):
            message = f"cannot read --input-shape {text!r}: write NAME=SIZES, such as x=1,3,224,224"
            raise UsageError(message)
        shapes[name] = tuple(_check_size(int(s), f"input shape of {name!r}") for s in sizes)
    return shapes


def _check_size(size: int, what: str) -> int:
    if not 1 <= size <= LARGEST_DIMENSION:
        message = f"cannot use {size} in the {what}: a size lies between 1 and {LARGEST_DIMENSION}"
        raise UsageError(message)
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareProgress:
    """Where the preparation of one model stands.

    Attributes:
        model: Name of the prepared model.
        step: Short name of the step that begins, such as ``convert fixed-arm``; ``done``,
            ``cached`` and ``failed`` are the last ones.
        fraction: 0 to 1, or None when unknown.
        message: For people.
    """

    model: str
    step: str
    fraction: float | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """What became of one model.

    Attributes:
        source: The user's file.
        name: Of the prepared model.
        directory: Where it was prepared; None when it was not.
        prepared: The manifest; None when there is none.
        error: Why it failed; beside ``prepared`` when a variant is out of tolerance.
        cached: Whether an unchanged preparation was found.
        duration_s: From start to end.
    """

    source: Path
    name: str
    directory: Path | None
    prepared: PreparedModel | None
    error: OrtlabError | None
    cached: bool
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSummary:
    """What became of all models, in the order they were given."""

    results: tuple[ModelResult, ...]

    @property
    def error(self) -> OrtlabError | None:
        """The first error, whose family gives the exit code; None when all is well."""
        return next((result.error for result in self.results if result.error), None)
