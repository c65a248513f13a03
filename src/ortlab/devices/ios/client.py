"""This process's side of the worker that speaks to an iPhone: questions with deadlines."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ortlab.devices.ios.failures import REPLUG, error_of, no_extra
from ortlab.devices.ios.messages import (
    Action,
    Answer,
    BadMessageError,
    Event,
    EventKind,
    Problem,
    Question,
    cancel_line,
    reply_of,
    to_line,
)
from ortlab.errors import DeviceLostError, DeviceTimeoutError, StorageError, ToolchainError

WORKER: Final = "ortlab.devices.ios.worker"
NO_PHONE: Final = "-"

_GRACE_S: Final = 6.0
_END_S: Final = 8.0


class ProblemError(Exception):
    """A question failed; caught by the adapter, which knows what it wanted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.words)
        self.problem = problem


class IphoneClient:
    """Asks the worker of one iPhone; starts it when it is first needed, and anew when it ended.

    Args:
        udid: Of the phone; :data:`NO_PHONE` to ask only what is attached.
        name: For messages, until the phone tells its own.
        environment: Variables for the worker beside those of this process.
        log_path: Gets what the worker and its libraries print; None throws it away.
        say: Told what the worker says.

    Raises:
        ToolchainError: The extra is not installed.
    """

    def __init__(
        self,
        udid: str,
        *,
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        if importlib.util.find_spec("pymobiledevice3") is None:
            raise no_extra()
        self.udid = udid
        self.name = udid
        self._environment = dict(environment or {})
        self._log_path = log_path
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._number = 0
        self._open_question: int | None = None

    @property
    def process_number(self) -> int | None:
        """Of the worker, where it runs."""
        return self._process.pid if self._process is not None else None

    def ask(
        self,
        action: Action,
        *,
        deadline_s: float,
        doing: str,
        what: str = "the app",
        on_stage: Callable[[str], None] = lambda _: None,
        on_percent: Callable[[int], None] = lambda _: None,
        **arguments: Any,
    ) -> Any:
        """Ask and return the answer.

        Args:
            action: What.
            deadline_s: In which the answer must be there.
            doing: What cannot be done without it, for the message.
            what: The app it is about, for the message.
            on_stage: Told each stage that the app enters.
            on_percent: Told how much is installed.
            arguments: Of the action.

        Raises:
            OrtlabError: There is none; see :mod:`ortlab.devices.ios.failures`.
        """
        try:
            return self.try_to(
                action, deadline_s=deadline_s, on_stage=on_stage, on_percent=on_percent, **arguments
            )
        except ProblemError as error:
            found = error_of(error.problem, doing=doing, phone=self.name, what=what)
            found.log_path = self._log_path
            raise found from error

    def try_to(
        self,
        action: Action,
        *,
        deadline_s: float,
        on_stage: Callable[[str], None] = lambda _: None,
        on_percent: Callable[[int], None] = lambda _: None,
        **arguments: Any,
    ) -> Any:
        """Ask as :meth:`ask` does, for callers that look at problems themselves.

        Raises:
            ProblemError: The worker has no answer.
            DeviceTimeoutError: It does not answer.
            DeviceLostError: It ended.
        """
        process = self._started()
        self._number += 1
        question = Question(
            number=self._number, action=action, deadline_s=deadline_s, arguments=arguments
        )
        self._open_question = question.number
        self._send(process, to_line(question))
        deadline = time.monotonic() + deadline_s + _GRACE_S
        while True:
            reply = self._reply(process, deadline)
            if reply.number != question.number:
                continue  # of a question that was given up
            if isinstance(reply, Answer):
                self._open_question = None
                if reply.problem is not None:
                    raise ProblemError(reply.problem)
                return reply.value
            self._pass_on(reply, on_stage, on_percent)

    def close(self) -> None:
        """End the worker, which lets go of the phone; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._open_question is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(cancel_line(self._open_question))
                process.stdin.flush()
        self._open_question = None
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    # -- inside ---------------------------------------------------------------------------------

    def _pass_on(
        self, event: Event, on_stage: Callable[[str], None], on_percent: Callable[[int], None]
    ) -> None:
        if event.kind is EventKind.SAY:
            self._say(event.text)
        elif event.kind is EventKind.STAGE:
            on_stage(event.text)
        else:
            with contextlib.suppress(ValueError):
                on_percent(int(event.text))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._buffer = b""
        with contextlib.ExitStack() as opened:
            log: Any = subprocess.DEVNULL
            if self._log_path is not None:
                try:
                    self._log_path.parent.mkdir(parents=True, exist_ok=True)
                    log = opened.enter_context(self._log_path.open("wb"))
                except OSError as error:
                    message = f"cannot write {self._log_path}: {error.strerror}"
                    raise StorageError(message, next_step="make room") from error
            try:
                self._process = subprocess.Popen(
                    (sys.executable, "-m", WORKER, self.udid),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                )
            except OSError as error:
                message = f"cannot start what speaks to iPhones: {error.strerror}"
                raise ToolchainError(message) from error
        return self._process

    def _send(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def _reply(self, process: subprocess.Popen[bytes], deadline: float) -> Event | Answer:
        assert process.stdout is not None
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                try:
                    return reply_of(line)
                except BadMessageError:
                    continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                process.kill()
                self._open_question = None
                self.close()
                message = f"cannot go on with {self.name}: it did not answer in time"
                step = "unlock it; if that does not help, restart it, then run the same command"
                raise DeviceTimeoutError(message, next_step=step, log_path=self._log_path)
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                raise self._ended()
            self._buffer += data

    def _ended(self) -> DeviceLostError:
        self._open_question = None
        self.close()
        message = f"lost {self.name}: the process that speaks to it has ended"
        return DeviceLostError(message, next_step=REPLUG, log_path=self._log_path)
