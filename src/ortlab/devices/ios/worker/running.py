"""An app from its start to its end: output, how it ended, and how much memory it took."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

from ortlab.devices.ios.messages import EventKind
from ortlab.devices.ios.worker.control import plain, words
from ortlab.devices.ios.worker.memory import footprints
from ortlab.devices.ios.worker.phone import CALL_S, CONNECT_S, LOOK_S, Phone, Tell
from ortlab.devices.ios.worker.problems import CannotLaunchError

STAGE_MARK: Final = "ORTLAB stage="
DONE_MARK: Final = "ORTLAB done "

_KILL: Final = 9  # on Darwin; a plain number, since enumerations do not travel
_POLL_S: Final = 1.0
_QUIET_S: Final = 0.3
_TAIL_CHARACTERS: Final = 4000


class Running:
    """Starts apps and follows them.

    Args:
        phone: To ask.
        tell: Sends an event.
    """

    def __init__(self, phone: Phone, tell: Tell) -> None:
        self._phone = phone
        self._tell = tell

    async def run(
        self,
        bundle_id: str,
        arguments: list[str],
        environment: dict[str, str],
        limit_s: float,
        *,
        sample: bool,
        leave: bool,
    ) -> dict[str, Any]:
        """Start an app and follow it to its end, for so many seconds at most.

        Args:
            bundle_id: Of the app.
            arguments: Of its program.
            environment: Beside what the phone sets.
            limit_s: Then it is stopped.
            sample: Whether to look at its memory.
            leave: Whether it goes on after that time instead.
        """
        dvt, control, info = await self._phone.instruments()
        service = control.service
        service.ends.clear()
        service.ended.clear()
        while not service.output_events.empty():
            service.output_events.get_nowait()
        self._phone.doing = "starting the app"
        async with footprints(dvt, wanted=sample) as largest:
            pid = await self._launch(dvt, service, bundle_id, arguments, environment)
            run = Run(pid, self._tell)
            finished = await self._follow(service, info, run, limit_s, leave=leave)
        code, number = service.ends.get(pid, (None, None))
        return {
            "pid": pid,
            "timed_out": not finished,
            "exit_code": code,
            "signal": number or None,
            "output": run.output,
            "footprint_bytes": largest.get(pid, 0),
        }

    async def _follow(
        self, service: Any, info: Any, run: Run, limit_s: float, *, leave: bool
    ) -> bool:
        """Return whether the app ended by itself; else it is stopped, unless it is to go on."""
        follow = asyncio.create_task(run.follow(service.output_events))
        try:
            observed = service.startObservingPid_(run.pid)
            await self._phone.within(CALL_S, observed, "watching the app")
            self._phone.doing = "running the app"
            finished = await self._wait_for_end(service, info, run, follow, limit_s)
            if not finished and not leave:
                await self._kill(service, run.pid)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(service.send_signal_to_pid_(_KILL, run.pid), LOOK_S)
            raise
        finally:
            follow.cancel()
        return finished

    async def _launch(
        self,
        dvt: Any,
        service: Any,
        bundle_id: str,
        arguments: list[str],
        environment: dict[str, str],
    ) -> int:
        from pymobiledevice3.dtx.exceptions import DTXNsError
        from pymobiledevice3.services.dvt.instruments.process_control import ProcessControl

        starter = ProcessControl(dvt, service)
        try:
            pid = await self._phone.within(
                CONNECT_S,
                starter.launch(bundle_id, arguments=arguments, environment=environment),
                "starting the app",
            )
        except DTXNsError as error:
            raise CannotLaunchError(words(error)) from error
        except AssertionError as error:
            message = "it gives no process number"
            raise CannotLaunchError(message) from error
        return plain(pid) or 0

    async def _wait_for_end(
        self, service: Any, info: Any, run: Run, follow: asyncio.Task[None], limit_s: float
    ) -> bool:
        """Return whether the app ended by itself."""
        deadline = time.monotonic() + limit_s
        looked_at = time.monotonic()
        ended = asyncio.create_task(service.ended.wait())
        try:
            while time.monotonic() < deadline:
                left = max(0.01, min(_POLL_S, deadline - time.monotonic()))
                await asyncio.wait({ended, follow}, timeout=left, return_when="FIRST_COMPLETED")
                if follow.done():
                    follow.result()
                if run.pid in service.ends:
                    await run.settle()
                    return True
                if time.monotonic() - looked_at >= _POLL_S:
                    looked_at = time.monotonic()
                    look = info.is_running_pid(run.pid)
                    if not await self._phone.within(CALL_S, look, "looking at the app"):
                        await run.settle()
                        return True
                    self._phone.doing = "running the app"
        finally:
            ended.cancel()
        return False

    async def _kill(self, service: Any, pid: int) -> None:
        from pymobiledevice3.dtx.exceptions import DTXNsError

        with contextlib.suppress(DTXNsError):  # it ended meanwhile
            stop = service.send_signal_to_pid_(_KILL, pid)
            await self._phone.within(CALL_S, stop, "stopping the app")


class Run:
    """What is seen of a process.

    Args:
        pid: Of the phone.
        tell: Sends an event.
    """

    def __init__(self, pid: int, tell: Tell) -> None:
        self.pid = pid
        self.output = ""
        self._tell = tell
        self._line = ""
        self._done = asyncio.Event()

    async def follow(self, events: Any) -> None:
        """Take its output until the connection ends."""
        while True:
            message, pid, _ = await events.get()
            if plain(pid) == self.pid:
                self.take(str(getattr(message, "value", message)))

    def take(self, text: str) -> None:
        """Take some of its output; stages are told as soon as their line is whole."""
        self.output = (self.output + text)[-_TAIL_CHARACTERS:]
        *lines, self._line = (self._line + text).split("\n")
        self._line = self._line[-_TAIL_CHARACTERS:]
        for line in lines:
            if line.startswith(STAGE_MARK):
                self._tell(EventKind.STAGE, line.removeprefix(STAGE_MARK).strip())
            elif line.startswith((DONE_MARK, "{")):
                self._done.set()

    async def settle(self) -> None:
        """Give its last output a moment, unless it was seen."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), _QUIET_S)
