"""Every variant against the reference, on the CPU.

Runs in the worker. The reference is the repaired model without graph optimization, or the
framework's own outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortlab.domain import Parity, ParityStatus, Precision
from ortlab.errors import ModelError
from ortlab.prepare.convert import (
    OrtRefusedError,
    SessionRequest,
    open_session,
    run_session,
)
from ortlab.prepare.options import PrepareOptions
from ortlab.prepare.samples import (
    GIVE_INPUTS,
    CannotMakeUpError,
    InputSet,
    made_up_inputs,
    read_inputs,
    read_npz,
)
from ortlab.wire import GraphOptimizationLevel

if TYPE_CHECKING:
    import numpy as np

    from ortlab.domain import TensorSpec

    Array = np.ndarray[Any, Any]

ORIGINAL = "original"
DEFAULT_MIN_SQNR_DB = 10.0

_SMALL_BYTES = 200 * 2**20

_SEVERITY = (ParityStatus.FAILED, ParityStatus.NOT_CHECKED, ParityStatus.PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Inputs with the outputs that variants are held to.

    Attributes:
        name: ``original`` or the name of the reference file.
        samples: Inputs and outputs by name.
        reason: Why there is nothing to compare with; empty otherwise.
        small: Whether all values in between fit into memory at once with ease, so that sessions
            need not plan its reuse.
    """

    name: str
    samples: tuple[tuple[InputSet, Mapping[str, Array]], ...]
    reason: str = ""
    small: bool = False


def make_reference(
    model: Path, specs: Sequence[TensorSpec], options: PrepareOptions, *, source: Path
) -> Reference:
    """Run the repaired model on the user's inputs or made-up ones.

    Args:
        model: The repaired model.
        specs: Its inputs.
        options: Where inputs and reference come from.
        source: The user's file, for messages.

    Raises:
        ModelError: ORT does not load the model, or it refuses the user's own inputs.
        UsageError: A file of the user's cannot be read.
    """
    try:
        before = _peak_bytes()
        found = _run_reference(model, specs, options, source, plans_reuse=False)
        small = _peak_bytes() - before < _SMALL_BYTES
    except MemoryError:
        found, small = _run_reference(model, specs, options, source, plans_reuse=True), False
    return replace(found, small=small)


def _peak_bytes() -> int:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _run_reference(
    model: Path,
    specs: Sequence[TensorSpec],
    options: PrepareOptions,
    source: Path,
    *,
    plans_reuse: bool,
) -> Reference:
    session = _reference_session(model, options.custom_op_library, source, plans_reuse=plans_reuse)
    name = options.reference.name if options.reference else ORIGINAL
    reason, samples = "", []
    if options.inputs is not None:
        for given in read_inputs(options.inputs, specs):
            try:
                samples.append((given, _tensors(run_session(session, given.arrays))))
            except OrtRefusedError as error:
                message = (
                    f"cannot run {source} on the inputs of {given.origin}: onnxruntime says:"
                    f" {error}"
                )
                raise ModelError(message, next_step="check their names, types, shapes") from error
    else:
        found, reason = _made_up(session, specs, options.seed)
        samples += [found] if found else []
    if options.reference is not None and samples:
        inputs, own = samples[0]
        samples = [(inputs, _framework_outputs(options.reference, own))]
    return Reference(name=name, samples=tuple(samples), reason=reason)


def _reference_session(
    model: Path, custom_op_library: Path | None, source: Path, *, plans_reuse: bool
) -> Any:
    refusal: OrtRefusedError | None = None
    for level in (GraphOptimizationLevel.DISABLED, GraphOptimizationLevel.BASIC):
        try:
            return open_session(
                SessionRequest(
                    model=model,
                    level=level,
                    entries={"session.disable_prepacking": "1"},
                    custom_op_library=custom_op_library,
                    plans_reuse=plans_reuse,
                )
            )
        except OrtRefusedError as error:
            refusal = refusal or error
    message = f"cannot prepare {source}: onnxruntime says: {refusal}"
    raise ModelError(message, next_step=f"ortlab inspect {source}") from refusal


