"""Builder of simulated runs out of the real values, for tests and for simulations.

A simulated block has samples drawn from a noise model; nothing here decides anything. Latencies
are those of `docs/method.md`, "The noise model": a process effect for each block, AR(1) noise and
rare spikes within it, a drift over time, and optionally an effect of the whole session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ortlab.domain import (
    Arm,
    Block,
    BlockCounts,
    DeviceInfo,
    DeviceKind,
    ExecutedOperator,
    Experiment,
    ModelSpec,
    OptimizationStyle,
    Outcome,
    Parity,
    ParityStatus,
    PreparedModel,
    Provenance,
    Run,
    Sample,
    StoppingRule,
)
from ortlab.wire import (
    BlockResult,
    Clock,
    Conditions,
    Death,
    DeathKind,
    MemoryKind,
    MemoryPhase,
    MemoryPoint,
    ProviderRequest,
    Purpose,
    RuntimeFacts,
    StopReason,
    TensorFile,
    Timing,
)

CPU = "CPUExecutionProvider"
ORT_VERSION = "1.31.1"
POCOCK_ALPHA = 0.018
QUIET = Conditions(cpu_governor="performance", busy_fraction=0.0, thermal_status="nominal")
CONVOLUTIONS = (
    ExecutedOperator(provider=CPU, operator="Conv", count=30),
    ExecutedOperator(provider=CPU, operator="FusedConv", count=5),
)


REPLAYED = CONVOLUTIONS
NOT_REPLAYED = (ExecutedOperator(provider=CPU, operator="Conv", count=35),)


def host(**changes: Any) -> DeviceInfo:
    """Return a quiet host."""
    info = DeviceInfo(
        device_id="host",
        kind=DeviceKind.HOST,
        name="simulated host",
        os_version="Linux 6.1",
        architecture="x86_64",
        cpu="Simulated CPU, 4 cores",
        memory_bytes=8 << 30,
        ort_version=ORT_VERSION,
        available_providers=(CPU,),
    )
    return replace(info, **changes)


def make_arm(arm_id: str, **changes: Any) -> Arm:
    """Return an arm on the CPU provider with a model of its own."""
    arm = Arm(
        arm_id=arm_id,
        label=arm_id,
        style=OptimizationStyle.ONNX,
        variant_id=arm_id,
        model_path=f"/models/{arm_id}.onnx",
        model_sha256=arm_id.encode().hex().ljust(64, "0")[:64],
        prepared_sha256="0" * 64,
        providers=(ProviderRequest(name=CPU),),
        size_bytes=1_000_000,
    )
    return replace(arm, **changes)


def make_rule(**changes: Any) -> StoppingRule:
    """Return the planned looks of two arms, with a floor of 2 %."""
    rule = StoppingRule(
        looks=(8, 12, 16, 24),
        family_alpha=0.05,
        look_alpha=POCOCK_ALPHA,
        comparisons=1,
        floor=0.02,
    )
    return replace(rule, **changes)


def make_experiment(arms: Sequence[Arm], **changes: Any) -> Experiment:
    """Return an experiment whose baseline is the first arm."""
    rule = make_rule(comparisons=max(1, len(arms) - 1))
    experiment = Experiment(
        experiment_id="20261121-000000-simulated",
        model_name="simulated",
        arms=tuple(arms),
        baseline=arms[0].arm_id,
        rule=rule,
        seed=1,
        device=host(),
        sample=Sample(
            sample_id="seeded-0",
            origin="seeded",
            inputs=(
                TensorFile(name="x", element_type="float", shape=(1,), path="x", sha256="1" * 64),
            ),
            outputs=(),
        ),
        prepared_path="/prepared",
        counts=BlockCounts(parity=1, profile=1, memory=1, cold_start=1),
        command="ortlab bench /prepared",
        created_at="2026-11-21T00:00:00Z",
    )
    return replace(experiment, **changes)


def runtime(**changes: Any) -> RuntimeFacts:
    """Return the facts of the Python runner on ORT."""
    facts = RuntimeFacts(
        ort_version=ORT_VERSION,
        language="python",
        language_version="3.11.7",
        runner_version="1",
        available_providers=(CPU,),
    )
    return replace(facts, **changes)


def block_id(arm_id: str, purpose: Purpose, round_index: int, attempt: int = 0) -> str:
    """Return an id unique in a run."""
    return f"{purpose}-{round_index:03d}-{attempt}-{arm_id}"


def make_result(arm: Arm, purpose: Purpose, timing: Timing, **changes: Any) -> BlockResult:
    """Return a runner's good answer."""
    result = BlockResult(
        block_id="",
        failure=None,
        runtime=runtime(),
        requested_providers=arm.providers,
        registered_providers=tuple(provider.name for provider in arm.providers),
        clock=Clock(name="perf_counter", resolution_ns=1),
        timing=timing,
        memory=_memory() if purpose is Purpose.MEMORY else (),
        conditions_before=QUIET,
        conditions_after=QUIET,
    )
    return replace(result, **changes)


