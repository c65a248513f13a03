"""Which cell goes to which phone now, what is left, and why a cell can run nowhere.

Pure: the store reads what is open and what is free, asks here, and writes the choice down in the
same transaction. Nothing here reads a clock.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from device_lab.values import LabPhone, Requirements

_NO_DEADLINE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessLimits:
    """When a phone may start an experiment; what a phone does not tell is not held against it."""

    min_battery_percent: float = 30.0
    max_temperature_c: float = 38.0
    min_free_bytes: int = 1 << 30
    max_silence_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCell:
    """A cell that waits for a phone.

    Attributes:
        cell_id: Of the cell.
        job_id: Of its job.
        model: The model it measures.
        requirements: Of its job.
        priority: Of its job; a higher one goes first.
        deadline: Of its job, from which on no phone gets it; None for none.
        submitted_at: When its job came in.
        taken_phone_ids: Phones that hold or finished another cell of this job and model.
        home_phone_id: The phone that began it, and the only one that may go on; None for any.
    """

    cell_id: str
    job_id: str
    model: str
    requirements: Requirements
    priority: int
    deadline: datetime | None
    submitted_at: datetime
    taken_phone_ids: frozenset[str] = frozenset()
    home_phone_id: str | None = None


def unmet(phone: LabPhone, requirements: Requirements) -> tuple[str, ...]:
    """Return what keeps a phone from ever running a cell, in words; empty if nothing does."""
    reasons: list[str] = []
    info = phone.info
    if requirements.phone_ids and phone.phone_id not in requirements.phone_ids:
        reasons.append(f"it is not {', '.join(requirements.phone_ids)}")
    if requirements.platform is not None and info.kind != requirements.platform:
        reasons.append(f"its platform is {info.kind}, not {requirements.platform}")
    if requirements.soc is not None and (phone.soc or "").lower() != requirements.soc.lower():
        reasons.append(f"its SoC is {phone.soc or 'unknown'}, not {requirements.soc}")
    reasons += _unmet_system(info.os_version, requirements)
    least = requirements.min_memory_bytes
    if least is not None and not info.memory_bytes:
        reasons.append("its memory is not known yet: it tells it when it first measures")
    elif least is not None and info.memory_bytes < least:
        told = f"{info.memory_bytes / 1e9:.4g} GB of memory, less than {least / 1e9:.4g} GB"
        reasons.append(f"it has {told}")
    if missing := sorted(set(requirements.labels) - set(phone.labels)):
        reasons.append(f"it lacks the label {', '.join(missing)}")
    return tuple(reasons)


def unready(phone: LabPhone, now: datetime, limits: ReadinessLimits) -> tuple[str, ...]:
    """Return what keeps a phone from starting an experiment now; empty if it is ready."""
    reasons: list[str] = []
    if phone.battery_percent is not None and phone.battery_percent < limits.min_battery_percent:
        reasons.append(f"its battery is below {limits.min_battery_percent:g} %")
    if phone.temperature_c is not None and phone.temperature_c > limits.max_temperature_c:
        reasons.append(f"it is warmer than {limits.max_temperature_c:g} °C")
    if phone.free_bytes is not None and phone.free_bytes < limits.min_free_bytes:
        reasons.append(f"it has less than {limits.min_free_bytes} bytes of free space")
    if (now - phone.seen_at).total_seconds() > limits.max_silence_s:
        reasons.append(f"it was not seen for {limits.max_silence_s:g} s")
    if phone.blocked is not None:
        reasons.append(phone.blocked)
    return tuple(reasons)


def order(cells: Iterable[OpenCell]) -> list[OpenCell]:
    """Return cells as they are served: priority, deadline, age, begun ones, then their ids."""
    return sorted(cells, key=_rank)


def choose_cell(
    phone: LabPhone, cells: Iterable[OpenCell], now: datetime, limits: ReadinessLimits
) -> OpenCell | None:
    """Return the cell that a free phone runs next; None if none of them may run on it now."""
    if unready(phone, now, limits):
        return None
    fitting = (
        cell
        for cell in cells
        if _is_in_time(cell, now)
        and _may_take(phone.phone_id, cell)
        and not unmet(phone, cell.requirements)
    )
    return min(fitting, key=_rank, default=None)


def assign(
    phones: Sequence[LabPhone], cells: Iterable[OpenCell], now: datetime, limits: ReadinessLimits
) -> dict[str, str]:
    """Give free phones their cells, the most urgent cell first.

    Among the phones that may take a cell, the one that the fewest open cells could use gets it,
    so that a rare phone is kept for the cells that need it.

    Args:
        phones: Those without a lease that are neither blocked nor quarantined.
        cells: Those that wait.
        now: The time.
        limits: When a phone is ready.

    Returns:
        Cell id to phone id; no phone twice, and no phone twice for one job and model.
    """
    waiting = order(cell for cell in cells if _is_in_time(cell, now))
    free = [phone for phone in phones if not unready(phone, now, limits)]
    fitting = _fitting(free, waiting)
    wanting = Counter(cell.requirements for cell in waiting)
    demand: Counter[str] = Counter()
    for requirements, phone_ids in fitting.items():
        for phone_id in phone_ids:
            demand[phone_id] += wanting[requirements]
    # The demand does not change, so each list is sorted once and loses the phones that are given.
    choices = {
        requirements: sorted(phone_ids, key=lambda one: (demand[one], one))
        for requirements, phone_ids in fitting.items()
    }
    suited = {requirements: set(phone_ids) for requirements, phone_ids in fitting.items()}
    given: dict[str, str] = {}
    busy: set[str] = set()
    in_vain: set[tuple[Requirements, frozenset[str]]] = set()
    for cell in waiting:
        if len(busy) == len(free):
            break
        key = (cell.requirements, cell.taken_phone_ids)
        home = cell.home_phone_id
        if home is not None:
            usable = [home] if home in suited[cell.requirements] else []
        elif key in in_vain:
            continue
        else:
            usable = choices[cell.requirements]
            if usable and usable[0] in busy:
                usable[:] = [phone_id for phone_id in usable if phone_id not in busy]
        chosen = next((one for one in usable if one not in busy and _may_take(one, cell)), None)
        if chosen is not None:
            given[cell.cell_id] = chosen
            busy.add(chosen)
        elif home is None:
            in_vain.add(key)
    return given


def why_nowhere(requirements: Requirements, phones: Sequence[LabPhone]) -> str | None:
    """Return why a job's cells cannot all run in this lab, in a sentence; None if they can.

    Args:
        requirements: Of the job.
        phones: Every phone that the lab knows, whatever its state now.
    """
    wanted = requirements.phone_count
    if not phones:
        return "the lab knows no phone yet"
    reasons = Counter(reason for phone in phones for reason in unmet(phone, requirements))
    meeting = sum(1 for phone in phones if not unmet(phone, requirements))
    if meeting >= wanted:
        return None
    told = "; ".join(f"{count} of {len(phones)}: {text}" for text, count in reasons.most_common(5))
    asked = "one" if wanted == 1 else f"{wanted} distinct ones"
    return (
        f"{meeting} of {len(phones)} known phones {'meets' if meeting == 1 else 'meet'} what the"
        f" job requires, and it asks for {asked}" + (f" ({told})" if told else "")
    )


def _is_in_time(cell: OpenCell, now: datetime) -> bool:
    return cell.deadline is None or now < cell.deadline


def _may_take(phone_id: str, cell: OpenCell) -> bool:
    return phone_id not in cell.taken_phone_ids and cell.home_phone_id in (None, phone_id)


def rank(
    priority: int, deadline: datetime | None, submitted_at: datetime
) -> tuple[int, datetime, datetime]:
    """Return a job's place in the queue; the smallest goes first."""
    return (-priority, deadline or _NO_DEADLINE, submitted_at)


