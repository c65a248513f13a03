"""How busy others kept the machine while a block ran in a browser."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
_IDLE_FIELDS: Final = (3, 4)  # proc(5), stat: idle and iowait
_COUNTED_FIELDS: Final = 8  # the two guest fields are counted in user already
_OWN_FIELDS: Final = slice(11, 15)  # proc(5), pid/stat behind the name: u-, s-, cu-, cstime


class LoadMeter:
    """Tells which share of the machine's CPU time others used since it was made.

    Args:
        helpers: Processes of ours that run already.
    """

    def __init__(self, helpers: Iterable[int] = ()) -> None:
        self._machine = _machine_ticks()
        self._own = _ticks((os.getpid(), *helpers))

    def busy_fraction(self, processes: Iterable[int]) -> float | None:
        """Return the share of others, 0 to 1, or None where the system does not tell.

        Args:
            processes: All of ours that run now, or began since.
        """
        now = _machine_ticks()
        if now is None or self._machine is None:
            return None
        busy, total = now[0] - self._machine[0], now[1] - self._machine[1]
        if total <= 0:
            return None
        own = _ticks((os.getpid(), *processes)) - self._own
        return min(1.0, max(0.0, (busy - own) / total))


def _machine_ticks() -> tuple[int, int] | None:
    """Return busy and total ticks of all cores since the start of the system."""
    try:
        words = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    ticks = [int(word) for word in words[1 : 1 + _COUNTED_FIELDS]]
    return sum(ticks) - sum(ticks[field] for field in _IDLE_FIELDS), sum(ticks)


def _ticks(processes: Iterable[int]) -> int:
    """Return the ticks that processes and their children that ended used so far."""
    total = 0
    for pid in set(processes):
        with contextlib.suppress(OSError, ValueError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            total += sum(map(int, fields.rpartition(")")[2].split()[_OWN_FIELDS]))
    return total
