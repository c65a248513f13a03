"""Execution providers as a user writes them: ``xnnpack:threads=2``, ``nnapi+xnnpack``.

CPU is always last, written or not. XNNPACK has a thread pool of its own: ORT's is then reduced to
one thread that does not spin (source: onnxruntime, "XNNPACK execution provider").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ortlab.errors import UsageError
from ortlab.wire import ProviderRequest

CPU: Final = "CPUExecutionProvider"
XNNPACK: Final = "XnnpackExecutionProvider"
WEBGPU: Final = "WebGpuExecutionProvider"
WEBNN: Final = "WebNNExecutionProvider"

_NAMES: Final = {
    "wasm": CPU,  # ORT's CPU kernels, compiled for browsers; the last name of a provider is shown
    "cpu": CPU,
    "xnnpack": XNNPACK,
    "nnapi": "NnapiExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "webgpu": WEBGPU,
    "webnn": WEBNN,
    "cuda": "CUDAExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "acl": "ACLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "azure": "AzureExecutionProvider",
}
_SHORT: Final = {full.lower(): short for short, full in _NAMES.items()}
_OPTION_ALIASES: Final = {XNNPACK: {"threads": "intra_op_num_threads"}}


def parse_providers(text: str) -> tuple[ProviderRequest, ...]:
    """Parse ``name:key=value:key=value+name`` into providers in order, CPU last.

    Names are the short ones (``cpu``, ``xnnpack``, ``nnapi``, ``coreml`` …) or ORT's own.

    Raises:
        UsageError: A provider has no name or two, or an option is not ``key=value``.
    """
    return with_cpu_last([_parse_provider(part, text) for part in text.split("+")])


def _parse_provider(part: str, text: str) -> ProviderRequest:
    word, *options = part.strip().split(":")
    if not word:
        message = f"cannot read execution provider {text!r}: a name is missing"
        raise UsageError(message, next_step="write it as xnnpack or xnnpack:threads=2")
    if "," in word:
        message = f"cannot read execution provider {text!r}: a comma joins no providers"
        arms, chain = " ".join(f"--ep {each}" for each in word.split(",")), word.replace(",", "+")
        raise UsageError(message, next_step=f"{arms} for an arm each, or --ep {chain} for one arm")
    name = provider_name(word)
    aliases = _OPTION_ALIASES.get(name, {})
    found: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not key or not equals:
            message = f"cannot read option {option!r} of execution provider {word}"
            raise UsageError(message, next_step="write options as key=value, separated by ':'")
        found[aliases.get(key, key)] = value
    return ProviderRequest(name=name, options=found)


def provider_name(word: str) -> str:
    """Return ORT's name of a provider; a name that is not known stays as it was written."""
    lower = word.lower()
    return _NAMES.get(lower) or _NAMES.get(_SHORT.get(lower, "")) or word


def short_name(name: str) -> str:
    """Return the name a person would write."""
    return _SHORT.get(name.lower(), name.removesuffix("ExecutionProvider").lower())


def with_cpu_last(providers: Sequence[ProviderRequest]) -> tuple[ProviderRequest, ...]:
    """Return the providers with CPU as the last one."""
    cpu = next((item for item in providers if item.name == CPU), ProviderRequest(name=CPU))
    return (*(item for item in providers if item.name != CPU), cpu)


def uses_xnnpack(providers: Sequence[ProviderRequest]) -> bool:
    """Whether XNNPACK is one of the providers."""
    return any(item.name == XNNPACK for item in providers)


def with_xnnpack_threads(
    providers: Sequence[ProviderRequest], threads: int | None
) -> tuple[ProviderRequest, ...]:
    """Give XNNPACK's own pool the threads that were asked for, unless its options name them."""
    if threads is None:
        return tuple(providers)
    wanted: Mapping[str, str] = {"intra_op_num_threads": str(threads)}
    return tuple(
        replace(item, options={**wanted, **item.options}) if item.name == XNNPACK else item
        for item in providers
    )


def with_webgpu_layout(providers: Sequence[ProviderRequest]) -> tuple[ProviderRequest, ...]:
    """Have WebGPU keep the layout of a file that was optimized for the CPU, unless told another.

    Otherwise it turns convolutions into operators of another layout when it loads the model, which
    it cannot do with a file in ORT format whose graph is final.
    """
    wanted: Mapping[str, str] = {"preferredLayout": "NCHW"}
    return tuple(
        replace(item, options={**wanted, **item.options}) if item.name == WEBGPU else item
        for item in providers
    )


def describe(providers: Sequence[ProviderRequest]) -> str:
    """Return providers in a few words, file-safe: ``xnnpack``, ``coreml-mlprogram``, ``cpu``."""
    named = [item for item in providers if item.name != CPU] or [ProviderRequest(name=CPU)]
    words: list[str] = []
    for item in named:
        words.append(short_name(item.name))
        words += [
            f"{key}-{value}" if value.isdigit() or value.lower() in {"true", "false"} else value
            for key, value in item.options.items()
        ]
    return "-".join(words)
