"""The lab's overview and its results in words, the same for the page and for the terminal.

Pure: a time is passed in, and what is shown of others is made visible by whoever shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from device_lab.values import (
    CellResult,
    CellState,
    Comparison,
    Estimate,
    Job,
    JobProgress,
    KnownPhone,
    Lease,
    Overview,
    PhoneState,
    Requirements,
)

_NOTHING = "–"
_ENDED = (CellState.DONE, CellState.FAILED, CellState.CANCELLED)
_SHORT_ID = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job of the queue in words.

    Attributes:
        job_id: The whole of it.
        short_id: Enough of it to name the job on a command line.
        name: As its author wrote it.
        state: One word.
        done: Cells that are done.
        failed: Cells that failed.
        ended: Cells that are done, failed or cancelled.
        total: Cells of the job.
        parts: The cells by state, such as ``3 done, 1 running, 4 waiting``.
        estimate: How long it takes yet, or why nobody can say.
        deadline: When it must be over and whether it will be; empty if there is nothing to say.
        late: Whether it may miss its deadline, or did.
        priority: A higher one goes first.
        reasons: Why cells failed or can run nowhere.
    """

    job_id: str
    short_id: str
    name: str
    state: str
    done: int
    failed: int
    ended: int
    total: int
    parts: str
    estimate: str
    deadline: str
    late: bool
    priority: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRow:
    """A phone in words; what it does not tell is a dash."""

    phone_id: str
    name: str
    system: str
    host_id: str
    labels: tuple[str, ...]
    virtual: bool
    state: str
    reason: str
    since: str
    work: str
    battery: str
    temperature: str
    free: str
    noise_floor: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """What a cell said of one arm, in words.

    ``verdict`` is ``virtual`` where the phone is a program, whose times mean nothing.
    """

    cell_id: str
    job_id: str
    model_name: str
    phone_id: str
    phone_name: str
    arm: str
    baseline: str
    verdict: str
    change: str
    interval: str
    trust: str
    sentence: str
    finished_at: datetime
    ago: str


# ------------------------------------------------------------------------------ jobs


def job_rows(overview: Overview, now: datetime) -> tuple[JobRow, ...]:
    """Return the jobs in the overview's order."""
    return tuple(job_row(progress, now) for progress in overview.jobs)


def job_row(progress: JobProgress, now: datetime) -> JobRow:
    """Return one job."""
    job, cells = progress.job, progress.cells
    deadline = job.spec.deadline
    ended = sum(cells.get(state, 0) for state in _ENDED)
    total = sum(cells.values())
    told, late = "", job.overdue
    if deadline is not None and (job.overdue or ended < total):
        told, late = _deadline_words((deadline - now).total_seconds(), progress.estimate)
    return JobRow(
        job_id=job.job_id,
        short_id=job.job_id[:_SHORT_ID],
        name=job.spec.name,
        state=_job_state(cells, job),
        done=cells.get(CellState.DONE, 0),
        failed=cells.get(CellState.FAILED, 0),
        ended=ended,
        total=total,
        parts=_parts(cells),
        estimate=estimate_words(progress),
        deadline=told,
        late=late,
        priority=job.spec.priority,
        reasons=progress.reasons,
    )


def _job_state(cells: Mapping[CellState, int], job: Job) -> str:
    if job.overdue:
        return "overdue"
    if cells.get(CellState.LEASED, 0):
        return "running"
    if cells.get(CellState.OPEN, 0):
        return "waiting"
    if job.cancelled or cells.get(CellState.CANCELLED, 0):
        return "cancelled"
    return "failed" if cells.get(CellState.FAILED, 0) else "done"


def _parts(cells: Mapping[CellState, int]) -> str:
    words = {
        CellState.DONE: "done",
        CellState.LEASED: "running",
        CellState.OPEN: "waiting",
        CellState.FAILED: "failed",
        CellState.CANCELLED: "cancelled",
    }
    told = [f"{cells[state]} {word}" for state, word in words.items() if cells.get(state, 0)]
    return ", ".join(told) or "no cells"


def estimate_words(progress: JobProgress) -> str:
    """Return how long a job takes yet, on what that rests, or why nobody can say."""
    cells, estimate = progress.cells, progress.estimate
    if not cells.get(CellState.OPEN, 0) + cells.get(CellState.LEASED, 0):
        return ""
    if estimate is None:
        return "no estimate yet"
    parts = [_span_words(estimate)] if estimate.counted_cells else []
    if estimate.unplaced_cells:
        parts.append(f"{counted(estimate.unplaced_cells, 'cell')} cannot run on any phone now")
    return "; ".join(parts) or "nearly over"


def _span_words(estimate: Estimate) -> str:
    typical, cautious = span(estimate.typical_s), span(estimate.cautious_s)
    basis = f"from {counted(estimate.past_durations, 'finished cell')}"
    if typical == cautious:
        return f"about {typical} ({basis})"
    return f"about {typical}, seldom over {cautious} ({basis})"


def _deadline_words(left_s: float, estimate: Estimate | None) -> tuple[str, bool]:
    """Return what to say of a deadline, and whether it is in danger."""
    if left_s <= 0:
        return f"its deadline passed {span(-left_s)} ago", True
    due = f"due in {span(left_s)}"
    if estimate is None:
        return due, False
    if estimate.typical_s > left_s or estimate.unplaced_cells:
        return f"{due}, will not be done by then", True
    if estimate.cautious_s > left_s:
        return f"{due}, may not be done by then", True
    return due, False


