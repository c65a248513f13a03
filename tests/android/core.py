"""The Kotlin benchmark core, compiled once for its sources, and as a device for tests."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import shutil
import zipfile
from pathlib import Path

from android import toolchain
from ortlab.devices.host import KEPT_VARIABLES, HostDevice
from ortlab.process import Command, SystemProcesses

CORE = toolchain.ROOT / "android_template/bench-core"
SOURCES = CORE / "src/main/kotlin"
TESTS = CORE / "src/test/kotlin"
MAIN = "dev.ortlab.benchcore.MainKt"
LIBRARIES = (*toolchain.SERIALIZATION, toolchain.ONNXRUNTIME)
BUILD = toolchain.ROOT / ".cache/android/build"
JUNIT = "junit-platform-console-standalone-1.14.4.jar"
NATIVE_FOLDERS = {"x86_64": "x64", "aarch64": "aarch64"}
JVM_OPTIONS = ("-XX:+UseSerialGC", "-Xshare:auto")


def core_jar() -> Path:
    """Return the core's jar, compiled where its sources or the compiler changed.

    Raises:
        ToolFailedError: It does not compile.
    """
    digest = hashlib.sha256(Path(toolchain.__file__).read_bytes())
    for path in sorted(SOURCES.rglob("*.kt")):
        digest.update(path.relative_to(SOURCES).as_posix().encode() + path.read_bytes())
    jar = BUILD / f"bench-core-{digest.hexdigest()[:16]}" / "bench-core.jar"
    if not jar.is_file():
        module = toolchain.KotlinModule(
            name="bench-core",
            sources=(SOURCES,),
            libraries=LIBRARIES,
            explicit_api=True,
            serialization=True,
        )
        # Others may compile the same sources now: each writes its own, the last rename stays.
        made = toolchain.compile_kotlin(module, jar.with_name(f"{os.getpid()}.jar"))
        made.replace(jar)
        with contextlib.suppress(FileExistsError):
            (jar.parent / "native").symlink_to(native_libraries())
    return jar


def native_libraries() -> Path:
    """Return the directory of the runtime's libraries for this machine, taken out of its jar.

    The runtime would unpack them at each start, and leave them behind when it is killed.
    """
    jar = toolchain.jar(toolchain.ONNXRUNTIME)
    folder = "ai/onnxruntime/native/linux-" + NATIVE_FOLDERS[platform.machine()]
    directory = BUILD / f"{jar.stem}-native"
    if not directory.is_dir():
        staged = BUILD / f"{jar.stem}-native.{os.getpid()}"
        staged.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.startswith(folder) and name.endswith(".so"):
                    (staged / Path(name).name).write_bytes(archive.read(name))
        try:
            staged.rename(directory)
        except OSError:  # others were faster
            shutil.rmtree(staged)
    return directory


@functools.cache
def core_jars() -> tuple[Path, ...]:
    """Return the core's jar and those it needs to run on a JVM."""
    return (core_jar(), *map(toolchain.jar, (*toolchain.RUNTIME, *LIBRARIES)))


def core_classpath() -> str:
    """Return what runs the core: ``java -cp … dev.ortlab.benchcore.MainKt``."""
    return toolchain.classpath(*core_jars())


def run_unit_tests(directory: Path) -> str:
    """Compile the core's own tests into a directory and run them; return what JUnit says.

    Raises:
        ToolFailedError: They do not compile, or one fails.
    """
    jar = core_jar()
    libraries = (jar, *LIBRARIES, JUNIT)
    module = toolchain.KotlinModule(
        name="bench-core-test", sources=(TESTS,), libraries=libraries, friends=(jar,)
    )
    tests = toolchain.compile_kotlin(module, directory / "tests")
    protocol = toolchain.ROOT / "bench_protocol"
    ran = toolchain.java(
        "org.junit.platform.console.ConsoleLauncher",
        *("execute", "--fail-if-no-tests", "--disable-banner", "--details=summary"),
        f"--scan-classpath={tests}",
        classes=(tests, *libraries, *toolchain.RUNTIME),
        options=(
            *JVM_OPTIONS,
            f"-Dortlab.bench_protocol={protocol}",
            f"-Donnxruntime.native.path={native_libraries()}",
        ),
    )
    return ran.stdout


def core_arguments(*arguments: object) -> tuple[str, ...]:
    """Return the command that runs the core alone, with an environment of its own."""
    env = shutil.which("env") or "/usr/bin/env"
    kept = [f"{name}={os.environ[name]}" for name in KEPT_VARIABLES if name in os.environ]
    # File names are UTF-8 only where the locale says so.
    own = ("LC_ALL=C.UTF-8", "ORT_DISABLE_TELEMETRY=1")
    command = ("java", *JVM_OPTIONS, "-cp", core_classpath(), MAIN)
    return (env, "-i", *kept, *own, *command, *map(str, arguments))


class CoreDevice(HostDevice):
    """This machine, with the Kotlin core instead of the Python runner.

    Args:
        variables: More of them for the core's environment, each as ``NAME=VALUE``.
    """

    def __init__(self, *variables: str) -> None:
        super().__init__(SystemProcesses())
        self._variables = variables

    def _command(self, interpreter: str, argument: str, deadline_s: float) -> Command:  # noqa: ARG002
        env, clean, *rest = core_arguments(argument)
        return Command(arguments=(env, clean, *self._variables, *rest), deadline_s=deadline_s)
