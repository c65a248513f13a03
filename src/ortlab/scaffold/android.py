"""An Android project from a prepared model: the template, with the generated folder filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.domain import AppPlatform, AppSpec, GeneratedApp, PreparedModel
from ortlab.errors import UsageError
from ortlab.scaffold.application_id import check_application_id
from ortlab.scaffold.files import Content
from ortlab.scaffold.kotlin_sdk import kotlin_sources
from ortlab.scaffold.native import OrtPackage, check_library, ort_package
from ortlab.scaffold.project import write_project
from ortlab.scaffold.record import ProjectPlan
from ortlab.scaffold.ship import shipped_variants
from ortlab.scaffold.shipment import StoreLimits, asset_name, check_release, shipment
from ortlab.scaffold.template import Template, check_destination, template_version

SETTINGS: Final = "app.properties"
GENERATED: Final = "sdk/src/generated"

LARGEST_VERSION_CODE: Final = 2_100_000_000
_TEMPLATE: Final = Template(
    name="android_template",
    project="an Android project",
    settings=SETTINGS,
    generated=GENERATED,
    skipped_directories=frozenset({".gradle", ".kotlin", ".cxx", ".externalNativeBuild"}),
    skipped_files=frozenset({"local.properties"}),
    skipped_suffixes=(".iml", ".apk", ".aab"),
    executables=frozenset({"gradlew"}),
)
_LIMITS: Final = StoreLimits(
    noted_bytes=100_000_000,
    note="Google Play takes APKs up to 100 MB and app bundles up to 200 MB, compressed; ship one"
    " style, or fetch the model after installation",
    largest_bytes=(1 << 31) - 1,
    largest="2 GiB",
)
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
    check_destination(destination, prepared_directory, template)
    _check_spec(spec)
    parts = android_parts(prepared, prepared_directory, spec)
    template_files = dict(_TEMPLATE.files(template))
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
        version=template_version(template_files),
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
    carried = shipment(
        prepared,
        directory,
        spec,
        shipped.variants,
        limits=_LIMITS,
        custom_op_library=_library_name(spec),
    )
    sources = {
        f"{GENERATED}/kotlin/{path}": Content.of(text.encode())
        for path, text in kotlin_sources([carried.model]).items()
    }
    assets = {f"{GENERATED}/assets/{path}": item for path, item in carried.assets.items()}
    libraries, library_settings, library_notes = _libraries(prepared, spec, package)
    files = {**sources, **assets, **libraries}
    settings = {**library_settings}
    if package.release is not None:
        settings["ort.android"] = package.release
        check_release(prepared, shipped.variants, package.release)
    elif package.aar is not None:
        path = f"{GENERATED}/ort/{asset_name(package.aar.stem)}.aar"
        files[path] = Content.at(package.aar)
        settings["ort.android"] = path
    return AndroidParts(
        files=files,
        settings=settings,
        notes=(*shipped.notes, *carried.notes, *library_notes, *_about_spec(spec)),
    )


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


def _about_spec(spec: AppSpec) -> list[str]:
    if spec.application_id.startswith("com.example."):
        return [f"Google Play does not take {spec.application_id}: com.example is for examples"]
    return []


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


def template_directory() -> Path:
    """Return where the template is: in the package, or in the checkout.

    Raises:
        ToolchainError: The installation is incomplete.
    """
    return _TEMPLATE.directory()
