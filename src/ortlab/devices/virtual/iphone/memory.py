"""Memory of the processes that a virtual iPhone runs, as Linux counts it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """Memory of an app in bytes: of its process and those that it started.

    Attributes:
        footprint: What the system counts against its limit: anonymous memory.
        resident: In RAM.
        virtual: Addresses.
    """

    footprint: int
    resident: int
    virtual: int


def memory_of_group(number: int) -> ProcessMemory | None:
    """Return the memory of a process group of this machine, or None where there is none."""
    found = [memory for memory in map(_memory_of, _group(number)) if memory is not None]
    if not found:
        return None
    return ProcessMemory(
        footprint=sum(memory.footprint for memory in found),
        resident=sum(memory.resident for memory in found),
        virtual=sum(memory.virtual for memory in found),
    )


def _group(number: int) -> list[int]:
    """Return the processes of this machine in a group."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                text = (entry / "stat").read_text(errors="replace")
                if int(text.rpartition(")")[2].split()[2]) == number:
                    members.append(int(entry.name))
    return members


def _memory_of(number: int) -> ProcessMemory | None:
    try:
        fields = Path(f"/proc/{number}/statm").read_text().split()
    except OSError:
        return None
    virtual, resident, shared = (int(text) * _PAGE_BYTES for text in fields[:3])
    return ProcessMemory(footprint=resident - shared, resident=resident, virtual=virtual)
