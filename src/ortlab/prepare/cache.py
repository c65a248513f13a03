"""Whether a prepared directory is still what the same command would make; by content.

Light: the standard library only. The worker writes `identity.json` beside the manifest; the
driver compares before it starts a worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ortlab import __version__
from ortlab.prepare.options import PrepareOptions

IDENTITY_FILE = "identity.json"
MANIFEST_FILE = "manifest.json"

_IDENTITY_SCHEMA = "ortlab.identity/1"
_NO_INFLUENCE = ("deadline_s", "memory_limit_bytes")
_CONTENT = ("inputs", "reference", "calibration", "custom_op_library")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def toolchain() -> dict[str, str]:
    """Return the versions that decide what a preparation gives, without importing the tools."""
    import platform
    from importlib import metadata

    versions = {"ortlab": __version__, "python": platform.python_version()}
    for package in ("onnxruntime", "onnx"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "unknown"
    versions["machine"] = platform.machine()
    return versions


def model_digest(model_sha256: str, external: Mapping[str, str]) -> str:
    """Hash a model file with its external data: of the file alone when there is none.

    Args:
        model_sha256: Of the model file.
        external: Location in the model to SHA-256 of the file.
    """
    if not external:
        return model_sha256
    lines = [model_sha256, *(f"{json.dumps(name)} {external[name]}" for name in sorted(external))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def cache_key(model_sha256: str, options: PrepareOptions, name: str, file_name: str) -> str:
    """Return the key of a preparation: model, options, content of the user's files, versions."""
    plain = {k: v for k, v in options.to_plain().items() if k not in _NO_INFLUENCE}
    plain |= {f"{item} content": _content(getattr(options, item)) for item in _CONTENT}
    whole = {
        "model": model_sha256,
        "name": name,
        "file_name": file_name,
        "options": plain,
        "versions": toolchain(),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _content(path: Path | None) -> Any:
    if path is None:
        return None
    if path.is_dir():
        return [(item.name, hash_file(item)) for item in sorted(path.glob("*.npz"))]
    return [(path.name, hash_file(path))]


def write_identity(
    directory: Path, *, key: str, external: Mapping[str, str], known: Mapping[str, str]
) -> None:
    """Write `identity.json`: the key, the external data, and every file with its hash.

    Args:
        directory: The prepared one, complete but for this file.
        key: Of the preparation.
        external: Location of external data to its hash.
        known: Hashes of files in ``directory`` that need not be read again.
    """
    names = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != IDENTITY_FILE
    }
    files = {name: known.get(name) or hash_file(path) for name, path in names.items()}
    plain = {
        "schema": _IDENTITY_SCHEMA,
        "cache_key": key,
        "external_data": sorted(external),
        "files": files,
    }
    (directory / IDENTITY_FILE).write_text(json.dumps(plain, indent=1), encoding="utf-8")


def is_unchanged(directory: Path, model: Path, options: PrepareOptions, name: str) -> bool:
    """Whether ``directory`` holds what preparing ``model`` again would give, undamaged.

    Everything that cannot be read counts as changed: the worker finds out what is wrong.
    """
    try:
        identity = json.loads((directory / IDENTITY_FILE).read_text(encoding="utf-8"))
        if identity["schema"] != _IDENTITY_SCHEMA:
            return False
        external = {
            location: hash_file(model.parent / location) for location in identity["external_data"]
        }
        digest = model_digest(hash_file(model), external)
        if cache_key(digest, options, name, model.name) != identity["cache_key"]:
            return False
        files: dict[str, str] = identity["files"]
        return MANIFEST_FILE in files and all(
            hash_file(directory / path) == digest for path, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
