"""An Android project from a prepared model: the template, with the generated folder filled."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.domain import (
    AppPlatform,
    AppSpec,
    GeneratedApp,
    PreparedModel,
    StateKind,
    TensorKind,
    Variant,
)
from ortlab.errors import ModelError, ToolchainError, UsageError
from ortlab.scaffold.application_id import check_application_id
from ortlab.scaffold.files import Content
from ortlab.scaffold.kotlin_sdk import ModelForSdk, SampleAsset, ShippedVariant, kotlin_sources
from ortlab.scaffold.native import OrtPackage, check_library, ort_package
from ortlab.scaffold.project import write_project
from ortlab.scaffold.record import ProjectPlan
from ortlab.scaffold.ship import shipped_variants

TEMPLATE: Final = "android_template"
SETTINGS: Final = "app.properties"
GENERATED: Final = "sdk/src/generated"
ASSETS: Final = "ortlab"
"""Folder among the app's assets that the models' folders are in."""

LARGEST_VERSION_CODE: Final = 2_100_000_000
LARGEST_SAMPLE_BYTES: Final = 16 << 20
_NOTED_BYTES: Final = 100_000_000
_LARGEST_ASSET_BYTES: Final = (1 << 31) - 1
_SKIPPED_DIRECTORIES: Final = frozenset(
    {"build", ".gradle", ".kotlin", ".idea", ".cxx", ".externalNativeBuild", "__pycache__"}
)
_SKIPPED_FILES: Final = frozenset({"local.properties", ".DS_Store"})
_SKIPPED_SUFFIXES: Final = (".iml", ".apk", ".aab", ".swp", ".pyc", "~")
_EXECUTABLES: Final = frozenset({"gradlew"})
_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def generate_android(
    prepared: PreparedModel,
    prepared_directory: Path,
    spec: AppSpec,
    destination: Path,
    *,
    template: Path | None = None,
) -> GeneratedApp:
    """Write an Android project, or write it again around what a user changed in it.

    The same model and spec give the same project, byte for byte. A first run writes all of it or
    nothing; files that the user changed or deleted since are left so and named.

    Args:
        prepared: The model.
        prepared_directory: Where its files are.
        spec: What the app is.
        destination: Directory of the project: new, empty, or one that was generated before.
        template: Project to start from; the one that ortlab carries if None.

    Raises:
        UsageError: The spec means nothing, or ``destination`` holds something else.
        ModelError: The platform cannot take the model; the message gives the reason.
        StorageError: The disk refuses, or another run writes there.
    """
    destination = destination.absolute()
    template = template or template_directory()
    _check_destination(destination, prepared_directory, template)
    _check_spec(spec)
    parts = android_parts(prepared, prepared_directory, spec)
    template_files = dict(_template_files(template))
    settings_template = template_files.pop(SETTINGS)
    assert settings_template.data is not None
    plan = ProjectPlan(
        platform=AppPlatform.ANDROID,
        files={**template_files, **parts.files},
        generated=GENERATED,
        settings_path=SETTINGS,
        settings_template=settings_template.data,
        settings={
            "app.name": spec.name,
            "app.id": spec.application_id,
            "app.versionName": spec.version_name,
            "app.versionCode": str(spec.version_code),
            **parts.settings,
        },
        version=_version(template_files),
    )
    done = write_project(plan, destination)
    return GeneratedApp(
        platform=AppPlatform.ANDROID,
        directory=destination,
        spec=spec,
        written=done.written,
        kept=done.kept,
        notes=(*parts.notes, *done.notes),
    )


# ------------------------------------------------------------------------------ what is generated


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidParts:
    """What a model and a spec add to the template.

    Attributes:
        files: Path in the project to content; all of them in the generated folder.
        settings: Keys of the settings file beside those of the app itself.
        notes: What a user should know, in sentences.
    """

    files: Mapping[str, Content]
    settings: Mapping[str, str]
    notes: tuple[str, ...]


def android_parts(prepared: PreparedModel, directory: Path, spec: AppSpec) -> AndroidParts:
    """Return the generated folder of a project, and the settings that go with it.

    Args:
        prepared: The model.
        directory: Where its files are.
        spec: What the app is.

    Raises:
        UsageError: A file that the spec names cannot be used.
        ModelError: The platform cannot take the model.
    """
    shipped = shipped_variants(prepared, spec.ship)
    package = ort_package(spec.ort_package) if spec.ort_package else OrtPackage()
    model, assets, notes = _model(prepared, directory, spec, shipped.variants)
    sources = {
        f"{GENERATED}/kotlin/{path}": Content.of(text.encode())
        for path, text in kotlin_sources([model]).items()
    }
    libraries, library_settings, library_notes = _libraries(prepared, spec, package)
    files = {**sources, **assets, **libraries}
    settings = {**library_settings}
    if package.release is not None:
        settings["ort.android"] = package.release
        _check_release(prepared, shipped.variants, package.release)
    elif package.aar is not None:
        path = f"{GENERATED}/ort/{_asset_name(package.aar.stem)}.aar"
        files[path] = Content.at(package.aar)
        settings["ort.android"] = path
    return AndroidParts(
        files=files,
        settings=settings,
        notes=(*shipped.notes, *notes, *library_notes, *_about_spec(spec)),
    )


def _model(
    prepared: PreparedModel, directory: Path, spec: AppSpec, variants: tuple[Variant, ...]
) -> tuple[ModelForSdk, dict[str, Content], list[str]]:
    """Return the model as the SDK is told of it, its assets by path, and notes."""
    folder = f"{ASSETS}/{_asset_name(prepared.name)}"
    assets: dict[str, Content] = {}
    notes: list[str] = []
    shipped = []
    for variant in variants:
        source = directory / variant.path
        path = f"{folder}/{_asset_name(variant.variant_id)}{Path(variant.path).suffix}"
        size_bytes = _size_of(prepared, source)
        _check_file(prepared, variant, size_bytes)
        assets[f"{GENERATED}/assets/{path}"] = Content.at(source, sha256=variant.sha256)
        shipped.append(
            ShippedVariant(
                variant=variant, asset_path=path, sha256=variant.sha256, size_bytes=size_bytes
            )
        )
    total = sum(item.size_bytes for item in shipped)
    if total > _NOTED_BYTES:
        notes.append(
            f"the app carries {total / 1e6:.0f} MB of models: Google Play takes APKs up to 100 MB"
            " and app bundles up to 200 MB, compressed; ship one style, or fetch the model after"
            " installation"
        )
    sample = _sample(prepared, directory, spec.kinds, folder, assets, notes)
    model = ModelForSdk(
        prepared=prepared,
        variants=tuple(shipped),
        kinds=spec.kinds,
        sample=sample,
        custom_op_library=_library_name(spec),
    )
    return model, assets, notes


def _size_of(prepared: PreparedModel, path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        message = f"cannot generate an app for {prepared.name}: {path}: {error.strerror or error}"
        raise ModelError(message, next_step="prepare the model again") from error


def _check_file(prepared: PreparedModel, variant: Variant, size_bytes: int) -> None:
    if variant.size_bytes != size_bytes:
        message = (
            f"cannot ship {variant.variant_id} of {prepared.name}: its weights are in files of"
            " their own, and an app loads a model from one"
        )
        raise ModelError(message, next_step="prepare .ort variants: --style fixed --target arm")
    if size_bytes > _LARGEST_ASSET_BYTES:
        message = (
            f"cannot ship {variant.variant_id} of {prepared.name}: it has {size_bytes} bytes, and"
            " an app maps 2 GiB of a file at most"
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
        assets[f"{GENERATED}/assets/{path}"] = Content.at(source, sha256=tensor.sha256 or "")
        added.append(SampleAsset(tensor=tensor, asset_path=path))
    return tuple(added)


def _library_name(spec: AppSpec) -> str | None:
    """Return the name that the library with the model's own operators has for every ABI."""
    names = sorted({Path(path).name for path in spec.custom_op_libraries.values()})
    if len(names) > 1:
        message = f"cannot package {', '.join(names)}: a library has one name for all ABIs"
        raise UsageError(message, next_step="rename them, each in a directory of its ABI")
    return names[0] if names else None


