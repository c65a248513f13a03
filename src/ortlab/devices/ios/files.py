"""Models and inputs in the app's documents, put there once by the hash of their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ortlab.devices.file_sets import FileHashes, FileSet
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.messages import Action
from ortlab.errors import DeviceError, DeviceNotReadyError

ROOT: Final = "/Documents/ortlab"
FILES: Final = f"{ROOT}/files"

_LEAST_S: Final = 60.0
_SLOWEST_BYTES_PER_S: Final = 1 << 20
_TOLD_BYTES: Final = 8 << 20


class IphoneFiles:
    """Brings files to the app on one phone and remembers which are there.

    Args:
        client: To ask.
        say: Told when something large is sent.
    """

    def __init__(self, client: IphoneClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._verified: set[tuple[str, str]] = set()
        self.describe = FileHashes().describe

    def ensure(self, bundle_id: str, sets: Sequence[FileSet]) -> None:
        """See that files are in an app's documents, with the content they have here.

        What is there already is relied on by its size where it is one large file, whose hash the
        benchmark program reads before it is timed; all else is read back once.

        Raises:
            DeviceNotReadyError: There is no room.
            DeviceError: The phone refuses, or what arrives is not what was sent.
        """
        new = [item for item in sets if (bundle_id, item.sha256) not in self._verified]
        for item in new:
            if not self._is_there(bundle_id, item, doubted=False):
                self._send(bundle_id, item)
            self._verified.add((bundle_id, item.sha256))

    def verify(self, bundle_id: str, sets: Sequence[FileSet]) -> bool:
        """Read files back that were relied on, and send what differs.

        Returns:
            Whether any had to be sent.
        """
        wrong = [item for item in sets if not self._is_there(bundle_id, item, doubted=True)]
        for item in wrong:
            self._send(bundle_id, item)
        return bool(wrong)

    def forget(self, bundle_id: str) -> None:
        """Look anew at what is there, as the app's container may be another."""
        self._verified = {pair for pair in self._verified if pair[0] != bundle_id}

    def clean(self, bundle_id: str) -> None:
        """Remove what was put into an app's documents; what is needed is sent again."""
        self._client.ask(
            Action.REMOVE,
            deadline_s=_LEAST_S,
            doing="make room",
            bundle_id=bundle_id,
            paths=[FILES],
        )
        self.forget(bundle_id)

    def _is_there(self, bundle_id: str, item: FileSet, *, doubted: bool) -> bool:
        paths = item.paths_under(FILES)
        sizes = self._client.ask(
            Action.SIZES,
            deadline_s=_LEAST_S,
            doing="look at files",
            what=bundle_id,
            bundle_id=bundle_id,
            paths=paths,
        )
        if sizes != [size for size, _ in item.stamp]:
            return False
        if len(paths) == 1 and item.size_bytes >= _TOLD_BYTES and not doubted:
            return True
        return self._hashes(bundle_id, item) == [digests.sha256 for digests in item.digests]

    def _hashes(self, bundle_id: str, item: FileSet) -> list[str | None]:
        found: list[str | None] = self._client.ask(
            Action.HASHES,
            deadline_s=_deadline_s(item),
            doing="read files back",
            what=bundle_id,
            bundle_id=bundle_id,
            paths=item.paths_under(FILES),
        )
        return found

    def _send(self, bundle_id: str, item: FileSet) -> None:
        if item.size_bytes >= _TOLD_BYTES:
            size = f"{item.size_bytes / 1e6:.0f} MB"
            self._say(f"sending {item.paths[0].name} ({size}) to {self._client.name}")
        try:
            self._send_once(bundle_id, item)
        except DeviceNotReadyError as error:
            if "storage is full" not in error.message:
                raise
            self.clean(bundle_id)  # models of earlier runs may fill it
            self._send_once(bundle_id, item)
        read_back = len(item.paths) > 1 or item.size_bytes < _TOLD_BYTES
        wanted = [digests.sha256 for digests in item.digests]
        if read_back and self._hashes(bundle_id, item) != wanted:
            message = (
                f"cannot send {item.paths[0].name} to {self._client.name}: what arrived is not"
                " what was sent"
            )
            step = "try another cable; then run the same command again"
            raise DeviceError(message, next_step=step)

    def _send_once(self, bundle_id: str, item: FileSet) -> None:
        pairs = zip(item.paths, item.paths_under(FILES), strict=True)
        self._client.ask(
            Action.SEND,
            deadline_s=_deadline_s(item),
            doing=f"send {item.paths[0].name}",
            what=bundle_id,
            bundle_id=bundle_id,
            items=[[str(here), there] for here, there in pairs],
            remove=[],
        )


def _deadline_s(item: FileSet) -> float:
    return _LEAST_S + item.size_bytes / _SLOWEST_BYTES_PER_S
