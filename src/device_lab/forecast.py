"""How long the queue takes: it is played through on the phones there are, as the past went.

Pure, and cheap enough for each look at the lab: cells of one job and model are placed together.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from device_lab.planning import OpenCell, order, rank, unmet
from device_lab.values import Estimate, LabPhone, Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGroup:
    """The waiting cells of one model of a job.

    Attributes:
        job_id: Of the job.
        model: The model they measure.
        requirements: Of the job.
        rank: The job's place in the queue; the smallest goes first.
        cell_count: How many they are.
        taken_phone_ids: Phones that hold or finished another cell of this job and model.
        home_phone_ids: For each cell that was begun, the phone that began it.
    """

    job_id: str
    model: str
    requirements: Requirements
    rank: tuple[int, datetime, datetime]
    cell_count: int
    taken_phone_ids: frozenset[str] = frozenset()
    home_phone_ids: tuple[str, ...] = ()


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
    jobs = forecast(grouped(cells), phones, durations_s, busy_s)
    if jobs is None:
        return None
    return Estimate(
        typical_s=max((job.typical_s for job in jobs.values()), default=0.0),
        cautious_s=max((job.cautious_s for job in jobs.values()), default=0.0),
        counted_cells=sum(job.counted_cells for job in jobs.values()),
        unplaced_cells=sum(job.unplaced_cells for job in jobs.values()),
        past_durations=sum(len(past) for past in durations_s.values()),
    )


def grouped(cells: Iterable[OpenCell]) -> tuple[OpenGroup, ...]:
    """Return waiting cells by job and model, as they are served."""
    members: dict[tuple[object, ...], list[OpenCell]] = {}
    for cell in order(cells):
        key = (cell.job_id, cell.model, cell.requirements, cell.taken_phone_ids)
        members.setdefault(key, []).append(cell)
    return tuple(
        OpenGroup(
            job_id=group[0].job_id,
            model=group[0].model,
            requirements=group[0].requirements,
            rank=rank(group[0].priority, group[0].deadline, group[0].submitted_at),
            cell_count=len(group),
            taken_phone_ids=group[0].taken_phone_ids,
            home_phone_ids=tuple(cell.home_phone_id for cell in group if cell.home_phone_id),
        )
        for group in members.values()
    )


def forecast(
    groups: Iterable[OpenGroup],
    phones: Sequence[LabPhone],
    durations_s: Mapping[str, Sequence[float]],
    busy_s: Mapping[str, float] | None = None,
) -> dict[str, Estimate] | None:
    """Return when each job's last waiting cell ends, were nothing else to come.

    Its arguments are those of `estimate`, and so is the reason for None.
    """
    pooled = [duration for past in durations_s.values() for duration in past]
    if not pooled:
        return None
    waiting = sorted(groups, key=lambda group: (group.rank, group.job_id))
    fitting = {
        requirements: tuple(p.phone_id for p in phones if not unmet(p, requirements))
        for requirements in {group.requirements for group in waiting}
    }
    plays = []
    for share in (0.5, 0.9):
        pooled_s = _quantile(pooled, share)
        span_of = {model: _quantile(past, share) for model, past in durations_s.items() if past}
        for group in waiting:
            span_of.setdefault(group.model, pooled_s)
        plays.append(_play(waiting, fitting, span_of, dict(busy_s or {})))
    wanted: Counter[str] = Counter()
    for group in waiting:
        wanted[group.job_id] += group.cell_count
    typical, cautious = plays
    return {
        job_id: Estimate(
            typical_s=typical[job_id][0],
            cautious_s=max(typical[job_id][0], cautious[job_id][0]),
            counted_cells=typical[job_id][1],
            unplaced_cells=count - typical[job_id][1],
            past_durations=len(pooled),
        )
        for job_id, count in wanted.items()
    }


def _play(
    waiting: Sequence[OpenGroup],
    fitting: Mapping[Requirements, tuple[str, ...]],
    span_of: Mapping[str, float],
    free_at_s: dict[str, float],
) -> dict[str, tuple[float, int]]:
    """Return for each job when the last of its cells ends, and how many found a phone."""
    queues = {
        requirements: [(free_at_s.get(one, 0.0), one) for one in phone_ids]
        for requirements, phone_ids in fitting.items()
    }
    for queue in queues.values():
        heapq.heapify(queue)
    ends: dict[str, tuple[float, int]] = {}
    for group in waiting:
        suited = fitting[group.requirements]
        homes = [one for one in group.home_phone_ids if one in suited]
        fresh = group.cell_count - len(group.home_phone_ids)
        chosen = homes + _earliest(
            queues[group.requirements], free_at_s, group.taken_phone_ids.union(homes), fresh
        )
        last_s, placed = ends.get(group.job_id, (0.0, 0))
        for phone_id in chosen:
            free_at_s[phone_id] = free_at_s.get(phone_id, 0.0) + span_of[group.model]
            last_s = max(last_s, free_at_s[phone_id])
        ends[group.job_id] = (last_s, placed + len(chosen))
    return ends


def _earliest(
    queue: list[tuple[float, str]],
    free_at_s: Mapping[str, float],
    excluded: frozenset[str],
    count: int,
) -> list[str]:
    """Return the phones that are free first; the queue may hold times that are out of date."""
    aside: list[tuple[float, str]] = []
    chosen: list[str] = []
    while queue and len(chosen) < count:
        noted_s, phone_id = heapq.heappop(queue)
        free_s = free_at_s.get(phone_id, 0.0)
        if free_s != noted_s:
            heapq.heappush(queue, (free_s, phone_id))
            continue
        aside.append((noted_s, phone_id))
        if phone_id not in excluded:
            chosen.append(phone_id)
    for entry in aside:
        heapq.heappush(queue, entry)
    return chosen


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the median, or else the smallest value that the share of the values do not exceed."""
    if share == 0.5:
        return median(values)
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
