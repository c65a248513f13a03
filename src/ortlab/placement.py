"""Placement by execution provider, predicted beside measured.

Measured is what ORT's profile shows to have run; predicted is what the usability checker of the
preparation said. Nodes that a provider takes often run as one fused node each partition, so the
two count different things: predicted supported nodes, and executed pieces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ortlab.domain import Arm, ArmSummary, PartitionPrediction, PreparedModel, Run

CPU_PROVIDER = "CPUExecutionProvider"
_PREDICTED_NAMES = {
    "NnapiExecutionProvider": ("nnapi",),
    "CoreMLExecutionProvider": ("coreml-neuralnetwork", "coreml-mlprogram"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRow:
    """One provider of one arm.

    Attributes:
        arm_id: The arm.
        provider: ORT's name.
        requested: Whether the arm asked for it.
        registered: Whether the session reported it.
        predicted_node_count: Nodes it was predicted to take; None where nothing was predicted.
        predicted_partition_count: Pieces it was predicted to get; likewise.
        executed_node_count: Nodes that ran on it, after optimization and fusion; None without a
            profile.
        note: What differs, in a sentence; empty otherwise.
    """

    arm_id: str
    provider: str
    requested: bool
    registered: bool
    predicted_node_count: int | None
    predicted_partition_count: int | None
    executed_node_count: int | None
    note: str


def compare_placement(
    run: Run, arms: Sequence[ArmSummary], prepared: PreparedModel | None
) -> tuple[PlacementRow, ...]:
    """Return each arm's providers, predicted beside measured.

    Args:
        run: Whose experiment says what was asked.
        arms: Summaries, as `analyze` gives them.
        prepared: With the predictions; None leaves the predicted columns empty.
    """
    rows: list[PlacementRow] = []
    for summary in arms:
        arm = run.experiment.arm(summary.arm_id)
        executed = Counter[str]()
        for operator in summary.executed:
            executed[operator.provider] += operator.count
        asked = [provider.name for provider in arm.providers]
        rows.extend(
            _row(arm, summary, name, executed, prepared)
            for name in dict.fromkeys((*asked, *summary.registered_providers, *executed))
        )
    return tuple(rows)


def _row(
    arm: Arm,
    summary: ArmSummary,
    name: str,
    executed: Counter[str],
    prepared: PreparedModel | None,
) -> PlacementRow:
    prediction = _prediction(arm, name, prepared)
    requested = any(provider.name == name for provider in arm.providers)
    registered = name in summary.registered_providers
    count = executed[name] if summary.executed else None
    return PlacementRow(
        arm_id=arm.arm_id,
        provider=name,
        requested=requested,
        registered=registered,
        predicted_node_count=prediction.supported_node_count if prediction else None,
        predicted_partition_count=prediction.partition_count if prediction else None,
        executed_node_count=count,
        note=_note(name, prediction, requested=requested, registered=registered, count=count),
    )


def _prediction(
    arm: Arm, provider: str, prepared: PreparedModel | None
) -> PartitionPrediction | None:
    if prepared is None:
        return None
    names = _PREDICTED_NAMES.get(provider, ())
    if len(names) > 1:
        options = next((p.options for p in arm.providers if p.name == provider), {})
        names = names[1:] if options.get("ModelFormat") == "MLProgram" else names[:1]
    found = [p for p in prepared.predictions if p.provider in names]
    own = [p for p in found if p.variant_id == arm.variant_id]
    return next(iter(own or found), None)


def _note(
    name: str,
    prediction: PartitionPrediction | None,
    *,
    requested: bool,
    registered: bool,
    count: int | None,
) -> str:
    if requested and not registered:
        return f"{name} was asked for and the session does not report it"
    if count is None or not requested:
        return ""
    if name != CPU_PROVIDER and count == 0:
        predicted = prediction.supported_node_count if prediction else 0
        if predicted:
            return f"{predicted} nodes were predicted for {name} and none ran there"
        return f"nothing ran on {name}"
    if prediction and prediction.supported_node_count == 0 and count > 0:
        return f"no node was predicted for {name} and {count} ran there"
    return ""
