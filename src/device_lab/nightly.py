"""Carry a night through: submit the screening, wait, measure the suspects again, judge.

Everything is in the store: the same request finds the same jobs again, however often the command
that waits for them is started and stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_lab.night_gate import (
    CellKey,
    NightVerdict,
    Rerun,
    Screening,
    decide_night,
    rerun_specs,
    suspects,
)
from device_lab.night_plan import NightRequest, screening_specs
from device_lab.planning import unmet, why_nowhere
from device_lab.values import (
    Cell,
    CellResult,
    CellState,
    Job,
    LabPhone,
    Outcome,
    PhoneState,
)
from device_lab.wording import span
from ortlab.domain import Verdict
from ortlab.errors import DeviceError, StorageError

if TYPE_CHECKING:
    from device_lab.store import LabStore

POLL_S: Final = 2.0
_OVER: Final = (CellState.DONE, CellState.FAILED, CellState.CANCELLED)
_GONE: Final = (PhoneState.QUARANTINED, PhoneState.ABSENT)
_SILENCE_S: Final = 300.0
_PATIENCE_S: Final = 1200.0
"""Longer than a phone may be away before its cells are taken up by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightAnswer:
    """A night's verdict and the jobs behind it.

    Attributes:
        verdict: Of the night.
        screening_jobs: Their ids.
        rerun_jobs: Likewise, of the suspects.
    """

    verdict: NightVerdict
    screening_jobs: tuple[str, ...]
    rerun_jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How a night is waited for.

    Attributes:
        clock: Tells the time, UTC.
        pause: Waits for so many seconds.
        say: Told where the night stands, in a line.
    """

    clock: Callable[[], datetime]
    pause: Callable[[float], None]
    say: Callable[[str], None]


def submit_screening(
    store: LabStore, request: NightRequest, now: datetime
) -> tuple[tuple[str, Job], ...]:
    """Submit the screening, or find it: each setting's name with its job.

    Raises:
        DeviceError: No phone that is there meets the requirements.
    """
    known = {job.spec.name: job for job in store.jobs()}
    specs = screening_specs(request)
    missing = [spec for _, spec in specs if spec.name not in known]
    if missing:
        required = replace(request.requirements, phone_count=_phone_count(store, request))
        for spec in missing:
            job_id = store.submit(replace(spec, requirements=required), now)
            known[spec.name] = store.job(job_id)
    return tuple((setting, known[spec.name]) for setting, spec in specs)


def _phone_count(store: LabStore, request: NightRequest) -> int:
    known = store.phones()
    there = [one.phone for one in known if one.state not in _GONE]
    wanted = request.requirements.phone_count
    meeting = [phone for phone in there if not unmet(phone, request.requirements)]
    if len(meeting) < max(1, wanted):
        asked = replace(request.requirements, phone_count=max(1, wanted))
        gone = len(known) - len(there)
        why = why_nowhere(asked, there) or "no phone is there"
        message = f"cannot gate: {why}" + (f"; {gone} are absent or quarantined" * bool(gone))
        raise DeviceError(message, next_step="ortlab lab agent; ortlab lab phones tells the rest")
    return wanted or len(meeting)


def carry_through(store: LabStore, request: NightRequest, waiting: Waiting) -> NightAnswer:
    """Carry a night through to its verdict; called again it goes on where the lab is.

    Raises:
        DeviceError: No phone that is there meets the requirements.
        StorageError: The store cannot be used.
    """
    screened = submit_screening(store, request, waiting.clock())
    jobs = {job.job_id: job for _, job in screened}
    _wait(store, jobs.values(), request.most_hours, "screening", waiting)
    screenings = read_screenings(store, screened)
    chosen = suspects(screenings, limit=request.limit)
    planned = rerun_specs(chosen, {job_id: job.spec for job_id, job in jobs.items()})
    submitted = [(store.job(store.submit(spec, waiting.clock())), group) for spec, group in planned]
    if chosen:
        what = f"measuring {len(chosen)} suspect(s) again"
        _wait(store, [job for job, _ in submitted], request.most_hours, what, waiting)
    reruns: dict[CellKey, Rerun] = {}
    for job, group in submitted:
        reruns |= read_reruns(store, job, group)
    verdict = decide_night(screenings, reruns, limit=request.limit, complete=request.complete)
    return NightAnswer(
        verdict=verdict,
        screening_jobs=tuple(jobs),
        rerun_jobs=tuple(job.job_id for job, _ in submitted),
    )


def _wait(
    store: LabStore, jobs: Iterable[Job], most_hours: float, what: str, waiting: Waiting
) -> None:
    """Return when no cell is open any more; a store that is restarted is asked again.

    Raises:
        StorageError: The store did not answer for a while.
    """
    watched = _Watched(store, jobs, most_hours)
    answered_at = waiting.clock()
    while True:
        now = waiting.clock()
        try:
            states, note = watched.look(now)
        except StorageError as error:
            if (now - answered_at).total_seconds() >= _PATIENCE_S:
                raise
            waiting.say(f"{what}: trying again: {error.message}")
        else:
            answered_at = now
            done = sum(states[state] for state in _OVER)
            waiting.say(f"{what}: {done} of {states.total()} cells{_more(states)}{note}")
            if done == states.total():
                return
        waiting.pause(POLL_S)


class _Watched:
    """Jobs that are waited for: what is open is cancelled when its time is over.

    That is also when for a while no phone was left for it, though the lab has others.
    """

    def __init__(self, store: LabStore, jobs: Iterable[Job], most_hours: float) -> None:
        self._store = store
        self._left = list(jobs)
        self._most = timedelta(hours=most_hours)
        self._too_late = f"it was not done within {span(most_hours * 3600)}"
        self._over = Counter[CellState]()
        self._stuck_since: dict[str, datetime] = {}

    def look(self, now: datetime) -> tuple[Counter[CellState], str]:
        """Return the cells by state, and what is wrong with the lab, if anything."""
        known = self._store.phones() if self._left else ()
        seen_at = max((one.phone.seen_at for one in known), default=now)
        silent = (now - seen_at).total_seconds() >= _SILENCE_S
        here = [one.phone for one in known if one.state not in _GONE]
        states = Counter[CellState]()
        for job in list(self._left):
            cells = self._store.cells(job.job_id)
            own = Counter(cell.state for cell in cells)
            if all(state in _OVER for state in own):
                self._left.remove(job)
                self._over += own
                continue
            states += own
            stuck = not silent and _is_stuck(job, cells, here)
            if self._is_too_late(job, now, stuck=stuck):
                why = "no phone was left for it" if stuck else self._too_late
                self._store.cancel(job.job_id, now, reason=why)
        note = f"; {_SILENT.format(seen_at)}" if silent and self._left else ""
        return states + self._over, note

    def _is_too_late(self, job: Job, now: datetime, *, stuck: bool) -> bool:
        if not stuck:
            self._stuck_since.pop(job.job_id, None)
            return now >= job.submitted_at + self._most
        since = self._stuck_since.setdefault(job.job_id, now)
        return (now - since).total_seconds() >= _PATIENCE_S or now >= job.submitted_at + self._most


_SILENT: Final = "no phone was seen since {:%H:%M} UTC: is an agent running (ortlab lab agent)?"


def _is_stuck(job: Job, cells: Sequence[Cell], here: Sequence[LabPhone]) -> bool:
    """Whether nothing runs and no phone is left that may take one of the open cells."""
    if any(cell.state is CellState.LEASED for cell in cells):
        return False
    fitting = {phone.phone_id for phone in here if not unmet(phone, job.spec.requirements)}
    for cell in cells:
        if cell.state is not CellState.OPEN:
            continue
        others = (one for one in cells if one.model == cell.model and one is not cell)
        if fitting - {one.phone_id for one in others}:
            return False
    return True


def _more(states: Mapping[CellState, int]) -> str:
    running, failed = states.get(CellState.LEASED, 0), states.get(CellState.FAILED, 0)
    parts = [f"{running} running"] * bool(running) + [f"{failed} failed"] * bool(failed)
    return "".join(f", {part}" for part in parts)


# ------------------------------------------------------------------------------ what came of it


def read_screenings(store: LabStore, screened: Sequence[tuple[str, Job]]) -> tuple[Screening, ...]:
    """Return every cell of the screening jobs with what it gave."""
    phones = {known.phone.phone_id: known.phone for known in store.phones()}
    found: dict[CellKey, Screening] = {}
    for setting, job in screened:
        cells = store.cells(job.job_id)
        results = _results(store, job, len(cells))
        shown = setting if len({name for name, _ in screened}) > 1 else ""
        for cell in cells:
            screening = _screening(store, cell, shown, results.get(cell.cell_id), phones)
            if screening.key in found:  # of a cell that failed where another one was measured
                key = replace(screening.key, phone_id=_slot(cell))
                screening = replace(screening, key=key)
            found[screening.key] = screening
    return tuple(found.values())


def read_reruns(store: LabStore, job: Job, group: Sequence[Screening]) -> dict[CellKey, Rerun]:
    """Return what the reruns of a job's suspects gave."""
    cells = {cell.model: cell for cell in store.cells(job.job_id)}
    results = _results(store, job, len(cells))
    reruns: dict[CellKey, Rerun] = {}
    for screening in group:
        cell = cells[screening.key.model]
        ratios, reason = _outcome(store, cell, results.get(cell.cell_id))
        reruns[screening.key] = Rerun(log_ratios=ratios, reason=reason)
    return reruns


