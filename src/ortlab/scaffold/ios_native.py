"""What an iOS app links beside its own code: ONNX Runtime, and a model's own operators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ortlab.domain import AppPlatform, PreparedModel
from ortlab.errors import UsageError
from ortlab.scaffold.files import Content
from ortlab.scaffold.xcframework import XCFramework, read_xcframework

FRAMEWORKS: Final = "Frameworks"
"""Folder of a project with frameworks and podspecs of the user's."""

_RELEASE: Final = re.compile(r"[0-9]+(\.[0-9]+)+([.-][0-9A-Za-z.-]+)?")
_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")
_POD: Final = "onnxruntime-c"
_PODSPEC: Final = f"{FRAMEWORKS}/{_POD}.podspec"
_POD_NAME: Final = re.compile(rb"""\.name\s*=\s*["']([^"']+)["']""")
_MODULE: Final = "onnxruntime.framework"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A thing that apps link.

    Attributes:
        settings: Keys of the settings file, as they stand there.
        files: Path in the project to content.
        notes: What a user should know, in sentences.
        name: Of the library in the app, as the SDK is told of it; None where it is not.
    """

    settings: Mapping[str, str]
    files: Mapping[str, Content] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    name: str | None = None


def ort_source(text: str | None, checksum: str | None, defaults: Mapping[str, str]) -> Linked:
    """Read what a user gave as the ORT package.

    Args:
        text: A release, or the path of a podspec or an XCFramework; None for the template's.
        checksum: SHA-256 of that release's archive, or None.
        defaults: The template's settings.

    Raises:
        UsageError: It is none of these, or the checksum is none.
    """
    if checksum is not None and not _CHECKSUM.fullmatch(checksum.lower()):
        message = f"cannot use {checksum!r} as a checksum: a SHA-256 has 64 hexadecimal digits"
        step = "swift package compute-checksum FILE prints it"
        raise UsageError(message, next_step=step)
    if text is None or _RELEASE.fullmatch(text):
        return _release(text, checksum, defaults)
    path = Path(text)
    if path.suffix == ".xcframework" and path.is_dir():
        return _framework(path)
    if path.suffix == ".podspec" and path.is_file():
        return _podspec(path)
    message = (
        f"cannot use {text!r} as the ORT package: it is no release, and no podspec or XCFramework"
        " is there"
    )
    step = f"give a release of {_POD} such as {defaults['ORT_VERSION']}, or the path of one"
    raise UsageError(message, next_step=step)


def _ort_settings(**chosen: str) -> dict[str, str]:
    keys = ("ORT_VERSION", "ORT_CHECKSUM", "ORT_PODSPEC", "ORT_XCFRAMEWORK")
    return {key: chosen.get(key, "") for key in keys}


def _release(text: str | None, checksum: str | None, defaults: Mapping[str, str]) -> Linked:
    release = text or defaults["ORT_VERSION"]
    known = defaults["ORT_CHECKSUM"] if release == defaults["ORT_VERSION"] else ""
    checksum = (checksum or known).lower()
    note = (
        f"ONNX Runtime {release} comes with CocoaPods alone: StarterPackages.xcodeproj needs"
        " the checksum of its archive, with --ort-ios-checksum"
    )
    notes = () if checksum else (note,)
    return Linked(settings=_ort_settings(ORT_VERSION=release, ORT_CHECKSUM=checksum), notes=notes)


def _podspec(path: Path) -> Linked:
    data = path.read_bytes()
    found = _POD_NAME.search(data)
    if found is None or found[1] != _POD.encode():
        named = repr(found[1].decode(errors="replace")) if found else "nothing"
        message = f"cannot use {path} as the ORT package: it names {named}, not {_POD}"
        raise UsageError(message, next_step=f"name the pod {_POD}")
    note = (
        f"ONNX Runtime comes from {path.name}, with CocoaPods alone: Swift packages take a"
        " release or an XCFramework"
    )
    return Linked(
        settings=_ort_settings(ORT_PODSPEC=_PODSPEC),
        files={_PODSPEC: Content.of(data)},
        notes=(note,),
    )


def _framework(path: Path) -> Linked:
    framework = read_xcframework(path)
    if framework.library != _MODULE or not framework.has_ort_headers:
        message = (
            f"cannot use {path} as the ORT package: it holds no {_MODULE} with"
            " Headers/onnxruntime_c_api.h"
        )
        step = "build it with tools/ci_build/github/apple/build_apple_framework.py of ONNX Runtime"
        raise UsageError(message, next_step=step)
    place, files = _packaged(framework)
    return Linked(
        settings=_ort_settings(ORT_XCFRAMEWORK=place), files=files, notes=_about(framework)
    )


def custom_ops(prepared: PreparedModel, libraries: Mapping[str, str]) -> Linked:
    """Read what a user gave as the library with the model's own operators.

    Args:
        prepared: The model.
        libraries: ``ios`` to the path of an XCFramework; may be empty.

    Raises:
        UsageError: It is for something else, or no XCFramework.
    """
    others = sorted(set(libraries) - {AppPlatform.IOS.value})
    if others:
        message = f"cannot package custom ops for {', '.join(others)} into an iOS app"
        raise UsageError(message, next_step="give an XCFramework: --custom-ops ios=FILE")
    text = libraries.get(AppPlatform.IOS.value)
    if text is None:
        note = (
            f"{prepared.name} needs operators of its own, and the app carries no library with"
            " them: give an XCFramework with --custom-ops ios=FILE"
        )
        notes = () if prepared.custom_op_library is None else (note,)
        return Linked(settings={"CUSTOM_OPS": ""}, notes=notes)
    framework = read_xcframework(Path(text))
    place, files = _packaged(framework)
    return Linked(
        settings={"CUSTOM_OPS": place},
        files=files,
        notes=_about(framework),
        # What is linked into the app has no file of its own there.
        name=framework.library if framework.is_dynamic else framework.path.name,
    )


def _packaged(framework: XCFramework) -> tuple[str, dict[str, Content]]:
    place = f"{FRAMEWORKS}/{framework.path.name}"
    return place, {f"{place}/{path}": content for path, content in framework.files()}


def _about(framework: XCFramework) -> tuple[str, ...]:
    notes = []
    if framework.left_out:
        notes.append(f"{framework.path.name}: {', '.join(framework.left_out)} is not packaged")
    if not framework.has_simulator:
        notes.append(f"{framework.path.name} has nothing for simulators: build for iPhones")
    return tuple(notes)
