"""Xcode, driven: pods or packages first, live progress, kept logs, and an app or a reason."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ortlab.build.bundles import (
    CONFIGURATIONS,
    SCHEMES,
    SETTINGS,
    built_bundle,
    is_ios_project,
    read_bundle,
)
from ortlab.build.running import run_step
from ortlab.build.xcode_failures import explain_xcode_failure
from ortlab.domain import BuiltApp
from ortlab.errors import ToolchainError, UsageError
from ortlab.process import Command, Processes

Say = Callable[[str], None]

WORKSPACE: Final = "Starter.xcworkspace"
PACKAGES_PROJECT: Final = "StarterPackages.xcodeproj"
POD_LOG: Final = "build/ortlab-pods.log"
XCODE_LOG: Final = "build/ortlab-xcode.log"
DEFAULT_DEADLINE_S: Final = 3600.0
"""A first build fetches ONNX Runtime and lets Xcode make profiles."""

_ENVIRONMENT: Final = {
    "LANG": "en_US.UTF-8",  # CocoaPods asks for it
    "NSUnbufferedIO": "YES",  # xcodebuild tells its steps as they begin
}
_STEP: Final = re.compile(r"(?P<step>[A-Z]\w+) .*\(in target '(?P<target>[^']+)' from project ")
_POD_STEPS: Final = re.compile(
    r"Analyzing dependencies|Downloading dependencies|Generating Pods project"
    r"|Integrating client project|Installing \S+"
)
_PACKAGE_STEPS: Final = re.compile(
    r"Resolve Package Graph|Fetching |Downloading binary artifact |Creating working copy "
)
_STEPS_IN_WORDS: Final = {
    "CompileAssetCatalog": "compile assets",
    "CompileC": "compile C",
    "CompileSwift": "compile Swift",
    "SwiftCompile": "compile Swift",
    "CodeSign": "sign",
    "CpResource": "copy resources",
    "CopyPlistFile": "copy resources",
    "Ld": "link",
    "Libtool": "link",
    "PhaseScriptExecution": "run a script",
    "ProcessProductPackaging": "take the provisioning profile",
    "Validate": "validate",
}


def build_ios(
    project: Path,
    *,
    module: str = "bench",
    variant: str = "release",
    processes: Processes,
    say: Say = lambda _: None,
    deadline_s: float = DEFAULT_DEADLINE_S,
) -> BuiltApp:
    """Build a module of a generated project for iPhones with this Mac's Xcode.

    With CocoaPods, `pod install` and the workspace; without, the project that takes ONNX Runtime
    as a Swift package. All that is printed is kept in `build/ortlab-pods.log` and
    `build/ortlab-xcode.log` of the project.

    Args:
        project: Its directory.
        module: ``app`` or ``bench``.
        variant: ``release`` or ``debug``.
        processes: How programs are started.
        say: Told which step runs; called from a thread of its own.
        deadline_s: Total time allowed.

    Raises:
        UsageError: There is no such project, module or variant.
        ToolchainError: There is no Xcode here, or the build failed; the message gives the cause,
            ``next_step`` what to do, ``log_path`` all that was printed.
        StorageError: A log cannot be written.
    """
    _check_words(project, module, variant)
    project = project.absolute()
    deadline = time.monotonic() + deadline_s
    what = f"cannot build {module} of {project}"
    with_pods = _takes_pods(project, what)
    if shutil.which("xcodebuild") is None:
        raise _no_xcode(project, module, variant, what)
    if with_pods:
        say("CocoaPods: pod install")
        _run(("pod", "install"), POD_LOG, project, deadline, what, say, processes)
    arguments = xcodebuild_arguments(module, variant, with_pods=with_pods)
    say(f"Xcode: {SCHEMES[module]}, {CONFIGURATIONS[variant]}")
    _run(arguments, XCODE_LOG, project, deadline, what, say, processes)
    bundle = built_bundle(project, module, variant)
    if bundle is None:
        message = f"{what}: Xcode was content, but made no app"
        raise ToolchainError(message, next_step="look at the log", log_path=project / XCODE_LOG)
    return read_bundle(bundle)


def xcodebuild_arguments(module: str, variant: str, *, with_pods: bool) -> tuple[str, ...]:
    """Return how to build a module, in the project's directory."""
    opened = ("-workspace", WORKSPACE) if with_pods else ("-project", PACKAGES_PROJECT)
    return (
        *("xcodebuild", *opened, "-scheme", SCHEMES[module]),
        *("-configuration", CONFIGURATIONS[variant]),
        *("-destination", "generic/platform=iOS", "-derivedDataPath", "build/xcode"),
        *("-allowProvisioningUpdates", "build"),
    )


