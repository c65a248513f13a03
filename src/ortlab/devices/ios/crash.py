"""What became of an app that left no answer, from iOS's reports; pure.

Sources: Apple's "Interpreting the JSON format of a crash report" and "Identifying high-memory use
with jetsam event reports".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ortlab.wire import DeathKind

JETSAM: Final = "JetsamEvent"

_JETSAM_TYPE: Final = "298"
_CRASH_TYPES: Final = ("309", "109")
_SIGNALS: Final = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGBUS",
    11: "SIGSEGV",
    12: "SIGSYS",
    13: "SIGPIPE",
    15: "SIGTERM",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why an app ended.

    Attributes:
        kind: What a driver calls it.
        message: In a sentence.
        signal_name: That ended it, where one did.
    """

    kind: DeathKind
    message: str
    signal_name: str | None = None


def signal_name(number: int) -> str:
    """Return Darwin's name of a signal."""
    return _SIGNALS.get(number, f"signal {number}")


def read_report(text: str, process: str, pid: int) -> Cause | None:
    """Return what a report says of a process, or None where it is about others or no report."""
    first, _, rest = text.partition("\n")
    try:
        head, body = json.loads(first), json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict) or not isinstance(body, dict):
        return None
    kind = str(head.get("bug_type"))
    if kind == _JETSAM_TYPE:
        return _jetsam(body, process, pid)
    if kind in _CRASH_TYPES and body.get("pid") == pid:
        return _crash(body)
    return None


def judge(reports: Iterable[str], process: str, pid: int, number: int | None) -> Cause | None:
    """Return why an app ended.

    Args:
        reports: Texts of the reports written since it was started.
        process: Name of its program.
        pid: On the phone.
        number: Of the signal that ended it, where the phone told.

    Returns:
        None where neither a report nor a signal tells.
    """
    for text in reports:
        cause = read_report(text, process, pid)
        if cause is not None:
            return cause
    if number is None:
        return None
    name = signal_name(number)
    return Cause(kind=DeathKind.SIGNAL, message=f"the app was ended by {name}", signal_name=name)


def _jetsam(body: dict[str, Any], process: str, pid: int) -> Cause | None:
    entries = body.get("processes")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("pid") != pid or not entry.get("reason"):
            continue
        pages, status = entry.get("rpages"), body.get("memoryStatus")
        page = status.get("pageSize") if isinstance(status, dict) else None
        size = ""
        if isinstance(pages, int) and isinstance(page, int):
            size = f" at {pages * page / 1e6:.0f} MB"
        message = f"iOS ended {process} for its memory{size} ({entry['reason']})"
        return Cause(kind=DeathKind.OUT_OF_MEMORY, message=message, signal_name="SIGKILL")
    return None


def _crash(body: dict[str, Any]) -> Cause:
    exception, termination = _table(body, "exception"), _table(body, "termination")
    name = str(exception.get("signal") or "") or None
    words = [
        str(part)
        for part in (
            exception.get("type"),
            exception.get("subtype"),
            termination.get("indicator"),
        )
        if part
    ]
    message = f"the app crashed: {', '.join(words) or 'the report does not say why'}"
    return Cause(kind=DeathKind.SIGNAL, message=message, signal_name=name)


def _table(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}
