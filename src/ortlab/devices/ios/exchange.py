"""What goes to an app's documents and comes back for one block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ortlab.devices.answers import RESULT, named_files, read_result
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.jobs import Job
from ortlab.devices.ios.messages import Action
from ortlab.wire import BlockResult

_QUESTION_S: Final = 30.0
_FETCH_S: Final = 180.0


class BlockExchange:
    """Lays requests down and fetches results.

    Args:
        client: To ask.
    """

    def __init__(self, client: IphoneClient) -> None:
        self._client = client

    def send(self, job: Job, request: Path, there: str) -> None:
        """Put a block's request, or a batch, into the app's documents; clear its results there.

        Raises:
            DeviceError: The phone refuses, or is gone.
        """
        self._client.ask(
            Action.SEND,
            deadline_s=_QUESTION_S,
            doing="send the request",
            what=job.bundle_id,
            bundle_id=job.bundle_id,
            items=[[str(request), there]],
            remove=[job.remote_directory],
        )

    def fetch(self, job: Job, *names: str) -> list[bool]:
        """Bring files that a block left into its directory; return which of them were there."""
        items = [(f"{job.remote_directory}/{name}", job.directory / name) for name in names]
        return self.fetch_files(job.bundle_id, items)

    def fetch_files(self, bundle_id: str, items: Sequence[tuple[str, Path]]) -> list[bool]:
        """Bring files of an app's documents here, each whole; return which of them were there."""
        found: list[bool] = self._client.ask(
            Action.FETCH,
            deadline_s=_FETCH_S,
            doing="fetch the result",
            what=bundle_id,
            bundle_id=bundle_id,
            items=[[there, str(here)] for there, here in items],
        )
        return found

    def remove(self, bundle_id: str, *paths: str) -> None:
        """Remove files and directories of an app's documents; what is not there does not matter."""
        self._client.ask(
            Action.REMOVE,
            deadline_s=_QUESTION_S,
            doing="clear away",
            what=bundle_id,
            bundle_id=bundle_id,
            paths=list(paths),
        )

    def result(self, job: Job) -> BlockResult:
        """Fetch a block's result with the files it names, and read it.

        Raises:
            BadAnswerError: There is none, or it is not valid.
        """
        if self.fetch(job, RESULT)[0]:
            names = tuple(named_files(job.directory / RESULT))
            if names:
                self.fetch(job, *names)
        return read_result(job.directory, job.request.block_id)
