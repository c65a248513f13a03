"""A realistic run with its analysis and prepared model, for tests of the report.

Four arms of a text-direction classifier as they come out on a host: ``.onnx``, Fixed, Runtime
replayed and not replayed. Latencies are drawn from a seeded noise model; effects and verdicts are
computed from them. Names can be made hostile.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ortlab.domain import (
    Analysis,
    Arm,
    ArmSummary,
    Basis,
    Block,
    ColdStartSummary,
    Comparison,
    DeviceInfo,
    DeviceKind,
    ExecutedOperator,
    Experiment,
    Grade,
    LatencySummary,
    MemorySummary,
    ModelSpec,
    OptimizationStyle,
    Outcome,
    Parity,
    ParityStatus,
    PartitionPrediction,
    Precision,
    PreparedModel,
    Provenance,
    Recommendation,
    RefusedVariant,
    ReleaseVerdict,
    Replay,
    ReplayAnswer,
    ReplayProof,
    Run,
    Sample,
    StoppingRule,
    TargetPlatform,
    TensorSpec,
    TrustFinding,
    Variant,
    Verdict,
)
from ortlab.rounds import log_ratios
from ortlab.statistics import decide, effect, median, percentile
from ortlab.wire import (
    BlockResult,
    BrowserFacts,
    Clock,
    Conditions,
    Death,
    DeathKind,
    Failure,
    FailureKind,
    GraphOptimizationLevel,
    MemoryKind,
    MemoryPhase,
    MemoryPoint,
    ProviderRequest,
    Purpose,
    RuntimeFacts,
    Stage,
    StopReason,
    TensorFile,
    Timing,
)

CPU = "CPUExecutionProvider"
HOSTILE = (
    "<script>window.__pwned=1</script>",
    '"><img src=x onerror=window.__pwned=2>',
    "$(touch pwned) `id` ../../etc/passwd",
    "a\nb\x00c\u202egnp.exe\u2066 ']]>{{7*7}}</svg></style>",
    "=HYPERLINK(1)|@team [x](javascript:window.__pwned=3) #1 ⟦0⟧",
)

Rename = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSample:
    """What `write_report` takes."""

    run: Run
    analysis: Analysis
    prepared: PreparedModel


def plain(name: str) -> str:
    """Leave names as they are."""
    return name


def hostile(name: str) -> str:
    """Make a name dangerous, differently for different names."""
    return f"{name}{HOSTILE[sum(name.encode()) % len(HOSTILE)]}"


def very_hostile(name: str) -> str:
    """Make a name dangerous in every way at once, and long."""
    return f"{''.join(HOSTILE)}{name}{'x' * 300}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    name: str
    label: str
    style: OptimizationStyle
    variant: str
    base_ms: float
    fused: int
    replay: Replay
    proof: ReplayProof
    size_bytes: int


_KINDS = (
    _Kind(
        name="onnx",
        label=".onnx",
        style=OptimizationStyle.ONNX,
        variant="onnx",
        base_ms=2.31,
        fused=24,
        replay=Replay.DEFAULT,
        proof=ReplayProof.NOT_APPLICABLE,
        size_bytes=585_532,
    ),
    _Kind(
        name="fixed-amd64",
        label="Fixed",
        style=OptimizationStyle.FIXED,
        variant="fixed-amd64",
        base_ms=2.24,
        fused=5,
        replay=Replay.DEFAULT,
        proof=ReplayProof.NOT_APPLICABLE,
        size_bytes=604_912,
    ),
    _Kind(
        name="runtime-amd64-on",
        label="Runtime, replayed",
        style=OptimizationStyle.RUNTIME,
        variant="runtime-amd64",
        base_ms=2.31,
        fused=24,
        replay=Replay.ON,
        proof=ReplayProof.ON,
        size_bytes=617_448,
    ),
    _Kind(
        name="runtime-amd64-off",
        label="Runtime, not replayed",
        style=OptimizationStyle.RUNTIME,
        variant="runtime-amd64",
        base_ms=2.86,
        fused=0,
        replay=Replay.OFF,
        proof=ReplayProof.OFF,
        size_bytes=617_448,
    ),
)
_OPERATORS = (("Conv", 54), ("Add", 11), ("Mul", 18), ("HardSigmoid", 9), ("Clip", 18))
PASSED = Parity(status=ParityStatus.PASSED, rule="rtol=1e-3, atol=1e-5", max_abs_error=1.2e-7)


def make_sample(
    *,
    rename: Rename = plain,
    rounds: int = 12,
    samples: int = 120,
    virtual: bool = False,
    temperature: bool = True,
    seed: int = 7,
) -> ReportSample:
    """Build the values.

    Args:
        rename: Applied to every name of others: model, arms, device, operators, files, messages.
        rounds: Complete rounds.
        samples: Measured samples of a block.
        virtual: Whether the device is a virtual one.
        temperature: Whether the device tells its temperature.
        seed: Of the noise.
    """
    experiment = _experiment(rename, virtual=virtual)
    chance = random.Random(seed)
    blocks = [
        *_side_blocks(experiment, rename),
        *_latency_blocks(experiment, chance, rounds, samples, temperature=temperature),
        *_failures(experiment, rename),
    ]
    run = Run(directory=Path("runs/20261121-cls"), experiment=experiment, blocks=tuple(blocks))
    return ReportSample(
        run=run, analysis=analyze_sample(run), prepared=_prepared(experiment, rename)
    )


BROWSER = BrowserFacts(
    cross_origin_isolated=True,
    clock_step_ns=5_000,
    threads_asked=None,
    threads_got=2,
    adapter=None,
    adapter_is_fallback=None,
    visible=True,
    user_agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " HeadlessChrome/156.0.0.0 Safari/537.36",
)


def in_browser(sample: ReportSample, facts_of: Callable[[Block], BrowserFacts]) -> ReportSample:
    """Let the blocks of a sample tell of a browser."""
    blocks = tuple(
        block
        if block.result is None
        else replace(block, result=replace(block.result, browser=facts_of(block)))
        for block in sample.run.blocks
    )
    return replace(sample, run=replace(sample.run, blocks=blocks))


# ------------------------------------------------------------------------------ experiment


def _experiment(rename: Rename, *, virtual: bool) -> Experiment:
    device = DeviceInfo(
        device_id="virtual:android" if virtual else "host",
        kind=DeviceKind.ANDROID if virtual else DeviceKind.HOST,
        name=rename("virtual Pixel" if virtual else "lab-bench-3"),
        os_version="Linux 6.12 (Debian 13)",
        architecture="x86_64",
        cpu="AMD EPYC 7763, 2 cores",
        memory_bytes=25_200_000_000,
        ort_version="1.31.1",
        available_providers=("AzureExecutionProvider", CPU),
        virtual=virtual,
    )
    arms = tuple(_arm(kind, rename) for kind in _KINDS)
    return Experiment(
        experiment_id="20261121-103000-cls",
        model_name=rename("ch_ppocr_mobile_v2.0_cls"),
        arms=arms,
        baseline="onnx",
        rule=StoppingRule(
            looks=(8, 12, 16, 24),
            family_alpha=0.05,
            look_alpha=0.018,
            comparisons=3,
            equivalence_margin=0.02,
            floor=0.012,
        ),
        seed=11,
        device=device,
        sample=Sample(
            sample_id="seeded-0",
            origin="seeded",
            inputs=(
                TensorFile(
                    name=rename("x"), element_type="float", shape=(1, 3, 48, 192), path="x.bin"
                ),
            ),
            outputs=(),
            notes=("x was given the shape 1×3×48×192 by --fix",),
        ),
        prepared_path=rename("prepared/cls"),
        command=f"ortlab bench {rename('prepared/cls')} --style onnx,fixed,runtime --replay on,off",
        created_at="2026-11-21T10:30:00Z",
    )


def _arm(kind: _Kind, rename: Rename) -> Arm:
    return Arm(
        arm_id=kind.name,
        label=rename(kind.label),
        style=kind.style,
        variant_id=kind.variant,
        model_path=f"/prepared/cls/{kind.variant}.ort",
        model_sha256=kind.variant.encode().hex().ljust(64, "0")[:64],
        prepared_sha256="0" * 64,
        providers=(ProviderRequest(name=CPU),),
        intra_op_num_threads=1,
        replay=kind.replay,
        saved_optimization_count=24 if kind.style is OptimizationStyle.RUNTIME else 0,
        target=None if kind.style is OptimizationStyle.ONNX else TargetPlatform.AMD64,
        size_bytes=kind.size_bytes,
    )


# ------------------------------------------------------------------------------ blocks


def _conditions(temperature: float | None) -> Conditions:
    return Conditions(
        temperature_c=temperature,
        cpu_governor="schedutil",
        cpu_frequency_khz=(2_450_000, 3_100_000),
        busy_fraction=0.04,
    )


def _result(block_id: str, timing: Timing, heat: float | None) -> BlockResult:
    return BlockResult(
        block_id=block_id,
        failure=None,
        runtime=RuntimeFacts(
            ort_version="1.31.1",
            language="python",
            language_version="3.11.7",
            runner_version="1",
            available_providers=(CPU,),
        ),
        requested_providers=(ProviderRequest(name=CPU),),
        registered_providers=(CPU,),
        clock=Clock(name="perf_counter", resolution_ns=1),
        timing=timing,
        conditions_before=_conditions(heat),
        conditions_after=_conditions(None if heat is None else heat + 0.4),
    )


def _block(
    arm: Arm, purpose: Purpose, index: int, timing: Timing, *, attempt: int = 0, heat: float | None
) -> Block:
    block_id = f"{purpose}-{index:03d}-{attempt}-{arm.arm_id}"
    return Block(
        block_id=block_id,
        arm_id=arm.arm_id,
        purpose=purpose,
        round_index=index,
        attempt=attempt,
        outcome=Outcome.OK,
        result=_result(block_id, timing, heat),
        death=None,
        session_id="session-1" if index < 8 else "session-2",
        started_at=f"2026-11-21T10:{30 + index:02d}:00Z",
        duration_s=3.3,
    )


def latency_timing(chance: random.Random, base_ms: float, count: int) -> Timing:
    """Draw a block: a process effect, AR(1) noise, rare spikes."""
    shared, wander = chance.gauss(0, 0.008), 0.0
    measured = []
    for _ in range(count):
        wander = 0.6 * wander + 0.8 * chance.gauss(0, 0.015)
        spike = chance.expovariate(1 / 0.25) if chance.random() < 0.02 else 0.0
        measured.append(round(base_ms * 1e6 * math.exp(shared + wander + spike)))
    warm = tuple(round(base_ms * 1e6 * (1 + 0.5 / (i + 1))) for i in range(10))
    return Timing(
        environment_ns=round(61e6 * (1 + chance.gauss(0, 0.02))),
        session_creation_ns=round(19e6 * (1 + chance.gauss(0, 0.05))),
        first_run_ns=round(base_ms * 1.8e6),
        warm_up_ns=warm,
        warm_up_converged=True,
        measured_ns=tuple(measured),
        stop_reason=StopReason.COMPLETE,
        close_ns=800_000,
    )


def _latency_blocks(
    experiment: Experiment,
    chance: random.Random,
    rounds: int,
    samples: int,
    *,
    temperature: bool,
) -> list[Block]:
    blocks = []
    for index in range(rounds):
        for attempt in range(2 if index == 4 else 1):
            for arm, kind in chance.sample(list(zip(experiment.arms, _KINDS, strict=True)), 4):
                disturbed = index == 4 and attempt == 0
                slow = 1.06 if disturbed else 1.0
                heat = 44 + 3 * (1 - math.exp(-index / 4)) if temperature else None
                timing = latency_timing(chance, kind.base_ms * slow, samples)
                block = _block(arm, Purpose.LATENCY, index, timing, attempt=attempt, heat=heat)
                if disturbed and arm is experiment.arms[1]:
                    why = ("another program used 34 % of the CPU",)
                    block = replace(block, disturbances=why)
                blocks.append(block)
    return blocks


def _side_blocks(experiment: Experiment, rename: Rename) -> list[Block]:
    blocks = []
    for arm, kind in zip(experiment.arms, _KINDS, strict=True):
        for index in range(5):
            cold = Timing(
                environment_ns=61_000_000 + index,
                session_creation_ns=(24 if kind.name == "onnx" else 9) * 1_000_000 + index,
                first_run_ns=round(kind.base_ms * 1.8e6),
            )
            blocks.append(_block(arm, Purpose.COLD_START, index, cold, heat=44))
        for index in range(3):
            block = _block(arm, Purpose.MEMORY, index, Timing(), heat=44)
            assert block.result is not None
            result = replace(block.result, memory=_memory(kind))
            blocks.append(replace(block, result=result))
        profile = _block(arm, Purpose.PROFILE, 0, Timing(), heat=44)
        blocks.append(replace(profile, executed=_executed(kind, rename)))
        parity = _block(arm, Purpose.PARITY, 0, Timing(), heat=44)
        blocks.append(replace(parity, parity=PASSED))
    return blocks


def _executed(kind: _Kind, rename: Rename) -> tuple[ExecutedOperator, ...]:
    found = [
        ExecutedOperator(provider=CPU, operator=rename(name), count=count)
        for name, count in _OPERATORS
        if name != "Conv"
    ]
    fused = [ExecutedOperator(provider=CPU, operator="FusedConv", count=kind.fused)]
    conv = ExecutedOperator(provider=CPU, operator="Conv", count=54 - kind.fused)
    return (conv, *(fused if kind.fused else ()), *found)


def _memory(kind: _Kind) -> tuple[MemoryPoint, ...]:
    extra = kind.size_bytes * 2
    sizes = {
        MemoryPhase.BASELINE: 31_000_000,
        MemoryPhase.ENVIRONMENT: 58_000_000,
        MemoryPhase.LOADED: 61_000_000 + extra,
        MemoryPhase.FIRST_RUN: 64_000_000 + extra,
        MemoryPhase.WARM: 64_500_000 + extra,
        MemoryPhase.END: 64_500_000 + extra,
        MemoryPhase.CLOSED: 60_000_000 + extra // 2,
    }
    current = tuple(
        MemoryPoint(
            metric="VmRSS", kind=MemoryKind.CURRENT, scope="process", phase=phase, size_bytes=value
        )
        for phase, value in sizes.items()
    )
    peak = MemoryPoint(
        metric="VmHWM",
        kind=MemoryKind.PEAK,
        scope="process",
        phase=MemoryPhase.END,
        size_bytes=71_000_000 + extra,
    )
    return (*current, peak)


def _failures(experiment: Experiment, rename: Rename) -> list[Block]:
    arm = experiment.arms[3]
    died = _block(arm, Purpose.MEMORY, 3, Timing(), heat=44)
    failed = _block(arm, Purpose.COLD_START, 5, Timing(), heat=44)
    assert failed.result is not None
    failure = Failure(
        stage=Stage.CREATE_SESSION,
        kind=FailureKind.RUNTIME_ERROR,
        message=rename("[ONNXRuntimeError] : 1 : FAIL :\nLoad model failed"),
    )
    return [
        replace(
            died,
            outcome=Outcome.DIED,
            result=None,
            death=Death(
                kind=DeathKind.SIGNAL,
                message=rename("ended by SIGSEGV"),
                signal_name="SIGSEGV",
                last_stage=Stage.FIRST_RUN,
            ),
        ),
        replace(failed, outcome=Outcome.FAILED, result=replace(failed.result, failure=failure)),
    ]


# ------------------------------------------------------------------------------ analysis


def analyze_sample(run: Run) -> Analysis:
    """Return what the run says: real effects and verdicts, plain sentences."""
    experiment = run.experiment
    comparisons = tuple(
        _comparison(run, arm) for arm in experiment.arms if arm.arm_id != experiment.baseline
    )
    virtual = experiment.device.virtual
    findings = [
        TrustFinding(
            rule="frequency_scaling",
            grade=Grade.B,
            sentence="The CPU governor is schedutil. The CPU changes its speed with the load.",
        )
    ]
    if virtual:
        sentence = "The device is virtual. A virtual device says nothing about a phone."
        findings.insert(0, TrustFinding(rule="virtual_device", grade=Grade.NONE, sentence=sentence))
    fixed = experiment.arms[1]
    recommendation = Recommendation(
        arm_id=None if virtual else fixed.arm_id,
        sentence="Nothing may be recommended: the device is virtual."
        if virtual
        else f"On {experiment.device.name} ship {fixed.label}: 3.1 % faster than"
        f" {experiment.arms[0].label}.",
        evidence=(
            *(c.sentence for c in comparisons),
            "File size: Fixed 605 kB, .onnx 586 kB.",
            "Peak memory: Fixed 72.2 MB, .onnx 72.2 MB.",
        ),
    )
    return Analysis(
        experiment_id=experiment.experiment_id,
        finished=True,
        rounds=12,
        stop_reason="decided at the look after 12 rounds",
        comparisons=comparisons,
        arms=tuple(
            _summary(run, arm, kind) for arm, kind in zip(experiment.arms, _KINDS, strict=True)
        ),
        grade=Grade.NONE if virtual else Grade.B,
        findings=tuple(findings),
        recommendation=recommendation,
        headlines=(*(c.sentence for c in comparisons), recommendation.sentence),
    )


_WORDS = {
    Verdict.FASTER: "is faster than",
    Verdict.SLOWER: "is slower than",
    Verdict.EQUIVALENT: "and the baseline are equivalent:",
    Verdict.INCONCLUSIVE: "is inconclusive against",
    Verdict.NONE: "has no verdict against",
}


def _comparison(run: Run, arm: Arm) -> Comparison:
    experiment = run.experiment
    ratios = log_ratios(experiment, run.blocks, arm.arm_id)
    calm = log_ratios(experiment, run.blocks, arm.arm_id, include_disturbed=False)
    alpha = experiment.rule.look_alpha / experiment.rule.comparisons
    found = effect(ratios, alpha=alpha)
    verdict = Verdict.NONE if experiment.device.virtual else decide(ratios, experiment.rule)
    base = experiment.arm(experiment.baseline).label
    return Comparison(
        arm_id=arm.arm_id,
        baseline=experiment.baseline,
        verdict=verdict,
        sentence=(
            f"{arm.label} {_WORDS[verdict]} {base}: {(found.ratio - 1) * 100:+.1f} %"
            f" ({found.confidence:.1%} interval {(found.low - 1) * 100:+.1f} to"
            f" {(found.high - 1) * 100:+.1f} %, {found.rounds} rounds)."
        ),
        reason="The device is virtual" if experiment.device.virtual else "",
        effect=found,
        effect_undisturbed=effect(calm, alpha=alpha) if len(calm) > 1 else None,
        verdict_undisturbed=verdict if len(calm) < len(ratios) else None,
    )


def _summary(run: Run, arm: Arm, kind: _Kind) -> ArmSummary:
    mine = [b for b in run.blocks if b.arm_id == arm.arm_id]
    latency = [b for b in mine if b.purpose is Purpose.LATENCY and b.outcome is Outcome.OK]
    bad = [b for b in mine if b.outcome is not Outcome.OK]
    return ArmSummary(
        arm_id=arm.arm_id,
        ort_version="1.31.1",
        latency=_latency_summary([b.result.timing.measured_ns for b in latency if b.result]),
        cold_start=ColdStartSummary(
            block_count=5,
            environment_ns=61_000_002,
            session_creation_ns=(24 if kind.name == "onnx" else 9) * 1e6,
            first_run_ns=kind.base_ms * 1.8e6,
        ),
        memory=tuple(
            MemorySummary(
                metric=point.metric,
                kind=str(point.kind),
                scope=point.scope,
                phase=str(point.phase),
                size_bytes=float(point.size_bytes),
                block_count=3,
            )
            for point in _memory(kind)
        ),
        executed=next(b.executed for b in mine if b.executed),
        registered_providers=(CPU,),
        replay=kind.proof,
        replay_as_asked=True,
        parity=PASSED,
        failures=tuple(f"{b.purpose} block {b.block_id} {b.outcome}: {_why(b)}" for b in bad),
    )


def _why(block: Block) -> str:
    if block.death is not None:
        return block.death.message
    assert block.result is not None
    assert block.result.failure is not None
    return block.result.failure.message


def _latency_summary(blocks: Sequence[Sequence[int]]) -> LatencySummary:
    pooled = [value for block in blocks for value in block]
    middle = median([median(block) for block in blocks])
    return LatencySummary(
        block_count=len(blocks),
        sample_count=len(pooled),
        median_ns=middle,
        p90_ns=percentile(pooled, 90),
        p99_ns=percentile(pooled, 99) if len(pooled) >= 1000 else None,
        minimum_ns=float(min(pooled)),
        throughput_per_s=1e9 / middle,
        outlier_count=17,
        warm_up_converged_count=len(blocks),
    )


# ------------------------------------------------------------------------------ prepared


def _prepared(experiment: Experiment, rename: Rename) -> PreparedModel:
    spec = TensorSpec(name=rename("x"), element_type="float", shape=("N", 3, 48, 192))
    original = ModelSpec(
        file_name=rename("ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        sha256="e4" * 32,
        size_bytes=585_532,
        ir_version=7,
        opsets={"ai.onnx": 11},
        producer="paddle2onnx 0.9",
        metadata={rename("note"): rename("value")},
        inputs=(spec,),
        outputs=(
            TensorSpec(
                name=rename("save_infer_model/scale_0.tmp_1"), element_type="float", shape=("N", 2)
            ),
        ),
    )
    variants = tuple(
        Variant(
            variant_id=kind.variant,
            style=kind.style,
            level=GraphOptimizationLevel.ALL,
            target=None if kind.style is OptimizationStyle.ONNX else TargetPlatform.AMD64,
            precision=Precision.FP32,
            path=f"{kind.variant}.ort",
            sha256="ab" * 32,
            content_digest="cd" * 32,
            size_bytes=kind.size_bytes,
            operator_counts={f"ai.onnx:{rename('Conv')}": 54},
            initializer_bytes={"float": 560_000},
            saved_optimizations={"ConvActivationFusion": 24}
            if kind.style is OptimizationStyle.RUNTIME
            else {},
            parity=PASSED,
        )
        for kind in _KINDS[:3]
    )
    return PreparedModel(
        name="cls",
        original=original,
        findings=(),
        repairs=(f"the input {rename('x')} was fixed to 1×3×48×192",),
        variants=variants,
        refused=(
            RefusedVariant(
                variant_id="fixed-arm-fp16", reason=rename("an fp16 .ort is refused by ORT")
            ),
        ),
        samples=(experiment.sample,),
        configs=(),
        recipes=(),
        compatibility={
            "onnx": _releases(7, ReplayAnswer.NONE_SAVED),
            "fixed-amd64": _releases(13, ReplayAnswer.NONE_SAVED),
            "runtime-amd64": _releases(13, ReplayAnswer.WITH_KEY),
        },
        predictions=(
            PartitionPrediction(
                provider="nnapi",
                variant_id="onnx",
                node_count=150,
                supported_node_count=141,
                partition_count=3,
                unsupported_operators=(rename("HardSigmoid"),),
                stop_operators=(),
                suitability="MAYBE",
            ),
            PartitionPrediction(
                provider="coreml-mlprogram",
                variant_id="onnx",
                node_count=150,
                supported_node_count=150,
                partition_count=1,
                unsupported_operators=(),
                stop_operators=(),
                suitability="YES",
            ),
        ),
        custom_op_library=None,
        provenance=Provenance(
            ortlab_version="0.1.0",
            ort_version="1.31.1",
            onnx_version="1.23.2",
            python_version="3.11.7",
            machine="x86_64",
            created_at="2026-11-21T10:00:00Z",
            cache_key="0" * 64,
            options={"fix": "x=1,3,48,192"},
        ),
    )


def _releases(first: int, replay: ReplayAnswer) -> tuple[ReleaseVerdict, ...]:
    return tuple(
        ReleaseVerdict(
            release=f"1.{minor}",
            loads=minor >= first,
            replay=(
                ReplayAnswer.BY_DEFAULT
                if minor >= 30 and replay is ReplayAnswer.WITH_KEY
                else replay
            )
            if minor >= first
            else ReplayAnswer.NOT_LOADED,
            reason="" if minor >= first else "format version 6 is newer than this release reads",
            basis=Basis.MEASURED if minor <= 31 else Basis.EXPECTED,
        )
        for minor in range(5, 33)
    )
