"""Kotlin, lint, shrinking and running on a JVM, without Gradle and the Android SDK.

`make android-tools` fetches the jars that `pom.xml` names into `.cache/android`; this module runs
them. It is for tests and benchmarks alone: users build with Gradle.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ortlab.process import Command, Completed, SystemProcesses

ROOT = Path(__file__).parents[2]
JARS = ROOT / ".cache" / "android" / "jars"

ANDROID = "android-all-16-robolectric-13921718.jar"
"""Framework classes that Kotlin is compiled against."""
FRAMEWORK_RESOURCES = "android-all-10-robolectric-5803371.jar"
"""Framework resources that aapt2 of Debian 12 can read (API 29)."""

RUNTIME = ("kotlin-stdlib-2.4.10.jar", "annotations-13.0.jar")
SERIALIZATION = (
    "kotlinx-serialization-json-jvm-1.12.0.jar",
    "kotlinx-serialization-core-jvm-1.12.0.jar",
)
ONNXRUNTIME = "onnxruntime-1.29.0.jar"

_COMPILER = (
    "kotlin-compiler-embeddable-2.4.10.jar",
    "kotlin-daemon-embeddable-2.4.10.jar",
    "kotlin-script-runtime-2.4.10.jar",
    "kotlin-reflect-1.6.10.jar",
    "kotlinx-coroutines-core-jvm-1.8.0.jar",
    *RUNTIME,
)
_SERIALIZATION_PLUGIN = "kotlin-serialization-compiler-plugin-embeddable-2.4.10.jar"


class ToolFailedError(Exception):
    """A tool ended with an error; the message is what it said."""


def present() -> bool:
    """Whether `make android-tools` has run, and a JDK is there."""
    return shutil.which("java") is not None and (JARS / FRAMEWORK_RESOURCES).is_file()


def jar(name: str) -> Path:
    path = JARS / name
    if not path.is_file():
        message = f"{path} is missing: make android-tools"
        raise ToolFailedError(message)
    return path


def classpath(*entries: str | Path) -> str:
    """Join entries; a bare name is one of the fetched jars."""
    return os.pathsep.join(str(e if isinstance(e, Path) else jar(e)) for e in entries)


def run(
    arguments: Sequence[str | Path],
    *,
    deadline_s: float = 300.0,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    completed = SystemProcesses().run(
        Command(
            arguments=tuple(map(str, arguments)),
            deadline_s=deadline_s,
            working_directory=directory,
            environment={"ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
        )
    )
    if check and not completed.succeeded:
        message = f"{completed.command.line()}\n{completed.stdout}{completed.stderr}"
        raise ToolFailedError(message)
    return completed


def java(
    main_class: str,
    *arguments: str | Path,
    classes: Sequence[str | Path],
    options: Sequence[str] = (),
    deadline_s: float = 300.0,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a class on the JVM; ``classes`` are class directories, jars, or names of fetched ones."""
    return run(
        ["java", *options, "-cp", classpath(*classes), main_class, *arguments],
        deadline_s=deadline_s,
        directory=directory,
        environment=environment,
        check=check,
    )


@dataclass(frozen=True, kw_only=True)
class KotlinModule:
    """What one run of the Kotlin compiler makes.

    Attributes:
        name: Of the Kotlin module.
        sources: Files, or directories that are searched for `.kt`.
        libraries: Class directories, jars, or names of fetched ones.
        explicit_api: Whether everything public must say so, as in a published library.
        serialization: Whether kotlinx.serialization's plugin takes part.
        friends: Those of the libraries whose internal declarations these sources may use, as tests
            may those of what they test.
    """

    name: str
    sources: tuple[Path, ...]
    libraries: tuple[str | Path, ...] = ()
    explicit_api: bool = False
    serialization: bool = False
    friends: tuple[Path, ...] = ()


def compile_kotlin(module: KotlinModule, output: Path) -> Path:
    """Compile with warnings as errors into a directory or, by its name, a `.jar`.

    Raises:
        ToolFailedError: It does not compile.
    """
    arguments: list[str | Path] = [
        *("-jvm-target", "17", "-Werror", "-Wextra", "-no-stdlib", "-no-reflect"),
        *("-module-name", module.name, "-d", output),
        *("-classpath", classpath(*RUNTIME, *module.libraries)),
    ]
    if module.explicit_api:
        arguments.append("-Xexplicit-api=strict")
    if module.serialization:
        arguments.append(f"-Xplugin={jar(_SERIALIZATION_PLUGIN)}")
    if module.friends:
        arguments.append(f"-Xfriend-paths={','.join(map(str, module.friends))}")
    output.parent.mkdir(parents=True, exist_ok=True)
    java(
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
        *arguments,
        *module.sources,
        classes=_COMPILER,
        options=("-Xmx1500m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    )
    return output


def ktlint(paths: Iterable[str | Path], directory: Path) -> None:
    """Lint files or patterns.

    Raises:
        ToolFailedError: There is something to mend.
    """
    command = ["java", "-jar", jar("ktlint-cli-1.8.0-all.jar"), "--relative", *paths]
    run(command, directory=directory)


@functools.cache
def java_home() -> Path:
    return Path(shutil.which("java") or "").resolve().parents[1]
