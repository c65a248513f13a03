"""The frozen values that flow between stages, and the Device protocol.

An **arm** is a configuration; a **block** is one fresh process of one arm and the statistical
unit; a **round** is one block of each arm in balanced random order; an **experiment** is the
rounds on one device; a **run** is an experiment with the blocks recorded so far.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortlab.domain.analysis import (
        Analysis,
        ArmSummary,
        ColdStartSummary,
        Comparison,
        Effect,
        Grade,
        LatencySummary,
        MemorySummary,
        Recommendation,
        ReplayProof,
        TrustFinding,
        Verdict,
    )
    from ortlab.domain.apps import (
        AppPlatform,
        AppSpec,
        BuiltApp,
        ClassificationKind,
        ColorOrder,
        GeneratedApp,
        ImageKind,
        Layout,
        ResizeRule,
        ShippedStyles,
        StateKind,
        TensorKind,
        WebProvider,
    )
    from ortlab.domain.devices import AttachedDevice, Device, DeviceInfo, DeviceKind
    from ortlab.domain.experiments import (
        Arm,
        Block,
        BlockCounts,
        ExecutedOperator,
        Experiment,
        Outcome,
        Run,
        StoppingRule,
    )
    from ortlab.domain.models import (
        Basis,
        BuildRecipe,
        ModelSpec,
        OperatorConfig,
        OptimizationStyle,
        Parity,
        ParityStatus,
        PartitionPrediction,
        Precision,
        PreparedModel,
        Provenance,
        RefusedVariant,
        ReleaseVerdict,
        Replay,
        ReplayAnswer,
        Sample,
        TargetPlatform,
        TensorSpec,
        Variant,
    )

__all__ = [
    "Analysis",
    "AppPlatform",
    "AppSpec",
    "Arm",
    "ArmSummary",
    "AttachedDevice",
    "Basis",
    "Block",
    "BlockCounts",
    "BuildRecipe",
    "BuiltApp",
    "ClassificationKind",
    "ColdStartSummary",
    "ColorOrder",
    "Comparison",
    "Device",
    "DeviceInfo",
    "DeviceKind",
    "Effect",
    "ExecutedOperator",
    "Experiment",
    "GeneratedApp",
    "Grade",
    "ImageKind",
    "LatencySummary",
    "Layout",
    "MemorySummary",
    "ModelSpec",
    "OperatorConfig",
    "OptimizationStyle",
    "Outcome",
    "Parity",
    "ParityStatus",
    "PartitionPrediction",
    "Precision",
    "PreparedModel",
    "Provenance",
    "Recommendation",
    "RefusedVariant",
    "ReleaseVerdict",
    "Replay",
    "ReplayAnswer",
    "ReplayProof",
    "ResizeRule",
    "Run",
    "Sample",
    "ShippedStyles",
    "StateKind",
    "StoppingRule",
    "TargetPlatform",
    "TensorKind",
    "TensorSpec",
    "TrustFinding",
    "Variant",
    "Verdict",
    "WebProvider",
]

# Making a frozen class takes half a millisecond, so a command loads the modules that it uses:
# each of these needs at most those before it.
_MODULES = ("devices", "models", "apps", "experiments", "analysis")


def __getattr__(name: str) -> object:
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"{__name__}.{module}")
            if hasattr(found, name):
                value: object = getattr(found, name)
                globals()[name] = value
                return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
