"""Prepared model + device → run: which arms, which block next, and the record on disk."""

from __future__ import annotations

from ortlab.bench.arms import ArmOptions, CrossedArms, cross, cross_arms, parse_config_entry
from ortlab.bench.driver import is_finished, run_experiment
from ortlab.bench.plan import PlanOptions, plan_experiment
from ortlab.bench.progress import RunProgress, progress_of
from ortlab.bench.providers import parse_providers
from ortlab.bench.run_directory import experiment_key, find_run, load_run
from ortlab.bench.sources import ArmSource
from ortlab.schedule import Done, NextBlock, next_block

__all__ = [
    "ArmOptions",
    "ArmSource",
    "CrossedArms",
    "Done",
    "NextBlock",
    "PlanOptions",
    "RunProgress",
    "cross",
    "cross_arms",
    "experiment_key",
    "find_run",
    "is_finished",
    "load_run",
    "next_block",
    "parse_config_entry",
    "parse_providers",
    "plan_experiment",
    "progress_of",
    "run_experiment",
]
