"""Ids and labels of arms: short, readable, safe as file names."""

from __future__ import annotations

import re

from ortlab.bench import providers as eps
from ortlab.bench.sources import Wanted, device_target
from ortlab.domain import DeviceInfo, OptimizationStyle, Precision, Replay, TargetPlatform
from ortlab.wire import ExecutionMode, GraphOptimizationLevel, LoadMode

_STYLE_LABELS = {
    OptimizationStyle.ONNX: ".onnx",
    OptimizationStyle.FIXED: "Fixed",
    OptimizationStyle.RUNTIME: "Runtime",
}
_REPLAY_LABELS = {Replay.ON: "replayed", Replay.OFF: "not replayed"}
_LONGEST_ID = 80


def arm_id_of(wanted: Wanted, own: TargetPlatform, mode: ExecutionMode) -> str:
    """Return an id that names what differs from the plain arm, such as ``fixed-2-threads``."""
    parts: list[str] = [wanted.style]
    if wanted.target not in (None, own):
        parts.append(str(wanted.target))
    if wanted.precision is not Precision.FP32:
        parts.append(wanted.precision)
    if wanted.replay is not Replay.DEFAULT:
        parts.append(f"replay-{wanted.replay}")
    if len(wanted.providers) > 1 or wanted.providers[0].options:
        parts.append(eps.describe(wanted.providers))
    if wanted.threads is not None:
        parts.append(f"{wanted.threads}-thread{'s' * (wanted.threads != 1)}")
    if wanted.load_mode is not LoadMode.PATH:
        parts.append(wanted.load_mode)
    if wanted.level is not GraphOptimizationLevel.ALL:
        parts.append(f"level-{wanted.level}")
    if mode is not ExecutionMode.SEQUENTIAL:
        parts.append(mode)
    parts += [f"{key.rpartition('.')[2]}-{value}" for key, value in wanted.config_entries.items()]
    return file_safe("-".join(parts))


def file_safe(text: str) -> str:
    """Return a text as a file name: lower-case letters, digits, ``.`` and ``-``."""
    kept = re.sub(r"[^a-z0-9.]+", "-", text.lower().replace("_", "-"))
    return kept.strip("-.")[:_LONGEST_ID].rstrip("-.") or "arm"


def label_of(wanted: Wanted, device: DeviceInfo) -> str:
    """Return a label for people, such as ``Runtime, replayed, 2 threads``."""
    parts = [_STYLE_LABELS[wanted.style]]
    if wanted.target is not None and wanted.target is not device_target(device):
        parts.append(f"optimized for {wanted.target}")
    if wanted.precision is not Precision.FP32:
        parts.append(wanted.precision)
    if wanted.replay in _REPLAY_LABELS:
        parts.append(_REPLAY_LABELS[wanted.replay])
    if len(wanted.providers) > 1:
        parts.append(" + ".join(eps.short_name(item.name) for item in wanted.providers[:-1]))
    if wanted.threads is not None:
        parts.append(f"{wanted.threads} thread{'s' * (wanted.threads != 1)}")
    if wanted.load_mode is not LoadMode.PATH:
        parts.append(f"from {wanted.load_mode}")
    if wanted.level is not GraphOptimizationLevel.ALL:
        parts.append(f"level {wanted.level}")
    parts += [f"{key}={value}" for key, value in wanted.config_entries.items()]
    return ", ".join(parts)
