"""Files that travel to a phone: hashed once, and named by the hash of their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.errors import StorageError

_LONGEST_NAME_BYTES: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Of one file, hexadecimal; Android before 8.0 can compute MD5 only."""

    sha256: str
    md5: str

    def by(self, program: str) -> str:
        """Return the digest that a program of the phone prints."""
        return self.sha256 if program == "sha256sum" else self.md5


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """Files that must lie side by side: a model with its external data, or one input.

    Attributes:
        paths: On this machine; the first is the one that is named in a request.
        sha256: Of the content and names together; names the directory on the phone.
        digests: Of the content of each path.
        stamp: Sizes and times of the files when they were read.
    """

    paths: tuple[Path, ...]
    sha256: str
    digests: tuple[Digests, ...]
    stamp: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(size for size, _ in self.stamp)

    def paths_under(self, root: str) -> tuple[str, ...]:
        """Return where each file is on a phone that keeps files in this directory.

        A file of its own has no name of its own there: the same content under two names is one
        file, as variants of a model may be. Files that lie side by side find each other by name.
        """
        if len(self.paths) == 1:
            return (f"{root}/{self.sha256}/content{_suffix(self.paths[0].name)}",)
        return tuple(f"{root}/{self.sha256}/{phone_name(path.name)}" for path in self.paths)


def phone_name(name: str) -> str:
    """Return a file's name on the phone: its own, unless it is too long or not plain text.

    External data is found by its name, so a name is only changed where a phone cannot take it.
    """
    sound = name.isprintable() and len(name.encode(errors="replace")) <= _LONGEST_NAME_BYTES
    if sound and not name.startswith("."):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return digest + _suffix(name)


def _suffix(name: str) -> str:
    suffix = Path(name).suffix
    return suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else ""


def external_data(model: Path) -> tuple[Path, ...]:
    """Return the files beside a model that its name says are its external data.

    Exporters write them as ``model.onnx.data``, ``model.onnx_data`` and ``model.onnx_data_1``.
    """
    pattern = re.compile(re.escape(model.name) + r"[._]data([._]?\d+)?")
    try:
        found = [path for path in model.parent.iterdir() if pattern.fullmatch(path.name)]
    except OSError:
        return ()
    return tuple(sorted(path for path in found if path.is_file()))


class FileHashes:
    """Hashes files, each once for as long as it does not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, ...], FileSet] = {}

    def describe(self, paths: Sequence[Path]) -> FileSet:
        """Hash files; those that did not change since they were hashed are not read again.

        Raises:
            StorageError: One cannot be read.
        """
        key = tuple(paths)
        try:
            stamp = tuple((state.st_size, state.st_mtime_ns) for state in map(Path.stat, paths))
            known = self._known.get(key)
            if known is None or known.stamp != stamp:
                known = _described(key, stamp)
                self._known[key] = known
        except OSError as error:
            message = f"cannot read {error.filename or paths[0]}: {error.strerror or error}"
            raise StorageError(message) from error
        return known


def _described(paths: tuple[Path, ...], stamp: tuple[tuple[int, int], ...]) -> FileSet:
    digests = tuple(_hashes(path) for path in paths)
    if len(paths) == 1:
        sha256 = digests[0].sha256
    else:
        pairs = zip(digests, paths, strict=True)
        lines = [f"{item.sha256} {path.name!r}" for item, path in pairs]
        sha256 = hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
    return FileSet(paths=paths, sha256=sha256, digests=digests, stamp=stamp)


def _hashes(path: Path) -> Digests:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            sha256.update(chunk)
            md5.update(chunk)
    return Digests(sha256=sha256.hexdigest(), md5=md5.hexdigest())
