"""Where arms come from: a prepared model and the runtime that runs it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ortlab.codec import to_json
from ortlab.domain import (
    Arm,
    Device,
    DeviceInfo,
    OptimizationStyle,
    Precision,
    PreparedModel,
    ReleaseVerdict,
    Replay,
    TargetPlatform,
    Variant,
)
from ortlab.errors import ModelError, UsageError
from ortlab.ort_releases import replay_settings
from ortlab.wire import GraphOptimizationLevel, LoadMode, ProviderRequest, TensorFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSource:
    """Something to interleave with: another prepared model, another runtime, or both.

    Attributes:
        prepared: None takes the model of the experiment.
        path: Its directory; None likewise.
        runtime: As :attr:`ortlab.domain.Arm.runtime`; None is the device's own.
    """

    prepared: PreparedModel | None = None
    path: Path | None = None
    runtime: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One combination of the lists, before it is known to be possible."""

    style: OptimizationStyle
    precision: Precision
    target: TargetPlatform | None
    variant: Variant | None
    replay: Replay
    providers: tuple[ProviderRequest, ...]
    threads: int | None
    load_mode: LoadMode
    level: GraphOptimizationLevel
    config_entries: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """A source whose runtime has been asked what it is.

    Attributes:
        prepared: The model.
        path: Its directory, resolved.
        runtime: As of the arm.
        prefix: Before its arms' ids.
        label_prefix: Before their labels.
        ort_version: Of the runtime.
        available_providers: As the runtime answers.
        sha256: Content identity of the manifest.
        reference: Outputs its arms are held to, when they are not the experiment's own.
        held_to_reference: Whether there is anything to hold its arms to.
    """

    prepared: PreparedModel
    path: Path
    runtime: str | None
    prefix: str
    label_prefix: str
    ort_version: str
    available_providers: tuple[str, ...]
    sha256: str
    reference: tuple[TensorFile, ...] = ()
    held_to_reference: bool = field(default=True)

    def styles(self) -> tuple[OptimizationStyle, ...]:
        """Return the styles that the prepared model has, in their usual order."""
        present = {variant.style for variant in self.prepared.variants}
        return tuple(style for style in OptimizationStyle if style in present)

    def precision(self) -> Precision:
        """Return fp32, or what the model came as when it has no such variant."""
        present = [variant.precision for variant in self.prepared.variants]
        return Precision.FP32 if Precision.FP32 in present or not present else present[0]

    def variant(
        self, style: OptimizationStyle, precision: Precision, target: TargetPlatform | None
    ) -> Variant | None:
        """Return the variant of this kind, if there is one."""
        for variant in self.prepared.variants:
            if (variant.style, variant.precision, variant.target) == (style, precision, target):
                return variant
        return None

    def missing_reason(self, wanted: Wanted) -> str:
        """Return why there is no such variant."""
        if wanted.precision is Precision.FP16 and wanted.style is not OptimizationStyle.ONNX:
            return "an fp16 .ort file is not fp16 (ORT converts it on the CPU); use --style onnx"
        parts = [wanted.style, wanted.target, wanted.precision]
        names = {"-".join(filter(None, parts[:2])), "-".join(filter(None, parts))}
        for refused in self.prepared.refused:
            if refused.variant_id in names:
                return f"{refused.variant_id} was refused at preparation, {refused.reason}"
        target = f" for {wanted.target}" if wanted.target else ""
        return f"{self.path} has no {wanted.style} variant in {wanted.precision}{target}"

    def file(self, relative: str) -> Path:
        """Return the absolute path of a file of the prepared directory.

        Raises:
            ModelError: It lies outside of the directory, or is missing.
        """
        path = (self.path / relative).resolve()
        if not path.is_relative_to(self.path):
            message = f"cannot use {relative!r}: it leads out of {self.path}"
            raise ModelError(message, next_step="prepare the model again")
        if not path.is_file():
            message = f"cannot measure {path}: the file is missing"
            raise ModelError(message, next_step="prepare the model again")
        return path

    def custom_op_library(self) -> str | None:
        """Return the absolute path of the custom-op library, if there is one."""
        library = self.prepared.custom_op_library
        if library is None:
            return None
        path = Path(library) if Path(library).is_absolute() else self.path / library
        if not path.is_file():
            message = f"cannot measure {self.prepared.name}: custom-op library {path} is missing"
            raise ModelError(message, next_step="prepare the model again")
        return str(path.resolve())

    def can_replay(self) -> bool:
        """Whether this runtime can be told to replay saved optimizations."""
        try:
            replay_settings(self.ort_version, Replay.ON, GraphOptimizationLevel.ALL)
        except UsageError:
            return False
        return True

    def verdict(self, variant_id: str) -> ReleaseVerdict | None:
        """Return what the compatibility table says of a variant in this runtime's release."""
        release = ".".join(self.ort_version.split(".")[:2])
        verdicts = self.prepared.compatibility.get(variant_id, ())
        return next((item for item in verdicts if item.release == release), None)


