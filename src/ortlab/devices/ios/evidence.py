"""What an iPhone knows of an app's death: its system's reports, kept beside the block."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ortlab.devices.answers import BadAnswerError, last_stage
from ortlab.devices.ios import crash
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.jobs import Job
from ortlab.devices.ios.messages import Action
from ortlab.devices.ios.runs import AppRun
from ortlab.domain import BuiltApp
from ortlab.errors import DeviceError, DeviceLostError
from ortlab.wire import Death, DeathKind

_ASKING_S: Final = 12.0
_WAITING_S: Final = 6.0
_POLLING_S: Final = 0.5


class Evidence:
    """Tells what is new among a phone's reports, and what it means.

    Args:
        client: Of the phone.
        say: Told why there are no reports.
    """

    def __init__(self, client: IphoneClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._known: set[str] | None = None

    def note_older(self, app: BuiltApp) -> None:
        """Note the reports that were there before the first block.

        Raises:
            DeviceLostError: The phone went away.
        """
        if self._known is None:
            self._known = set(self._ask(app, Path(), None) or ())

    def death(self, job: Job, app: BuiltApp, ran: AppRun, bad: BadAnswerError) -> Death:
        """Say why there is no answer; the system's reports stay in the block's directory.

        Args:
            job: The block, whose progress marks are in its directory already.
            app: That ran it.
            ran: How its process ended.
            bad: What is wrong with the answer.

        Raises:
            DeviceLostError: The phone went away.
        """
        death = Death(
            kind=bad.kind,
            message=bad.message,
            exit_code=ran.exit_code,
            last_stage=last_stage(job.directory) or (ran.stages[-1] if ran.stages else None),
            output_tail=ran.output,
        )
        if ran.timed_out:
            message = f"the app did not end within the block's {job.request.deadline_s:g} s"
            return replace(death, kind=DeathKind.DEADLINE, message=message)
        if bad.kind is not DeathKind.NO_RESULT and not ran.signal:
            return death
        texts = self._new_reports(app, job.directory, wait=ran.exit_code is None)
        cause = crash.judge(texts, app.executable, ran.pid, ran.signal)
        if cause is not None:
            return replace(
                death, kind=cause.kind, message=cause.message, signal_name=cause.signal_name
            )
        if ran.exit_code:
            message = f"the app ended with exit code {ran.exit_code}"
            return replace(death, kind=DeathKind.EXIT, message=message)
        return death

    def _new_reports(self, app: BuiltApp, directory: Path, *, wait: bool) -> list[str]:
        """Fetch what the system wrote of a process's end; it may take it seconds to write."""
        deadline = time.monotonic() + _WAITING_S
        known = self._known or set()
        while True:
            names = self._ask(app, directory, sorted(known))
            if names is None:
                return []
            if names or not wait or time.monotonic() > deadline:
                break
            time.sleep(_POLLING_S)
        self._known = known | set(names)
        texts = []
        for name in names:
            with contextlib.suppress(OSError):
                texts.append((directory / name).read_text(encoding="utf-8", errors="replace"))
        return texts

    def _ask(self, app: BuiltApp, directory: Path, known: list[str] | None) -> list[str] | None:
        """Fetch reports that are not known, or only name them all; None where the phone refuses."""
        try:
            names: list[str] = self._client.ask(
                Action.REPORTS,
                deadline_s=_ASKING_S,
                doing="fetch crash reports",
                names=[app.executable or app.application_id, crash.JETSAM],
                known=known,
                directory=str(directory),
            )
        except DeviceLostError:
            raise
        except DeviceError as error:
            self._say(f"note: {error.message}")
            return None
        return names
