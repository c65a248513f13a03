"""An Xcode project from a prepared model: the template, with the generated folder filled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ortlab.domain import AppPlatform, AppSpec, GeneratedApp, PreparedModel
from ortlab.errors import UsageError
from ortlab.scaffold.application_id import bundle_id
from ortlab.scaffold.files import Content
from ortlab.scaffold.ios_native import custom_ops, ort_source
from ortlab.scaffold.project import write_project
from ortlab.scaffold.record import ProjectPlan
from ortlab.scaffold.ship import shipped_variants
from ortlab.scaffold.shipment import StoreLimits, check_release, shipment
from ortlab.scaffold.swift_sdk import swift_sources
from ortlab.scaffold.template import Template, check_destination, template_version
from ortlab.scaffold.xcconfig import XCCONFIG, read_xcconfig, xcconfig_value

SETTINGS: Final = "App.xcconfig"
GENERATED: Final = "Sources/ModelSDK/Generated"
MANIFEST: Final = "Package.swift"

_TEMPLATE: Final = Template(
    name="ios_template",
    project="an iOS project",
    settings=SETTINGS,
    generated=GENERATED,
    skipped_directories=frozenset({".build", ".swiftpm", "Pods", "xcuserdata", "DerivedData"}),
    skipped_files=frozenset({"Podfile.lock", "Package.resolved"}),
    skipped_suffixes=(".xcuserstate", ".ipa"),
)
_WORKSPACE: Final = "Starter.xcworkspace/"  # that `pod install` makes
_LIMITS: Final = StoreLimits(
    noted_bytes=200_000_000,
    note="iPhones ask before they fetch an app of more than 200 MB over a mobile network; ship one"
    " style, or fetch the model after installation",
)
_TEAM: Final = re.compile(r"[A-Z0-9]{10}")
_STORE_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){0,2}")
_SETTINGS_MARK: Final = re.compile(rb"^// settings: .*$", re.MULTILINE)
_MARKED_KEYS: Final = (
    "ORT_VERSION",
    "ORT_CHECKSUM",
    "ORT_PODSPEC",
    "ORT_XCFRAMEWORK",
    "CUSTOM_OPS",
)
LARGEST_BUILD: Final = (1 << 31) - 1


def generate_ios(
    prepared: PreparedModel,
    prepared_directory: Path,
    spec: AppSpec,
    destination: Path,
    *,
    template: Path | None = None,
) -> GeneratedApp:
    """Write an Xcode project, or write it again around what a user changed in it.

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
    own_id, id_notes = bundle_id(spec.application_id)
    spec = replace(spec, application_id=own_id)
    _check_spec(spec)
    template_files = {
        path: content
        for path, content in _TEMPLATE.files(template)
        if not path.startswith(_WORKSPACE)
    }
    version = template_version(template_files)
    settings_template = template_files.pop(SETTINGS).data
    assert settings_template is not None
    parts = ios_parts(prepared, prepared_directory, spec, read_xcconfig(settings_template))
    settings = {**_app_settings(spec), **parts.settings}
    files = {**template_files, **parts.files}
    files[MANIFEST] = _marked(template_files[MANIFEST], settings)
    plan = ProjectPlan(
        platform=AppPlatform.IOS,
        files=files,
        generated=GENERATED,
        settings_path=SETTINGS,
        settings_template=settings_template,
        settings=settings,
        version=version,
        settings_format=XCCONFIG,
    )
    done = write_project(plan, destination)
    return GeneratedApp(
        platform=AppPlatform.IOS,
        directory=destination,
        spec=spec,
        written=done.written,
        kept=done.kept,
        notes=(*id_notes, *parts.notes, *_about_spec(spec), *done.notes),
    )


# ------------------------------------------------------------------------------ what is generated


@dataclass(frozen=True, slots=True, kw_only=True)
class IosParts:
    """What a model and a spec add to the template.

    Attributes:
        files: Path in the project to content: the generated folder, and frameworks of the user's.
        settings: Keys of the settings file beside those of the app itself, as they stand there.
        notes: What a user should know, in sentences.
    """

    files: Mapping[str, Content]
    settings: Mapping[str, str]
    notes: tuple[str, ...]