def requirement_words(wanted: Requirements) -> tuple[str, ...]:
    """Return what a job asks of its phones."""
    told = [
        (wanted.platform, "platform {}"),
        (wanted.soc, "SoC {}"),
        (wanted.min_os, "system {} or newer"),
        (wanted.max_os, "system {} or older"),
    ]
    words = [text.format(value) for value, text in told if value is not None]
    if wanted.min_memory_bytes is not None:
        words.append(f"{wanted.min_memory_bytes / 1e9:.1f} GB of memory or more")
    words += [f"label {label}" for label in wanted.labels]
    if wanted.phone_ids:
        words.append(f"one of {', '.join(wanted.phone_ids)}")
    words.append(f"{counted(wanted.phone_count, 'distinct phone')} for each model")
    return tuple(words)


# ------------------------------------------------------------------------------ phones


def phone_rows(overview: Overview, now: datetime) -> tuple[PhoneRow, ...]:
    """Return the phones in the overview's order."""
    leases = {lease.phone_id: lease for lease in overview.leases}
    return tuple(
        _phone_row(known, leases.get(known.phone.phone_id), now) for known in _by_need(overview)
    )


def _by_need(overview: Overview) -> Iterable[KnownPhone]:
    # What needs a person comes first, what is gone last.
    order = {
        PhoneState.QUARANTINED: 0,
        PhoneState.BLOCKED: 1,
        PhoneState.LEASED: 2,
        PhoneState.AVAILABLE: 3,
        PhoneState.ABSENT: 4,
    }
    return sorted(overview.phones, key=lambda known: (order[known.state], known.phone.phone_id))


def _phone_row(known: KnownPhone, lease: Lease | None, now: datetime) -> PhoneRow:
    phone = known.phone
    reasons = dict.fromkeys(text for text in (known.reason, phone.blocked) if text)
    return PhoneRow(
        phone_id=phone.phone_id,
        name=phone.info.name,
        system=phone.info.os_version,
        host_id=phone.host_id,
        labels=phone.labels,
        virtual=phone.info.virtual,
        state=str(known.state),
        reason="; ".join(reasons),
        since=_since((now - known.since).total_seconds()),
        work=lease.cell_id if lease else "",
        battery=_percent(phone.battery_percent),
        temperature=_NOTHING if phone.temperature_c is None else f"{phone.temperature_c:.0f} °C",
        free=_NOTHING if phone.free_bytes is None else f"{phone.free_bytes / 1e9:.1f} GB",
        noise_floor=_floor(phone.noise_floor),
        seen=ago(phone.seen_at, now),
    )


def _since(seconds: float) -> str:
    return "a moment" if seconds < 5 else span(seconds)


def _percent(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0f} %"


def _floor(value: float | None) -> str:
    return _NOTHING if value is None else f"{value * 100:.1f} %"


# ------------------------------------------------------------------------------ verdicts


def verdict_rows(results: Iterable[CellResult], now: datetime) -> tuple[VerdictRow, ...]:
    """Return a row for each arm of each result, in the results' order."""
    return tuple(
        _verdict_row(result, comparison, now)
        for result in results
        for comparison in result.comparisons
    )


def _verdict_row(result: CellResult, comparison: Comparison, now: datetime) -> VerdictRow:
    known = all(math.isfinite(v) for v in (comparison.ratio, comparison.low, comparison.high))
    return VerdictRow(
        cell_id=result.cell_id,
        job_id=result.job_id,
        model_name=result.model_name,
        phone_id=result.phone_id,
        phone_name=result.phone_name,
        arm=comparison.arm,
        baseline=comparison.baseline,
        verdict="virtual" if result.virtual else comparison.verdict,
        change=change(comparison.ratio) if known else _NOTHING,
        interval=f"{change(comparison.low)} to {change(comparison.high)}" if known else "",
        trust=result.trust,
        sentence=comparison.sentence,
        finished_at=result.finished_at,
        ago=ago(result.finished_at, now),
    )


# ------------------------------------------------------------------------------ figures


def change(ratio: float) -> str:
    """Return a ratio as a change in percent, such as ``+3.1 %``."""
    text = f"{(ratio - 1) * 100:+.1f}"
    return ("0.0" if float(text) == 0 else text.replace("-", "−")) + " %"


def span(seconds: float) -> str:
    """Return a time span as a person says it: two units at most, never more exact than it is."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(round(seconds / 3600), 24)
    return f"{days} d {rest} h" if rest and days < 10 else f"{days} d"


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago something was; clocks of two hosts may differ by a little."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 5 else f"{span(seconds)} ago"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(
        ",", "\N{NARROW NO-BREAK SPACE}"
    )


def summary(overview: Overview) -> str:
    """Return the lab in one sentence."""
    states = [known.state for known in overview.phones]
    open_jobs = [
        progress
        for progress in overview.jobs
        if progress.cells.get(CellState.OPEN, 0) + progress.cells.get(CellState.LEASED, 0)
    ]
    waiting = sum(progress.cells.get(CellState.OPEN, 0) for progress in open_jobs)
    parts = [
        f"{counted(len(open_jobs), 'open job')} with {counted(waiting, 'waiting cell')}",
        f"{counted(len(states), 'phone')} ({_state_words(states)})" if states else "no phones",
        f"{counted(overview.block_count, 'block')} stored",
    ]
    return ", ".join(parts)


def _state_words(states: Sequence[PhoneState]) -> str:
    words = {PhoneState.LEASED: "measuring"}
    told = [(states.count(state), words.get(state, str(state))) for state in PhoneState]
    return ", ".join(f"{count} {word}" for count, word in told if count)
