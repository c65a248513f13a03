"""The bench page: of an app that was built, else built once from the template and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from enum import StrEnum
from pathlib import Path
from typing import Final

from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import StorageError, ToolchainError, UsageError
from ortlab.process import Command, Processes

PAGE: Final = "bench.html"

_NEED_WEBGPU: Final = frozenset({"WebGpuExecutionProvider", "WebNNExecutionProvider"})
_RUNTIME: Final = "src/generated/runtime.ts"
_WEBGPU: Final = (
    ('"onnxruntime-web/wasm"', '"onnxruntime-web/webgpu"'),
    ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm"),
    ('providers: ["wasm"]', 'providers: ["webgpu", "webnn", "wasm"]'),
)
"""What makes the template's choice of a build that of WebGPU: the one generated file names it."""

_TEMPLATE: Final = "web_template"
_SKIPPED: Final = ("node_modules", "dist", "build", ".vite", "coverage")
_INSTALL_S: Final = 600.0
_BUILD_S: Final = 300.0
_INSTALL: Final = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
_BUILD: Final = ("npm", "run", "build")


class PageBuild(StrEnum):
    """Builds of ONNX Runtime for browsers: WebAssembly alone, or with WebGPU and WebNN."""

    WASM = "wasm"
    WEBGPU = "webgpu"


def build_for(providers: Collection[str]) -> PageBuild:
    """Return the smallest build that has providers, which are named as ORT names them."""
    return PageBuild.WEBGPU if _NEED_WEBGPU & set(providers) else PageBuild.WASM


def page_of(app: BuiltApp) -> Path:
    """Return the directory of an app's bench page.

    Raises:
        UsageError: The app is for another platform, or has no bench page.
    """
    root = app.files[0].parent
    if app.platform is not AppPlatform.WEB or not (root / PAGE).is_file():
        message = f"cannot run blocks with {app.files[0]}: it holds no bench page"
        raise UsageError(message, next_step="ortlab build PROJECT, of a project for the web")
    return root


def bench_page(
    cache: Path,
    *,
    processes: Processes,
    say: Callable[[str], None],
    build: PageBuild = PageBuild.WASM,
) -> Path:
    """Return the directory of the template's bench page; build it if that was not done yet.

    Args:
        cache: Where pages are kept, one for each state of the template; they can be deleted.
        build: Of ONNX Runtime, that the page carries.
        processes: Runs npm.
        say: Told when it is built.

    Raises:
        ToolchainError: Node.js is missing, or the build failed; the log is named.
        StorageError: The cache cannot be written.
    """
    template = _template()
    home = cache / f"{_version(template)}-{build}"
    if (home / PAGE).is_file():
        return home
    say("building the bench page from the template; this is done once and takes a minute")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as place:
            project = Path(place, "project")
            shutil.copytree(template, project, ignore=shutil.ignore_patterns(*_SKIPPED))
            if build is PageBuild.WEBGPU:
                _choose_webgpu(project)
            log = cache / f"{home.name}.log"
            for step, deadline_s in ((_INSTALL, _INSTALL_S), (_BUILD, _BUILD_S)):
                _run(step, project, deadline_s, log, processes)
            built = project / "dist"
            if not (built / PAGE).is_file():
                message = f"cannot build the bench page: npm made no {PAGE}"
                raise ToolchainError(message, next_step="pip install --force-reinstall ortlab")
            _keep(built, home)
    except OSError as error:
        message = f"cannot keep the bench page in {cache}: {error.strerror}"
        raise StorageError(message, next_step="make room, or set XDG_CACHE_HOME") from error
    return home


def _choose_webgpu(project: Path) -> None:
    path = project / _RUNTIME
    text = path.read_text(encoding="utf-8")
    for old, new in _WEBGPU:
        if old not in text:
            message = f"cannot build the bench page with WebGPU: {_RUNTIME} does not say {old}"
            raise ToolchainError(message, next_step="pip install --force-reinstall ortlab")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def _keep(built: Path, home: Path) -> None:
    """Move a page to its place; another process may have been quicker."""
    try:
        built.rename(home)
    except OSError:
        if not (home / PAGE).is_file():
            raise


def _run(
    step: tuple[str, ...], project: Path, deadline_s: float, log: Path, processes: Processes
) -> None:
    npm = shutil.which(step[0])
    if npm is None:
        message = "cannot build the bench page: npm, a part of Node.js, is not installed"
        raise ToolchainError(
            message, next_step="install Node.js 18 or later, or give --app a project that was built"
        )
    done = processes.run(
        Command(
            arguments=(npm, *step[1:]),
            working_directory=project,
            environment={"CI": "1"},
            deadline_s=deadline_s,
            output_path=log,
        )
    )
    if not done.succeeded:
        why = f"took more than {deadline_s:.0f} s" if done.timed_out else "failed"
        message = f"cannot build the bench page: {' '.join(step[:3])} {why}"
        raise ToolchainError(
            message,
            next_step="look into the log; npm needs its registry the first time",
            log_path=log,
        )


def _template() -> Path:
    here = Path(__file__)
    for directory in (here.parents[2] / _TEMPLATE, here.parents[4] / _TEMPLATE):
        if (directory / PAGE).is_file():
            return directory
    message = "cannot build the bench page: the template is missing from this installation"
    raise ToolchainError(message, next_step="pip install --force-reinstall ortlab")


def _version(template: Path) -> str:
    """Return what changes with any file of the template."""
    digest = hashlib.sha256()
    for place, directories, names in os.walk(template):
        directories[:] = sorted(set(directories) - set(_SKIPPED))
        for name in sorted(names):
            path = Path(place, name)
            digest.update(f"{path.relative_to(template)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
