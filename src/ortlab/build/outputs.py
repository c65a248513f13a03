"""Apps that a build made, or that somebody gives: found, read, measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ortlab.apk import PARTS, ApkPackage, read_package
from ortlab.build.bundles import (
    built_bundle,
    bundles_in,
    is_bundle,
    is_ios_project,
    read_bundle,
)
from ortlab.build.pages import built_page, is_page, is_web_project, read_page
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import ToolchainError, UsageError

VARIANTS: Final = ("release", "debug")
_CHUNK_BYTES: Final = 1 << 20
_METADATA: Final = "output-metadata.json"
_MOST_WANTED_ABI: Final = "arm64-v8a"


def find_app(target: Path, *, module: str = "bench") -> BuiltApp:
    """Find an app of any platform.

    An APK, a directory of an APK with its splits, an `.app` or `.ipa`, a directory or Xcode
    archive with one, the directory of a page, or a project that was built.

    Args:
        target: Where to look.
        module: Of a project: ``app`` or ``bench``; its release build is preferred.

    Raises:
        UsageError: There is none.
        ToolchainError: It is no app, a damaged one, or the files are not of one app.
    """
    if is_bundle(target):
        return read_bundle(target)
    if target.is_file():
        return read_apk([target])
    if not target.is_dir():
        message = f"cannot find an app at {target}: there is no such file or directory"
        raise UsageError(message, next_step="ortlab build PROJECT")
    if is_android_project(target) or is_ios_project(target) or is_web_project(target):
        return _built_app(target, module)
    if is_page(target):
        return read_page(target)
    if apks := sorted(target.glob("*.apk")):
        return read_apk(apks)
    bundles = bundles_in(target)
    if len(bundles) == 1:
        return read_bundle(bundles[0])
    what = "it is no project and no page, and no APK is in it, nor an .app or .ipa"
    if bundles:
        what = f"there are several: {', '.join(path.name for path in bundles)}"
    message = f"cannot find an app in {target}: {what}"
    raise UsageError(
        message,
        next_step="name an APK, a directory of one with its splits, an .app or .ipa, a page, or a"
        " project",
    )


def _built_app(project: Path, module: str) -> BuiltApp:
    if is_web_project(project):
        return _page_of(project)
    for variant in VARIANTS:
        if is_android_project(project):
            if files := built_files(project, module, variant):
                return read_apk(files)
        elif bundle := built_bundle(project, module, variant):
            return read_bundle(bundle)
    message = f"cannot find an app in {project}: the module {module} was not built"
    raise UsageError(message, next_step=f"ortlab build {project} --module {module}")


def _page_of(project: Path) -> BuiltApp:
    page = built_page(project)
    if page is None:
        message = f"cannot find an app in {project}: it was not built"
        raise UsageError(message, next_step=f"ortlab build {project}")
    return read_page(page)


def is_android_project(directory: Path) -> bool:
    """Whether a directory holds a generated project for Android."""
    return (directory / "settings.gradle.kts").is_file()


def built_files(project: Path, module: str, variant: str) -> tuple[Path, ...]:
    """Return the APK that Gradle made of a module; empty where it made none.

    Of builds for single ABIs, the universal one is taken, else that for 64-bit Arm.
    """
    directory = project / module / "build" / "outputs" / "apk" / variant
    try:
        metadata = json.loads((directory / _METADATA).read_text(encoding="utf-8"))
        elements = sorted(metadata["elements"], key=_preference)
        files = [directory / element["outputFile"] for element in elements]
    except (OSError, ValueError, KeyError, TypeError):
        files = sorted(directory.glob("*.apk")) if directory.is_dir() else []
    return tuple(path.absolute() for path in files if path.is_file())[:1]


def _preference(element: Mapping[str, Any]) -> int:
    values = [item.get("value") for item in element.get("filters", [])]
    if not values:
        return 0
    return 1 if _MOST_WANTED_ABI in values else 2


def read_apk(files: Sequence[Path]) -> BuiltApp:
    """Read an APK, or one with its splits.

    Args:
        files: In any order.

    Raises:
        UsageError: A file is missing.
        ToolchainError: One is no APK or a damaged one, or they are not of one app.
    """
    read = {path.absolute(): read_package(path) for path in files}
    bases = [path for path, package in read.items() if package.split is None]
    names = ", ".join(path.name for path in read)
    if len(bases) != 1:
        what = "none is a base" if not bases else f"{len(bases)} are bases"
        message = f"cannot take {names} as one app: {what}, and an app has one"
        raise ToolchainError(message, next_step="name the APKs of one app")
    base = read[bases[0]]
    for path, package in read.items():
        _check_one_app(base, package, path)
    if base.split_required and len(read) == 1:
        message = f"cannot install {names} alone: it needs its splits"
        raise ToolchainError(message, next_step="name the directory with all its APKs")
    ordered = (bases[0], *sorted(path for path in read if path != bases[0]))
    sizes = {part: sum(p.size_by_part[part] for p in read.values()) for part in PARTS}
    return BuiltApp(
        platform=AppPlatform.ANDROID,
        files=ordered,
        sha256=_sha256_of(ordered),
        application_id=base.application_id,
        version_code=base.version_code,
        version_name=base.version_name,
        abis=tuple(sorted({abi for package in read.values() for abi in package.abis})),
        debuggable=base.debuggable,
        size_by_part=sizes,
        minimum_api_level=base.min_sdk,
    )


def _check_one_app(base: ApkPackage, package: ApkPackage, path: Path) -> None:
    for what, own, other in (
        ("application id", base.application_id, package.application_id),
        ("version code", base.version_code, package.version_code),
        ("signer", base.certificate_sha256, package.certificate_sha256),
    ):
        if own != other:
            message = f"cannot take {path.name} as a split: its {what} is another than the base's"
            raise ToolchainError(message, next_step="name the APKs of one build")


def _sha256_of(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