def _screening(
    store: LabStore,
    cell: Cell,
    setting: str,
    result: CellResult | None,
    phones: Mapping[str, LabPhone],
) -> Screening:
    phone_id = result.phone_id if result else cell.phone_id or _slot(cell)
    phone = phones.get(phone_id)
    ratios, reason = _outcome(store, cell, result)
    return Screening(
        key=CellKey(model=cell.model, setting=setting, phone_id=phone_id),
        job_id=cell.job_id,
        model_name=result.model_name if result else Path(cell.model).name,
        phone_name=result.phone_name if result else (phone.info.name if phone else phone_id),
        log_ratios=ratios,
        reason=reason,
        noise_floor=phone.noise_floor if phone else None,
    )


def _slot(cell: Cell) -> str:
    return f"phone {cell.slot + 1}"


def _results(store: LabStore, job: Job, count: int) -> dict[str, CellResult]:
    found = store.results(job_id=job.job_id, limit=max(1, count))
    return {result.cell_id: result for result in found}


def _outcome(
    store: LabStore, cell: Cell, result: CellResult | None
) -> tuple[tuple[float, ...], str]:
    """Return a cell's log ratios, or why there are none that support a verdict."""
    if result is None:
        return (), _why_no_result(store, cell)
    if len(result.comparisons) != 1:
        said = "; ".join(result.sentences[:1]) or "base and new could not be compared"
        return (), said
    (comparison,) = result.comparisons
    if comparison.verdict == Verdict.NONE:
        return (), comparison.sentence.partition("no verdict: ")[2] or comparison.sentence
    return comparison.log_ratios, ""


def _why_no_result(store: LabStore, cell: Cell) -> str:
    attempts = store.attempts(cell_id=cell.cell_id)
    failed = [one for one in attempts if one.outcome in (Outcome.FAILED, Outcome.EXPIRED)]
    last = max(failed, key=lambda one: one.token, default=None)
    why = (last.reason if last else None) or ""
    if cell.state is CellState.CANCELLED:
        cause = f": {cell.reason}" if cell.reason else ""
        told = f"it was cancelled before it was measured{cause}"
        return told + (f"; before that: {why}" * bool(why))
    return why or "no result was recorded"
