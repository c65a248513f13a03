"""The results that a benchmark leaves in its app's container, and what may befall them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ortlab.devices.virtual.fault_script import Damage, Faults
from ortlab.devices.virtual.iphone.faults import ResultDamaged

_PATTERN: Final = "Documents/ortlab/blocks/*/result.json"
_FLIPPED_BITS: Final = 0x55


Marks = Mapping[Path, tuple[int, int, int]]
"""Results by path, each with what tells one content from the next."""


def results_of(container: Path) -> Marks:
    """Return the results that are there now."""
    found = {}
    for path in sorted(container.glob(_PATTERN)):
        with contextlib.suppress(OSError):  # removed meanwhile
            now = path.stat()
            found[path] = (now.st_ino, now.st_mtime_ns, now.st_size)
    return found


def new_results(container: Path, before: Marks) -> list[Path]:
    """Return the results that were not there before, or not with this content.

    Times are not compared with a clock: those of files lag some milliseconds behind it.
    """
    return [path for path, mark in results_of(container).items() if before.get(path) != mark]


def damage_results(container: Path, before: Marks, faults: Faults) -> None:
    """Let the fault script damage the results that were not there before."""
    for path in new_results(container, before):
        fault = faults.take(ResultDamaged)
        if fault is None:
            return
        content = path.read_bytes()
        if fault.damage is Damage.MISSING:
            path.unlink()
        elif fault.damage is Damage.TRUNCATED:
            path.write_bytes(content[: len(content) // 2])
        else:
            path.write_bytes(bytes(byte ^ _FLIPPED_BITS for byte in content))
