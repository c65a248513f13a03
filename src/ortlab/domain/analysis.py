"""What may be said of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ortlab.domain.experiments import ExecutedOperator
from ortlab.domain.models import OptimizationStyle, Parity


class Verdict(StrEnum):
    """What may be said of an arm against the baseline."""

    FASTER = "faster"
    SLOWER = "slower"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    NONE = "no verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Geometric mean of per-round ratios arm ÷ baseline, with its interval.

    Attributes:
        ratio: Above 1 is slower than the baseline.
        low: Lower bound at ``confidence``.
        high: Upper bound.
        confidence: Level of the interval that decides, such as 0.982.
        rounds: Rounds used.
        sign_flip_p: Exact or sampled sign-flip test, two-sided; shown, does not decide.
        bootstrap_low: Median-ratio bootstrap at 95 %; shown, does not decide.
        bootstrap_high: Likewise.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    rounds: int
    sign_flip_p: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm against the baseline.

    Attributes:
        arm_id: The arm.
        baseline: What it is compared with.
        verdict: What may be said.
        sentence: The verdict in words, with figures.
        reason: Why there is no verdict or none stronger; empty otherwise.
        effect: None when fewer than two complete rounds exist.
        effect_undisturbed: The same without disturbed rounds, when there are any.
        verdict_undisturbed: Likewise.
    """

    arm_id: str
    baseline: str
    verdict: Verdict
    sentence: str
    reason: str
    effect: Effect | None
    effect_undisturbed: Effect | None = None
    verdict_undisturbed: Verdict | None = None


class Grade(StrEnum):
    """How far a result may be trusted."""

    A = "A"
    B = "B"
    C = "C"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFinding:
    """A rule of the trust table that applies.

    Attributes:
        rule: Name of the rule.
        grade: Best grade that remains.
        sentence: Why, in plain words.
        arm_id: Arm it concerns, or None for the run.
    """

    rule: str
    grade: Grade
    sentence: str
    arm_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySummary:
    """Of an arm's measured samples; percentiles are descriptive, the verdict uses block medians.

    Attributes:
        block_count: Latency blocks that succeeded.
        sample_count: Samples in them.
        median_ns: Median of block medians.
        p90_ns: Over pooled samples.
        p99_ns: Likewise; None below 1,000 samples.
        minimum_ns: Fastest sample.
        throughput_per_s: Runs per second at the median.
        outlier_count: Samples outside Tukey's fences of their block.
        warm_up_converged_count: Blocks whose warm-up converged.
    """

    block_count: int
    sample_count: int
    median_ns: float
    p90_ns: float
    p99_ns: float | None
    minimum_ns: float
    throughput_per_s: float
    outlier_count: int
    warm_up_converged_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStartSummary:
    """Medians over fresh processes, in nanoseconds."""

    block_count: int
    environment_ns: float | None
    session_creation_ns: float | None
    first_run_ns: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySummary:
    """Median of one memory figure over an arm's memory blocks."""

    metric: str
    kind: str
    scope: str
    phase: str
    size_bytes: float
    block_count: int


class ReplayProof(StrEnum):
    """What the executed operators say of replay."""

    ON = "on"
    OFF = "off"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """All that was observed of one arm.

    Attributes:
        arm_id: The arm.
        ort_version: That ran it, or None when nothing ran.
        latency: None without a successful latency block.
        cold_start: None without one.
        memory: By metric, kind, scope and phase.
        executed: Nodes that really ran.
        registered_providers: As the session reported.
        replay: Proven from executed operators.
        replay_as_asked: False makes the arm unusable.
        parity: On the device; None when not run.
        failures: Failed and died blocks, in sentences.
    """

    arm_id: str
    ort_version: str | None
    latency: LatencySummary | None
    cold_start: ColdStartSummary | None
    memory: tuple[MemorySummary, ...]
    executed: tuple[ExecutedOperator, ...]
    registered_providers: tuple[str, ...]
    replay: ReplayProof
    replay_as_asked: bool
    parity: Parity | None
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to ship on this device, and why; ``arm_id`` is None when nothing may be said."""

    arm_id: str | None
    sentence: str
    evidence: tuple[str, ...]
    style: OptimizationStyle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a run says.

    Attributes:
        experiment_id: Of the run.
        finished: Whether all planned blocks exist.
        rounds: Complete latency rounds.
        stop_reason: Why the rounds ended, or what is still to come.
        comparisons: One for each arm but the baseline.
        arms: One for each arm, in order.
        grade: Lowest over the findings.
        findings: Rules that apply.
        recommendation: What to ship.
        headlines: Verdicts in words, for the top of a report and the last lines of a command.
    """

    experiment_id: str
    finished: bool
    rounds: int
    stop_reason: str
    comparisons: tuple[Comparison, ...]
    arms: tuple[ArmSummary, ...]
    grade: Grade
    findings: tuple[TrustFinding, ...]
    recommendation: Recommendation
    headlines: tuple[str, ...]
