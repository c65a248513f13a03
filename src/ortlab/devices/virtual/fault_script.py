"""A script of what goes wrong with a virtual phone: the part that all kinds of phones share.

Each fault acts ``times`` times, or for ever when that is None. A phone's faults may be replaced
while it runs; the new ones start counting afresh.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        times: How often it acts; None for ever.
    """

    times: int | None = 1


class Direction(StrEnum):
    """Whose bytes are counted."""

    TO_PHONE = "to_phone"
    FROM_PHONE = "from_phone"


class Damage(StrEnum):
    """What becomes of a result file."""

    TRUNCATED = "truncated"
    GARBLED = "garbled"
    MISSING = "missing"


Kind = TypeVar("Kind", bound=Fault)


class Faults:
    """A script of faults; safe to use from several threads.

    Args:
        script: In the order in which those of one kind are tried.
    """

    def __init__(self, *script: Fault) -> None:
        self._script = [[fault, fault.times] for fault in script]
        self._lock = threading.Lock()

    def find(self, kind: type[Kind], **texts: str) -> Kind | None:
        """Return the first of a kind that may still act, without counting it.

        Args:
            kind: Of the fault.
            texts: By the name of a field, the text that its regular expression must match.
        """
        with self._lock:
            return self._find(kind, texts, count=False)

    def take(self, kind: type[Kind], **texts: str) -> Kind | None:
        """Return the first of a kind that may still act, and count that it acted."""
        with self._lock:
            return self._find(kind, texts, count=True)

    def spend(self, fault: Fault) -> bool:
        """Count that a fault found earlier acts now; return whether it still may."""
        with self._lock:
            for entry in self._script:
                if entry[0] is fault:
                    return _spend(entry)
        return False

    def _find(self, kind: type[Kind], texts: dict[str, str], *, count: bool) -> Kind | None:
        for entry in self._script:
            fault, left = entry
            if not isinstance(fault, kind) or left == 0:
                continue
            if all(re.search(getattr(fault, name), text) for name, text in texts.items()):
                if count:
                    _spend(entry)
                return fault
        return None


def _spend(entry: list[Fault | int | None]) -> bool:
    left = entry[1]
    if not isinstance(left, int):
        return True
    entry[1] = max(0, left - 1)
    return left > 0
