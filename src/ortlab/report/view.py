"""What a page says, in rows and words; HTML and Markdown only lay it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ortlab.domain import (
    Analysis,
    Arm,
    ArmSummary,
    Comparison,
    OptimizationStyle,
    PartitionPrediction,
    PreparedModel,
    ReleaseVerdict,
    Run,
    Verdict,
)
from ortlab.report.text import limit, shell_quote, size, three_digits
from ortlab.wire import BlockResult, Conditions, MemoryKind

CPU_PROVIDER = "CPUExecutionProvider"
COLOUR_COUNT = 7
_PREDICTED_NAMES = {
    "NnapiExecutionProvider": ("nnapi",),
    "CoreMLExecutionProvider": ("coreml-neuralnetwork", "coreml-mlprogram"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """An arm with all that is shown of it.

    Attributes:
        index: In the experiment.
        arm: As planned.
        summary: As observed.
        comparison: With the baseline; None for the baseline itself.
        colour: CSS variable.
        settings: What tells it from other arms, in words.
        peak_bytes: Largest peak memory figure.
        peak_metric: Its name.
    """

    index: int
    arm: Arm
    summary: ArmSummary
    comparison: Comparison | None
    colour: str
    settings: str
    peak_bytes: float | None
    peak_metric: str

    @property
    def is_baseline(self) -> bool:
        """Whether the others are compared with it."""
        return self.comparison is None


def arm_views(run: Run, analysis: Analysis) -> tuple[ArmView, ...]:
    """Return the arms in order; the baseline is grey, the others cycle through the colours."""
    comparisons = {c.arm_id: c for c in analysis.comparisons}
    summaries = {summary.arm_id: summary for summary in analysis.arms}
    views = []
    coloured = 0
    for index, arm in enumerate(run.experiment.arms):
        is_baseline = arm.arm_id == run.experiment.baseline
        colour = "var(--a0)" if is_baseline else f"var(--a{coloured % COLOUR_COUNT + 1})"
        coloured += not is_baseline
        summary = summaries[arm.arm_id]
        peak = max(
            (m for m in summary.memory if m.kind == MemoryKind.PEAK),
            key=lambda m: m.size_bytes,
            default=None,
        )
        views.append(
            ArmView(
                index=index,
                arm=arm,
                summary=summary,
                comparison=comparisons.get(arm.arm_id),
                colour=colour,
                settings=describe_settings(arm),
                peak_bytes=peak.size_bytes if peak else None,
                peak_metric=peak.metric if peak else "",
            )
        )
    return tuple(views)


def describe_settings(arm: Arm) -> str:
    """Return an arm's settings in words; defaults of the runtime are left out."""
    providers = " + ".join(
        provider.name.removesuffix("ExecutionProvider")
        + (f" ({_pairs(provider.options.items())})" if provider.options else "")
        for provider in arm.providers
    )
    words = [arm.variant_id, str(arm.precision), providers]
    if arm.intra_op_num_threads is not None:
        plural = "" if arm.intra_op_num_threads == 1 else "s"
        words.append(f"{arm.intra_op_num_threads} thread{plural}")
    words.append(f"loaded by {arm.load_mode}")
    if arm.style is OptimizationStyle.RUNTIME:
        words.append(f"replay {arm.replay}")
    if arm.runtime:
        words.append(f"runtime {arm.runtime}")
    if arm.config_entries:
        words.append(_pairs(arm.config_entries.items()))
    return ", ".join(words)


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in items)


def extra_headlines(analysis: Analysis) -> tuple[str, ...]:
    """Return headlines that neither a comparison nor the recommendation says already."""
    said = {c.sentence for c in analysis.comparisons} | {analysis.recommendation.sentence}
    return tuple(line for line in analysis.headlines if line not in said)


def evidence(analysis: Analysis) -> tuple[str, ...]:
    """Return the recommendation's evidence beyond the comparisons' own sentences."""
    said = {c.sentence for c in analysis.comparisons}
    return tuple(line for line in analysis.recommendation.evidence if line not in said)


VERDICT_CLASSES = {
    Verdict.FASTER: "faster",
    Verdict.SLOWER: "slower",
    Verdict.EQUIVALENT: "same",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NONE: "none",
}
"""Verdict to CSS class."""


# ------------------------------------------------------------------------------ placement


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """An executed operator: nodes in each arm; None where the arm has no profile."""

    operator: str
    provider: str
    counts: tuple[int | None, ...]

    @property
    def differs(self) -> bool:
        """Whether the arms with a profile disagree."""
        return len({count for count in self.counts if count is not None}) > 1