def _libraries(
    prepared: PreparedModel, spec: AppSpec, package: OrtPackage
) -> tuple[dict[str, Content], dict[str, str], list[str]]:
    files: dict[str, Content] = {}
    settings: dict[str, str] = {}
    notes: list[str] = []
    for abi, text in sorted(spec.custom_op_libraries.items()):
        source = Path(text).absolute()
        if note := check_library(abi, source):
            notes.append(note)
        path = f"{GENERATED}/custom-ops/{abi}/{source.name}"
        files[path] = Content.at(source)
        settings[f"ort.customOps.{abi}"] = path
    if prepared.custom_op_library is not None and not spec.custom_op_libraries:
        notes.append(
            f"{prepared.name} needs operators of its own, and the app carries no library with them:"
            " give one for each ABI with --custom-ops arm64-v8a=FILE"
        )
    if spec.custom_op_libraries and package.abis:
        lacking = sorted(set(package.abis) - set(spec.custom_op_libraries))
        if lacking:
            notes.append(
                f"the ORT package is also for {', '.join(lacking)}, the custom ops are not"
            )
    return files, settings, notes


def _check_release(prepared: PreparedModel, variants: tuple[Variant, ...], release: str) -> None:
    """Refuse a release that is known not to load what is shipped."""
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


def _about_spec(spec: AppSpec) -> list[str]:
    if spec.application_id.startswith("com.example."):
        return [f"Google Play does not take {spec.application_id}: com.example is for examples"]
    return []