def _rank(cell: OpenCell) -> tuple[int, datetime, datetime, str, bool, str]:
    return (
        *rank(cell.priority, cell.deadline, cell.submitted_at),
        cell.job_id,
        cell.home_phone_id is None,
        cell.cell_id,
    )


def _fitting(
    phones: Sequence[LabPhone], cells: Iterable[OpenCell]
) -> dict[Requirements, tuple[str, ...]]:
    return {
        requirements: tuple(p.phone_id for p in phones if not unmet(p, requirements))
        for requirements in {cell.requirements for cell in cells}
    }


def _unmet_system(os_version: str, requirements: Requirements) -> list[str]:
    least, most = requirements.min_os, requirements.max_os
    if least is None and most is None:
        return []
    version = _version(os_version)
    if not version:
        return [f"its system says no version: {os_version!r}"]
    reasons: list[str] = []
    if least is not None and _padded(version) < _padded(_version(least)):
        reasons.append(f"its system is {os_version}, older than {least}")
    # "15" as the newest includes 15.8, so only as many parts count as are named.
    if most is not None and version[: len(_version(most))] > _version(most):
        reasons.append(f"its system is {os_version}, newer than {most}")
    return reasons


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"\d{1,9}(?:\.\d{1,9}){0,5}", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _padded(version: tuple[int, ...]) -> tuple[int, ...]:
    return version + (0,) * (6 - len(version))