def _made_up(
    session: Any, specs: Sequence[TensorSpec], seed: int
) -> tuple[tuple[InputSet, dict[str, Array]] | None, str]:
    """Return the first made-up inputs that give finite outputs, or that work at all."""
    fallback: tuple[InputSet, dict[str, Array]] | None = None
    reason = ""
    try:
        for made in made_up_inputs(specs, seed):
            try:
                outputs = _tensors(run_session(session, made.arrays))
            except OrtRefusedError as error:
                reason = f"the model refuses made-up inputs ({error}); {GIVE_INPUTS}"
                continue
            if _finite(outputs):
                return (made, outputs), ""
            fallback = fallback or (made, outputs)
    except CannotMakeUpError as error:
        reason = f"{error}; {GIVE_INPUTS}"
    return fallback, "" if fallback else reason


def _tensors(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """Keep the outputs that are tensors; sequences and maps are not compared."""
    import numpy as np

    return {name: value for name, value in outputs.items() if isinstance(value, np.ndarray)}


def _finite(outputs: Mapping[str, Array]) -> bool:
    import numpy as np

    return all(
        bool(np.isfinite(value).all()) for value in outputs.values() if value.dtype.kind == "f"
    )


def _framework_outputs(path: Path, own: Mapping[str, Array]) -> dict[str, Array]:
    given = read_npz(path)
    known = {name: given[name] for name in own if name in given}
    if not known:
        message = (
            f"cannot use the reference {path}: it holds {', '.join(map(repr, given)) or 'nothing'},"
            f" and the model's outputs are {', '.join(map(repr, own))}"
        )
        raise ModelError(message, next_step="save the outputs by the model's own names")
    return {
        name: value.astype(object) if value.dtype.kind == "U" else value
        for name, value in known.items()
    }


def not_checked(reference: Reference | None, reason: str) -> Parity:
    """Return a parity that was not checked, and why."""
    return Parity(
        status=ParityStatus.NOT_CHECKED,
        reference=reference.name if reference else ORIGINAL,
        reason=reason,
    )


def check_parity(
    sessions: Sequence[Any], reference: Reference, precision: Precision, options: PrepareOptions
) -> Parity:
    """Run a variant's sessions on every sample; return the worst comparison.

    Args:
        sessions: Of one variant: a Runtime-style one has one with replay and one without.
        reference: What it is held to.
        precision: Decides the tolerance.
        options: Thresholds for int8 and int4, and whether a failure is allowed.
    """
    if not reference.samples:
        return not_checked(reference, reference.reason)
    found = []
    for session in sessions:
        for inputs, expected in reference.samples:
            try:
                outputs = _tensors(run_session(session, inputs.arrays))
            except OrtRefusedError as error:
                found.append(
                    Parity(
                        status=ParityStatus.FAILED,
                        reference=reference.name,
                        reason=f"it does not run on sample {inputs.sample_id}: {error}",
                    )
                )
                continue
            outputs = {name: value for name, value in outputs.items() if name in expected}
            found.append(_compare(outputs, expected, reference, precision, options))
    worst = min(found, key=_severity)
    if worst.status is ParityStatus.FAILED and options.allow_parity_failure:
        return replace(worst, allowed=True)
    return worst


def _severity(parity: Parity) -> tuple[int, float, float]:
    """Failures first, then the largest error or the smallest SQNR."""
    sqnr = parity.sqnr_db if parity.sqnr_db is not None else 0.0
    return _SEVERITY.index(parity.status), sqnr, -(parity.max_abs_error or 0.0)


def _compare(
    outputs: Mapping[str, Array],
    expected: Mapping[str, Array],
    reference: Reference,
    precision: Precision,
    options: PrepareOptions,
) -> Parity:
    from ortlab.tensors import compare_outputs, compare_quantized, tolerance_of

    tolerance = tolerance_of(precision)
    if tolerance is not None:
        rtol, atol = tolerance
        return compare_outputs(outputs, expected, rtol=rtol, atol=atol, reference=reference.name)
    threshold = options.min_sqnr_db
    return compare_quantized(
        outputs,
        expected,
        min_sqnr_db=DEFAULT_MIN_SQNR_DB if threshold is None else threshold,
        min_top1_agreement=options.min_top1_agreement,
        reference=reference.name,
    )
