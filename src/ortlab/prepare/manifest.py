"""`manifest.json`: written by the worker, checked when it is read.

Light: the standard library only, save for the codec when a manifest is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ortlab.codec import from_json
from ortlab.domain import PreparedModel
from ortlab.errors import ModelError, StorageError, UsageError
from ortlab.prepare.cache import MANIFEST_FILE, hash_file

SCHEMA_VERSION = 1


def write_manifest(prepared: PreparedModel, directory: Path) -> None:
    """Write `manifest.json`: the JSON that `ortlab.codec` writes too, without loading it."""
    text = json.dumps(_plain(prepared), indent=1, ensure_ascii=False, allow_nan=False)
    path = directory / MANIFEST_FILE
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value


def warm_codec() -> None:
    """Load what reading a manifest needs: a tenth of a second that can pass beside a worker."""
    with contextlib.suppress(StorageError):
        from_json(PreparedModel, "{}", source="nothing")


def find_prepared(directory: Path) -> Path:
    """Return the prepared directory meant by a path: itself, or the only one inside it.

    Raises:
        UsageError: There is none, or more than one.
    """
    if (directory / MANIFEST_FILE).is_file():
        return directory
    found = []
    if directory.is_dir():
        found = sorted(
            path
            for path in directory.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST_FILE).is_file()
        )
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path) for path in found[:5])
        message = f"cannot tell which prepared model in {directory} is meant: {names}"
        raise UsageError(message, next_step=f"name one of them, such as {found[0]}")
    message = f"cannot find a prepared model in {directory}: there is no {MANIFEST_FILE}"
    raise UsageError(message, next_step="ortlab prepare MODEL.onnx -o DIRECTORY")


def load_prepared(directory: Path) -> PreparedModel:
    """Read a prepared directory and verify every file that its manifest names.

    Raises:
        UsageError: ``directory`` holds no manifest.
        StorageError: The manifest cannot be read, or was written by another version.
        ModelError: A file is missing, was changed, or lies outside the directory.
    """
    prepared = read_manifest(directory)
    for variant in prepared.variants:
        _verify(directory, variant.path, variant.sha256)
    for sample in prepared.samples:
        for tensor in (*sample.inputs, *sample.outputs):
            _verify(directory, tensor.path, tensor.sha256)
    for config in prepared.configs:
        _verify(directory, config.path, None)
    for recipe in prepared.recipes:
        _verify(directory, recipe.settings_path, None)
    return prepared


def read_manifest(directory: Path) -> PreparedModel:
    """Read a manifest without looking at the files it names.

    Raises:
        UsageError: ``directory`` holds no manifest.
        StorageError: The manifest cannot be read, or was written by another version.
    """
    path = directory / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"cannot find a prepared model in {directory}: there is no {MANIFEST_FILE}"
        raise UsageError(message, next_step="ortlab prepare MODEL.onnx -o DIRECTORY") from error
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(message) from error
    prepared = from_json(PreparedModel, text, source=str(path))
    if prepared.schema_version != SCHEMA_VERSION:
        message = (
            f"cannot read {path}: it has schema version {prepared.schema_version}, and this"
            f" ortlab reads version {SCHEMA_VERSION}"
        )
        raise StorageError(message, next_step="ortlab prepare MODEL.onnx -o DIRECTORY")
    return prepared


def _verify(directory: Path, name: str, sha256: str | None) -> None:
    path = safe_path(directory, name)
    try:
        actual = hash_file(path)
    except OSError as error:
        message = f"cannot use the prepared model {directory}: {name}: {error.strerror or error}"
        raise ModelError(message, next_step="prepare the model again") from error
    if sha256 is not None and actual != sha256:
        message = f"cannot use the prepared model {directory}: {name} was changed since"
        raise ModelError(message, next_step="prepare the model again")


def safe_path(directory: Path, name: str) -> Path:
    """Return the path of a file that a manifest names.

    Raises:
        ModelError: It would lie outside ``directory``.
    """
    pure = PurePosixPath(name)
    inside = not pure.is_absolute() and ".." not in pure.parts and "\0" not in name and pure.parts
    path = directory / pure if inside else directory
    if not inside or not path.resolve().is_relative_to(directory.resolve()):
        message = f"cannot use the prepared model {directory}: {name!r} lies outside it"
        raise ModelError(message, next_step="prepare the model again")
    return path
