"""Models and inputs on a phone, put there once by the hash of their content.

`/data/local/tmp` is the place that both the shell can write and an app can read and map. An app
cannot list it, so it is given whole paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ortlab.devices.android.asking import joined
from ortlab.devices.android.properties import hash_lines
from ortlab.devices.file_sets import Digests, FileHashes, FileSet
from ortlab.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotReadyError,
    DeviceTimeoutError,
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


class PhoneFiles:
    """Brings files to one phone and remembers which are there.

    Args:
        phone: To ask.
        say: Told when something large is sent.
    """

    def __init__(self, phone: AdbPhone, say: Callable[[str], None]) -> None:
        self._phone = phone
        self._say = say
        self.describe = FileHashes().describe
        self._verified: set[str] = set()
        self._doubted: set[str] = set()
        self._program: str | None = None

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
        paths = item.paths_under(FILES)
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
        for file in zip(item.paths, item.paths_under(FILES), item.digests, strict=True):
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


def _hash_deadline_s(item: FileSet) -> float:
    return 30.0 + item.size_bytes / (20 << 20)
