"""What became of an app that left no answer: from its own words and the system's log.

Sources: AOSP `system/core/debuggerd` (tombstones in the log), `ActivityManager` (events
`am_proc_start`, `am_kill`, `am_anr`), `ApplicationExitInfo` (reasons; API 30), `lmkd`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ortlab.devices.android.instrumentation import InstrumentationReport
from ortlab.wire import DeathKind

_LINE: Final = re.compile(
    r"^(?P<time>(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+)\s+(?P<pid>\d+)\s+(?P<tid>\d+)\s+"
    r"(?P<level>[VDIWEFAS])\s+(?P<tag>[^:]*?)\s*: ?(?P<message>.*)$"
)
_SYSTEM_TAGS: Final = frozenset(
    {"DEBUG", "crash_dump32", "crash_dump64", "lowmemorykiller", "lmkd", "tombstoned"}
)
_SHUTDOWN: Final = r"thermal (?:emergency )?shut(?:ting )?down(?! threshold)"
_KEPT_LINES: Final = 4000
_MEMORY_WORDS: Final = (
    "outofmemoryerror",
    "bad_alloc",
    "out of memory",
    "cannot allocate memory",
    "failed to allocate",
)
_SIGNAL_NAMES: Final = {4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE"} | {
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
    31: "SIGSYS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why an app ended.

    Attributes:
        kind: What a driver calls it.
        message: In a sentence.
        signal_name: Where a signal ended it.
        exit_code: Where it ended by itself.
    """

    kind: DeathKind
    message: str
    signal_name: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitInfo:
    """One record of `dumpsys activity exit-info`.

    Attributes:
        timestamp: As the system prints it, to be compared as text with `date`.
        pid: Of the process.
        reason: `ApplicationExitInfo.REASON_*`.
        status: Exit code or signal.
        description: The system's words.
    """

    timestamp: str
    pid: int
    reason: int
    status: int
    description: str


# ------------------------------------------------------------------------------ reading


def read_exit_infos(text: str) -> tuple[ExitInfo, ...]:
    """Read `dumpsys activity exit-info NAME`, newest first."""
    infos = []
    for part in re.split(r"ApplicationExitInfo\s*#\d+:", text)[1:]:
        found = {
            key: re.search(rf"\b{key}=(-?\d{{1,9}})\b", part) for key in ("pid", "reason", "status")
        }
        when = re.search(r"\btimestamp=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", part)
        if found["pid"] is None or found["reason"] is None:
            continue
        said = re.search(r"\bdescription=(.*?)(?: state=| trace=|\s*$)", part, re.MULTILINE)
        infos.append(
            ExitInfo(
                timestamp=when[1] if when else "",
                pid=int(found["pid"][1]),
                reason=int(found["reason"][1]),
                status=int(found["status"][1]) if found["status"] else 0,
                description=said[1].strip() if said and said[1] != "null" else "",
            )
        )
    return tuple(infos)


def relevant_log(log: str, package: str) -> str:
    """Return the lines of a `threadtime` log that concern an app, its death, or the whole phone.

    These are lines of its processes, lines that name it, tombstones and the low-memory killer.
    """
    pids = _pids(log, package)
    kept = [
        line
        for line in log.splitlines()
        if (match := _LINE.match(line)) is not None
        and (
            int(match["pid"]) in pids
            or match["tag"] in _SYSTEM_TAGS
            or package in line
            or re.search(_SHUTDOWN, line, re.IGNORECASE)
        )
    ]
    return "\n".join(kept[-_KEPT_LINES:])


def of_processes(exits: tuple[ExitInfo, ...], log: str, package: str) -> tuple[ExitInfo, ...]:
    """Return the records of processes that the log knows; all where it knows none."""
    pids = _pids(log, package)
    return tuple(info for info in exits if info.pid in pids) if pids else exits


def tombstone(log: str, package: str) -> str:
    """Return the text of our process's tombstone in a `threadtime` log; empty without one."""
    text = "\n".join(
        match["message"]
        for line in log.splitlines()
        if (match := _LINE.match(line)) is not None and match["tag"] == "DEBUG"
    )
    stones = re.split(r"^(?=\*\*\* \*\*\*)", text, flags=re.MULTILINE)
    return next((stone for stone in stones if f">>> {package}" in stone), "").strip()


