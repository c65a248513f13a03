"""A device's answer → the block that is recorded: parity, executed operators, disturbances.

An answer that contradicts itself (no samples, a file outside of its directory, an unreadable
profile) is kept as a died block of kind ``garbled_result``: nothing is made up for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ortlab.bench.profile import executed_operators
from ortlab.domain import (
    Arm,
    Block,
    ExecutedOperator,
    Experiment,
    Outcome,
    Parity,
    ParityStatus,
)
from ortlab.errors import BenchmarkError, StorageError
from ortlab.rounds import median_ns
from ortlab.schedule import NextBlock
from ortlab.wire import BlockResult, Conditions, Death, DeathKind, Purpose, TensorFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUSY_LIMIT: Final = 0.25
"""Share of the machine's CPU time used by others above which a block is disturbed."""

_COOL: Final = frozenset({"", "none", "nominal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked: the step, its arm and where its files are.

    Attributes:
        step: The block.
        experiment: It belongs to.
        directory: The block's files now.
        kept_path: Where they will be, relative to the run directory.
    """

    step: NextBlock
    experiment: Experiment
    directory: Path
    kept_path: str

    @property
    def arm(self) -> Arm:
        """The arm of the step."""
        return self.experiment.arm(self.step.arm_id)


def block_of(asked: Asked, answer: BlockResult | Death) -> Block:
    """Return the block to record for an answer.

    Raises:
        StorageError: The sample's own reference outputs cannot be read.
    """
    step = asked.step
    block = Block(
        block_id=step.block_id,
        arm_id=step.arm_id,
        purpose=step.purpose,
        round_index=step.round_index,
        attempt=step.attempt,
        outcome=Outcome.DIED,
        result=None,
        death=None,
    )
    if isinstance(answer, Death):
        return replace(block, death=answer)
    if answer.block_id != step.block_id:
        death = Death(
            kind=DeathKind.WRONG_BLOCK,
            message=f"the runner answered for block {answer.block_id!r}",
        )
        return replace(block, death=death)
    try:
        result = _kept(answer, asked)
        if answer.failure is not None:
            return replace(block, outcome=Outcome.FAILED, result=result)
        good = replace(block, outcome=Outcome.OK, result=result)
        return _judged(good, asked)
    except _GarbledError as error:
        death = Death(kind=DeathKind.GARBLED_RESULT, message=f"the runner's answer {error}")
        return replace(block, death=death)


class _GarbledError(Exception):
    """An answer that cannot be what happened."""


def _judged(block: Block, asked: Asked) -> Block:
    if block.result is None:
        return block
    if block.purpose is Purpose.PARITY:
        return replace(block, parity=_parity(block.result, asked))
    if block.purpose is Purpose.PROFILE:
        return replace(block, executed=_executed(block.result, asked))
    if block.purpose is Purpose.LATENCY:
        if median_ns(block) is None:
            message = "holds no measured run that took time"
            raise _GarbledError(message)
        return replace(block, disturbances=tuple(disturbances(block.result)))
    return block


# ------------------------------------------------------------------------------ files


def _kept(result: BlockResult, asked: Asked) -> BlockResult:
    """Return the result with paths that are relative to the run directory."""
    outputs = tuple(
        replace(tensor, path=f"{asked.kept_path}/{_inside(tensor.path, asked)}")
        for tensor in result.outputs
    )
    profile = result.profile_path
    if profile is not None:
        profile = f"{asked.kept_path}/{_inside(profile, asked)}"
    return replace(result, outputs=outputs, profile_path=profile)


def _inside(path: str, asked: Asked) -> str:
    """Return a path relative to the block's directory; it may not lead out of it."""
    directory = asked.directory.resolve()
    try:
        return (directory / path).resolve().relative_to(directory).as_posix()
    except (ValueError, OSError, RuntimeError) as error:
        message = f"names a file outside of its directory: {path!r}"
        raise _GarbledError(message) from error


def _now(path: str, asked: Asked) -> Path:
    """Return where a kept file is at present."""
    return asked.directory / path.removeprefix(asked.kept_path + "/")


def _executed(result: BlockResult, asked: Asked) -> tuple[ExecutedOperator, ...]:
    if result.profile_path is None:
        message = "names no profile"
        raise _GarbledError(message)
    path = _now(result.profile_path, asked)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        return executed_operators(text, source=path.name)
    except OSError as error:
        message = f"names a profile that cannot be read: {error.strerror}"
        raise _GarbledError(message) from error
    except BenchmarkError as error:
        message = f"is of no use: {error.message}"
        raise _GarbledError(message) from error


# ------------------------------------------------------------------------------ parity


def _parity(result: BlockResult, asked: Asked) -> Parity:
    arm, sample = asked.arm, asked.experiment.sample
    references = arm.reference or sample.outputs
    if arm.parity_tolerance is None and arm.min_sqnr_db is None:
        reason = "it was not checked at preparation, so there is nothing to hold a device to"
        return Parity(status=ParityStatus.NOT_CHECKED, reason=reason)
    if not references:
        reason = "there are no reference outputs"
        return Parity(status=ParityStatus.NOT_CHECKED, reason=reason)
    actual = _actual(result, asked)
    return hold(arm, actual, _read(references, Path(asked.experiment.prepared_path)))


def hold(arm: Arm, actual: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> Parity:
    """Hold outputs to the reference by the arm's own rule."""
    from ortlab.tensors import compare_outputs, compare_quantized

    if arm.parity_tolerance is not None:
        rtol, atol = arm.parity_tolerance
        return compare_outputs(actual, expected, rtol=rtol, atol=atol)
    least = arm.min_sqnr_db if arm.min_sqnr_db is not None else 0.0
    return compare_quantized(actual, expected, min_sqnr_db=least, min_top1_agreement=None)


def _actual(result: BlockResult, asked: Asked) -> dict[str, NDArray[Any]]:
    here = tuple(replace(tensor, path=str(_now(tensor.path, asked))) for tensor in result.outputs)
    try:
        return _read(here, Path())
    except (BenchmarkError, StorageError) as error:
        message = f"has outputs that cannot be read: {error.message}"
        raise _GarbledError(message) from error


def _read(tensors: Sequence[TensorFile], base: Path) -> dict[str, NDArray[Any]]:
    from ortlab.tensors import read_tensor

    return {tensor.name: read_tensor(tensor, base) for tensor in tensors}


# ------------------------------------------------------------------------------ disturbances


def disturbances(result: BlockResult) -> Iterator[str]:
    """Yield why a block's latency is suspect, in sentences."""
    before = result.conditions_before or Conditions()
    after = result.conditions_after or Conditions()
    throttled = [c.thermal_status for c in (before, after) if _hot(c)]
    if throttled:
        yield f"the device was throttled (thermal status {throttled[-1]})"
    if before.foreground is False or after.foreground is False:
        yield "the app was not in the foreground with the screen on"
    if before.charging is not None and after.charging is not None:
        if before.charging and not after.charging:
            yield "the charger was pulled"
        elif after.charging and not before.charging:
            yield "the charger was plugged in"
    if after.low_power_mode and not before.low_power_mode:
        yield "the system went into low-power mode"
    if after.busy_fraction is not None and after.busy_fraction > BUSY_LIMIT:
        share = f"{after.busy_fraction:.0%}"
        yield f"other programs used {share} of the machine's CPU time"


def _hot(conditions: Conditions) -> bool:
    return (conditions.thermal_status or "").lower() not in _COOL
