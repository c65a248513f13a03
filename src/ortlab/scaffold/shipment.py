"""What an app carries of a prepared model: its files, and a sample to try it with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.domain import AppSpec, PreparedModel, StateKind, TensorKind, Variant
from ortlab.errors import ModelError
from ortlab.scaffold.files import Content
from ortlab.scaffold.sdk_model import ModelForSdk, SampleAsset, ShippedVariant

ASSETS: Final = "ortlab"
"""Folder among an app's assets that the models' folders are in."""

LARGEST_SAMPLE_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """What stores and systems take.

    Attributes:
        noted_bytes: Size of all models from which on the user is told.
        note: What is said then, after the size.
        largest_bytes: Of one file, or None.
        largest: What it is, such as ``2 GiB``.
    """

    noted_bytes: int
    note: str
    largest_bytes: int | None = None
    largest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What an app carries.

    Attributes:
        model: As its SDK is told of it.
        assets: Path among the app's assets to content.
        notes: What a user should know, in sentences.
    """

    model: ModelForSdk
    assets: Mapping[str, Content]
    notes: tuple[str, ...]


def shipment(
    prepared: PreparedModel,
    directory: Path,
    spec: AppSpec,
    variants: tuple[Variant, ...],
    *,
    limits: StoreLimits,
    custom_op_library: str | None,
) -> Shipment:
    """Return what an app carries of a model.

    Args:
        prepared: The model.
        directory: Where its files are.
        spec: What the app is.
        variants: To carry.
        limits: Of the app's platform.
        custom_op_library: Name of the library with the model's own operators in the app.

    Raises:
        ModelError: A file is missing, or the platform cannot take it.
    """
    folder = f"{ASSETS}/{asset_name(prepared.name)}"
    assets: dict[str, Content] = {}
    notes: list[str] = []
    shipped = []
    for variant in variants:
        source = directory / variant.path
        path = f"{folder}/{asset_name(variant.variant_id)}{Path(variant.path).suffix}"
        size_bytes = _size_of(prepared, source)
        _check_file(prepared, variant, size_bytes, limits)
        assets[path] = Content.at(source, sha256=variant.sha256)
        shipped.append(
            ShippedVariant(
                variant=variant, asset_path=path, sha256=variant.sha256, size_bytes=size_bytes
            )
        )
    total = sum(item.size_bytes for item in shipped)
    if total > limits.noted_bytes:
        notes.append(f"the app carries {total / 1e6:.0f} MB of models: {limits.note}")
    sample = _sample(prepared, directory, spec.kinds, folder, assets, notes)
    model = ModelForSdk(
        prepared=prepared,
        variants=tuple(shipped),
        kinds=spec.kinds,
        sample=sample,
        custom_op_library=custom_op_library,
    )
    return Shipment(model=model, assets=assets, notes=tuple(notes))


def check_release(prepared: PreparedModel, variants: tuple[Variant, ...], release: str) -> None:
    """Refuse a release of ONNX Runtime that is known not to load what is shipped.

    Raises:
        ModelError: One of the variants does not load there.
    """
    minor = ".".join(release.split(".")[:2])
    for variant in variants:
        for verdict in prepared.compatibility.get(variant.variant_id, ()):
            if verdict.release == minor and not verdict.loads:
                message = (
                    f"cannot ship {variant.variant_id} of {prepared.name} with ONNX Runtime"
                    f" {release}: {verdict.reason}"
                )
                step = "ortlab inspect FILE names the releases that load it"
                raise ModelError(message, next_step=step)


def asset_name(text: str) -> str:
    """Return a name that packagers of assets neither ignore nor change."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-") or "model"


def _size_of(prepared: PreparedModel, path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        message = f"cannot generate an app for {prepared.name}: {path}: {error.strerror or error}"
        raise ModelError(message, next_step="prepare the model again") from error


def _check_file(
    prepared: PreparedModel, variant: Variant, size_bytes: int, limits: StoreLimits
) -> None:
    if variant.size_bytes != size_bytes:
        message = (
            f"cannot ship {variant.variant_id} of {prepared.name}: its weights are in files of"
            " their own, and an app loads a model from one"
        )
        raise ModelError(message, next_step="prepare .ort variants: --style fixed --target arm")
    if limits.largest_bytes is not None and size_bytes > limits.largest_bytes:
        message = (
            f"cannot ship {variant.variant_id} of {prepared.name}: it has {size_bytes} bytes, and"
            f" an app maps {limits.largest} of a file at most"
        )
        raise ModelError(message, next_step="prepare it with --precision int8-dynamic")


def _sample(
    prepared: PreparedModel,
    directory: Path,
    kinds: Mapping[str, TensorKind],
    folder: str,
    assets: dict[str, Content],
    notes: list[str],
) -> tuple[SampleAsset, ...]:
    """Add the inputs that the app can try the model with; a state is none of them."""
    if not prepared.samples:
        return ()
    states = {kind.input_name for kind in kinds.values() if isinstance(kind, StateKind)}
    inputs = [tensor for tensor in prepared.samples[0].inputs if tensor.name not in states]
    paths = [directory / tensor.path for tensor in inputs]
    total = sum(_size_of(prepared, path) for path in paths)
    if total > LARGEST_SAMPLE_BYTES:
        notes.append(
            f"the app carries no sample: its inputs have {total / 1e6:.0f} MB, and"
            f" {LARGEST_SAMPLE_BYTES / 1e6:.0f} MB are packaged at most"
        )
        return ()
    added: list[SampleAsset] = []
    for index, (tensor, source) in enumerate(zip(inputs, paths, strict=True)):
        path = f"{folder}/sample/input-{index}.bin"
        assets[path] = Content.at(source, sha256=tensor.sha256 or "")
        added.append(SampleAsset(tensor=tensor, asset_path=path))
    return tuple(added)
