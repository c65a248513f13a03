"""A run and what follows from it, as the lab keeps it: a `CellResult`."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from device_lab.values import Cell, CellResult, Comparison
from ortlab.analysis import analyze
from ortlab.codec import to_json
from ortlab.domain import Analysis, Arm, Block, Run
from ortlab.domain import Comparison as Compared
from ortlab.rounds import log_ratios


def cell_result(run: Run, cell: Cell, phone_id: str) -> CellResult:
    """Say what a finished run shows.

    Args:
        run: With every block.
        cell: That it was measured for.
        phone_id: Of the phone, in the lab.
    """
    analysis = analyze(run)
    experiment = run.experiment
    baseline = experiment.arm(experiment.baseline)
    return CellResult(
        cell_id=cell.cell_id,
        job_id=cell.job_id,
        model=cell.model,
        model_name=experiment.model_name,
        phone_id=phone_id,
        phone_name=experiment.device.name,
        virtual=experiment.device.virtual,
        finished_at=max((ended_at(block) for block in run.blocks), default=_NEVER),
        control=control_digest(baseline, analysis),
        control_label=baseline.label,
        trust=str(analysis.grade),
        comparisons=tuple(_comparison(run, compared) for compared in analysis.comparisons),
        sentences=analysis.headlines,
    )


def control_digest(arm: Arm, analysis: Analysis) -> str:
    """Return a digest of what an arm is and of the runtime that ran it.

    Names and places are left out, so that the same file with the same settings on the same
    version of ONNX Runtime is the same control in every night.
    """
    versions = {summary.arm_id: summary.ort_version for summary in analysis.arms}
    same = replace(
        arm,
        arm_id="",
        label="",
        variant_id="",
        model_path="",
        prepared_sha256="",
        runtime=versions.get(arm.arm_id),
        custom_op_library="given" if arm.custom_op_library else None,
        reference=(),
    )
    return hashlib.sha256(to_json(same).encode()).hexdigest()


def ended_at(block: Block) -> datetime:
    """Return when a block ended."""
    started = datetime.fromisoformat(block.started_at)
    return started.astimezone(UTC) + timedelta(seconds=block.duration_s)


def _comparison(run: Run, compared: Compared) -> Comparison:
    experiment, effect = run.experiment, compared.effect
    return Comparison(
        arm=experiment.arm(compared.arm_id).label,
        baseline=experiment.arm(compared.baseline).label,
        ratio=effect.ratio if effect else math.nan,
        low=effect.low if effect else math.nan,
        high=effect.high if effect else math.nan,
        verdict=str(compared.verdict),
        sentence=compared.sentence,
        log_ratios=log_ratios(experiment, run.blocks, compared.arm_id),
    )


_NEVER = datetime.min.replace(tzinfo=UTC)