def _check_words(project: Path, module: str, variant: str) -> None:
    if not is_ios_project(project):
        message = f"cannot build {project}: there is no project for iPhones"
        raise UsageError(message, next_step=f"ortlab generate PREPARED --ios {project}")
    if module not in SCHEMES:
        message = f"cannot build the module {module!r}: it is one of {', '.join(SCHEMES)}"
        raise UsageError(message)
    if variant not in CONFIGURATIONS:
        message = f"cannot build the variant {variant!r}: it is one of {', '.join(CONFIGURATIONS)}"
        raise UsageError(message)


def _takes_pods(project: Path, what: str) -> bool:
    """Return whether the project is built with CocoaPods.

    Raises:
        ToolchainError: It has to be, and there is none.
    """
    if shutil.which("pod") is not None and (project / "Podfile").is_file():
        return True
    on_a_mac = shutil.which("xcodebuild") is not None
    podspec = _setting(project, "ORT_PODSPEC")
    if on_a_mac and (podspec or not (project / PACKAGES_PROJECT).is_dir()):
        why = f"ORT_PODSPEC in {SETTINGS} names {podspec}" if podspec else "there is no other way"
        message = f"{what}: it is built with CocoaPods ({why}), and there is no pod program"
        raise ToolchainError(message, next_step="brew install cocoapods")
    return False


def _setting(project: Path, name: str) -> str:
    try:
        text = (project / SETTINGS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^[ \t]*{name}[ \t]*=[ \t]*(?P<value>[^\n]*)", text, re.MULTILINE)
    return found["value"].strip() if found else ""


def _no_xcode(project: Path, module: str, variant: str, what: str) -> ToolchainError:
    if sys.platform == "darwin":
        message = f"{what}: there is no Xcode"
        step = "install Xcode from the App Store, open it once, then: ortlab doctor"
        return ToolchainError(message, next_step=step)
    line = shlex.join(xcodebuild_arguments(module, variant, with_pods=True))
    products = f"build/xcode/Build/Products/{CONFIGURATIONS[variant]}-iphoneos"
    message = f"{what}: apps for iPhones are built by Xcode, which runs on macOS alone"
    return ToolchainError(
        message,
        next_step=f"copy {project} to a Mac and run there: ortlab build {project.name} --module"
        f" {module}, or without ortlab: pod install && {line}; then bring"
        f" {products}/{SCHEMES[module]}.app back and use it with --app",
    )


def _run(
    arguments: tuple[str, ...],
    log: str,
    project: Path,
    deadline: float,
    what: str,
    say: Say,
    processes: Processes,
) -> None:
    command = Command(
        arguments=arguments,
        deadline_s=max(1.0, deadline - time.monotonic()),
        working_directory=project,
        environment=_ENVIRONMENT,
        output_path=project / log,
    )
    steps = _Steps(say)
    run_step(
        command, what=what, tell=steps.tell, explain=explain_xcode_failure, processes=processes
    )


class _Steps:
    """Tells the steps in a tool's output, each once in a row."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = ""

    def tell(self, line: str) -> None:
        text = step_in(line)
        if text and text != self._last:
            self._last = text
            self._say(text)


def step_in(line: str) -> str:
    """Return the step that a line of CocoaPods or xcodebuild begins, in words; empty for none."""
    if found := _STEP.match(line):
        words = _STEPS_IN_WORDS.get(found["step"], "")
        return f"Xcode: {found['target']}: {words}" if words else ""
    if _POD_STEPS.match(line):
        return f"CocoaPods: {line.strip()}"
    if _PACKAGE_STEPS.match(line):
        return f"Xcode: {line.strip()}"
    return ""
