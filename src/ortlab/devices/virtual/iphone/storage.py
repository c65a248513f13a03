"""The storage of a virtual iPhone: a directory of this machine with a limit."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Storage:
    """Counts what lies in a directory against a limit; safe to use from several threads.

    Args:
        root: Of this machine.
        capacity_bytes: That may lie in it.
    """

    def __init__(self, root: Path, capacity_bytes: int) -> None:
        self.root = root
        self.capacity_bytes = capacity_bytes
        self._left = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """In files, now."""
        return size_of_tree(self.root)

    @property
    def free_bytes(self) -> int:
        """That may still be written, now."""
        return max(0, self.capacity_bytes - self.used_bytes)

    def reserve(self, count: int) -> bool:
        """Take bytes that are about to be written; return whether there is room for them."""
        with self._lock:
            if count > self._left:
                # Looked at only when what was known to be free is spent.
                self._left = self.free_bytes
            if count > self._left:
                return False
            self._left -= count
            return True


def size_of_tree(root: Path) -> int:
    """Return the bytes of all files in a directory; files that go away meanwhile do not count."""
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return total
