"""A web project from a prepared model: the template, with the generated folder filled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ortlab.domain import (
    AppPlatform,
    AppSpec,
    GeneratedApp,
    PreparedModel,
    RefusedVariant,
    WebProvider,
)
from ortlab.errors import ToolchainError, UsageError
from ortlab.scaffold.files import Content
from ortlab.scaffold.json_settings import JSON_SETTINGS, json_value
from ortlab.scaffold.project import write_project
from ortlab.scaffold.record import ProjectPlan
from ortlab.scaffold.ship import shipped_variants
from ortlab.scaffold.shipment import StoreLimits, check_release, shipment
from ortlab.scaffold.template import Template, check_destination, template_version
from ortlab.scaffold.typescript_descriptor import ASSETS
from ortlab.scaffold.typescript_sdk import runtime_source, typescript_sources

SETTINGS: Final = "app.json"
GENERATED: Final = "src/generated"
RUNTIME: Final = "runtime.ts"
PACKAGE: Final = "package.json"

_TEMPLATE: Final = Template(
    name="web_template",
    project="a web project",
    settings=SETTINGS,
    generated=GENERATED,
    skipped_directories=frozenset({"node_modules", "dist", ".vite", "coverage"}),
    skipped_files=frozenset({"npm-debug.log"}),
    skipped_suffixes=(".tsbuildinfo", ".log"),
)
_LIMITS: Final = StoreLimits(
    noted_bytes=50_000_000,
    note="a first visit waits for the file that is loaded; ship a smaller precision, or keep it in"
    " the browser with --service-worker",
    largest_bytes=(1 << 31) - 1,
    largest="2 GiB",
)
_BLOCKED_LAYOUTS: Final = "com.microsoft.nchwc:"
_RUNTIME_PACKAGE: Final = "onnxruntime-web"
LARGEST_VERSION_CODE: Final = (1 << 31) - 1


def generate_web(
    prepared: PreparedModel,
    prepared_directory: Path,
    spec: AppSpec,
    destination: Path,
    *,
    template: Path | None = None,
) -> GeneratedApp:
    """Write a web project, or write it again around what a user changed in it.

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
    check_destination(destination, prepared_directory, template)
    _check_spec(spec)
    template_files = dict(_TEMPLATE.files(template))
    settings_template = template_files.pop(SETTINGS).data
    assert settings_template is not None
    parts = web_parts(prepared, prepared_directory, spec, _release(template_files))
    plan = ProjectPlan(
        platform=AppPlatform.WEB,
        files={**template_files, **parts.files},
        generated=GENERATED,
        settings_path=SETTINGS,
        settings_template=settings_template,
        settings={
            "name": json_value(spec.name),
            "id": json_value(spec.application_id),
            "version": json_value(spec.version_name),
            "versionCode": json_value(spec.version_code),
            "serviceWorker": json_value(spec.service_worker),
        },
        version=template_version(template_files),
        settings_format=JSON_SETTINGS,
    )
    done = write_project(plan, destination)
    return GeneratedApp(
        platform=AppPlatform.WEB,
        directory=destination,
        spec=spec,
        written=done.written,
        kept=done.kept,
        notes=(*parts.notes, *done.notes),
    )


# ------------------------------------------------------------------------------ what is generated


@dataclass(frozen=True, slots=True, kw_only=True)
class WebParts:
    """What a model and a spec add to the template.

    Attributes:
        files: Path in the project to content; all of them in the generated folder.
        notes: What a user should know, in sentences.
    """

    files: Mapping[str, Content]
    notes: tuple[str, ...]


def web_parts(
    prepared: PreparedModel, directory: Path, spec: AppSpec, release: str | None
) -> WebParts:
    """Return the generated folder of a project.

    Args:
        prepared: The model.
        directory: Where its files are.
        spec: What the app is.
        release: Of ONNX Runtime, that the template is made for; None where that is not one.

    Raises:
        ModelError: The platform cannot take the model.
    """
    prepared = _without_blocked_layouts(prepared)
    shipped = shipped_variants(prepared, spec.ship, because="other machines open the page, too")
    if release is not None:
        check_release(prepared, shipped.variants, release)
    carried = shipment(
        prepared, directory, spec, shipped.variants, limits=_LIMITS, custom_op_library=None
    )
    sources = {
        **typescript_sources([carried.model]),
        RUNTIME: runtime_source(spec.web_providers),
    }
    files = {
        **{f"{GENERATED}/{path}": Content.of(text.encode()) for path, text in sources.items()},
        **{f"{GENERATED}/{ASSETS}/{path}": content for path, content in carried.assets.items()},
    }
    return WebParts(files=files, notes=(*shipped.notes, *carried.notes, *_about_spec(spec)))


def _without_blocked_layouts(prepared: PreparedModel) -> PreparedModel:
    """Return the model with what WebAssembly cannot load among what was refused."""
    unusable = {
        variant.variant_id
        for variant in prepared.variants
        if any(name.startswith(_BLOCKED_LAYOUTS) for name in variant.operator_counts)
    }
    reason = (
        "it was optimized for amd64 and holds operators that WebAssembly does not have; ortlab"
        " prepare --target arm makes one without them"
    )
    refused = tuple(
        RefusedVariant(variant_id=variant_id, reason=reason) for variant_id in sorted(unusable)
    )
    kept = tuple(item for item in prepared.variants if item.variant_id not in unusable)
    return replace(prepared, variants=kept, refused=(*prepared.refused, *refused))


def _release(files: Mapping[str, Content]) -> str | None:
    """Return the release of onnxruntime-web that the template names, if it names one."""
    data = files[PACKAGE].data if PACKAGE in files else None
    try:
        said = json.loads(data or b"{}")["dependencies"][_RUNTIME_PACKAGE]
    except (ValueError, KeyError, TypeError) as error:
        message = f"cannot generate a web project: the template names no {_RUNTIME_PACKAGE}"
        step = "pip install --force-reinstall ortlab"
        raise ToolchainError(message, next_step=step) from error
    return said if isinstance(said, str) and said[:1].isdigit() else None


def _about_spec(spec: AppSpec) -> list[str]:
    if set(spec.web_providers) == {WebProvider.WASM}:
        return []
    named = ", ".join(spec.web_providers)
    return [f"the page ships ONNX Runtime with {named}, 27 MB; with wasm alone it has 14 MB"]


# ------------------------------------------------------------------------------ checks


def _check_spec(spec: AppSpec) -> None:
    for what, text in (("name", spec.name), ("version", spec.version_name)):
        if not text.strip():
            message = f"cannot use {text!r} as the app's {what}: it is empty"
            raise UsageError(message)
    if not 1 <= spec.version_code <= LARGEST_VERSION_CODE:
        message = (
            f"cannot use {spec.version_code} as the version code: it is from 1 to"
            f" {LARGEST_VERSION_CODE}"
        )
        raise UsageError(message)
    if not spec.web_providers:
        message = "cannot generate a web project: no provider is chosen"
        raise UsageError(message, next_step="--web-ep wasm")
    if spec.ort_package is not None or spec.custom_op_libraries:
        message = "cannot generate a web project with an ONNX Runtime or operators of your own"
        raise UsageError(message, next_step="npm install onnxruntime-web@VERSION in the project")


def template_directory() -> Path:
    """Return where the template is: in the package, or in the checkout.

    Raises:
        ToolchainError: The installation is incomplete.
    """
    return _TEMPLATE.directory()