def latency_block(
    arm: Arm, round_index: int, samples_ns: Sequence[int], *, attempt: int = 0, **changes: Any
) -> Block:
    """Return a latency block with these samples."""
    timing = Timing(
        environment_ns=50_000_000,
        session_creation_ns=20_000_000,
        first_run_ns=2_000_000,
        warm_up_ns=tuple(samples_ns[:5]),
        warm_up_converged=True,
        measured_ns=tuple(samples_ns),
        stop_reason=StopReason.COMPLETE,
        close_ns=1_000_000,
    )
    result = make_result(arm, Purpose.LATENCY, timing)
    return _block(arm, Purpose.LATENCY, round_index, result, attempt=attempt, **changes)


def side_block(
    arm: Arm,
    purpose: Purpose,
    repetition: int = 0,
    *,
    executed: tuple[ExecutedOperator, ...] = CONVOLUTIONS,
    parity: ParityStatus = ParityStatus.PASSED,
    **changes: Any,
) -> Block:
    """Return a good parity, profile, memory or cold-start block."""
    timing = Timing(
        environment_ns=50_000_000 + repetition,
        session_creation_ns=20_000_000 + repetition,
        first_run_ns=2_000_000 + repetition,
    )
    extra: dict[str, Any] = {}
    if purpose is Purpose.PROFILE:
        extra["executed"] = executed
    if purpose is Purpose.PARITY:
        extra["parity"] = Parity(status=parity, rule="rtol=1e-3, atol=1e-5")
    result = make_result(arm, purpose, timing)
    return _block(arm, purpose, repetition, result, **{**extra, **changes})


def died_block(arm: Arm, purpose: Purpose, round_index: int, *, attempt: int = 0) -> Block:
    """Return a block whose process left nothing."""
    return replace(
        _block(arm, purpose, round_index, None, attempt=attempt),
        outcome=Outcome.DIED,
        death=Death(kind=DeathKind.SIGNAL, message="ended by SIGSEGV", signal_name="SIGSEGV"),
    )


def _block(
    arm: Arm,
    purpose: Purpose,
    round_index: int,
    result: BlockResult | None,
    *,
    attempt: int = 0,
    **changes: Any,
) -> Block:
    name = block_id(arm.arm_id, purpose, round_index, attempt)
    block = Block(
        block_id=name,
        arm_id=arm.arm_id,
        purpose=purpose,
        round_index=round_index,
        attempt=attempt,
        outcome=Outcome.OK,
        result=replace(result, block_id=name) if result else None,
        death=None,
        session_id="session-1",
        started_at="2026-11-21T00:00:00Z",
        duration_s=3.3,
    )
    return replace(block, **changes)


def _memory() -> tuple[MemoryPoint, ...]:
    sizes = {
        MemoryPhase.BASELINE: 30_000_000,
        MemoryPhase.LOADED: 50_000_000,
        MemoryPhase.END: 60_000_000,
    }
    current = tuple(
        MemoryPoint(
            metric="VmRSS", kind=MemoryKind.CURRENT, scope="process", phase=phase, size_bytes=size
        )
        for phase, size in sizes.items()
    )
    peak = MemoryPoint(
        metric="VmHWM",
        kind=MemoryKind.PEAK,
        scope="process",
        phase=MemoryPhase.END,
        size_bytes=64_000_000,
    )
    return (*current, peak)


def make_run(experiment: Experiment, blocks: Sequence[Block]) -> Run:
    """Return a run; its directory does not exist."""
    return Run(directory=Path("/runs/simulated"), experiment=experiment, blocks=tuple(blocks))


def side_blocks(experiment: Experiment) -> list[Block]:
    """Return every block the experiment plans beside its rounds, all good."""
    counts = experiment.counts
    planned = (
        (Purpose.PARITY, counts.parity),
        (Purpose.PROFILE, counts.profile),
        (Purpose.MEMORY, counts.memory),
        (Purpose.COLD_START, counts.cold_start),
    )
    return [
        side_block(arm, purpose, repetition)
        for arm in experiment.arms
        for purpose, count in planned
        for repetition in range(count)
    ]