def _pids(log: str, package: str) -> frozenset[int]:
    """Return the processes that ran the app, from the system's own words."""
    name = re.escape(package)
    patterns = (
        rf"am_proc_start\s*: \[\d+,(\d+),\d+,{name}[,:]",
        rf"Start proc (\d+):{name}[/:]",
        rf"Process: {name}, PID: (\d+)",
        rf"pid: (\d+), tid: \d+, name: .*>>> {name} <<<",
        rf"am_crash\s*: \[(\d+),\d+,{name},",
    )
    found = (match for pattern in patterns for match in re.findall(pattern, log))
    return frozenset(int(pid) for pid in found if len(pid) < 10)


# ------------------------------------------------------------------------------ judging


def cause_of_death(
    report: InstrumentationReport, *, log: str, exits: tuple[ExitInfo, ...], package: str
) -> Cause:
    """Return why an app ended before it answered.

    Args:
        report: What the instrumentation said.
        log: System log since the block's start.
        exits: Records since the block's start, newest first.
        package: The app.
    """
    for cause in _candidates(report, log, exits, package):
        return cause
    said = report.crash or report.aborted or "the system gives no reason"
    return Cause(kind=DeathKind.EXIT, message=f"the app's process ended: {_first(said)}")


def _candidates(
    report: InstrumentationReport, log: str, exits: tuple[ExitInfo, ...], package: str
) -> Iterator[Cause]:
    """Yield causes, the surest first."""
    newest = exits[0] if exits else None
    said = report.crash or ""
    own = _own_lines(log, package)
    yield from _memory(own, log, newest, package)
    yield from _thermal(log, newest, package)
    yield from _native(own, tombstone(log, package), said, newest)
    yield from _java(own, said)
    yield from _system(log, newest, package)


def _own_lines(log: str, package: str) -> str:
    pids = _pids(log, package)
    return "\n".join(
        f"{match['tag']}: {match['message']}"
        for line in log.splitlines()
        if (match := _LINE.match(line)) is not None and int(match["pid"]) in pids
    )


def _memory(own: str, log: str, newest: ExitInfo | None, package: str) -> Iterator[Cause]:
    name = re.escape(package)
    killed = re.search(
        rf"(?:lowmemorykiller|lmkd)\s*: .*\b(?:Kill(?:ing)?|kill)\w* '?{name}\b.*", log
    )
    if killed or (newest and newest.reason == 3):
        message = "the phone ran out of memory and killed the app (low-memory killer)"
        yield Cause(kind=DeathKind.OUT_OF_MEMORY, message=message, signal_name="SIGKILL")
    if re.search(r"Out of memory: Kill(?:ed)? process \d+ \(" + name[:15], log):
        message = "the kernel ran out of memory and killed the app"
        yield Cause(kind=DeathKind.OUT_OF_MEMORY, message=message, signal_name="SIGKILL")
    fatal = re.search(r"FATAL EXCEPTION|Abort message|Fatal signal", own)
    if fatal and (line := _line_with(own, _MEMORY_WORDS)):
        message = f"the app ran out of memory: {line}"
        yield Cause(kind=DeathKind.OUT_OF_MEMORY, message=message)


def _thermal(log: str, newest: ExitInfo | None, package: str) -> Iterator[Cause]:
    line = _matching(log, rf"thermal.{{0,60}}kill.{{0,40}}{re.escape(package)}")
    line = line or _matching(log, _SHUTDOWN)
    if line is None and newest is not None and "thermal" in newest.description.lower():
        line = newest.description
    if line is not None:
        message = f"the phone became too hot and ended the app: {line}"
        yield Cause(kind=DeathKind.EXIT, message=message)


