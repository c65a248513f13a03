"""The results that a benchmark leaves in its app's container, and what may befall them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ortlab.devices.virtual.fault_script import Damage, Faults
from ortlab.devices.virtual.iphone.faults import ResultDamaged

_PATTERN: Final = "Documents/ortlab/blocks/*/result.json"
_FLIPPED_BITS: Final = 0x55


def block_results(container: Path, since_ns: int) -> list[Path]:
    """Return the results written since a moment, in nanoseconds since 1970."""
    found = []
    for path in sorted(container.glob(_PATTERN)):
        try:
            if path.stat().st_mtime_ns >= since_ns:
                found.append(path)
        except OSError:  # removed meanwhile
            continue
    return found


def damage_results(container: Path, since_ns: int, faults: Faults) -> None:
    """Let the fault script damage the results written since a moment."""
    for path in block_results(container, since_ns):
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
