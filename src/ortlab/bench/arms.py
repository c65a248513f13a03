"""Arms crossed from what a user lists; the impossible ones are refused, each with its reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ortlab.bench import providers as eps
from ortlab.bench.naming import arm_id_of, label_of
from ortlab.bench.refusals import Refusal, config_refusal, refusal_of
from ortlab.bench.sources import ArmSource, OpenSource, Wanted, device_target, open_sources
from ortlab.domain import (
    Arm,
    Device,
    DeviceInfo,
    DeviceKind,
    OptimizationStyle,
    ParityStatus,
    Precision,
    PreparedModel,
    Replay,
    TargetPlatform,
    Variant,
)
from ortlab.errors import UsageError
from ortlab.tensors import tolerance_of
from ortlab.wire import ExecutionMode, GraphOptimizationLevel, LoadMode, ProviderRequest

_CPU_ONLY: Final = (ProviderRequest(name=eps.CPU),)
_SQNR_ALLOWANCE_DB: Final = 3.0
_SQNR_CEILING_DB: Final = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOptions:
    """Lists to cross; an empty one leaves the choice to ortlab.

    Attributes:
        styles: Default: those the prepared model has.
        providers: Chains of providers, see :func:`parse_providers`. Default: CPU.
        threads: Intra-op threads; None is ORT's default.
        load_modes: How the runtime gets the model.
        precisions: Default: fp32, or what the model came as.
        replays: For Runtime style; other styles ignore it. Default: on and off.
        config_entries: Sets of session config entries.
        levels: Graph optimization levels at load.
        execution_mode: Of every arm.
        targets: Default: the device's own CPU family.
        against: Further sources, whose arms are measured too, with ``base-`` before their id.
    """

    styles: tuple[OptimizationStyle, ...] = ()
    providers: tuple[tuple[ProviderRequest, ...], ...] = (_CPU_ONLY,)
    threads: tuple[int | None, ...] = (None,)
    load_modes: tuple[LoadMode, ...] = (LoadMode.PATH,)
    precisions: tuple[Precision, ...] = ()
    replays: tuple[Replay, ...] = ()
    config_entries: tuple[Mapping[str, str], ...] = field(default=({},))
    levels: tuple[GraphOptimizationLevel, ...] = (GraphOptimizationLevel.ALL,)
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    targets: tuple[TargetPlatform, ...] = ()
    against: tuple[ArmSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedArms:
    """What crossing gave.

    Attributes:
        arms: In the order of the lists; the first is the baseline unless another is named.
        left_out: Sentences on what ortlab's own choice leaves out, such as a variant whose
            parity failed.
        notes: Sentences on arms that mislead or prove less.
    """

    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def parse_config_entry(text: str) -> tuple[str, str]:
    """Parse ``key=value`` of a session config entry.

    Raises:
        UsageError: It is not ``key=value``, or the key belongs to an option of its own.
    """
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        message = f"cannot read session config entry {text!r}"
        raise UsageError(message, next_step="write it as key=value")
    if refusal := config_refusal(key.strip()):
        message = f"cannot set session config entry {key.strip()} by hand"
        raise UsageError(message, next_step=refusal)
    return key.strip(), value.strip()


def cross_arms(
    prepared: PreparedModel, prepared_path: Path, options: ArmOptions, device: Device
) -> tuple[Arm, ...]:
    """Return the arms of an experiment; see :func:`cross`."""
    return cross(prepared, prepared_path, options, device).arms


def cross(
    prepared: PreparedModel, prepared_path: Path, options: ArmOptions, device: Device
) -> CrossedArms:
    """Cross the lists of ``options`` over the variants of the prepared model.

    Args:
        prepared: The model; its variants, parity and compatibility decide what is possible.
        prepared_path: Its directory.
        options: Lists to cross.
        device: Tells its CPU family and, for each runtime, its version and providers.

    Raises:
        UsageError: A combination that was asked for is impossible (all of them are listed), two
            are the same, or none is left.
        ModelError: A path of the manifest leaves its directory, or a file is missing.
        DeviceError: A runtime cannot be started on the device.
    """
    arms: list[Arm] = []
    refused: list[str] = []
    left_out: list[str] = []
    for source in open_sources(prepared, prepared_path, options.against, device):
        for wanted in _combinations(source, options, device.info):
            made = _make(source, wanted, options, device)
            if isinstance(made, Arm):
                arms.append(made)
                continue
            asked = options.styles or options.precisions or not made.of_variant
            (refused if asked else left_out).append(made.reason)
    refused += _doubles(arms)
    if refused:
        listed = "; ".join(dict.fromkeys(refused))
        message = f"cannot measure {prepared.name} as asked: {listed}"
        raise UsageError(message, next_step="leave these combinations out")
    if not arms:
        listed = "; ".join(left_out) or "it has no variant to measure"
        message = f"cannot measure {prepared.name}: {listed}"
        raise UsageError(message, next_step="ortlab prepare MODEL, with other options")
    return CrossedArms(
        arms=tuple(arms),
        left_out=tuple(dict.fromkeys(left_out)),
        notes=tuple(dict.fromkeys(_notes(prepared, arms, device.info))),
    )


def _combinations(source: OpenSource, options: ArmOptions, device: DeviceInfo) -> Iterator[Wanted]:
    """Yield every combination; replay is crossed for Runtime style only."""
    styles = options.styles or source.styles()
    asked_replay = set(options.replays) - {Replay.DEFAULT}
    if asked_replay and OptimizationStyle.RUNTIME not in styles:
        words = ", ".join(sorted(asked_replay))
        message = f"cannot set replay {words}: only Runtime style has saved optimizations"
        raise UsageError(message, next_step="add --style runtime")
    for style in styles:
        is_onnx = style is OptimizationStyle.ONNX
        targets = (None,) if is_onnx else options.targets or (device_target(device),)
        for precision, target in itertools.product(
            options.precisions or (source.precision(),), targets
        ):
            variant = source.variant(style, precision, target)
            for replay, providers, threads, load, level, entries in itertools.product(
                _replays(source, style, variant, options),
                options.providers,
                options.threads,
                options.load_modes,
                options.levels,
                options.config_entries,
            ):
                yield Wanted(
                    style=style,
                    precision=precision,
                    target=target,
                    variant=variant,
                    replay=replay,
                    providers=eps.with_cpu_last(providers),
                    threads=threads,
                    load_mode=load,
                    level=level,
                    config_entries=dict(entries),
                )


def _replays(
    source: OpenSource, style: OptimizationStyle, variant: Variant | None, options: ArmOptions
) -> tuple[Replay, ...]:
    """Return the replays to cross; on and off by default, where there is anything to replay."""
    if style is not OptimizationStyle.RUNTIME:
        return (Replay.DEFAULT,)
    if options.replays:
        return options.replays
    saved = sum(variant.saved_optimizations.values()) if variant else 0
    return (Replay.ON, Replay.OFF) if saved and source.can_replay() else (Replay.DEFAULT,)


def _make(source: OpenSource, wanted: Wanted, options: ArmOptions, device: Device) -> Arm | Refusal:
    """Return the arm, or why it cannot be measured."""
    arm_id = source.prefix + arm_id_of(wanted, device_target(device.info), options.execution_mode)
    variant = wanted.variant
    if variant is None:
        return Refusal(reason=f"{arm_id}: {source.missing_reason(wanted)}", of_variant=True)
    if variant.parity.status is ParityStatus.FAILED:
        why = f"{variant.variant_id} is out of tolerance, {variant.parity.reason}"
        return Refusal(reason=f"{arm_id}: {why}", of_variant=True)
    providers = eps.with_xnnpack_threads(wanted.providers, wanted.threads)
    if device.info.kind is DeviceKind.WEB and wanted.style is OptimizationStyle.FIXED:
        providers = eps.with_webgpu_layout(providers)
    arm = Arm(
        arm_id=arm_id,
        label=source.label_prefix + label_of(wanted, device.info),
        style=wanted.style,
        variant_id=variant.variant_id,
        model_path=str(source.file(variant.path)),
        model_sha256=variant.sha256,
        prepared_sha256=source.sha256,
        providers=providers,
        intra_op_num_threads=wanted.threads,
        load_mode=wanted.load_mode,
        replay=wanted.replay,
        graph_optimization_level=wanted.level,
        execution_mode=options.execution_mode,
        config_entries=wanted.config_entries,
        runtime=source.runtime,
        custom_op_library=source.custom_op_library(),
        saved_optimization_count=sum(variant.saved_optimizations.values()),
        parity_tolerance=_tolerance(variant) if source.held_to_reference else None,
        precision=variant.precision,
        target=variant.target,
        size_bytes=variant.size_bytes,
        min_sqnr_db=_least_sqnr_db(variant) if source.held_to_reference else None,
        operator_counts=dict(variant.operator_counts),
        reference=source.reference,
    )
    return refusal_of(arm, source, device) or arm


def _tolerance(variant: Variant) -> tuple[float, float] | None:
    if variant.parity.status is ParityStatus.NOT_CHECKED:
        return None
    return tolerance_of(variant.precision)


def _least_sqnr_db(variant: Variant) -> float | None:
    """A device may double the noise power that preparation measured, not more."""
    if variant.parity.sqnr_db is None or tolerance_of(variant.precision) is not None:
        return None
    return min(variant.parity.sqnr_db - _SQNR_ALLOWANCE_DB, _SQNR_CEILING_DB)


def _doubles(arms: list[Arm]) -> Iterator[str]:
    seen: dict[Arm | str, str] = {}
    for arm in arms:
        content = repr(replace(arm, arm_id="", label=""))
        if arm.arm_id in seen or content in seen:
            yield f"{arm.arm_id}: it is asked for twice"
        seen[arm.arm_id] = seen[content] = arm.arm_id


def _notes(prepared: PreparedModel, arms: list[Arm], device: DeviceInfo) -> Iterator[str]:
    own = device_target(device)
    for arm in arms:
        if arm.target is not None and arm.target is not own:
            yield (
                f"{arm.arm_id} was optimized for {arm.target} and runs on {device.architecture}:"
                " its latency says little of either"
            )
        if arm.parity_tolerance is None and arm.min_sqnr_db is None:
            yield f"{arm.arm_id}: parity was not checked, so no verdict will be given"
    yield from prepared.samples[0].notes if prepared.samples else ()
