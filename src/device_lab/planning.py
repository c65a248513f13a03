"""Which cell goes to which phone now, what is left, and why a cell can run nowhere.

Pure: the store reads what is open and what is free, asks here, and writes the choice down in the
same transaction. Nothing here reads a clock.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from device_lab.values import Estimate, LabPhone, Requirements

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
        deadline: Of its job; None for none.
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
    if least is not None and info.memory_bytes < least:
        reasons.append(f"it has {info.memory_bytes} bytes of memory, fewer than {least}")
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
        if _may_take(phone.phone_id, cell) and not unmet(phone, cell.requirements)
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
    waiting = order(cells)
    free = [phone for phone in phones if not unready(phone, now, limits)]
    fitting = _fitting(free, waiting)
    demand = Counter(phone_id for cell in waiting for phone_id in fitting[cell.requirements])
    given: dict[str, str] = {}
    busy: set[str] = set()
    for cell in waiting:
        usable = [
            phone_id
            for phone_id in fitting[cell.requirements]
            if phone_id not in busy and _may_take(phone_id, cell)
        ]
        if usable:
            phone_id = min(usable, key=lambda one: (demand[one], one))
            given[cell.cell_id] = phone_id
            busy.add(phone_id)
    return given


def estimate(
    cells: Iterable[OpenCell],
    phones: Sequence[LabPhone],
    durations_s: Mapping[str, Sequence[float]],
    busy_s: Mapping[str, float] | None = None,
) -> Estimate | None:
    """Play the queue through on the phones there are, with durations like those of the past.

    Args:
        cells: Those that wait.
        phones: Those that serve the queue, busy or not.
        durations_s: Model to the durations of its finished cells, in seconds; a model without
            any takes those of all models together.
        busy_s: Phone id to the seconds until its present cell is expected to end.

    Returns:
        The estimate; None while no cell ever finished, since any number would be invented.
    """
    pooled = [duration for past in durations_s.values() for duration in past]
    if not pooled:
        return None
    waiting = order(cells)
    fitting = _fitting(phones, waiting)
    spans: list[float] = []
    placed = 0
    for share in (0.5, 0.9):
        span_of = {
            cell.model: _quantile(durations_s.get(cell.model) or pooled, share) for cell in waiting
        }
        span, placed = _play(waiting, fitting, span_of, dict(busy_s or {}))
        spans.append(span)
    return Estimate(
        typical_s=spans[0],
        cautious_s=max(spans),
        counted_cells=placed,
        unplaced_cells=len(waiting) - placed,
        past_durations=len(pooled),
    )


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
    return (
        f"{meeting} of {len(phones)} known phones meet what the job requires, and it asks for"
        f" {wanted} distinct ones" + (f" ({told})" if told else "")
    )


def _may_take(phone_id: str, cell: OpenCell) -> bool:
    return phone_id not in cell.taken_phone_ids and cell.home_phone_id in (None, phone_id)


def _rank(cell: OpenCell) -> tuple[int, datetime, datetime, str, bool, str]:
    return (
        -cell.priority,
        cell.deadline or _NO_DEADLINE,
        cell.submitted_at,
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


def _play(
    waiting: Sequence[OpenCell],
    fitting: Mapping[Requirements, tuple[str, ...]],
    span_of: Mapping[str, float],
    free_at_s: dict[str, float],
) -> tuple[float, int]:
    """Return when the last of the cells ends, and how many found a phone."""
    used: dict[tuple[str, str], set[str]] = {}
    last_s, placed = 0.0, 0
    for cell in waiting:
        own = used.setdefault((cell.job_id, cell.model), set())
        usable = [
            phone_id
            for phone_id in fitting[cell.requirements]
            if phone_id not in own and _may_take(phone_id, cell)
        ]
        if not usable:
            continue
        phone_id = min(usable, key=lambda one: (free_at_s.get(one, 0.0), one))
        free_at_s[phone_id] = free_at_s.get(phone_id, 0.0) + span_of[cell.model]
        last_s = max(last_s, free_at_s[phone_id])
        own.add(phone_id)
        placed += 1
    return last_s, placed


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the median, or else the smallest value that the share of the values do not exceed."""
    if share == 0.5:
        return median(values)
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


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
