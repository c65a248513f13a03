"""`logcat` and `log`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from ortlab.devices.virtual.android.log import BUFFERS, LEVELS, LogLine, PhoneLog
from ortlab.devices.virtual.android.shell import Call

_DEFAULT_BUFFERS: Final = frozenset({"main", "system", "crash"})


class LogCommands:
    """Commands on one phone's log.

    Args:
        log: Of the phone.
        note_unmodelled: Told of options that are not known here.
    """

    def __init__(self, log: PhoneLog, note_unmodelled: Callable[[str], None]) -> None:
        self._log = log
        self._note_unmodelled = note_unmodelled

    async def logcat(self, call: Call) -> int:
        """Print, follow or clear the log."""
        options = _LogOptions(call.arguments)
        if options.problem:
            self._note_unmodelled(f"logcat {' '.join(call.arguments)}")
            return await call.fail(f"logcat: {options.problem}")
        if options.clear:
            self._log.clear(options.buffers)
            return 0
        if options.sizes:
            for name in sorted(options.buffers):
                await call.say(f"{name}: ring buffer is 5 MiB (0 B consumed)")
            return 0
        first, shown = 0, set[str]()
        matching = [e for e in self._log.lines() if options.takes(e[1])]
        if options.newest is not None:
            matching = matching[max(0, len(matching) - options.newest) :]
            first = matching[0][0] if matching else 0
        while True:
            for number, line in self._log.lines(first):
                first = number + 1
                if not options.takes(line):
                    continue
                if line.buffer not in shown and options.style != "raw":
                    shown.add(line.buffer)
                    await call.say(f"--------- beginning of {line.buffer}")
                await call.say(line.formatted(options.style))
            if options.dump:
                return 0
            await self._log.wait(first)

    async def write(self, call: Call) -> int:
        """Write a line, as `log` does."""
        words, level, tag = list(call.arguments), "I", "log"
        while words and words[0] in ("-p", "-t") and len(words) > 1:
            option, value = words.pop(0), words.pop(0)
            level, tag = (value.upper(), tag) if option == "-p" else (level, value)
        self._log.write(level, tag, " ".join(words))
        return 0


class _LogOptions:
    """What `logcat` is told."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.clear = self.dump = self.sizes = False
        self.style = "threadtime"
        self.newest: int | None = None
        self.problem = ""
        self._since_s = 0.0
        self._process: int | None = None
        self._levels: dict[str, str] = {}
        self._pattern = ""
        buffers: set[str] = set()
        waiting = list(arguments)
        while waiting and not self.problem:
            name, value = _option(waiting)
            if name in ("-b", "--buffer"):
                buffers |= set(BUFFERS) if value == "all" else set(value.split(","))
            elif name in ("-v", "--format"):
                self.style = (
                    value if value in ("brief", "raw", "tag", "time", "epoch") else self.style
                )
            elif name in ("-t", "-T"):
                self.dump |= name == "-t"
                self._from(value)
            elif name == "--pid":
                self._process = int(value)
            elif name in ("-e", "--regex"):
                self._pattern = value
            elif name in ("-d", "-c", "-g", "--clear", "-s", "-S"):
                self.dump |= name == "-d"
                self.clear |= name in ("-c", "--clear")
                self.sizes |= name == "-g"
                if name == "-s":
                    self._levels.setdefault("*", "S")
            elif name.startswith("-"):
                self.problem = f"unknown option {name}"
            else:
                tag, _, level = name.partition(":")
                self._levels[tag] = (level or "V").upper()
        unknown = buffers - set(BUFFERS) - {"default"}
        if unknown:
            self.problem = f"Unknown -b buffer '{min(unknown)}'"
        self.buffers = frozenset(buffers - {"default"}) or _DEFAULT_BUFFERS

    def _from(self, text: str) -> None:
        if text.isdigit():
            self.newest = int(text)
            return
        match = re.fullmatch(r"(?:(\d{4})-)?(\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)?", text.strip())
        if match is None:
            epoch = re.fullmatch(r"\d+\.\d+", text.strip())
            self._since_s = float(text) if epoch else 0.0
            self.problem = "" if epoch else f'-T "{text}" not in time format'
            return
        year = match[1] or time.strftime("%Y")
        parsed = time.strptime(f"{year}-{match[2]}", "%Y-%m-%d %H:%M:%S")
        self._since_s = time.mktime(parsed) + float(match[3] or 0)

    def takes(self, line: LogLine) -> bool:
        """Whether a line is asked for."""
        least = self._levels.get(line.tag, self._levels.get("*", "V"))
        return (
            line.buffer in self.buffers
            and line.time_s >= self._since_s
            and self._process in (None, line.process)
            and LEVELS.index(line.level) >= LEVELS.index(least if least in LEVELS else "V")
            and least != "S"
            and (not self._pattern or re.search(self._pattern, line.text) is not None)
        )


def _option(waiting: list[str]) -> tuple[str, str]:
    """Take an option with its value, however they are written."""
    word = waiting.pop(0)
    if word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        return name, value
    valued = ("-b", "-v", "-t", "-T", "-e", "--pid", "--buffer", "--format", "--regex")
    if word in valued:
        return word, waiting.pop(0) if waiting else ""
    if word[:2] in valued and not word.startswith("--"):
        return word[:2], word[2:]
    return word, ""
