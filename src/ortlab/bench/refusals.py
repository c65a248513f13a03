"""Why an arm cannot be measured, before the first block is spent on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ortlab.bench import providers as eps
from ortlab.bench.sources import OpenSource
from ortlab.domain import Arm, Device, DeviceKind, OptimizationStyle, Replay, ReplayAnswer
from ortlab.errors import UsageError
from ortlab.ort_releases import replay_settings
from ortlab.wire import LoadMode

_OWN_OPTIONS: Final = {
    "session.enable_saved_runtime_optimizations": "use --replay",
    "session.use_ort_model_bytes_directly": "use --load direct-bytes",
    "session.use_ort_model_bytes_for_initializers": "use --load initializers-from-bytes",
    "optimization.disable_specified_optimizers": "use --replay off or --level",
    "optimization.minimal_build_optimizations": "it belongs to conversion, ortlab prepare",
    "session.save_model_format": "it belongs to conversion, ortlab prepare",
}
_NEEDS_ORT_FILE: Final = frozenset({LoadMode.DIRECT_BYTES, LoadMode.INITIALIZERS_FROM_BYTES})
_NO_REPLAY: Final = frozenset({ReplayAnswer.IGNORED, ReplayAnswer.FAILS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An arm that cannot be measured.

    Attributes:
        reason: Its id and why, for a message.
        of_variant: Whether the variant is the reason, not an option that was asked for.
    """

    reason: str
    of_variant: bool


def config_refusal(key: str) -> str:
    """Return why a session config entry may not be set by hand; empty when it may."""
    return _OWN_OPTIONS.get(key, "")


def refusal_of(arm: Arm, source: OpenSource, device: Device) -> Refusal | None:
    """Return why an arm cannot be measured, all reasons together; None when it can."""
    of_variant = list(_variant_reasons(arm, source))
    reasons = [*of_variant, *_option_reasons(arm, source, device)]
    if not reasons:
        return None
    return Refusal(
        reason=f"{arm.arm_id}: {' and '.join(reasons)}",
        of_variant=len(of_variant) == len(reasons),
    )


def _variant_reasons(arm: Arm, source: OpenSource) -> Iterator[str]:
    verdict = source.verdict(arm.variant_id)
    if verdict is not None and not verdict.loads:
        yield f"ORT {source.ort_version} does not load {arm.variant_id} ({verdict.reason})"
    elif verdict is not None and arm.replay is Replay.ON and verdict.replay in _NO_REPLAY:
        yield f"ORT {source.ort_version} does not replay {arm.variant_id} ({verdict.reason})"


def _option_reasons(arm: Arm, source: OpenSource, device: Device) -> Iterator[str]:
    threads = arm.intra_op_num_threads
    if threads is not None and threads < 1:
        yield f"{threads} threads cannot run anything"
    for provider in arm.providers:
        if provider.name not in source.available_providers:
            listed = ", ".join(eps.short_name(name) for name in source.available_providers)
            name = eps.short_name(provider.name)
            why = device.info.absent_providers.get(provider.name) or f"it has {listed}"
            yield f"{name} is not in this runtime on {device.info.name} ({why})"
    yield from _load_reasons(arm, device)
    yield from _replay_reasons(arm, source)
    for key in arm.config_entries:
        if config_refusal(key):
            yield f"session config entry {key} is not set by hand ({config_refusal(key)})"


def _load_reasons(arm: Arm, device: Device) -> Iterator[str]:
    if arm.load_mode in _NEEDS_ORT_FILE and arm.style is OptimizationStyle.ONNX:
        yield f"load mode {arm.load_mode} works with .ort files only"
    on_host = device.info.kind is DeviceKind.HOST
    if arm.load_mode is LoadMode.INITIALIZERS_FROM_BYTES and on_host:
        yield (
            f"load mode {arm.load_mode} crashes in Python, which runs the host's blocks"
            f" (use {LoadMode.DIRECT_BYTES})"
        )
    in_browser = device.info.kind is DeviceKind.WEB
    if in_browser and arm.load_mode is LoadMode.INITIALIZERS_FROM_BYTES:
        yield (
            f"load mode {arm.load_mode} is not safe in a browser, whose runtime frees the bytes"
            f" once the session is created (use {LoadMode.DIRECT_BYTES})"
        )
    if in_browser and arm.custom_op_library is not None:
        yield "a browser loads no custom-op library"


def _replay_reasons(arm: Arm, source: OpenSource) -> Iterator[str]:
    if arm.style is not OptimizationStyle.RUNTIME:
        return
    if arm.replay is Replay.ON and arm.saved_optimization_count == 0:
        yield f"{arm.variant_id} has no saved optimizations to replay"
    try:
        replay_settings(source.ort_version, arm.replay, arm.graph_optimization_level)
    except UsageError as error:
        yield error.message
