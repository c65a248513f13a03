"""Recorded blocks → verdicts, trust, placement, recommendation, gate; pure but for the floors."""

from __future__ import annotations

from ortlab.analysis.analyze import analyze, difference, latency_log_ratios
from ortlab.analysis.calibration import (
    CalibrationPlan,
    NoiseFloor,
    calibration_effects,
    calibration_floor,
    calibration_plan,
    load_floor,
    same_configuration,
    save_floor,
)
from ortlab.analysis.gate import (
    GateDesign,
    GateResult,
    GateRow,
    GateStatus,
    gate,
    parse_limit,
)
from ortlab.analysis.placement import PlacementRow, SizeRow, compare_placement, compare_sizes
from ortlab.analysis.trust import RULES, TrustRule

__all__ = [
    "CalibrationPlan",
    "GateDesign",
    "GateResult",
    "GateRow",
    "GateStatus",
    "NoiseFloor",
    "PlacementRow",
    "RULES",
    "SizeRow",
    "TrustRule",
    "analyze",
    "calibration_effects",
    "calibration_floor",
    "calibration_plan",
    "compare_placement",
    "compare_sizes",
    "difference",
    "gate",
    "latency_log_ratios",
    "load_floor",
    "parse_limit",
    "same_configuration",
    "save_floor",
]
