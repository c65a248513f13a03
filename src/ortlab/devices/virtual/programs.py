"""The benchmark that runs on a virtual phone: a real process of this machine.

A program is asked as `bench_protocol/README.md` says: the path of a request, or ``--probe``. It is
started here and not through :mod:`ortlab.process`, because a phone must be able to end its app in
the middle; it still gets a session of its own and a small environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from ortlab.errors import ToolchainError

CORE_VARIABLE: Final = "ORTLAB_BENCH_CORE"
"""Environment variable with the class path of the Kotlin core."""

SWIFT_CORE_VARIABLE: Final = "ORTLAB_BENCH_CLI"
"""Environment variable with the Swift program."""

_SWIFT_CORE: Final = Path(__file__).parents[4] / ".cache" / "ios" / "bench-cli" / "bench-cli"
_CORE_DIRECTORY: Final = Path(__file__).parents[4] / ".cache" / "android" / "bench-core"
_CORE_MAIN: Final = "dev.ortlab.benchcore.MainKt"
_RUNNER: Final = Path(__file__).parents[2] / "runner" / "block_runner.py"
_SLEEPER: Final = Path(__file__).parent / "sleeping.py"
_KEPT_VARIABLES: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH")


class BenchmarkProgram(Protocol):
    """A program that answers block requests.

    Attributes:
        language: As its results say.
    """

    @property
    def language(self) -> str:
        """As its results say."""
        ...

    def arguments(self, question: str) -> tuple[str, ...]:
        """Return how to start it with the path of a request, ``--probe`` or ``--conditions``."""
        ...


@dataclass(frozen=True, slots=True)
class PythonRunner:
    """The Python runner that the host device uses, too.

    Attributes:
        interpreter: With onnxruntime and numpy.
    """

    interpreter: str = sys.executable

    @property
    def language(self) -> str:
        """As its results say."""
        return "python"

    def arguments(self, question: str) -> tuple[str, ...]:
        """See :class:`BenchmarkProgram`."""
        return (self.interpreter, "-X", "faulthandler", str(_RUNNER), question)


@dataclass(frozen=True, slots=True)
class KotlinCore:
    """The core of the benchmark app, on a JVM of this machine.

    Attributes:
        java: The program.
        classpath: Of the core, joined as the system does.
        native_directory: With the runtime's libraries; None lets it unpack its own each time.
        options: Of the JVM.
    """

    java: str
    classpath: str
    native_directory: str | None = None
    options: tuple[str, ...] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    @property
    def language(self) -> str:
        """As its results say."""
        return "kotlin"

    def arguments(self, question: str) -> tuple[str, ...]:
        """See :class:`BenchmarkProgram`."""
        # The runtime unpacks itself there; the working directory goes away with the block.
        own = (*self.options, "-Djava.io.tmpdir=.")
        if self.native_directory is not None:
            own = (*own, f"-Donnxruntime.native.path={self.native_directory}")
        return (self.java, *own, "-cp", self.classpath, _CORE_MAIN, question)


@dataclass(frozen=True, slots=True)
class SwiftCore:
    """The core of the iPhone's benchmark app, built for this machine.

    Attributes:
        program: That was built, or a script that starts it.
    """

    program: str

    @property
    def language(self) -> str:
        """As its results say."""
        return "swift"

    def arguments(self, question: str) -> tuple[str, ...]:
        """See :class:`BenchmarkProgram`."""
        return (self.program, question)


@dataclass(frozen=True, slots=True)
class SleepingProgram:
    """A real process that sleeps: for tests of load. Its results hold no samples and say so.

    Attributes:
        seconds: Each block lasts.
    """

    seconds: float

    @property
    def language(self) -> str:
        """As its results say."""
        return "sleep"

    def arguments(self, question: str) -> tuple[str, ...]:
        """See :class:`BenchmarkProgram`."""
        return (sys.executable, "-I", "-S", str(_SLEEPER), str(self.seconds), question)


def default_program() -> BenchmarkProgram:
    """Return the Kotlin core where this machine has a JVM and the core, else the Python runner.

    The core is looked for in the class path that ``ORTLAB_BENCH_CORE`` names and, in a checkout,
    among the jars of `.cache/android/bench-core`. A directory ``native`` beside the first jar is
    taken for the one with the runtime's libraries.
    """
    java, classpath = find_java(), _core_classpath()
    if java is not None and classpath is not None:
        native = Path(classpath.split(os.pathsep)[0]).parent / "native"
        return KotlinCore(java, classpath, str(native) if native.is_dir() else None)
    return PythonRunner(sys.executable)


def default_ios_program() -> BenchmarkProgram:
    """Return the Swift program where this machine has it, else the Python runner.

    It is looked for where ``ORTLAB_BENCH_CLI`` says and, in a checkout, in
    `.cache/ios/bench-cli`.

    Raises:
        ToolchainError: ``ORTLAB_BENCH_CLI`` names no program.
    """
    named = os.environ.get(SWIFT_CORE_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            message = f"cannot use {SWIFT_CORE_VARIABLE}={named}: there is no such program"
            raise ToolchainError(message, next_step=f"unset {SWIFT_CORE_VARIABLE}, or build it")
        return SwiftCore(str(Path(found).absolute()))
    if os.access(_SWIFT_CORE, os.X_OK):
        return SwiftCore(str(_SWIFT_CORE))
    return PythonRunner(sys.executable)


def find_java() -> str | None:
    """Return the JVM of ``JAVA_HOME`` or of the path."""
    home = os.environ.get("JAVA_HOME")
    if home:
        found = shutil.which(str(Path(home) / "bin" / "java"))
        if found:
            return found
    return shutil.which("java")


def _core_classpath() -> str | None:
    named = os.environ.get(CORE_VARIABLE)
    if named:
        return named
    jars = sorted(_CORE_DIRECTORY.glob("*.jar"))
    return os.pathsep.join(map(str, jars)) if jars else None


def guarded(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return how to start a program that Linux ends with the thread that started it.

    A phone's thread lives as long as the phone, also when this process is killed. Where there is
    no `setpriv` of util-linux, the program is started as it is.
    """
    guard = shutil.which("setpriv")
    return arguments if guard is None else (guard, "--pdeathsig", "KILL", *arguments)


