"""Pages that a build made, or that somebody gives: found, read, measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import ToolchainError

SETTINGS: Final = "app.json"
DIST: Final = "dist"
INDEX: Final = "index.html"
BENCH: Final = "bench.html"

_CONFIGURATION: Final = "vite.config.ts"
_CHUNK_BYTES: Final = 1 << 20
_PARTS: Final = {
    "code": (".js", ".mjs", ".css", ".html"),
    "wasm": (".wasm",),
    "models": (".ort", ".onnx"),
    "resources": (".bin", ".json", ".png", ".jpg", ".jpeg", ".svg", ".webp", ".ico", ".txt"),
}
_OTHER: Final = "other"


def is_web_project(directory: Path) -> bool:
    """Whether a directory holds a generated project for the web."""
    return (directory / SETTINGS).is_file() and (directory / _CONFIGURATION).is_file()


def is_page(directory: Path) -> bool:
    """Whether a directory holds what a build of a web project made."""
    return (
        any((directory / name).is_file() for name in (BENCH, INDEX))
        and not is_web_project(directory)
        and next(directory.rglob("*.wasm"), None) is not None
    )


def built_page(project: Path) -> Path | None:
    """Return the page that a build of a project made; None where there is none."""
    directory = project / DIST
    return directory.absolute() if is_page(directory) else None


def read_page(directory: Path) -> BuiltApp:
    """Read a page: all files of a directory, that of the bench page first.

    What it is called stands in its `app.json`, else in that of the project that it is in.

    Raises:
        ToolchainError: It is no page, or cannot be read.
    """
    directory = directory.absolute()
    try:
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        sizes = dict.fromkeys((*_PARTS, _OTHER), 0)
        for path in files:
            sizes[_part_of(path)] += path.stat().st_size
        sha256 = _sha256_of(directory, files)
    except OSError as error:
        message = f"cannot read the page {directory}: {error.strerror or error}"
        raise ToolchainError(message, next_step="ortlab build PROJECT") from error
    first = next((directory / name for name in (BENCH, INDEX) if directory / name in files), None)
    if first is None:
        message = f"cannot read the page {directory}: it has no {INDEX} and no {BENCH}"
        raise ToolchainError(message, next_step="ortlab build PROJECT")
    settings = _settings_of(directory)
    return BuiltApp(
        platform=AppPlatform.WEB,
        files=(first, *(path for path in files if path != first)),
        sha256=sha256,
        application_id=str(settings.get("id") or "web"),
        version_code=_number(settings.get("versionCode")),
        version_name=str(settings.get("version") or ""),
        abis=(),
        debuggable=any(path.suffix == ".map" for path in files),
        size_by_part=sizes,
        signed=False,
    )


def _part_of(path: Path) -> str:
    for part, suffixes in _PARTS.items():
        if path.suffix.lower() in suffixes:
            return part
    return _OTHER


def _settings_of(directory: Path) -> Mapping[str, Any]:
    for path in (directory / SETTINGS, directory.parent / SETTINGS):
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(settings, dict):
            return settings
    return {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _sha256_of(directory: Path, files: list[Path]) -> str:
    """Return a digest of all names and contents."""
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                content.update(chunk)
        name = path.relative_to(directory).as_posix()
        digest.update(f"{name}\0{content.hexdigest()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
