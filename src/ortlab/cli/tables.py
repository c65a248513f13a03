"""Frozen values as tables and sentences for a terminal."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ortlab.cli import render
from ortlab.domain import (
    Analysis,
    Arm,
    ArmSummary,
    DeviceInfo,
    Experiment,
    Parity,
    ParityStatus,
    PreparedModel,
    ReleaseVerdict,
    TensorSpec,
)

if TYPE_CHECKING:
    from ortlab.prepare import Inspection


def size(size_bytes: float) -> str:
    """Return a size for people, such as ``3.6 MB`` (powers of ten)."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}" if size_bytes < 100 else f"{size_bytes:.0f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"


def duration(duration_ns: float) -> str:
    """Return a duration for people, such as ``0.81 ms``."""
    for limit, divisor, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if duration_ns < limit:
            return f"{duration_ns / divisor:.3g} {unit}"
    return f"{duration_ns / 1e9:.3g} s"


def parity(value: Parity) -> str:
    """Return a parity in a few words."""
    if value.status is ParityStatus.NOT_CHECKED:
        return "not checked"
    if value.sqnr_db is not None:
        agreement = f", top-1 {value.top1_agreement:.0%}" if value.top1_agreement else ""
        return f"{value.status}: {value.sqnr_db:.1f} dB{agreement}"
    error = "" if value.max_abs_error is None else f" (max {value.max_abs_error:.1e})"
    return f"{value.status}{error}"


def show_prepared(model: PreparedModel) -> None:
    """Print what was prepared."""
    render.show_table(
        f"{model.name}: {model.original.file_name}",
        ("variant", "nodes", "saved", "size", "parity"),
        [
            (
                variant.variant_id,
                str(sum(variant.operator_counts.values())),
                str(sum(variant.saved_optimizations.values())),
                size(variant.size_bytes),
                parity(variant.parity),
            )
            for variant in model.variants
        ],
        right=(1, 2, 3),
    )
    for refused in model.refused:
        render.say(f"not made: {refused.variant_id}: {refused.reason}")
    for sentence in (*model.findings, *model.repairs):
        render.say(f"- {sentence}")


def show_prepared_details(model: PreparedModel) -> None:
    """Print what reduced builds need, what providers would take, and which releases load it."""
    if model.predictions:
        render.show_table(
            "predicted for execution providers",
            ("variant", "provider", "nodes", "partitions", "not taken"),
            [
                (
                    item.variant_id,
                    item.provider,
                    f"{item.supported_node_count} of {item.node_count}",
                    str(item.partition_count),
                    ", ".join(item.unsupported_operators),
                )
                for item in model.predictions
            ],
            right=(2, 3),
        )
    for config in model.configs:
        types = ", with element types" if config.type_reduction else ""
        minimal = "extended" if config.extended_minimal_build else "any"
        render.say(f"{config.path}: {config.style}{types}; minimal build: {minimal}")
    for recipe in model.recipes:
        render.say(f"{recipe.platform}: {shlex.join(recipe.command)}")
        render.say(f"  {recipe.note}")
    for variant_id, verdicts in model.compatibility.items():
        show_releases(f"ORT releases for {variant_id}", verdicts)


def show_inspection(found: Inspection) -> None:
    """Print what is in a file."""
    for sentence in found.sentences:
        render.say(sentence)
    tensors = [(tensor, "in") for tensor in found.model.inputs]
    tensors += [(tensor, "out") for tensor in found.model.outputs]
    render.show_table(
        "inputs and outputs",
        ("", "name", "type", "shape"),
        [(way, tensor.name, tensor.element_type, shape(tensor)) for tensor, way in tensors],
    )
    render.show_table(
        "operators",
        ("operator", "nodes"),
        [(name, str(count)) for name, count in found.operator_counts.items()],
        right=(1,),
    )
    render.show_table(
        "largest initializers",
        ("name", "type", "size"),
        [(t.name, t.element_type, size(t.size_bytes)) for t in found.initializers[:8]],
        right=(2,),
    )
    show_releases("ORT releases", found.releases)


def shape(tensor: TensorSpec) -> str:
    """Return a shape for people; unknown dimensions are question marks."""
    if tensor.shape is None:
        return "unknown"
    return " × ".join("?" if size is None else str(size) for size in tensor.shape) or "scalar"


def show_releases(title: str, verdicts: Sequence[ReleaseVerdict]) -> None:
    """Print which ORT releases load and replay a file; neighbours of one answer share a row."""

    def answer(verdict: ReleaseVerdict) -> tuple[str, ...]:
        loads = "yes" if verdict.loads else "no"
        # A reason may name the release, which must not keep neighbours apart.
        reason = verdict.reason.replace(verdict.release, "this release")
        return loads, str(verdict.replay), str(verdict.basis), reason

    rows = []
    for words, group in itertools.groupby(verdicts, key=answer):
        releases = [verdict.release for verdict in group]
        several = f"{releases[0]} to {releases[-1]}"
        rows.append((releases[0] if len(releases) == 1 else several, *words))
    render.show_table(title, ("ORT", "loads", "replays", "basis", "why not"), rows)


def show_arms(experiment: Experiment) -> None:
    """Print the arms of an experiment."""

    def settings(arm: Arm) -> str:
        parts = [provider.name.removesuffix("ExecutionProvider") for provider in arm.providers]
        words = ["+".join(parts), f"load {arm.load_mode}"]
        if arm.intra_op_num_threads is not None:
            words.append(f"{arm.intra_op_num_threads} thread(s)")
        words += [f"{key}={value}" for key, value in arm.config_entries.items()]
        return ", ".join(words)

    render.show_table(
        f"{experiment.model_name} on {experiment.device.name}",
        ("arm", "file", "settings"),
        [
            (
                arm.arm_id + (" (baseline)" if arm.arm_id == experiment.baseline else ""),
                f"{arm.variant_id}, {size(arm.size_bytes)}",
                settings(arm),
            )
            for arm in experiment.arms
        ],
    )


def show_analysis(analysis: Analysis, device: DeviceInfo) -> None:
    """Print the verdicts: a table of arms, then the sentences."""
    virtual = " (virtual)" if device.virtual else ""
    render.show_table(
        f"{device.name}{virtual}, {analysis.rounds} rounds",
        ("arm", "median", "p90", "against baseline", "fused"),
        [_arm_row(analysis, arm) for arm in analysis.arms],
        right=(1, 2, 4),
    )
    for sentence in analysis.headlines:
        render.say(sentence)


def _arm_row(analysis: Analysis, arm: ArmSummary) -> tuple[str, ...]:
    comparison = next((c for c in analysis.comparisons if c.arm_id == arm.arm_id), None)
    effect = comparison.effect if comparison else None
    against = "baseline" if comparison is None else str(comparison.verdict)
    if effect is not None:
        against += f" {effect.ratio - 1:+.1%} [{effect.low - 1:+.1%} {effect.high - 1:+.1%}]"
    fused = sum(e.count for e in arm.executed if e.operator.rpartition(":")[2] == "FusedConv")
    return (
        arm.arm_id,
        duration(arm.latency.median_ns) if arm.latency else "-",
        duration(arm.latency.p90_ns) if arm.latency else "-",
        against,
        str(fused) if arm.executed else "-",
    )
