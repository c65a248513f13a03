"""The story: prepare → generate → build → deploy → bench → analyze → report, and the gate.

Each function is a step a user can also take alone; :func:`run_config` takes them all.
"""

from __future__ import annotations

from ortlab.pipeline.apps import build, deploy, generate
from ortlab.pipeline.attached import devices, doctor
from ortlab.pipeline.measuring import (
    BenchAnswer,
    Measured,
    bench,
    calibrate,
    expected_s,
    open_for,
    plan,
)
from ortlab.pipeline.models import Say, check_package, prepare, prepared_at
from ortlab.pipeline.places import cache_directory, state_directory
from ortlab.pipeline.reporting import gate, load_measured, report, write_junit
from ortlab.pipeline.whole import Everything, demo_config, run_config

__all__ = [
    "BenchAnswer",
    "Everything",
    "Measured",
    "Say",
    "bench",
    "build",
    "cache_directory",
    "calibrate",
    "check_package",
    "demo_config",
    "deploy",
    "devices",
    "doctor",
    "expected_s",
    "gate",
    "generate",
    "load_measured",
    "open_for",
    "plan",
    "prepare",
    "prepared_at",
    "report",
    "run_config",
    "state_directory",
    "write_junit",
]
