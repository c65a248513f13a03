"""What hosts see of their phones, and what the lab decides about them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from device_lab.planning import ReadinessLimits, unready
from device_lab.store.rows import Parsed, Run, note, to_text, to_time
from device_lab.values import KnownPhone, LabPhone, PhoneState
from ortlab.codec import to_json
from ortlab.errors import UsageError

QUARANTINED_AFTER: Final = 3
"""Failed attempts in a row, whatever the cell, until a phone gets no further one."""
GONE_AFTER_S: Final = 600.0
"""Seconds of absence until another phone takes up the cells that a phone began."""

_MEMORY: Final = 3
"""Place of the memory among a phone's facts."""


def see_phones(
    run: Run, host_id: str, phones: Iterable[LabPhone], now: datetime, limits: ReadinessLimits
) -> None:
    """Write down which phones a host has; those it had and has no more are absent."""
    known = {
        row.phone_id: row
        for row in run("SELECT phone_id, host_id, state, since, reason, labels, facts FROM phones")
    }
    seen = set()
    written: list[dict[str, object]] = []
    for phone in {phone.phone_id: phone for phone in phones}.values():
        seen.add(phone.phone_id)
        written.append(_see(run, host_id, phone, known.get(phone.phone_id), now, limits))
    run.many(
        "INSERT INTO phones (phone_id, value, state, reason, host_id, seen_at, since, facts,"
        " failures)"
        " VALUES (:phone, :value, :state, :reason, :host, :seen, :since, :facts, 0)"
        " ON CONFLICT (phone_id) DO UPDATE SET value = excluded.value, state = excluded.state,"
        " reason = excluded.reason, host_id = excluded.host_id, seen_at = excluded.seen_at,"
        " since = excluded.since, facts = excluded.facts",
        written,
    )
    for row in known.values():
        gone = row.host_id == host_id and row.phone_id not in seen
        if gone and row.state in (PhoneState.AVAILABLE, PhoneState.BLOCKED):
            _leave(run, row.phone_id, now, f"{host_id} sees it no more")


def sweep(run: Run, now: datetime, limits: ReadinessLimits) -> None:
    """Notice hosts that fell silent, and free the cells that wait for a phone that is gone."""
    for row in run(
        "SELECT phone_id, host_id FROM phones"
        " WHERE state IN ('available', 'blocked') AND seen_at < :at ORDER BY phone_id",
        at=to_text(now - timedelta(seconds=limits.max_silence_s)),
    ):
        words = f"its host {row.host_id} was not heard of for {limits.max_silence_s:g} s"
        _leave(run, row.phone_id, now, words)
    run(
        "UPDATE cells SET home_phone_id = NULL WHERE state = 'open' AND home_phone_id IN"
        " (SELECT phone_id FROM phones WHERE state = 'absent' AND since <= :at)",
        at=to_text(now - timedelta(seconds=GONE_AFTER_S)),
    )


def known_phones(run: Run, parsed: Parsed) -> tuple[KnownPhone, ...]:
    """Return every phone, by id."""
    rows = run(
        "SELECT p.phone_id, p.value, p.state, p.reason, p.since, a.cell_id, a.started_at"
        " FROM phones p LEFT JOIN attempts a ON a.phone_id = p.phone_id AND a.outcome IS NULL"
        " ORDER BY p.phone_id"
    )
    return tuple(_known(row, parsed) for row in rows)


def quarantine(run: Run, phone_id: str, reason: str, now: datetime) -> None:
    """Give a phone no further cell; the cells it began are open to others."""
    _demand(run, phone_id)
    _set_state(run, phone_id, PhoneState.QUARANTINED, reason, now)
    _leave_home(run, phone_id)
    note(run, now, "phone-quarantined", phone_id, reason)


def release_phone(run: Run, phone_id: str, now: datetime) -> None:
    """End a quarantine and forget the failures that led to it."""
    if _demand(run, phone_id).state != PhoneState.QUARANTINED:
        return
    _set_state(run, phone_id, PhoneState.AVAILABLE, None, now)
    run("UPDATE phones SET failures = 0 WHERE phone_id = :phone", phone=phone_id)
    note(run, now, "phone-released", phone_id, "its quarantine ended")


def label(run: Run, phone_id: str, labels: Iterable[str], now: datetime) -> None:
    """Give a phone its labels, in place of those its host gives it."""
    row = _demand(run, phone_id)
    own = tuple(sorted(set(labels)))
    run(
        "UPDATE phones SET labels = :labels, value = :value WHERE phone_id = :phone",
        labels=json.dumps(own),
        value=json.dumps({**json.loads(row.value), "labels": own}),
        phone=phone_id,
    )
    _leave_home(run, phone_id)
    note(run, now, "phone-labelled", phone_id, ", ".join(own) or "no label")