def _native(own: str, stone: str, said: str, newest: ExitInfo | None) -> Iterator[Cause]:
    signal = re.search(r"(?:Fatal signal|\bsignal) (\d{1,3}) \((SIG[A-Z0-9]+)\)", own) or re.search(
        r"^signal (\d{1,3}) \((SIG[A-Z0-9]+)\)", stone, re.MULTILINE
    )
    name = signal[2] if signal else None
    if name is None and newest is not None and newest.reason == 5:
        name = _signal_name(newest.status)
    if name is None:
        return
    abort = re.search(r"Abort message: '?(.*?)'?\s*$", stone or own, re.MULTILINE)
    detail = abort[1] if abort else said.removeprefix("Native crash: ").strip()
    kind = DeathKind.SIGNAL
    if any(word in detail.lower() for word in _MEMORY_WORDS):
        kind = DeathKind.OUT_OF_MEMORY
    tail = "" if detail in ("", "Process crashed.", "Native crash") else f": {_first(detail)}"
    yield Cause(kind=kind, message=f"the app crashed with {name}{tail}", signal_name=name)


def _java(own: str, said: str) -> Iterator[Cause]:
    exception = re.search(r"^AndroidRuntime: ((?:[\w$]+\.)+[\w$]+(?:: .*)?)$", own, re.MULTILINE)
    words = exception[1] if exception else said
    if not re.match(r"(?:[\w$]+\.)+[\w$]+", words) or words == "Process crashed.":
        return
    kind = DeathKind.EXIT
    if any(word in words.lower() for word in _MEMORY_WORDS):
        kind = DeathKind.OUT_OF_MEMORY
    yield Cause(kind=kind, message=f"the app crashed with an exception: {_first(words)}")


def _system(log: str, newest: ExitInfo | None, package: str) -> Iterator[Cause]:
    name = re.escape(package)
    if (newest and newest.reason == 6) or re.search(rf"\bam_anr\s*: .*{name}|ANR in {name}", log):
        message = "the system ended the app because it did not answer (ANR)"
        yield Cause(kind=DeathKind.EXIT, message=message)
    if newest is not None:
        yield from _by_reason(newest)
    killed = re.search(rf"\bam_kill\s*: \[\d+,\d+,{name},-?\d+,([^\]\n]*)", log)
    if killed:
        yield Cause(kind=DeathKind.EXIT, message=f"the system ended the app: {killed[1]}")


def _by_reason(info: ExitInfo) -> Iterator[Cause]:
    tail = f": {_first(info.description)}" if info.description else ""
    if info.reason == 1:
        message = f"the app ended itself with exit code {info.status}{tail}"
        yield Cause(kind=DeathKind.EXIT, message=message, exit_code=info.status)
    elif info.reason == 2 and info.status == 9:
        # Phones whose low-memory killer does not report itself show its kills this way.
        message = f"the app was killed, as the system does when memory runs out{tail}"
        yield Cause(kind=DeathKind.OUT_OF_MEMORY, message=message, signal_name="SIGKILL")
    elif info.reason == 2:
        name = _signal_name(info.status)
        message = f"the app was ended by {name}{tail}"
        yield Cause(kind=DeathKind.SIGNAL, message=message, signal_name=name)
    elif info.reason == 9:
        yield Cause(kind=DeathKind.EXIT, message=f"the system found the app too greedy{tail}")
    elif info.reason in (10, 11):
        message = f"the app was stopped by a person or another program{tail}"
        yield Cause(kind=DeathKind.EXIT, message=message)
    elif info.description:
        yield Cause(kind=DeathKind.EXIT, message=f"the system ended the app{tail}")


def _signal_name(number: int) -> str:
    return _SIGNAL_NAMES.get(number, f"signal {number}")


def _line_with(text: str, wanted: tuple[str, ...]) -> str | None:
    lines = (line for line in text.splitlines() if any(word in line.lower() for word in wanted))
    return next((_first(line) for line in lines), None)


def _matching(log: str, pattern: str) -> str | None:
    for line in log.splitlines():
        if re.search(pattern, line, re.IGNORECASE):
            match = _LINE.match(line)
            return _first(match["message"] if match else line)
    return None


def _first(text: str) -> str:
    """Return the first line, short enough for a message."""
    line = (text.strip().splitlines() or [""])[0].strip()
    return line if len(line) <= 300 else line[:299] + "…"