def device_target(device: DeviceInfo) -> TargetPlatform:
    """Return the CPU family whose variants run on a device."""
    architecture = device.architecture.lower()
    is_x86 = architecture in {"x86_64", "amd64", "x86"} or bool(
        re.fullmatch(r"i[3-6]86", architecture)
    )
    return TargetPlatform.AMD64 if is_x86 else TargetPlatform.ARM


def open_sources(
    prepared: PreparedModel, path: Path, against: Sequence[ArmSource], device: Device
) -> Iterator[OpenSource]:
    """Yield the experiment's own source and the others, each with its runtime asked.

    Raises:
        UsageError: A source without a model or runtime of its own, or with other inputs.
        DeviceError: A runtime cannot be started.
    """
    own = _open(ArmSource(prepared=prepared, path=path), prepared, path, "", device)
    yield own
    for number, source in enumerate(against, start=1):
        if source.prepared is None and source.runtime is None:
            message = "cannot interleave a model with itself: give another model or runtime"
            raise UsageError(message)
        prefix = "base-" if number == 1 else f"base{number}-"
        yield _held(_open(source, prepared, path, prefix, device), own)


def _open(
    source: ArmSource, prepared: PreparedModel, path: Path, prefix: str, device: Device
) -> OpenSource:
    model = source.prepared or prepared
    directory = (source.path or path).resolve()
    version, available = device.runtime_of(_probe(source.runtime))
    words = [prefix.rstrip("-")] if prefix else []
    words += [f"ORT {version}"] if source.runtime else []
    return OpenSource(
        prepared=model,
        path=directory,
        runtime=source.runtime,
        prefix=prefix,
        label_prefix=" ".join(words) + ": " if words else "",
        ort_version=version,
        available_providers=available,
        sha256=hashlib.sha256(to_json(model).encode()).hexdigest(),
    )


def _held(source: OpenSource, own: OpenSource) -> OpenSource:
    """Hold another model to its own reference outputs for the experiment's inputs."""
    same = source.prepared.original.sha256 == own.prepared.original.sha256
    if same or not own.prepared.samples:
        return source
    wanted = _identity(own.prepared.samples[0].inputs)
    for sample in source.prepared.samples:
        if _identity(sample.inputs) == wanted:
            outputs = (
                replace(tensor, path=str(source.file(tensor.path))) for tensor in sample.outputs
            )
            return replace(source, reference=tuple(outputs))
    names = [{tensor.name for tensor in s.inputs} for s in source.prepared.samples]
    if names and {tensor.name for tensor in own.prepared.samples[0].inputs} not in names:
        message = f"cannot interleave {own.path} with {source.path}: their inputs differ"
        raise UsageError(message, next_step="compare models with the same inputs")
    return replace(source, held_to_reference=False)


def _identity(tensors: Sequence[TensorFile]) -> frozenset[tuple[str, str, tuple[int, ...], str]]:
    return frozenset((t.name, t.element_type, t.shape, t.sha256 or t.path) for t in tensors)


def _probe(runtime: str | None) -> Arm:
    """Return an arm that only names a runtime, to ask the device about it."""
    return Arm(
        arm_id="runtime",
        label="runtime",
        style=OptimizationStyle.ONNX,
        variant_id="",
        model_path="",
        model_sha256="",
        prepared_sha256="",
        providers=(),
        runtime=runtime,
    )
