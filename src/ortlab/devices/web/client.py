"""This process's side of the worker that drives the browser: questions with deadlines, events."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ortlab.errors import DeviceLostError, DeviceTimeoutError, ToolchainError

WORKER: Final = "ortlab.devices.web.worker"
INSTALL: Final = "pip install 'ortlab[web]'"

_END_S: Final = 5.0
_GRACE_S: Final = 5.0


class BrowserProblemError(Exception):
    """The worker could not do it; caught by the adapter, which knows what it wanted."""


class BrowserClient:
    """Asks the worker; starts it when it is first needed, and anew when it ended.

    Args:
        log_path: Gets what the browser and its libraries print.
        on_event: Told what happens to the browser: a kind and words. In a thread of its own.

    Raises:
        ToolchainError: Playwright is not installed.
    """

    def __init__(self, log_path: Path, on_event: Callable[[str, str], None]) -> None:
        if importlib.util.find_spec("playwright") is None:
            message = "cannot drive a browser: Playwright for Python is not installed"
            raise ToolchainError(message, next_step=INSTALL)
        self._log_path = log_path
        self._on_event = on_event
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._number = 0

    def ask(self, action: str, *, deadline_s: float, **arguments: Any) -> Any:
        """Ask and return the answer.

        Raises:
            BrowserProblemError: It cannot be done, in Playwright's words.
            DeviceTimeoutError: The worker does not answer; it was ended.
            DeviceLostError: It ended by itself.
            ToolchainError: It cannot be started.
        """
        process = self._started()
        self._number += 1
        question = {
            **arguments,
            "number": self._number,
            "action": action,
            "deadline_s": deadline_s,
        }
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        while True:
            try:
                answer = self._answers.get(timeout=deadline_s + _GRACE_S)
            except queue.Empty:
                self.kill()
                message = f"cannot go on: the browser did not {action} in {deadline_s:.0f} s"
                raise DeviceTimeoutError(message, next_step="ortlab doctor") from None
            if answer is None:
                raise self._ended()
            if answer.get("number") != self._number:
                continue  # of a question that was given up
            if "problem" in answer:
                raise BrowserProblemError(str(answer["problem"]))
            return answer.get("value")

    def processes(self) -> tuple[int, ...]:
        """Return the worker's process, where it runs."""
        return (self._process.pid,) if self._process is not None else ()

    def close(self) -> None:
        """End the worker, which ends the browser; safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        self.kill()

    def kill(self) -> None:
        """End the worker and its children at once."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    # -- inside ---------------------------------------------------------------------------------

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.kill()
        self._answers = queue.Queue()
        try:
            with self._log_path.open("ab") as log:
                process = subprocess.Popen(
                    (sys.executable, "-m", WORKER),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **_ENVIRONMENT},
                    start_new_session=True,
                )
        except OSError as error:
            message = f"cannot start what drives the browser: {error.strerror}"
            raise ToolchainError(message, next_step="ortlab doctor") from error
        self._process = process
        threading.Thread(
            target=self._read, args=(process, self._answers), name="browser events", daemon=True
        ).start()
        return process

    def _read(
        self, process: subprocess.Popen[bytes], answers: queue.Queue[dict[str, Any] | None]
    ) -> None:
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in process.stdout:
                with contextlib.suppress(ValueError, TypeError):
                    message = json.loads(line)
                    if "event" in message:
                        self._on_event(str(message["event"]), str(message["words"]))
                    else:
                        answers.put(message)
        answers.put(None)
        if self._process is process:  # it was not ended on purpose
            self._on_event("browser ended", "")

    def _ended(self) -> DeviceLostError:
        self.kill()
        message = "lost the browser: the process that drives it has ended"
        return DeviceLostError(message, next_step="ortlab doctor")


_ENVIRONMENT: Final[Mapping[str, str]] = {
    "DEBUG": "pw:browser",  # what the browser prints goes to the log: it tells why one ended
    "DEBUG_COLORS": "0",
}
