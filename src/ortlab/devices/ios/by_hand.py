"""Blocks on an iPhone where nothing can be started from a computer: a person opens the app.

The app says in a file of its documents that it is open and what it runs, and then carries out what
is laid down there, one batch after the other. All blocks share its process, and are marked so.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from ortlab.devices.answers import PROGRESS, RESULT, BadAnswerError, last_stage
from ortlab.devices.ios.exchange import BlockExchange
from ortlab.devices.ios.jobs import BATCH, RUNTIME, Job, lay_out_batch
from ortlab.errors import DeviceNotReadyError
from ortlab.wire import BlockResult, Death, DeathKind

_GRACE_S: Final = 8.0
"""Beyond a block's deadline, and before a person is asked once more."""


class Person:
    """Whoever holds the phone.

    Args:
        exchange: With the app's documents.
        phone: Its name.
        say: Told what the person is to do.
        patience_s: Longest wait for the app to be opened.
        poll_s: Between two looks.
    """

    def __init__(
        self,
        exchange: BlockExchange,
        phone: str,
        say: Callable[[str], None],
        *,
        patience_s: float,
        poll_s: float,
    ) -> None:
        self._exchange = exchange
        self._phone = phone
        self._say = say
        self._patience_s = patience_s
        self._poll_s = poll_s

    def runtime_of(self, bundle_id: str) -> str:
        """Have the app opened and return what it says of itself, as ``--probe`` prints it.

        Raises:
            DeviceNotReadyError: Nobody opened it.
        """
        self._exchange.remove(bundle_id, RUNTIME, BATCH)
        self._say(
            f"open the app {bundle_id} on {self._phone} and leave it open;"
            " close it first if it is open already"
        )
        deadline = time.monotonic() + self._patience_s
        with tempfile.TemporaryDirectory() as name:
            here = Path(name, "runtime.json")
            while not self._exchange.fetch_files(bundle_id, [(RUNTIME, here)])[0]:
                if time.monotonic() > deadline:
                    raise self._nobody(bundle_id)
                time.sleep(self._poll_s)
            return here.read_text(encoding="utf-8", errors="replace")

    def carry_out(self, job: Job) -> BlockResult | Death:
        """Lay a batch of one block down for the app, and wait for its result.

        Raises:
            DeviceNotReadyError: The app is not open any more, and nobody opened it.
        """
        exchange = self._exchange
        exchange.send(job, lay_out_batch(job), BATCH)
        laid_down = time.monotonic()
        begun: float | None = None
        reminded = False
        while not exchange.fetch(job, RESULT)[0]:
            now = time.monotonic()
            if begun is None and exchange.fetch(job, PROGRESS)[0]:
                begun = now
            if begun is not None and now - begun > job.request.deadline_s + _GRACE_S:
                exchange.fetch(job, PROGRESS)
                exchange.remove(job.bundle_id, job.remote_directory)
                message = "the app, opened by hand, left no answer"
                last = last_stage(job.directory)
                return Death(kind=DeathKind.DEADLINE, message=message, last_stage=last)
            if begun is None and now - laid_down > self._patience_s:
                raise self._nobody(job.bundle_id)
            if begun is None and not reminded and now - laid_down > _GRACE_S:
                self._say(f"open the app {job.bundle_id} on {self._phone} again")
                reminded = True
            time.sleep(self._poll_s)
        return self._result(job)

    def _result(self, job: Job) -> BlockResult | Death:
        try:
            result = self._exchange.result(job)
        except BadAnswerError as error:
            last = last_stage(job.directory)
            return Death(kind=error.kind, message=error.message, last_stage=last)
        finally:
            self._exchange.remove(job.bundle_id, job.remote_directory)
        if result.runtime is None:
            return result
        return replace(result, runtime=replace(result.runtime, shared_process=True))

    def _nobody(self, bundle_id: str) -> DeviceNotReadyError:
        message = f"cannot run blocks on {self._phone}: nobody opened the app"
        return DeviceNotReadyError(message, next_step=f"open {bundle_id} on it, then run it again")
