"""Arm + purpose → block request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ortlab.bench import providers as eps
from ortlab.domain import Arm, Experiment, OptimizationStyle, Replay
from ortlab.ort_releases import replay_settings
from ortlab.schedule import NextBlock
from ortlab.wire import BlockRequest, ModelReference, Purpose, SessionSettings, TensorFile

MEASURED_RUNS = {Purpose.PROFILE: 2, Purpose.MEMORY: 30}
"""Runs of the purposes that run a fixed number; the others run once or by their own rule."""


def build_request(
    step: NextBlock, experiment: Experiment, ort_version: str, output_directory: Path
) -> BlockRequest:
    """Return the request of a block; every path in it is absolute.

    Args:
        step: What to run.
        experiment: It belongs to.
        ort_version: Of the runtime that will run the arm, such as ``1.31.1``.
        output_directory: Where result, outputs and profile go.

    Raises:
        UsageError: This runtime cannot do what the arm asks of replay.
    """
    arm = experiment.arm(step.arm_id)
    prepared = Path(experiment.prepared_path)
    return BlockRequest(
        block_id=step.block_id,
        purpose=step.purpose,
        model=ModelReference(
            path=arm.model_path,
            sha256=arm.model_sha256,
            load_mode=arm.load_mode,
            custom_op_library=arm.custom_op_library,
        ),
        session=session_settings(arm, ort_version),
        providers=arm.providers,
        inputs=tuple(_absolute(tensor, prepared) for tensor in experiment.sample.inputs),
        output_directory=str(output_directory.resolve()),
        warm_up=experiment.warm_up,
        stop=experiment.stop,
        measured_runs=MEASURED_RUNS.get(step.purpose, 1),
        deadline_s=experiment.block_deadline_s,
    )


def session_settings(arm: Arm, ort_version: str) -> SessionSettings:
    """Return the session settings of an arm in one ORT release.

    Replay is set as that release needs it. With XNNPACK, ORT's own pool has one thread that does
    not spin: XNNPACK brings a pool of its own.

    Raises:
        UsageError: The release cannot do what the arm asks of replay.
    """
    replay = arm.replay if arm.style is OptimizationStyle.RUNTIME else Replay.DEFAULT
    level, replay_entries = replay_settings(ort_version, replay, arm.graph_optimization_level)
    entries = {**arm.config_entries, **replay_entries}
    threads = arm.intra_op_num_threads
    if eps.uses_xnnpack(arm.providers):
        threads = 1
        entries.setdefault("session.intra_op.allow_spinning", "0")
    return SessionSettings(
        graph_optimization_level=level,
        intra_op_num_threads=threads,
        execution_mode=arm.execution_mode,
        config_entries=entries,
    )


def _absolute(tensor: TensorFile, base: Path) -> TensorFile:
    return replace(tensor, path=str((base / tensor.path).resolve()))
