"""The phone's log, as `logcat` prints it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LEVELS: Final = "VDIWEFS"
BUFFERS: Final = ("main", "system", "crash", "events", "radio", "kernel")
_KEPT_LINES: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of the log.

    Attributes:
        time_s: Seconds since 1970.
        process: Number of the process that wrote it.
        level: One of :data:`LEVELS`.
        tag: Who wrote it.
        text: Without line end.
        buffer: It is in.
    """

    time_s: float
    process: int
    level: str
    tag: str
    text: str
    buffer: str = "main"

    def formatted(self, style: str) -> str:
        """Return it as `logcat -v STYLE` prints it; unknown styles are ``threadtime``."""
        local = time.localtime(self.time_s)
        milliseconds = int(self.time_s % 1 * 1000)
        date = f"{time.strftime('%m-%d %H:%M:%S', local)}.{milliseconds:03d}"
        where = f"{self.process:5d} {self.process:5d} {self.level}"
        forms = {
            "brief": f"{self.level}/{self.tag:<8}({self.process:5d}): {self.text}",
            "raw": self.text,
            "tag": f"{self.level}/{self.tag:<8}: {self.text}",
            "time": f"{date} {self.level}/{self.tag:<8}({self.process:5d}): {self.text}",
            "epoch": f"{self.time_s:19.3f} {where} {self.tag:<8}: {self.text}",
        }
        return forms.get(style, f"{date} {where} {self.tag:<8}: {self.text}")


class PhoneLog:
    """The log's buffers; written from any thread, followed on the phone's event loop."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, LogLine]] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self._lock = threading.Lock()
        self._followers: set[Callable[[], None]] = set()

    def write(
        self, level: str, tag: str, text: str, *, process: int = 1000, buffer: str = "main"
    ) -> None:
        """Append a text; each of its lines becomes one of the log."""
        now = time.time()
        with self._lock:
            for line in text.splitlines() or [""]:
                entry = LogLine(
                    time_s=now, process=process, level=level, tag=tag, text=line, buffer=buffer
                )
                self._lines.append((self._count, entry))
                self._count += 1
            followers = tuple(self._followers)
        for follower in followers:
            follower()

    def lines(self, since: int = 0) -> tuple[tuple[int, LogLine], ...]:
        """Return numbered lines from a number on."""
        with self._lock:
            return tuple(entry for entry in self._lines if entry[0] >= since)

    def clear(self, buffers: frozenset[str]) -> None:
        """Forget the lines of some buffers."""
        with self._lock:
            kept = [entry for entry in self._lines if entry[1].buffer not in buffers]
            self._lines.clear()
            self._lines.extend(kept)

    async def wait(self, since: int) -> None:
        """Return when there is a line of that number; called on an event loop."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(event.set)

        with self._lock:
            if self._count > since:
                return
            self._followers.add(wake)
        try:
            await event.wait()
        finally:
            with self._lock:
                self._followers.discard(wake)
