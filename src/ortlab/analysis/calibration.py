"""The noise floor of a device: the smallest difference that may be claimed there.

An A/A experiment measures one configuration twice, as two arms in the same rounds; whatever
difference it shows is the device's own. The floor is the 95th percentile of the size of these
differences over at least 20 experiments of 12 rounds. Source: `docs/method.md`, "Noise floor".
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ortlab import codec
from ortlab.domain import Arm, Run, StoppingRule
from ortlab.errors import BenchmarkError, StorageError, UsageError
from ortlab.rounds import log_ratios
from ortlab.statistics import noise_floor

FEWEST_EXPERIMENTS = 20
DEFAULT_ROUNDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """A device's noise floor, as stored.

    Attributes:
        device_id: Whose it is.
        effect: Smallest effect that may be claimed, such as 0.012 for 1.2 %.
        experiments: A/A experiments behind it.
        created_at: UTC, ISO 8601.
        ort_version: Of the runtime that was measured.
        rounds: Of each experiment.
        model_name: Model that was measured.
    """

    device_id: str
    effect: float
    experiments: int
    created_at: str
    ort_version: str
    rounds: int = DEFAULT_ROUNDS
    model_name: str = ""
    schema_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPlan:
    """How an A/A measurement is laid out.

    Attributes:
        arms: Twins: one configuration under two names.
        rule: One look, at the last round: an A/A experiment is never cut short.
        experiments: How many to run, each with a seed of its own.
        rounds: Of each.
    """

    arms: tuple[Arm, Arm]
    rule: StoppingRule
    experiments: int
    rounds: int


def calibration_plan(
    arm: Arm, *, experiments: int = FEWEST_EXPERIMENTS, rounds: int = DEFAULT_ROUNDS
) -> CalibrationPlan:
    """Lay out the A/A experiments of a device.

    Args:
        arm: Configuration to measure against itself.
        experiments: At least 20.
        rounds: Of each experiment; at least 8 and even, so that both orders occur as often.

    Raises:
        UsageError: Too few experiments or rounds.
    """
    if experiments < FEWEST_EXPERIMENTS:
        message = (
            f"cannot calibrate from {experiments} experiments: {FEWEST_EXPERIMENTS} are needed"
        )
        raise UsageError(message, next_step=f"ortlab calibrate --experiments {FEWEST_EXPERIMENTS}")
    if rounds < 8 or rounds % 2:
        message = f"cannot calibrate with {rounds} rounds: an even number from 8 on is needed"
        raise UsageError(message, next_step=f"ortlab calibrate --rounds {DEFAULT_ROUNDS}")
    first, second = (
        replace(arm, arm_id=f"{arm.arm_id}-{twin}", label=f"{arm.label} ({twin})")
        for twin in ("a", "b")
    )
    rule = StoppingRule(looks=(rounds,), family_alpha=0.05, look_alpha=0.05, comparisons=1)
    return CalibrationPlan(arms=(first, second), rule=rule, experiments=experiments, rounds=rounds)


def calibration_effects(runs: Sequence[Run], *, rounds: int = DEFAULT_ROUNDS) -> tuple[float, ...]:
    """Return the mean log ratio of each A/A experiment.

    A run of more rounds counts as several experiments of ``rounds`` rounds each.

    Raises:
        UsageError: A run does not measure two twins.
    """
    effects: list[float] = []
    for run in runs:
        twin = _twin_of(run)
        ratios = log_ratios(run.experiment, run.blocks, twin.arm_id)
        effects.extend(
            math.fsum(ratios[start : start + rounds]) / rounds
            for start in range(0, len(ratios) - rounds + 1, rounds)
        )
    return tuple(effects)


def calibration_floor(runs: Sequence[Run], *, rounds: int = DEFAULT_ROUNDS) -> NoiseFloor:
    """Return the noise floor from A/A runs of one device.

    Raises:
        UsageError: The runs are not A/A runs of one device and one runtime.
        BenchmarkError: They hold fewer than 20 complete experiments.
    """
    effects = calibration_effects(runs, rounds=rounds)
    if len(effects) < FEWEST_EXPERIMENTS:
        message = (
            f"cannot calibrate: {len(effects)} complete A/A experiments of {rounds} rounds were"
            f" recorded and {FEWEST_EXPERIMENTS} are needed"
        )
        raise BenchmarkError(message, next_step="ortlab calibrate")
    devices = {run.experiment.device.device_id for run in runs}
    versions = {run.experiment.device.ort_version for run in runs}
    if len(devices) > 1 or len(versions) > 1:
        seen = ", ".join(sorted(devices | versions))
        message = f"cannot calibrate from runs of several devices or runtimes: {seen}"
        raise UsageError(message)
    return NoiseFloor(
        device_id=devices.pop(),
        effect=noise_floor(effects),
        experiments=len(effects),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ort_version=versions.pop(),
        rounds=rounds,
        model_name=runs[0].experiment.model_name,
    )


def floor_path(directory: Path, device_id: str) -> Path:
    """Return where the floor of a device is stored; the name is safe whatever the id holds."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", device_id).strip(".-")[:40] or "device"
    digest = hashlib.sha256(device_id.encode(errors="surrogatepass")).hexdigest()[:8]
    return directory / f"noise-floor-{slug}-{digest}.json"


def save_floor(directory: Path, floor: NoiseFloor) -> Path:
    """Store a floor; a half-written file is never left behind.

    Raises:
        StorageError: The directory cannot be written.
    """
    path = floor_path(directory, floor.device_id)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=".noise-floor-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(codec.to_json(floor, indent=2) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        message = f"cannot store the noise floor in {directory}: {error.strerror or error}"
        raise StorageError(message) from error
    return path


def load_floor(directory: Path, device_id: str) -> NoiseFloor | None:
    """Return the stored floor of a device, or None when it was never calibrated.

    Raises:
        StorageError: The file cannot be read, or belongs to another device.
    """
    path = floor_path(directory, device_id)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"cannot read the noise floor {path}: {error.strerror or error}"
        raise StorageError(message) from error
    floor = codec.from_json(NoiseFloor, text, source=str(path))
    if floor.device_id != device_id or not 0 <= floor.effect < math.inf:
        message = f"cannot use the noise floor {path}: it is not one of {device_id}"
        raise StorageError(message, next_step=f"ortlab calibrate --device {device_id}")
    return floor


def _twin_of(run: Run) -> Arm:
    """Return the arm that is the baseline under another name."""
    experiment = run.experiment
    base = experiment.arm(experiment.baseline)
    others = [arm for arm in experiment.arms if arm.arm_id != base.arm_id]
    if len(others) == 1 and same_configuration(base, others[0]):
        return others[0]
    message = f"cannot calibrate from {experiment.experiment_id}: its arms are not two twins"
    raise UsageError(message, next_step="ortlab calibrate")


def same_configuration(first: Arm, second: Arm) -> bool:
    """Return whether two arms run the same file with the same settings.

    Names and places may differ: ids, labels, the file's path and the preparation it came from.
    """
    return _nameless(first) == _nameless(second)


def _nameless(arm: Arm) -> Arm:
    return replace(arm, arm_id="", label="", model_path="", prepared_sha256="", variant_id="")
