"""Gradle, driven: environment, live progress, a kept log, and an app or a reason."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ortlab.build.gradle_failures import explain_failure
from ortlab.build.outputs import VARIANTS, built_files, read_apk
from ortlab.build.running import run_step
from ortlab.domain import BuiltApp
from ortlab.errors import ToolchainError, UsageError
from ortlab.process import Command, Processes

Say = Callable[[str], None]

MODULES: Final = ("app", "bench")
LOG: Final = "build/ortlab-gradle.log"
DEFAULT_DEADLINE_S: Final = 1800.0
"""A first build fetches Gradle, the Android plugin and parts of the SDK."""

_HOMES_OF_SDKS: Final = ("Android/Sdk", "Library/Android/sdk", "android-sdk")
_TASK: Final = re.compile(r"> Task :(?P<task>\S+)(?P<state> [A-Z-]+)?")
_STEPS: Final = re.compile(
    r"> (?:Configure project|Evaluating)|Starting a Gradle Daemon|Downloading |Fetching |Unzipping "
    r"|Preparing \"|\"Install "
)


def build_android(
    project: Path,
    *,
    module: str = "bench",
    variant: str = "release",
    processes: Processes,
    say: Say = lambda _: None,
    deadline_s: float = DEFAULT_DEADLINE_S,
) -> BuiltApp:
    """Build a module of a generated project with its own `gradlew`.

    All that Gradle prints is kept in `build/ortlab-gradle.log` of the project.

    Args:
        project: Its directory.
        module: ``app`` or ``bench``.
        variant: ``release`` or ``debug``.
        processes: How programs are started.
        say: Told which step runs; called from a thread of its own.
        deadline_s: Total time allowed.

    Raises:
        UsageError: There is no such project, module or variant.
        ToolchainError: Java or the Android SDK is missing, or the build failed; the message gives
            the cause, ``next_step`` what to do, ``log_path`` all that Gradle printed.
        StorageError: The log cannot be written.
    """
    _check_words(project, module, variant)
    project = project.absolute()
    environment = build_environment(project, os.environ)
    log = project / LOG
    task = f":{module}:assemble{variant.capitalize()}"
    command = Command(
        arguments=(*_gradlew(project), task, "--console=plain"),
        deadline_s=deadline_s,
        working_directory=project,
        environment=environment,
        output_path=log,
    )
    say(f"Gradle: {task}")
    what = f"cannot build {module} of {project}"
    run_step(
        command,
        what=what,
        tell=lambda line: _tell(line, say),
        explain=explain_failure,
        processes=processes,
    )
    files = built_files(project, module, variant)
    if not files:
        message = f"{what}: Gradle was content, but made no APK"
        raise ToolchainError(message, next_step="look at the log", log_path=log)
    return read_apk(files)


def _check_words(project: Path, module: str, variant: str) -> None:
    if not (project / "settings.gradle.kts").is_file():
        message = f"cannot build {project}: there is no Gradle project"
        raise UsageError(message, next_step=f"ortlab generate PREPARED --android {project}")
    if module not in MODULES:
        message = f"cannot build the module {module!r}: it is one of {', '.join(MODULES)}"
        raise UsageError(message)
    if variant not in VARIANTS:
        message = f"cannot build the variant {variant!r}: it is one of {', '.join(VARIANTS)}"
        raise UsageError(message)


def _gradlew(project: Path) -> tuple[str, ...]:
    script = project / "gradlew"
    if not script.is_file():
        message = f"cannot build {project}: its gradlew is missing"
        raise UsageError(message, next_step="generate the project again into a new directory")
    return (str(script),) if os.access(script, os.X_OK) else ("sh", str(script))


# ------------------------------------------------------------------------------ environment


def build_environment(project: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return what Gradle needs to be told beside the environment that is there.

    The SDK is the one of ``ANDROID_HOME``, of the older ``ANDROID_SDK_ROOT``, of the project's
    `local.properties`, or where Android Studio puts it.

    Raises:
        ToolchainError: There is no Java, or no Android SDK.
    """
    _check_java(given)
    named = given.get("ANDROID_HOME") or given.get("ANDROID_SDK_ROOT")
    if named:
        if not Path(named).is_dir():
            message = f"cannot build {project}: ANDROID_HOME names {named}, which is no directory"
            raise ToolchainError(message, next_step="set ANDROID_HOME to the Android SDK")
        return {"ANDROID_HOME": named}
    if "sdk.dir" in _local_properties(project):
        return {}
    for place in _HOMES_OF_SDKS:
        directory = Path(given.get("HOME") or "/nowhere") / place
        if directory.is_dir():
            return {"ANDROID_HOME": str(directory)}
    message = f"cannot build {project}: there is no Android SDK, and ANDROID_HOME is not set"
    raise ToolchainError(
        message,
        next_step="install Android Studio or its command-line tools, and set ANDROID_HOME;"
        " ortlab doctor shows what is missing",
    )


def _check_java(given: Mapping[str, str]) -> None:
    home = given.get("JAVA_HOME")
    step = "install a JDK 17 or later and set JAVA_HOME to it; ortlab doctor shows what is there"
    if home and not (Path(home) / "bin" / "java").is_file():
        message = f"cannot build: JAVA_HOME names {home}, which is no JDK"
        raise ToolchainError(message, next_step=step)
    if not home and shutil.which("java", path=given.get("PATH")) is None:
        message = "cannot build: there is no Java"
        raise ToolchainError(message, next_step=step)


def _local_properties(project: Path) -> str:
    try:
        return (project / "local.properties").read_text(encoding="latin-1")
    except OSError:
        return ""


# ------------------------------------------------------------------------------ progress


def _tell(line: str, say: Say) -> None:
    if found := _TASK.match(line):
        if found["state"] is None or found["state"].strip() == "FAILED":
            say(f"Gradle: {found['task'].replace(':', ': ')}{(found['state'] or '').lower()}")
    elif _STEPS.match(line):
        say(f"Gradle: {line.strip('> ')}")