def start_program(
    program: BenchmarkProgram,
    question: str,
    *,
    directory: Path,
    output: IO[bytes],
    environment: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own.

    Args:
        program: To start.
        question: Path of a request, or an option.
        directory: It works in and may write to.
        output: Gets what it prints on both outputs.
        environment: Beside the few variables of this machine that every program needs.

    Raises:
        ToolchainError: It cannot be started.
    """
    return start_process(
        program.arguments(question), directory=directory, output=output, environment=environment
    )


def start_process(
    arguments: tuple[str, ...],
    *,
    directory: Path,
    output: IO[bytes] | int,
    environment: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start any program in a session of its own; see :func:`start_program`.

    Args:
        arguments: The program and its arguments.
        directory: It works in; its home.
        output: Gets what it prints on both outputs; :data:`subprocess.PIPE` makes a pipe.
        environment: Beside the few variables of this machine that every program needs.

    Raises:
        ToolchainError: It cannot be started.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    own = {
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "ORT_DISABLE_TELEMETRY": "1",
        "LC_ALL": "C.UTF-8",  # a JVM reads names of files as the locale says
    }
    try:
        return subprocess.Popen(
            guarded(arguments),
            cwd=directory,
            env={**kept, **own, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        message = f"cannot start {arguments[0]}: {error.strerror}"
        raise ToolchainError(message, next_step="ortlab doctor") from error


def suspended_at_start(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return how to start a program that waits for ``SIGCONT`` before its first instruction."""
    return ("/bin/sh", "-c", 'kill -STOP $$; exec "$0" "$@"', *arguments)
