"""Numbers of signals: iOS counts some of them differently from this machine."""

from __future__ import annotations

import signal
from typing import Final

_NUMBERS: Final[dict[int, int]] = {
    signal.SIGBUS: 10,
    signal.SIGSYS: 12,
    signal.SIGURG: 16,
    signal.SIGSTOP: 17,
    signal.SIGTSTP: 18,
    signal.SIGCONT: 19,
    signal.SIGCHLD: 20,
    signal.SIGIO: 23,
    signal.SIGUSR1: 30,
    signal.SIGUSR2: 31,
}
_ALIKE: Final = frozenset({*range(1, 7), 8, 9, 11, *range(13, 16), 21, 22, *range(24, 29)})
_SIGNALS: Final = {number: found for found, number in _NUMBERS.items()}


def number_on_iphone(number: int) -> int:
    """Return the number that iOS gives a signal of this machine."""
    return _NUMBERS.get(number, number)


def signal_here(number: int) -> int | None:
    """Return this machine's number of a signal of iOS, or None where it has none."""
    if number in _SIGNALS:
        return int(_SIGNALS[number])
    return number if number in _ALIKE else None
