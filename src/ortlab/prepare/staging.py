"""Directories appear whole or not at all.

A preparation is built in a hidden sibling and then takes the place of the old one in one step.
Light: the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ortlab.errors import StorageError, UsageError
from ortlab.prepare.cache import MANIFEST_FILE

_LONGEST_NAME = 100
_SYNC_THREADS = 8
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def safe_name(stem: str) -> str:
    """Return a directory name for a model file's stem: letters, digits, ``.``, ``_``, ``-``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:_LONGEST_NAME]
    return name or "model"


def unique_names(models: Sequence[Path]) -> tuple[str, ...]:
    """Return one directory name for each model; equal stems take their folders' names in front."""
    names = [safe_name(path.stem) for path in models]
    parts = [path.absolute().parent.parts[1:] for path in models]
    depth = 1
    while len({name.casefold() for name in names}) < len(names) and depth <= max(map(len, parts)):
        for index in _clashes(names):
            folders = "_".join(parts[index][-depth:])
            names[index] = safe_name(f"{folders}_{models[index].stem}")
        depth += 1
    for index in _clashes(names):
        twins = [i for i in range(index) if names[i].casefold() == names[index].casefold()]
        number = 2
        while twins and f"{names[index]}-{number}".casefold() in {n.casefold() for n in names}:
            number += 1
        if twins:
            names[index] = f"{names[index]}-{number}"
    return tuple(names)


def _clashes(names: Sequence[str]) -> list[int]:
    folded = [name.casefold() for name in names]
    return [index for index, name in enumerate(folded) if folded.count(name) > 1]


def check_destination(directory: Path, name: str) -> None:
    """Refuse to replace anything but an earlier preparation of the same name.

    Raises:
        UsageError: ``directory`` exists, is not empty and is not such a preparation.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    why = "it is not a directory"
    if directory.is_dir() and not directory.is_symlink():
        if not any(directory.iterdir()):
            return
        try:
            manifest = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
            if manifest["name"] == name and "variants" in manifest:
                return
            why = "it holds the preparation of another model"
        except (OSError, ValueError, KeyError, TypeError):
            why = "it holds files that are not a preparation of ours"
    message = f"cannot prepare into {directory}: {why}"
    raise UsageError(message, next_step="give another directory with -o, or remove this one")


@contextlib.contextmanager
def staged(output: Path, name: str) -> Iterator[Path]:
    """Give a fresh hidden directory beside ``output/name``; it is gone afterwards.

    Leftovers of processes that were killed are removed first.

    Raises:
        StorageError: ``output`` cannot be written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(output, name)
        directory = Path(tempfile.mkdtemp(prefix=f".{name}.{os.getpid()}.", dir=output))
    except OSError as error:
        raise storage_error(error, f"cannot write to {output}") from error
    try:
        directory.chmod(0o777 & ~_umask())
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _umask() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0o022
    found = re.search(r"^Umask:\s*([0-7]+)", status, re.MULTILINE)
    return int(found[1], 8) if found else 0o022


def _remove_leftovers(output: Path, name: str) -> None:
    pattern = re.compile(rf"\.{re.escape(name)}\.([0-9]+)\.[^.]+")
    for path in output.iterdir():
        found = pattern.fullmatch(path.name)
        if found and int(found[1]) != os.getpid() and not _is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def publish(directory: Path, destination: Path) -> None:
    """Put a staged directory in place of ``destination``, in one step where the system can.

    Raises:
        StorageError: The disk refuses.
    """
    try:
        _sync_tree(directory)
        if destination.exists():
            if _exchange(directory, destination):
                sync_file(destination.parent)
                return  # the old one now has the staged name, and is removed with it
            old = directory.with_name(directory.name + ".old")
            destination.rename(old)
            directory.rename(destination)
            shutil.rmtree(old, ignore_errors=True)
        else:
            directory.rename(destination)
        sync_file(destination.parent)
    except OSError as error:
        raise storage_error(error, f"cannot write {destination}") from error


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two directories atomically; False where the system has no such call."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def _sync_tree(directory: Path) -> None:
    """Have all files and directories written; at once, since the disk joins what waits."""
    paths = [Path(root, name) for root, _, files in os.walk(directory) for name in ("", *files)]
    with ThreadPoolExecutor(_SYNC_THREADS) as pool:
        list(pool.map(sync_file, paths))


def sync_file(path: Path) -> None:
    """Have a file or directory written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, what: str) -> StorageError:
    """Turn an operating system's refusal into an error of the storage family."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "free some space and run the same command again"
    elif error.errno == errno.EFBIG:
        step = "raise the limit of file sizes (ulimit -f)"
    else:
        step = "give a directory that can be written to with -o"
    return StorageError(f"{what}: {reason}", next_step=step)