def ios_parts(
    prepared: PreparedModel, directory: Path, spec: AppSpec, defaults: Mapping[str, str]
) -> IosParts:
    """Return the generated folder of a project, and the settings that go with it.

    Args:
        prepared: The model.
        directory: Where its files are.
        spec: What the app is.
        defaults: The template's settings, with the ONNX Runtime that it is made for.

    Raises:
        UsageError: A file that the spec names cannot be used.
        ModelError: The platform cannot take the model.
    """
    shipped = shipped_variants(prepared, spec.ship)
    source = ort_source(spec.ort_package, spec.ort_checksum, defaults)
    if release := source.settings.get("ORT_VERSION"):
        check_release(prepared, shipped.variants, release)
    library = custom_ops(prepared, spec.custom_op_libraries)
    carried = shipment(
        prepared,
        directory,
        spec,
        shipped.variants,
        limits=_LIMITS,
        custom_op_library=library.name,
    )
    sources = {
        f"{GENERATED}/Swift/{path}": Content.of(text.encode())
        for path, text in swift_sources([carried.model]).items()
    }
    assets = {f"{GENERATED}/Resources/{path}": item for path, item in carried.assets.items()}
    return IosParts(
        files={**sources, **assets, **source.files, **library.files},
        settings={**source.settings, **library.settings},
        notes=(*shipped.notes, *carried.notes, *source.notes, *library.notes),
    )


def _app_settings(spec: AppSpec) -> dict[str, str]:
    return {
        "APP_NAME": xcconfig_value(spec.name),
        "APP_ID": spec.application_id,
        "APP_VERSION": xcconfig_value(spec.version_name),
        "APP_BUILD": str(spec.version_code),
        "DEVELOPMENT_TEAM": spec.team_id,
    }


def _marked(manifest: Content, settings: Mapping[str, str]) -> Content:
    """Return the package's manifest with a mark of the settings that it reads.

    Swift keeps what a manifest said until the manifest changes; the mark changes with them.
    """
    assert manifest.data is not None
    text = "\n".join(f"{key}={settings[key]}" for key in _MARKED_KEYS)
    mark = f"// settings: {hashlib.sha256(text.encode()).hexdigest()[:16]}".encode()
    data, count = _SETTINGS_MARK.subn(mark, manifest.data)
    assert count == 1
    return Content.of(data)


# ------------------------------------------------------------------------------ checks


def _check_spec(spec: AppSpec) -> None:
    for what, text in (("name", spec.name), ("version", spec.version_name)):
        if not text.strip():
            message = f"cannot use {text!r} as the app's {what}: it is empty"
            raise UsageError(message)
        try:
            xcconfig_value(text)
        except ValueError as error:
            message = f"cannot use {text!r} as the app's {what}: {error}"
            raise UsageError(message, next_step="leave that character out") from error
    if not 1 <= spec.version_code <= LARGEST_BUILD:
        message = (
            f"cannot use {spec.version_code} as the version code: it is from 1 to {LARGEST_BUILD}"
        )
        raise UsageError(message)
    if spec.team_id and not _TEAM.fullmatch(spec.team_id):
        message = (
            f"cannot use {spec.team_id!r} as the developer team: its id has ten capital letters"
            " and digits"
        )
        step = "look it up at developer.apple.com/account, under Membership details"
        raise UsageError(message, next_step=step)


def _about_spec(spec: AppSpec) -> list[str]:
    notes = []
    if spec.application_id.startswith("com.example."):
        notes.append(
            f"{spec.application_id} is for examples: an app of your own needs an id of its"
            " own, which no other team has registered"
        )
    if not _STORE_VERSION.fullmatch(spec.version_name):
        notes.append(
            f"the App Store does not take {spec.version_name!r} as a version: it wants one"
            " to three numbers with dots between"
        )
    if not spec.team_id:
        notes.append(
            f"no developer team is set: choose one in Xcode, or write DEVELOPMENT_TEAM in"
            f" {SETTINGS}"
        )
    return notes


# ------------------------------------------------------------------------------ the template


def template_directory() -> Path:
    """Return where the template is: in the package, or in the checkout.

    Raises:
        ToolchainError: The installation is incomplete.
    """
    return _TEMPLATE.directory()