def _asset_name(text: str) -> str:
    """Return a name that the packager of assets neither ignores nor changes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-") or "model"


# ------------------------------------------------------------------------------ checks


def _check_spec(spec: AppSpec) -> None:
    check_application_id(spec.application_id)
    for what, text in (("name", spec.name), ("version", spec.version_name)):
        if not text.strip():
            message = f"cannot use {text!r} as the app's {what}: it is empty"
            raise UsageError(message)
        if found := _NOT_IN_XML.search(text):
            message = (
                f"cannot use {text!r} as the app's {what}: Android's resources cannot hold"
                f" U+{ord(found[0]):04X}"
            )
            raise UsageError(message)
    if not 1 <= spec.version_code <= LARGEST_VERSION_CODE:
        message = (
            f"cannot use {spec.version_code} as the version code: it is from 1 to"
            f" {LARGEST_VERSION_CODE}"
        )
        raise UsageError(message)


def _check_destination(destination: Path, prepared_directory: Path, template: Path) -> None:
    place, prepared = destination.resolve(), prepared_directory.resolve()
    if place.is_relative_to(prepared):
        message = f"cannot generate into {destination}: the next preparation would remove it"
        raise UsageError(message, next_step=f"give a directory outside {prepared_directory}")
    if place.is_relative_to(template.resolve()):
        message = f"cannot generate into {destination}: it is the template"
        raise UsageError(message, next_step="give another directory")


# ------------------------------------------------------------------------------ the template


def template_directory() -> Path:
    """Return where the template is: in the package, or in the checkout.

    Raises:
        ToolchainError: The installation is incomplete.
    """
    here = Path(__file__)
    for directory in (here.parents[1] / TEMPLATE, here.parents[3] / TEMPLATE):
        if (directory / SETTINGS).is_file():
            return directory
    message = "cannot generate an Android project: the template is missing from this installation"
    raise ToolchainError(message, next_step="pip install --force-reinstall ortlab")


def _template_files(directory: Path) -> Iterator[tuple[str, Content]]:
    """Yield the template's own files, without what builds and editors leave in it."""
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(set(directories) - _SKIPPED_DIRECTORIES)
        for name in sorted(names):
            path = Path(root, name)
            relative = path.relative_to(directory).as_posix()
            skipped = name in _SKIPPED_FILES or name.endswith(_SKIPPED_SUFFIXES)
            if not skipped and not relative.startswith(GENERATED + "/"):
                yield relative, Content.of(path.read_bytes(), executable=name in _EXECUTABLES)


def _version(template: Mapping[str, Content]) -> str:
    """Return what changes with any file of the template."""
    lines = [f"{path} {content.sha256}" for path, content in sorted(template.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
