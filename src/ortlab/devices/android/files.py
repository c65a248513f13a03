"""Models and inputs on a phone, put there once by the hash of their content.

`/data/local/tmp` is the place that both the shell can write and an app can read and map. An app
cannot list it, so it is given whole paths.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.asking import joined
from ortlab.devices.android.properties import hash_lines
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
    StorageError,
)

if TYPE_CHECKING:
    from ortlab.devices.android.adb import AdbPhone

ROOT: Final = "/data/local/tmp/ortlab"
FILES: Final = f"{ROOT}/files"
REQUESTS: Final = f"{ROOT}/requests"

_DIRECTORY_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SHA256, _MD5 = "sha256sum", "md5sum"
_NO_SUCH_PROGRAM: Final = (126, 127)
_QUESTION_DEADLINE_S: Final = 120.0
_PUSH_LEAST_S: Final = 60.0
_SLOWEST_BYTES_PER_S: Final = 1 << 20
_TOLD_BYTES: Final = 8 << 20
_LONGEST_NAME_BYTES: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """Of one file, hexadecimal; Android before 8.0 can compute MD5 only."""

    sha256: str
    md5: str

    def by(self, program: str) -> str:
        """Return the digest that a program of the phone prints."""
        return self.sha256 if program == _SHA256 else self.md5


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

    def remote_paths(self) -> tuple[str, ...]:
        """Return where each file is on the phone."""
        return tuple(f"{FILES}/{self.sha256}/{phone_name(path.name)}" for path in self.paths)


def phone_name(name: str) -> str:
    """Return a file's name on the phone: its own, unless it is too long or not plain text.

    External data is found by its name, so a name is only changed where a phone cannot take it.
    """
    sound = name.isprintable() and len(name.encode(errors="replace")) <= _LONGEST_NAME_BYTES
    if sound and not name.startswith("."):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    suffix = Path(name).suffix
    return digest + (suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else "")


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


class PhoneFiles:
    """Brings files to one phone and remembers which are there.

    Args:
        phone: To ask.
        say: Told when something large is sent.
    """

    def __init__(self, phone: AdbPhone, say: Callable[[str], None]) -> None:
        self._phone = phone
        self._say = say
        self._known: dict[tuple[Path, ...], FileSet] = {}
        self._verified: set[str] = set()
        self._doubted: set[str] = set()
        self._program: str | None = None

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

    def ensure(self, sets: Sequence[FileSet]) -> None:
        """See that files are on the phone, with the content they have here.

        What is there already is verified by the phone's own checksum once and then relied on;
        what is missing or differs is sent. What was sent is verified too, but for a large model in
        one file: the benchmark program reads its hash before it is timed, as the protocol wants,
        and a phone needs longer for a checksum than the cable for the file.

        Raises:
            DeviceNotReadyError: There is no room.
            DeviceError: The phone refuses, or what arrives is not what was sent.
        """
        new = [item for item in sets if item.sha256 not in self._verified]
        if not new:
            return
        missing = [item for item in new if not self._is_there(item)]
        self._make_directories([f"{FILES}/{item.sha256}" for item in missing])
        for item in missing:
            self._send(item, keep={one.sha256 for one in sets})
        self._verified.update(item.sha256 for item in new)

    def verify(self, sets: Sequence[FileSet]) -> bool:
        """Verify files again that were relied on, and send what differs.

        Returns:
            Whether any had to be sent.
        """
        self._doubted.update(item.sha256 for item in sets)
        wrong = [item for item in sets if not self._is_there(item)]
        self._verified.difference_update(item.sha256 for item in wrong)
        self.ensure(sets)
        return bool(wrong)

    def clean(self, keep: Collection[str]) -> int:
        """Remove what we put there, except the given hashes; return how many were removed.

        Only directories that have our names are touched.
        """
        listed = self._phone.shell("ls", FILES, deadline_s=_QUESTION_DEADLINE_S).stdout.split()
        names = [name for name in listed if _DIRECTORY_NAME.fullmatch(name) and name not in keep]
        if names:
            paths = [f"{FILES}/{name}" for name in names]
            self._phone.shell("rm", "-rf", *paths, deadline_s=_QUESTION_DEADLINE_S)
            self._verified.difference_update(names)
        return len(names)

    def make_request_directory(self) -> None:
        """Make the directory of the requests."""
        self._make_directories([REQUESTS])

    def _make_directories(self, paths: Sequence[str]) -> None:
        if not paths:
            return
        all_paths = (ROOT, FILES, *paths)
        made = joined((("mkdir", "-p", *all_paths), ("chmod", "755", *all_paths)))
        self._phone.shell(*made, deadline_s=_QUESTION_DEADLINE_S)

    def _is_there(self, item: FileSet) -> bool:
        """Whether the phone has all files of a set, by its own checksum."""
        paths = item.remote_paths()
        for program in (self._program,) if self._program else (_SHA256, _MD5):
            done = self._phone.shell(program, *paths, deadline_s=_hash_deadline_s(item))
            found = hash_lines(done.stdout)
            if found:
                self._program = program
            if found or done.exit_code not in _NO_SUCH_PROGRAM:
                wanted = [digests.by(program) for digests in item.digests]
                return [found.get(path) for path in paths] == wanted
        return False

    def _send(self, item: FileSet, keep: Collection[str]) -> None:
        if item.size_bytes >= _TOLD_BYTES:
            size = f"{item.size_bytes / 1e6:.0f} MB"
            self._say(f"sending {item.paths[0].name} ({size}) to {self._phone.serial}")
        programs_check = len(item.paths) == 1 and item.size_bytes >= _TOLD_BYTES
        verify = not programs_check or item.sha256 in self._doubted
        for file in zip(item.paths, item.remote_paths(), item.digests, strict=True):
            try:
                self._push(*file, verify=verify)
            except (DeviceLostError, DeviceTimeoutError):
                raise
            except DeviceNotReadyError:
                # Models of earlier runs may fill the phone; if none were there, it stays full.
                if not self.clean(keep):
                    raise
                self._make_directories([f"{FILES}/{item.sha256}"])
                self._push(*file, verify=verify)
            except DeviceError as error:
                self._say(f"note: {error.message}; sending it once more")
                self._push(*file, verify=verify)

    def _push(self, path: Path, remote: str, digests: Digests, *, verify: bool) -> None:
        deadline_s = _PUSH_LEAST_S + path.stat().st_size / _SLOWEST_BYTES_PER_S
        known = {"sha256": digests.sha256, "md5": digests.md5}
        self._phone.push(path, remote, deadline_s=deadline_s, verify=verify, checksums=known)


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


def _hash_deadline_s(item: FileSet) -> float:
    return 30.0 + item.size_bytes / (20 << 20)