def operator_rows(arms: Sequence[ArmView]) -> tuple[OperatorRow, ...]:
    """Return executed operators, those that differ between arms first."""
    counts: dict[tuple[str, str], list[int | None]] = {}
    for place, view in enumerate(arms):
        for item in view.summary.executed:
            empty: list[int | None] = [0 if v.summary.executed else None for v in arms]
            row = counts.setdefault((item.operator, item.provider), empty)
            row[place] = (row[place] or 0) + item.count
    rows = [
        OperatorRow(operator=operator, provider=provider, counts=tuple(row))
        for (operator, provider), row in counts.items()
    ]
    return tuple(
        sorted(
            rows,
            key=lambda row: (not row.differs, "Fused" not in row.operator, -_most(row), row.operator),
        )
    )


def _most(row: OperatorRow) -> int:
    return max(count or 0 for count in row.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRow:
    """A provider of an arm, predicted beside measured."""

    view: ArmView
    provider: str
    asked: bool
    registered: bool
    prediction: PartitionPrediction | None
    executed: int | None
    note: str


def placement_rows(
    arms: Sequence[ArmView], prepared: PreparedModel | None
) -> tuple[PlacementRow, ...]:
    """Return each arm's providers: asked, registered, predicted, executed."""
    rows = []
    for view in arms:
        executed: dict[str, int] = {}
        for item in view.summary.executed:
            executed[item.provider] = executed.get(item.provider, 0) + item.count
        asked = [provider.name for provider in view.arm.providers]
        for name in dict.fromkeys((*asked, *view.summary.registered_providers, *executed)):
            prediction = _prediction(view.arm, name, prepared)
            count = executed.get(name, 0) if view.summary.executed else None
            registered = name in view.summary.registered_providers
            rows.append(
                PlacementRow(
                    view=view,
                    provider=name,
                    asked=name in asked,
                    registered=registered,
                    prediction=prediction,
                    executed=count,
                    note=_placement_note(
                        name, prediction, asked=name in asked, registered=registered, count=count
                    ),
                )
            )
    return tuple(rows)


def _prediction(
    arm: Arm, provider: str, prepared: PreparedModel | None
) -> PartitionPrediction | None:
    names = _PREDICTED_NAMES.get(provider, ())
    if prepared is None or not names:
        return None
    if len(names) > 1:
        options = next((p.options for p in arm.providers if p.name == provider), {})
        names = names[1:] if options.get("ModelFormat") == "MLProgram" else names[:1]
    found = [p for p in prepared.predictions if p.provider in names]
    own = [p for p in found if p.variant_id == arm.variant_id]
    return next(iter(own or found), None)


def _placement_note(
    name: str,
    prediction: PartitionPrediction | None,
    *,
    asked: bool,
    registered: bool,
    count: int | None,
) -> str:
    if asked and not registered:
        return "asked for, and the session does not report it"
    if asked and count == 0 and name != CPU_PROVIDER:
        if prediction and prediction.supported_node_count:
            return f"{prediction.supported_node_count} nodes were predicted and none ran here"
        return "nothing ran here"
    return ""


# ------------------------------------------------------------------------------ releases, sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRange:
    """Successive ORT releases that treat a variant alike."""

    variant_id: str
    first: str
    last: str
    verdict: ReleaseVerdict

    @property
    def releases(self) -> str:
        """The range in words."""
        return self.first if self.first == self.last else f"{self.first} – {self.last}"


def release_ranges(prepared: PreparedModel) -> tuple[ReleaseRange, ...]:
    """Return each variant's verdicts by ORT release, alike ones put together."""
    ranges: list[ReleaseRange] = []
    for variant_id, verdicts in prepared.compatibility.items():
        start = len(ranges)
        for verdict in verdicts:
            last = ranges[-1] if len(ranges) > start else None
            if last is not None and _alike(last.verdict, verdict):
                verdict_range = (last.first, verdict.release, last.verdict)
                ranges.pop()
            else:
                verdict_range = (verdict.release, verdict.release, verdict)
            ranges.append(
                ReleaseRange(
                    variant_id=variant_id,
                    first=verdict_range[0],
                    last=verdict_range[1],
                    verdict=verdict_range[2],
                )
            )
    return tuple(ranges)


def _alike(one: ReleaseVerdict, other: ReleaseVerdict) -> bool:
    return (one.loads, one.replay, one.reason, one.basis) == (
        other.loads,
        other.replay,
        other.reason,
        other.basis,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRow:
    """A variant's file; ``share`` is of the largest, ``ratio`` to the baseline's."""

    variant_id: str
    labels: tuple[str, ...]
    size_bytes: int
    share: float
    ratio: float | None


def size_rows(run: Run, prepared: PreparedModel | None) -> tuple[SizeRow, ...]:
    """Return the files of the arms, then of the other variants of the prepared model."""
    sizes: dict[str, int] = {}
    labels: dict[str, list[str]] = {}
    for arm in run.experiment.arms:
        sizes.setdefault(arm.variant_id, arm.size_bytes)
        labels.setdefault(arm.variant_id, []).append(arm.label)
    for variant in prepared.variants if prepared else ():
        sizes.setdefault(variant.variant_id, variant.size_bytes)
    largest = max(sizes.values(), default=0) or 1
    arms = {arm.arm_id: arm for arm in run.experiment.arms}
    base = arms[run.experiment.baseline].size_bytes if run.experiment.baseline in arms else 0
    return tuple(
        SizeRow(
            variant_id=variant_id,
            labels=tuple(labels.get(variant_id, ())),
            size_bytes=size_bytes,
            share=size_bytes / largest,
            ratio=size_bytes / base if base else None,
        )
        for variant_id, size_bytes in sizes.items()
        if size_bytes
    )


# ------------------------------------------------------------------------------ conditions


def condition_rows(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what is known of device, runtime and circumstances, as name and words."""
    experiment, device = run.experiment, run.experiment.device
    results = [block.result for block in run.blocks if block.result is not None]
    rows = [
        ("Device", f"{device.name} ({device.device_id})"),
        ("Kind", f"{device.kind}{', virtual' * device.virtual}{', emulator' * device.emulator}"),
        ("System", f"{device.os_version}, {device.architecture}"),
        ("CPU", device.cpu),
        ("Memory", size(device.memory_bytes)),
        *_runtime_rows(results),
        *_moment_rows(results),
        ("Sample", "; ".join((experiment.sample.origin, *experiment.sample.notes))),
        ("Rounds may stop at", ", ".join(str(look) for look in experiment.rule.looks)),
        (
            "False alarm rate",
            f"{limit(experiment.rule.family_alpha)} a comparison over all looks,"
            f" {limit(experiment.rule.look_alpha)} at each look,"
            f" divided by {max(experiment.rule.comparisons, 1)} comparison(s)",
        ),
        ("Equivalence margin", f"±{limit(experiment.rule.equivalence_margin)}"),
        (
            "Noise floor of the device",
            "unknown" if experiment.rule.floor is None else f"±{limit(experiment.rule.floor)}",
        ),
        ("Seed of the order", str(experiment.seed)),
    ]
    return tuple((name, words) for name, words in rows if words)


def _runtime_rows(results: Sequence[BlockResult]) -> list[tuple[str, str]]:
    runtimes = [result.runtime for result in results if result.runtime is not None]
    clocks = dict.fromkeys(f"{r.clock.name}, resolution {r.clock.resolution_ns} ns" for r in results)
    builds = dict.fromkeys(runtime.build_info for runtime in runtimes if runtime.build_info)
    return [
        ("ONNX Runtime", _listed(runtime.ort_version for runtime in runtimes)),
        ("ORT build", "; ".join(builds)),
        (
            "Runner",
            _listed(
                f"{runtime.language} {runtime.language_version}, runner {runtime.runner_version}"
                for runtime in runtimes
            ),
        ),
        ("Clock", "; ".join(clocks)),
    ]


def _moment_rows(results: Sequence[BlockResult]) -> list[tuple[str, str]]:
    moments = [
        moment
        for result in results
        for moment in (result.conditions_before, result.conditions_after)
        if moment is not None
    ]
    return [
        ("Temperature", _range([m.temperature_c for m in moments], "°C")),
        ("Thermal status", _listed(m.thermal_status for m in moments)),
        ("Battery", _range([m.battery_percent for m in moments], "%")),
        ("Charging", _listed(_yes(m.charging) for m in moments)),
        ("Low-power mode", _listed(_yes(m.low_power_mode) for m in moments)),
        ("CPU governor", _listed(m.cpu_governor for m in moments)),
        ("CPU frequency", _frequencies(moments)),
        (
            "CPU used by others",
            _range([None if m.busy_fraction is None else m.busy_fraction * 100 for m in moments],
                   "%"),
        ),
    ]


def _yes(value: bool | None) -> str | None:  # noqa: FBT001
    return None if value is None else "yes" if value else "no"


def _listed(words: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def _range(values: Iterable[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = three_digits(min(known)), three_digits(max(known))
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _frequencies(moments: Sequence[Conditions]) -> str:
    known = [float(khz) / 1000 for moment in moments for khz in moment.cpu_frequency_khz]
    return _range(known, "MHz")


def disturbances(run: Run) -> tuple[tuple[str, str], ...]:
    """Return where a block was disturbed, and why."""
    return tuple(
        (
            f"round {block.round_index + 1}, attempt {block.attempt + 1},"
            f" {run.experiment.arm(block.arm_id).label}",
            "; ".join(block.disturbances),
        )
        for block in run.blocks
        if block.disturbances
    )


def commands(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what each command does, and the command."""
    directory = shell_quote(str(run.directory))
    rows = [("Measure again", run.experiment.command)] if run.experiment.command else []
    rows += [
        ("Write this report again", f"ortlab report {directory}"),
        ("Use it as a gate", f"ortlab gate {directory} --max-slowdown 2%"),
    ]
    return tuple(rows)
