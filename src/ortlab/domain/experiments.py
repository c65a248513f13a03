"""What is measured: arms, rounds, blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ortlab.domain.devices import DeviceInfo
from ortlab.domain.models import (
    OptimizationStyle,
    Parity,
    Precision,
    Replay,
    Sample,
    TargetPlatform,
)
from ortlab.wire import (
    BlockResult,
    Death,
    ExecutionMode,
    GraphOptimizationLevel,
    LoadMode,
    ProviderRequest,
    Purpose,
    StopRule,
    TensorFile,
    WarmUpRule,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One configuration: variant × runtime × providers × threads × load mode × replay × options.

    Attributes:
        arm_id: Short, unique in the experiment, safe as a file name.
        label: For people.
        style: Of the variant, for grouping.
        variant_id: Of the prepared model.
        model_path: Absolute path of the variant's file.
        model_sha256: Of that file.
        prepared_sha256: Content identity of the manifest it came from.
        providers: In order, CPU last.
        intra_op_num_threads: None leaves ORT's default.
        load_mode: How the runtime gets the model.
        replay: Meaningful for Runtime style; DEFAULT leaves the runtime's own default.
        graph_optimization_level: Asked for; replay may lower it.
        execution_mode: Sequential or parallel.
        config_entries: Session config entries of the user's.
        runtime: ORT version or app build that runs it; None is the device's own. On the host,
            the path of a Python interpreter whose onnxruntime is used.
        custom_op_library: Shared library to register, or None.
        saved_optimization_count: Records in the file, to prove replay against.
        parity_tolerance: ``rtol`` and ``atol`` a device's outputs are held to, or None when
            parity was not checked at preparation or goes by ``min_sqnr_db``.
        min_sqnr_db: Least SQNR a device's outputs are held to, for int8 and int4.
        operator_counts: ``domain:Operator`` to nodes in the file, to prove replay against.
        reference: Outputs the arm is held to, with absolute paths, when they are not those of the
            experiment's sample: another model's, from another prepared directory.
    """

    arm_id: str
    label: str
    style: OptimizationStyle
    variant_id: str
    model_path: str
    model_sha256: str
    prepared_sha256: str
    providers: tuple[ProviderRequest, ...]
    intra_op_num_threads: int | None = None
    load_mode: LoadMode = LoadMode.PATH
    replay: Replay = Replay.DEFAULT
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ALL
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    config_entries: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    custom_op_library: str | None = None
    saved_optimization_count: int = 0
    parity_tolerance: tuple[float, float] | None = (1e-3, 1e-5)
    precision: Precision = Precision.FP32
    target: TargetPlatform | None = None
    size_bytes: int = 0
    min_sqnr_db: float | None = None
    operator_counts: Mapping[str, int] = field(default_factory=dict)
    reference: tuple[TensorFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """When the rounds end; source: `facts` in `docs/method.md`, "Planned looks".

    Attributes:
        looks: Rounds at which the data may be looked at, ascending.
        family_alpha: False alarm rate of one comparison over all looks.
        look_alpha: Pocock's alpha at each look, before it is divided by the comparisons.
        comparisons: Number of arms compared with the baseline.
        equivalence_margin: Half-width of the equivalence region on the ratio, such as 0.02.
        floor: Smallest effect that may be claimed on this device, or None when unknown.
        extra_attempts: How often a disturbed round is repeated.
    """

    looks: tuple[int, ...]
    family_alpha: float
    look_alpha: float
    comparisons: int
    equivalence_margin: float = 0.02
    floor: float | None = None
    extra_attempts: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCounts:
    """Blocks of each arm beside the latency rounds."""

    parity: int = 1
    profile: int = 1
    memory: int = 3
    cold_start: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is to be run; nothing of it changes once the first block has run.

    Attributes:
        experiment_id: Unique, sortable by time.
        model_name: Of the prepared model.
        arms: Two or more (one is allowed: a measurement without comparison).
        baseline: Arm id the others are compared with.
        rule: When the rounds end.
        seed: Of the order of arms in the rounds.
        device: Device the experiment belongs to.
        sample: Inputs used, with reference outputs.
        prepared_path: Directory of the prepared model, absolute.
        warm_up: Of latency blocks.
        stop: Of latency blocks.
        counts: Blocks beside the latency rounds.
        block_deadline_s: Total time one block may take.
        command: The command that repeats it.
        created_at: UTC, ISO 8601.
        schema_version: Of `experiment.json`.
    """

    experiment_id: str
    model_name: str
    arms: tuple[Arm, ...]
    baseline: str
    rule: StoppingRule
    seed: int
    device: DeviceInfo
    sample: Sample
    prepared_path: str
    warm_up: WarmUpRule = field(default_factory=WarmUpRule)
    stop: StopRule = field(default_factory=StopRule)
    counts: BlockCounts = field(default_factory=BlockCounts)
    block_deadline_s: float = 120.0
    command: str = ""
    created_at: str = ""
    schema_version: int = 1

    def arm(self, arm_id: str) -> Arm:
        """Return an arm by id.

        Raises:
            KeyError: There is none.
        """
        for arm in self.arms:
            if arm.arm_id == arm_id:
                return arm
        raise KeyError(arm_id)


class Outcome(StrEnum):
    """How a block ended."""

    OK = "ok"
    FAILED = "failed"
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedOperator:
    """Nodes that really ran, from ORT's profile of one run of the model."""

    provider: str
    operator: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One recorded block; a line of `blocks.jsonl`.

    Attributes:
        block_id: Says purpose, round, attempt and arm; unique in the run.
        arm_id: Of the experiment.
        purpose: Why it was run.
        round_index: From 0; for latency rounds, else the repetition.
        attempt: From 0; rises when a disturbed round is repeated.
        outcome: How it ended.
        result: The runner's answer, when it gave a valid one.
        death: What is known when it did not.
        executed: From the profile, for profile blocks.
        parity: Against the sample's reference outputs, for parity blocks.
        disturbances: Why the block's round is suspect, in sentences.
        session_id: The driver process that recorded it; a resumed run has several.
        started_at: UTC, ISO 8601.
        duration_s: As the driver saw it.
    """

    block_id: str
    arm_id: str
    purpose: Purpose
    round_index: int
    attempt: int
    outcome: Outcome
    result: BlockResult | None
    death: Death | None
    executed: tuple[ExecutedOperator, ...] = ()
    parity: Parity | None = None
    disturbances: tuple[str, ...] = ()
    session_id: str = ""
    started_at: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An experiment with the blocks recorded so far.

    Attributes:
        directory: Run directory: `experiment.json`, `blocks.jsonl`, `artifacts/`.
        experiment: What was planned.
        blocks: In the order they were recorded.
    """

    directory: Path
    experiment: Experiment
    blocks: tuple[Block, ...]
