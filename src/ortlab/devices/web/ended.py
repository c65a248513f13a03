"""What became of a page that left no result."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ortlab.devices.answers import last_stage
from ortlab.devices.web.mail import Signal, SignalKind
from ortlab.wire import Death, DeathKind

TAIL_CHARACTERS: Final = 4000

_MEMORY_WORDS: Final = (
    "out of memory",
    "out-of-memory",
    "javascript oom",
    "bad_alloc",
    "cannot allocate memory",
)


def death_of(seen: Sequence[Signal], directory: Path, output: str, *, name: str) -> Death:
    """Return what is known of a page that is gone.

    Args:
        seen: What happened to it, in order.
        directory: Of the block.
        output: What the browser and the page printed meanwhile.
        name: Of the browser.
    """
    kinds = {item.kind for item in seen}
    reason = next(
        (item.words for item in seen if item.kind is SignalKind.CRASHED and item.words), ""
    )
    status, _, code = reason.partition(" ")
    kind, message, signal_name = DeathKind.NO_RESULT, "the page was closed before it answered", None
    if SignalKind.CRASHED in kinds:
        signal_name = _signal_name(code)
        if status == "oom" or any(word in output.lower() for word in _MEMORY_WORDS):
            kind, message = DeathKind.OUT_OF_MEMORY, "the page's process ran out of memory"
        elif signal_name == "SIGKILL":
            kind = DeathKind.OUT_OF_MEMORY
            message = "the page's process was killed, as the system does when memory runs out"
        else:
            kind = DeathKind.SIGNAL
            message = f"the page's process crashed ({signal_name or status or 'no reason told'})"
    elif SignalKind.BROWSER_ENDED in kinds:
        kind, message = DeathKind.EXIT, f"{name} ended before the page answered"
    return Death(
        kind=kind,
        message=message,
        signal_name=signal_name,
        last_stage=last_stage(directory),
        output_tail=output[-TAIL_CHARACTERS:],
    )


def late(directory: Path, output: str, deadline_s: float) -> Death:
    """Return what is known of a page that did not answer in time."""
    return Death(
        kind=DeathKind.DEADLINE,
        message=f"the page did not answer within the block's {deadline_s:g} s",
        last_stage=last_stage(directory),
        output_tail=output[-TAIL_CHARACTERS:],
    )


def _signal_name(code: str) -> str | None:
    try:
        return signal.Signals(int(code)).name
    except ValueError:
        return None