def count_failure(run: Run, phone_id: str, now: datetime) -> None:
    """Count a failed attempt; the third in a row puts the phone into quarantine."""
    (row,) = run(
        "UPDATE phones SET failures = failures + 1 WHERE phone_id = :phone"
        " RETURNING failures, state",
        phone=phone_id,
    )
    if row.failures < QUARANTINED_AFTER or row.state == PhoneState.QUARANTINED:
        return
    evidence = run(
        "SELECT cell_id, reason FROM attempts WHERE phone_id = :phone AND outcome = 'failed'"
        " ORDER BY token DESC LIMIT :count",
        phone=phone_id,
        count=QUARANTINED_AFTER,
    )
    told = "; ".join(f"{one.cell_id}: {one.reason or 'no reason'}" for one in reversed(evidence))
    quarantine(run, phone_id, f"{row.failures} attempts failed in a row: {told}", now)


def _see(
    run: Run, host_id: str, phone: LabPhone, old: Any, now: datetime, limits: ReadinessLimits
) -> dict[str, object]:
    """Write down what happened to a phone, and return the values of its row."""
    if old is not None and old.labels is not None:
        phone = replace(phone, labels=tuple(json.loads(old.labels)))
    if old is not None:
        phone = _with_known_memory(phone, old)
    phone = replace(phone, host_id=host_id)
    hindrances = "; ".join(unready(phone, now, limits)) or None
    state = PhoneState.BLOCKED if hindrances else PhoneState.AVAILABLE
    if old is not None and old.state == PhoneState.QUARANTINED:
        state, hindrances = PhoneState.QUARANTINED, old.reason
    facts = _facts(phone)
    if old is None or old.state == PhoneState.ABSENT:
        note(run, now, "phone-arrived", phone.phone_id, f"{phone.info.name} at {host_id}")
    elif old.host_id != host_id:
        words = f"from {old.host_id} to {host_id}"
        note(run, now, "phone-moved", phone.phone_id, words)
    if old is not None and _is_another_system(old.facts, facts):
        # Blocks of another system do not belong to the same experiment.
        _leave_home(run, phone.phone_id)
    return {
        "phone": phone.phone_id,
        "value": to_json(phone),
        "state": str(state),
        "reason": hindrances,
        "host": host_id,
        "seen": to_text(phone.seen_at),
        "since": old.since if old is not None and old.state == state else to_text(now),
        "facts": facts,
    }


def _leave(run: Run, phone_id: str, now: datetime, words: str) -> None:
    _set_state(run, phone_id, PhoneState.ABSENT, words, now)
    note(run, now, "phone-left", phone_id, words)


def _leave_home(run: Run, phone_id: str) -> None:
    run(
        "UPDATE cells SET home_phone_id = NULL WHERE home_phone_id = :phone AND state = 'open'",
        phone=phone_id,
    )


def _facts(phone: LabPhone) -> str:
    info = phone.info
    return json.dumps([info.kind, info.os_version, phone.soc, info.memory_bytes, phone.labels])


def _with_known_memory(phone: LabPhone, old: Any) -> LabPhone:
    """Return a phone with the memory it told before; some tell it only while they measure."""
    if phone.info.memory_bytes or not old.facts:
        return phone
    return replace(phone, info=replace(phone.info, memory_bytes=json.loads(old.facts)[_MEMORY]))


def _is_another_system(old: str, new: str) -> bool:
    """Whether facts differ by more than a memory that was not known before."""
    if old == new or not old:
        return old != new
    known: list[object] = json.loads(old)
    if not known[_MEMORY]:
        known[_MEMORY] = json.loads(new)[_MEMORY]
    return bool(known != json.loads(new))


def _known(row: Any, parsed: Parsed) -> KnownPhone:
    state, reason, since = PhoneState(row.state), row.reason, row.since
    if row.cell_id is not None and state in (PhoneState.AVAILABLE, PhoneState.BLOCKED):
        state, reason, since = PhoneState.LEASED, f"measures {row.cell_id}", row.started_at
    return KnownPhone(
        phone=parsed.phone(row.phone_id, row.value),
        state=state,
        reason=reason,
        since=to_time(since),
    )


def _set_state(
    run: Run, phone_id: str, state: PhoneState, reason: str | None, now: datetime
) -> None:
    run(
        "UPDATE phones SET state = :state, reason = :reason, since = :at WHERE phone_id = :phone",
        state=str(state),
        reason=reason,
        at=to_text(now),
        phone=phone_id,
    )


def _demand(run: Run, phone_id: str) -> Any:
    row = run.first("SELECT * FROM phones WHERE phone_id = :phone", phone=phone_id)
    if row is None:
        message = f"cannot change the phone {phone_id}: the lab does not know it"
        raise UsageError(message, next_step="ortlab lab phones")
    return row