def run_with_ratios(
    experiment: Experiment, ratios: Mapping[str, Sequence[float]], *, base_ns: int = 1_000_000
) -> Run:
    """Return a run whose rounds have exactly these ratios to a constant baseline.

    Args:
        experiment: Its first arm need not be in ``ratios``.
        ratios: Arm id to one ratio a round; all of one length.
        base_ns: Latency of the baseline.
    """
    rounds = len(next(iter(ratios.values())))
    blocks = side_blocks(experiment)
    for index in range(rounds):
        for arm in experiment.arms:
            ratio = ratios[arm.arm_id][index] if arm.arm_id in ratios else 1.0
            samples = [round(base_ns * ratio * (1 + 0.001 * (i % 3 - 1))) for i in range(30)]
            blocks.append(latency_block(arm, index, samples))
    return make_run(experiment, blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The noise model; all figures are standard deviations or shares of the latency.

    Attributes:
        process: Of the effect that a whole block shares.
        iteration: Of one run within a block.
        correlation: Of successive runs, AR(1).
        spike_share: Runs that a spike slows down.
        spike_mean: Mean of the exponential spike.
        drift: Of the latency from one block to the next.
        session: Of the effect that a whole session shares.
        samples: Runs in a block.
    """

    process: float = 0.02
    iteration: float = 0.015
    correlation: float = 0.6
    spike_share: float = 0.02
    spike_mean: float = 0.3
    drift: float = 0.005
    session: float = 0.0
    samples: int = 30


@dataclass(slots=True)
class SimulatedDevice:
    """Answers with blocks drawn from the noise model, in the order they are asked for.

    Attributes:
        noise: The model.
        seed: Of everything drawn.
        effects: Arm id to its true effect on the log latency.
        base_ns: Latency without effect and noise.
        asked: Latency blocks drawn so far.
    """

    noise: Noise
    seed: int
    effects: Mapping[str, float] = field(default_factory=dict)
    base_ns: float = 10_000_000.0
    asked: int = 0
    _generator: Any = None
    _session: float = 0.0

    def __post_init__(self) -> None:
        import numpy as np

        self._generator = np.random.default_rng(self.seed)
        self._session = float(self._generator.normal(0.0, 1.0)) * self.noise.session

    def samples_ns(self, arm_id: str) -> list[int]:
        """Draw the samples of one latency block."""
        import numpy as np
        from scipy.signal import lfilter

        noise, generator = self.noise, self._generator
        fresh = generator.normal(0.0, noise.iteration, noise.samples)
        fresh[1:] *= (1 - noise.correlation**2) ** 0.5
        wander = lfilter([1.0], [1.0, -noise.correlation], fresh)
        spikes = (generator.random(noise.samples) < noise.spike_share) * generator.exponential(
            noise.spike_mean, noise.samples
        )
        shared = self.effects.get(arm_id, 0.0) + self._session + noise.drift * self.asked
        shared += float(generator.normal(0.0, noise.process))
        self.asked += 1
        latency: list[int] = (
            np.rint(self.base_ns * np.exp(shared + wander + spikes)).astype(int).tolist()
        )
        return latency

    def block(self, arm: Arm, purpose: Purpose, round_index: int, attempt: int = 0) -> Block:
        """Answer one request."""
        if purpose is Purpose.LATENCY:
            return latency_block(arm, round_index, self.samples_ns(arm.arm_id), attempt=attempt)
        return side_block(arm, purpose, round_index, attempt=attempt)


def simulate(
    experiment: Experiment,
    device: SimulatedDevice,
    change: Callable[[Block], Block] = lambda block: block,
) -> Run:
    """Carry out an experiment: ask the real ``next_block``, answer from the noise model."""
    from ortlab.schedule import NextBlock, next_block

    blocks: list[Block] = []
    while isinstance(step := next_block(experiment, tuple(blocks)), NextBlock):
        arm = experiment.arm(step.arm_id)
        blocks.append(change(device.block(arm, step.purpose, step.round_index, step.attempt)))
    return make_run(experiment, blocks)


def make_prepared(**changes: Any) -> PreparedModel:
    """Return a prepared model without variants."""
    prepared = PreparedModel(
        name="simulated",
        original=ModelSpec(
            file_name="simulated.onnx",
            sha256="0" * 64,
            size_bytes=1_000_000,
            ir_version=10,
            opsets={"ai.onnx": 17},
            producer="simulated 1",
            metadata={},
            inputs=(),
            outputs=(),
        ),
        findings=(),
        repairs=(),
        variants=(),
        refused=(),
        samples=(),
        configs=(),
        recipes=(),
        compatibility={},
        predictions=(),
        custom_op_library=None,
        provenance=Provenance(
            ortlab_version="0",
            ort_version=ORT_VERSION,
            onnx_version="1.23.2",
            python_version="3.11.7",
            machine="x86_64",
            created_at="2026-11-21T00:00:00Z",
            cache_key="",
            options={},
        ),
    )
    return replace(prepared, **changes)
