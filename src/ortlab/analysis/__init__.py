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
from ortlab.analysis.trust import RULES, TrustRule

__all__ = [
    "CalibrationPlan",
    "GateDesign",
    "GateResult",
    "GateRow",
    "GateStatus",
    "NoiseFloor",
    "RULES",
    "TrustRule",
    "analyze",
    "calibration_effects",
    "calibration_floor",
    "calibration_plan",
    "difference",
    "gate",
    "latency_log_ratios",
    "load_floor",
    "parse_limit",
    "same_configuration",
    "save_floor",
]
