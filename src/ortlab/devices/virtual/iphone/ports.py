"""Ports of a virtual iPhone on which services wait for one connection each."""

from __future__ import annotations

import threading
from typing import Final

_FIRST: Final = 49152
_LIMIT: Final = 1 << 16


class Ports:
    """Ports that were told to a computer and not connected to yet; used by many threads."""

    def __init__(self) -> None:
        self._given: dict[int, tuple[str, str]] = {}
        self._next = _FIRST
        self._lock = threading.Lock()

    def give(self, name: str, host_id: str) -> int:
        """Return a new port for one connection of a computer to a service."""
        with self._lock:
            port, self._next = self._next, self._next + 1
            if self._next >= _LIMIT:
                self._next = _FIRST
            self._given[port] = (name, host_id)
            return port

    def take(self, port: int) -> tuple[str, str] | None:
        """Return a port's service and computer, once; None for one that was not given."""
        with self._lock:
            return self._given.pop(port, None)

    def clear(self) -> None:
        """Forget them all, as a pulled cable does."""
        with self._lock:
            self._given.clear()
