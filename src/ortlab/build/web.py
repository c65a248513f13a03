"""npm, driven: packages as the lock names them, live progress, kept logs, a page or a reason."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ortlab.build.npm_failures import explain_npm_failure
from ortlab.build.outputs import VARIANTS
from ortlab.build.pages import DIST, built_page, is_web_project, read_page
from ortlab.build.running import run_step
from ortlab.domain import BuiltApp
from ortlab.errors import StorageError, ToolchainError, UsageError
from ortlab.process import Command, Processes

Say = Callable[[str], None]

MODULES: Final = ("app", "bench")
INSTALL_LOG: Final = "build/ortlab-npm-ci.log"
BUILD_LOG: Final = "build/ortlab-npm-build.log"
DEFAULT_DEADLINE_S: Final = 900.0
"""A first build fetches Vite, TypeScript and ONNX Runtime, some 250 MB."""
LEAST_NODE: Final = 18

_PACKAGE: Final = "package.json"
_LOCK: Final = "package-lock.json"
_INSTALLED: Final = "node_modules/.ortlab-installed"
_ASSETS: Final = "src/generated/assets"
_RECORD: Final = ".ortlab/generated.json"
_NODE_S: Final = 30.0
_TOOLS_STEP: Final = "install Node.js 20 or later with its npm; ortlab doctor shows what is there"
_STEPS: Final = re.compile(
    r"> (?P<script>\S.*)|(?P<vite>vite v\S+ building|rendering chunks|transforming)"
)


def build_web(
    project: Path,
    *,
    module: str = "bench",
    variant: str = "release",
    processes: Processes,
    say: Say = lambda _: None,
    deadline_s: float = DEFAULT_DEADLINE_S,
) -> BuiltApp:
    """Build a generated project for browsers: `npm ci`, then `npm run build`.

    Packages are installed where they are not yet as the lock names them. All that is printed is
    kept in `build/ortlab-npm-ci.log` and `build/ortlab-npm-build.log` of the project.

    Args:
        project: Its directory.
        module: ``app`` or ``bench``; one build makes the pages of both.
        variant: ``release``, or ``debug``: not minified, with the sources' lines.
        processes: How programs are started.
        say: Told which step runs; called from a thread of its own.
        deadline_s: Total time allowed.

    Raises:
        UsageError: There is no such project, module or variant.
        ToolchainError: Node.js is missing or too old, or the build failed; the message gives the
            cause, ``next_step`` what to do, ``log_path`` all that was printed.
        StorageError: A log cannot be written.
    """
    _check_words(project, module, variant)
    project = project.absolute()
    deadline = time.monotonic() + deadline_s
    what = f"cannot build {project}"
    npm = _npm(what, processes)
    _check_models(project, what)
    stamp = _stamp(project)
    if not _is_installed(project, stamp):
        say("npm: ci")
        _run((npm, "ci"), INSTALL_LOG, project, deadline, what, say, processes)
        _note_installed(project, stamp)
    say("npm: run build")
    options = ("--", "--sourcemap", "--minify", "false") if variant == "debug" else ()
    command = (npm, "run", "build", *options)
    _run(command, BUILD_LOG, project, deadline, what, say, processes)
    page = built_page(project)
    if page is None:
        message = f"{what}: npm was content, but made no page in {DIST}"
        raise ToolchainError(message, next_step="look at the log", log_path=project / BUILD_LOG)
    return read_page(page)


def _check_words(project: Path, module: str, variant: str) -> None:
    if not is_web_project(project):
        message = f"cannot build {project}: there is no web project"
        raise UsageError(message, next_step=f"ortlab generate PREPARED --web {project}")
    if module not in MODULES:
        message = f"cannot build the module {module!r}: it is one of {', '.join(MODULES)}"
        raise UsageError(message)
    if variant not in VARIANTS:
        message = f"cannot build the variant {variant!r}: it is one of {', '.join(VARIANTS)}"
        raise UsageError(message)


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
        environment={"CI": "1", "NO_COLOR": "1", "FORCE_COLOR": "0"},
        output_path=project / log,
    )
    run_step(
        command,
        what=what,
        tell=lambda line: _tell(line, say),
        explain=explain_npm_failure,
        processes=processes,
    )


def _tell(line: str, say: Say) -> None:
    if found := _STEPS.match(line.strip()):
        say(f"npm: {found['script'] or found['vite']}")


# ------------------------------------------------------------------------------ tools


def _npm(what: str, processes: Processes) -> str:
    """Return the program npm of a Node.js that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing = "Node.js" if node is None else "npm"
        message = f"{what}: there is no {missing}"
        raise ToolchainError(message, next_step=_TOOLS_STEP)
    done = processes.run(Command(arguments=(node, "--version"), deadline_s=_NODE_S))
    found = re.match(r"v(\d+)\.[\d.]+", done.stdout.strip())
    if found is None:
        message = f"{what}: {node} does not say which Node.js it is"
        raise ToolchainError(message, next_step=_TOOLS_STEP)
    if int(found[1]) < LEAST_NODE:
        message = f"{what}: it needs Node.js {LEAST_NODE}, and {node} is {found[0][1:]}"
        raise ToolchainError(message, next_step=_TOOLS_STEP)
    return npm


# ------------------------------------------------------------------------------ packages


def _stamp(project: Path) -> str:
    """Return what changes with the packages that the project wants."""
    digest = hashlib.sha256()
    for name in (_PACKAGE, _LOCK):
        with contextlib.suppress(FileNotFoundError):  # npm says so itself, with the reason
            digest.update((project / name).read_bytes())
    return digest.hexdigest()


def _is_installed(project: Path, stamp: str) -> bool:
    try:
        return (project / _INSTALLED).read_text(encoding="utf-8") == stamp
    except (OSError, UnicodeDecodeError):
        return False


def _note_installed(project: Path, stamp: str) -> None:
    """Write beside the packages what they were installed for; `npm ci` removes it with them."""
    try:
        (project / _INSTALLED).write_text(stamp, encoding="utf-8")
    except OSError as error:
        message = f"cannot write {project / _INSTALLED}: {error.strerror or error}"
        raise StorageError(message, next_step="make room, then build again") from error


# ------------------------------------------------------------------------------ the models


def _check_models(project: Path, what: str) -> None:
    """Refuse a project that lost a model: Vite would only warn of it."""
    try:
        record = json.loads((project / _RECORD).read_text(encoding="utf-8"))
        written = list(record["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # a project that somebody copied without our records
    for name in sorted(written):
        if name.startswith(f"{_ASSETS}/") and not (project / name).is_file():
            message = f"{what}: {name} is missing"
            raise ToolchainError(message, next_step="ortlab generate over the project brings it")
