"""The store's promises, on a real SQLite file and a real PostgreSQL server."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import find_postgres
from device_lab.planning import ReadinessLimits, choose_cell
from device_lab.store import LabStore
from device_lab.values import (
    Cell,
    CellResult,
    CellState,
    Comparison,
    JobSpec,
    LabPhone,
    Lease,
    LeaseOverError,
    Outcome,
    PhoneState,
    Requirements,
)
from lab.postgres import server, with_new_database
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import StorageError, UsageError

pytestmark = pytest.mark.real
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = JobSpec(name="n", models=("m",), requirements=Requirements(phone_count=2), retries=1)


def make_phone(phone_id: str) -> LabPhone:
    info = DeviceInfo(
        device_id=phone_id,
        kind=DeviceKind.ANDROID,
        name="Phone",
        os_version="Android 14",
        architecture="arm64-v8a",
        cpu="8 cores",
        memory_bytes=8 << 30,
        ort_version="1.20.0",
        available_providers=("CPUExecutionProvider",),
    )
    return LabPhone(
        phone_id=phone_id,
        host_id="host",
        info=info,
        soc=None,
        labels=(),
        battery_percent=90.0,
        temperature_c=25.0,
        free_bytes=10 << 30,
        noise_floor=None,
        seen_at=NOW,
    )


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgres"))]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LabStore]:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    if request.param == "postgresql":
        url = with_new_database(request.getfixturevalue("postgres"))
    opened = LabStore(url)
    opened.see_phones("host", [make_phone("a"), make_phone("b")], NOW)
    yield opened
    opened.close()


def test_submitting_twice_makes_the_cells_once(store: LabStore) -> None:
    assert store.submit(SPEC, NOW) == store.submit(SPEC, NOW + timedelta(hours=1))
    assert len(store.cells()) == 2


def test_a_phone_has_one_lease_and_measures_a_model_once(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = store.claim("h", "a", NOW)
    assert lease is not None
    assert store.claim("h", "a", NOW) is None
    store.finish(lease, Outcome.DONE, NOW)
    assert store.claim("h", "a", NOW) is None
    assert store.claim("h", "b", NOW) is not None


def test_an_old_lease_stores_nothing(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    old = store.claim("h", "a", NOW, duration_s=60)
    assert old is not None
    store.record_block(old, "1", "{}", NOW)
    store.record_block(old, "1", "{}", NOW)
    assert store.expire(NOW + timedelta(seconds=59)) == ()
    assert store.expire(NOW + timedelta(seconds=60)) == (old,)
    new = store.claim("h2", "a", NOW)
    assert new is not None
    assert new.token > old.token
    with pytest.raises(StorageError, match="is over"):
        store.record_block(old, "2", "{}", NOW)
    assert [block.block_id for block in store.blocks(old.cell_id)] == ["1"]


def test_a_failed_cell_is_retried_as_often_as_its_job_says(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    for phone in ("a", "a"):
        lease = store.claim("h", phone, NOW)
        assert lease is not None
        store.finish(lease, Outcome.FAILED, NOW)
    assert CellState.FAILED in [cell.state for cell in store.cells()]


def test_a_quarantined_phone_gets_nothing_until_released(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    store.quarantine("a", "faults", NOW)
    store.see_phones("host", [make_phone("a"), make_phone("b")], NOW)
    assert store.claim("h", "a", NOW) is None
    store.release_phone("a", NOW)
    assert store.claim("h", "a", NOW) is not None


def make_result(cell: Cell, phone_id: str = "a", **changes: Any) -> CellResult:
    result = CellResult(
        cell_id=cell.cell_id,
        job_id=cell.job_id,
        model=cell.model,
        model_name="reader",
        phone_id=phone_id,
        phone_name="Phone",
        virtual=True,
        finished_at=NOW,
        control="c" * 64,
        control_label="base",
        trust="good",
        comparisons=(
            Comparison(
                arm="new",
                baseline="base",
                ratio=1.02,
                low=1.01,
                high=1.03,
                verdict="slower",
                sentence="new is slower",
                log_ratios=(0.01, float("inf")),
            ),
        ),
        sentences=("a sentence",),
    )
    return replace(result, **changes)


def claimed(store: LabStore, phone_id: str, now: datetime = NOW) -> Lease:
    lease = store.claim("h", phone_id, now)
    assert lease is not None
    return lease


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seen_at(now: datetime, *phone_ids: str) -> list[LabPhone]:
    return [replace(make_phone(one), seen_at=now) for one in phone_ids]


def state_of(store: LabStore, phone_id: str) -> PhoneState:
    return next(one.state for one in store.phones() if one.phone.phone_id == phone_id)


def kinds(store: LabStore) -> list[str]:
    return [event.kind for event in reversed(store.events(limit=10_000))]


def test_a_lease_ends_at_its_time_even_before_anybody_notes_it(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = store.claim("h", "a", NOW, duration_s=60)
    assert lease is not None
    lease = store.renew(lease, at(59), duration_s=60)
    store.record_block(lease, "1", "{}", at(118))
    for late in (
        lambda: store.record_block(lease, "2", "{}", at(119)),
        lambda: store.renew(lease, at(119)),
        lambda: store.begin_experiment(lease, "{}", at(119)),
        lambda: store.finish(lease, Outcome.DONE, at(119)),
    ):
        with pytest.raises(LeaseOverError) as caught:
            late()
        assert caught.value.reason is Outcome.EXPIRED
    assert store.attempts()[0].outcome is None


def test_a_claim_ends_the_overdue_lease_of_its_own_phone(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    old = claimed(store, "a")
    store.see_phones("host", seen_at(at(120), "a", "b"), at(120))
    new = claimed(store, "a", at(120))
    assert new.token > old.token
    assert store.attempts(cell_id=old.cell_id)[-1].outcome is Outcome.EXPIRED
    assert store.cell(old.cell_id).failed_attempts == 1


def test_leases_that_expire_use_up_the_retries_but_not_the_phone(store: LabStore) -> None:
    store.submit(replace(SPEC, requirements=Requirements(), retries=3), NOW)
    for round_number in range(4):
        now = at(200 * round_number)
        store.see_phones("host", seen_at(now, "a", "b"), now)
        lease = claimed(store, "a", now)
        assert store.expire(now + timedelta(seconds=120)) == (lease,)
    (cell,) = store.cells()
    assert cell.state is CellState.FAILED
    assert state_of(store, "a") is not PhoneState.QUARANTINED
    assert "was not heard of" in (store.attempts()[0].reason or "")
    assert kinds(store)[-2:] == ["cell-failed", "job-done"]


def test_a_block_with_another_content_is_refused_and_the_first_one_stays(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    store.record_block(lease, "1", '{"a": 1}', NOW)
    with pytest.raises(StorageError, match="another content") as caught:
        store.record_block(lease, "1", '{"a": 2}', NOW)
    assert not isinstance(caught.value, LeaseOverError)
    assert [block.line for block in store.blocks(lease.cell_id)] == ['{"a": 1}']


def test_a_token_that_was_never_given_for_that_cell_is_refused(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    first, second = claimed(store, "a"), claimed(store, "b")
    for forged in (
        replace(first, token=first.token + 1000),
        replace(first, token=second.token),
        replace(first, phone_id="b"),
        replace(first, cell_id=second.cell_id),
    ):
        with pytest.raises(StorageError):
            store.record_block(forged, "1", "{}", NOW)
        with pytest.raises(StorageError):
            store.finish(forged, Outcome.DONE, NOW)
    assert not store.blocks(first.cell_id)
    assert not store.blocks(second.cell_id)


def test_blocks_come_back_in_the_order_in_which_they_came(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    names = ["z", "10", "2", "ä\u2028'%s:x"]
    for name in names:
        store.record_block(lease, name, f"line of {name} % :y", NOW)
    found = store.blocks(lease.cell_id, "a")
    assert [block.block_id for block in found] == names
    assert [block.line for block in found] == [f"line of {name} % :y" for name in names]
    assert store.blocks(lease.cell_id, "b") == ()


def test_the_first_experiment_of_a_cell_on_a_phone_stays(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    assert store.experiment(lease.cell_id, "a") is None
    assert store.begin_experiment(lease, "first", NOW) == "first"
    assert store.begin_experiment(lease, "second", NOW) == "first"
    assert store.experiment(lease.cell_id, "a") == "first"


def test_a_cell_that_was_begun_goes_back_to_its_phone(store: LabStore) -> None:
    store.submit(replace(SPEC, requirements=Requirements()), NOW)
    lease = claimed(store, "a")
    store.record_block(lease, "1", "{}", NOW)
    store.finish(lease, Outcome.RELEASED, NOW)
    assert store.cell(lease.cell_id).home_phone_id == "a"
    assert store.open_cells()[0].home_phone_id == "a"
    assert store.claim("h", "b", NOW) is None
    assert store.claim("h", "b", NOW, cell_id=lease.cell_id) is None
    assert claimed(store, "a").cell_id == lease.cell_id


def test_a_begun_cell_goes_before_fresh_ones_of_its_job(store: LabStore) -> None:
    store.submit(replace(SPEC, models=("m", "n"), requirements=Requirements()), NOW)
    first, second = claimed(store, "a"), claimed(store, "b")
    store.record_block(second, "1", "{}", NOW)
    store.finish(first, Outcome.RELEASED, NOW)
    store.finish(second, Outcome.RELEASED, NOW)
    assert claimed(store, "b").cell_id == second.cell_id


@pytest.mark.parametrize("end", ["quarantine", "absence", "another system"])
def test_a_begun_cell_is_taken_up_anew_when_its_phone_is_gone(store: LabStore, end: str) -> None:
    store.submit(replace(SPEC, requirements=Requirements()), NOW)
    lease = claimed(store, "a")
    store.record_block(lease, "1", "{}", NOW)
    store.finish(lease, Outcome.RELEASED, NOW)
    now = NOW
    if end == "quarantine":
        store.quarantine("a", "faults", NOW)
    elif end == "another system":
        phone = make_phone("a")
        newer = replace(phone, info=replace(phone.info, os_version="Android 15"))
        store.see_phones("host", [newer, make_phone("b")], NOW)
    else:
        store.see_phones("host", seen_at(at(10), "b"), at(10))
        store.expire(at(609))
        assert store.open_cells()[0].home_phone_id == "a"
        now = at(610)
        store.see_phones("host", seen_at(now, "b"), now)
        store.expire(now)
    new = claimed(store, "b", now)
    assert new.cell_id == lease.cell_id
    store.record_block(new, "1", "other content", now)
    assert {block.phone_id for block in store.blocks(lease.cell_id)} == {"a", "b"}


def test_two_phones_never_measure_one_model_of_a_job_twice(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    first = claimed(store, "a")
    store.record_block(first, "1", "{}", NOW)
    store.finish(first, Outcome.RELEASED, NOW)
    (other,) = [cell for cell in store.cells() if cell.cell_id != first.cell_id]
    taken = store.claim("h", "a", NOW, cell_id=other.cell_id)
    assert taken is not None
    store.finish(taken, Outcome.DONE, NOW)
    # The phone can never come back to the cell that it began, so another one may.
    assert store.claim("h", "a", NOW) is None
    assert claimed(store, "b").cell_id == first.cell_id


def test_three_failures_in_a_row_put_a_phone_into_quarantine_with_the_evidence(
    store: LabStore,
) -> None:
    store.submit(replace(SPEC, requirements=Requirements(), retries=20), NOW)
    outcomes = [Outcome.FAILED, Outcome.FAILED, Outcome.RELEASED, Outcome.FAILED]
    for number, outcome in enumerate(outcomes):
        assert state_of(store, "a") is PhoneState.AVAILABLE
        store.finish(claimed(store, "a"), outcome, NOW, reason=f"cable {number}")
    (known,) = [one for one in store.phones() if one.phone.phone_id == "a"]
    assert known.state is PhoneState.QUARANTINED
    assert known.reason is not None
    assert [f"cable {number}" in known.reason for number in range(4)] == [True, True, False, True]
    assert store.claim("h", "a", NOW) is None
    store.release_phone("a", NOW)
    store.finish(claimed(store, "a"), Outcome.FAILED, NOW)
    assert state_of(store, "a") is PhoneState.AVAILABLE


def test_a_success_forgets_the_failures_before_it(store: LabStore) -> None:
    store.submit(replace(SPEC, models=("m", "n", "o"), requirements=Requirements()), NOW)
    for outcome in (Outcome.FAILED, Outcome.DONE, Outcome.FAILED, Outcome.DONE, Outcome.FAILED):
        store.finish(claimed(store, "a"), outcome, NOW)
    assert state_of(store, "a") is PhoneState.AVAILABLE


def test_cancelling_tells_the_holder_and_frees_the_phone_when_it_lets_go(store: LabStore) -> None:
    job_id = store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    assert store.cancel(job_id, NOW) == 2
    assert store.cancel(job_id, NOW) == 0
    with pytest.raises(LeaseOverError) as caught:
        store.record_block(lease, "1", "{}", NOW)
    assert caught.value.reason is Outcome.CANCELLED
    with pytest.raises(LeaseOverError):
        store.renew(lease, NOW)
    store.submit(replace(SPEC, name="other"), NOW)
    assert store.claim("h", "a", NOW) is None
    cell = store.cell(lease.cell_id)
    written = store.finish(lease, Outcome.DONE, NOW, result=make_result(cell))
    assert written is Outcome.CANCELLED
    assert store.results() == ()
    assert {cell.state for cell in store.cells(job_id)} == {CellState.CANCELLED}
    assert store.job(job_id).cancelled
    claimed(store, "a")


DUE = replace(SPEC, name="due", deadline=at(600))


def test_what_is_not_done_at_the_deadline_is_cancelled_with_that_reason(store: LabStore) -> None:
    job_id = store.submit(replace(DUE, models=("m", "n")), NOW)
    store.see_phones("host", seen_at(at(590), "a", "b"), at(590))
    done, held = claimed(store, "a", at(590)), claimed(store, "b", at(590))
    store.record_block(held, "1", "{}", at(591))
    store.finish(done, Outcome.DONE, at(592), result=make_result(store.cell(done.cell_id)))
    store.expire(at(599))
    assert not store.job(job_id).cancelled
    store.expire(at(600))
    store.expire(at(601))
    job = store.job(job_id)
    assert (job.cancelled, job.overdue) == (True, True)
    states = {cell.cell_id: (cell.state, cell.reason) for cell in store.cells(job_id)}
    assert states.pop(done.cell_id) == (CellState.DONE, None)
    assert set(states.values()) == {(CellState.CANCELLED, "its deadline passed")}
    # What is there stays, the holder is told, and its phone is free when it lets go.
    assert [block.block_id for block in store.blocks(held.cell_id)] == ["1"]
    assert len(store.results()) == 1
    with pytest.raises(LeaseOverError, match="its deadline passed") as caught:
        store.record_block(held, "2", "{}", at(602))
    assert caught.value.reason is Outcome.CANCELLED
    assert store.finish(held, Outcome.DONE, at(603)) is Outcome.CANCELLED
    assert store.attempts(cell_id=held.cell_id)[0].reason == "its deadline passed"
    (progress,) = store.overview(at(604)).jobs
    assert progress.job == job
    assert progress.reasons == ("3 cancelled: its deadline passed",)
    assert progress.estimate is None
    told = [event.text for event in store.events() if event.kind == "job-overdue"]
    assert told == ["3 cells were not done: its deadline passed"]
    assert store.integrity_check() == ()


def test_a_job_is_over_at_its_deadline_though_no_phone_ever_came(store: LabStore) -> None:
    store.submit(replace(DUE, requirements=Requirements(soc="none")), NOW)
    assert len(store.open_cells()) == 1
    store.expire(at(600))
    assert store.open_cells() == ()
    (progress,) = store.overview(at(601)).jobs
    assert progress.cells == {CellState.CANCELLED: 1}


def test_nothing_of_a_job_past_its_deadline_is_given_out_even_before_anybody_noted_it(
    store: LabStore,
) -> None:
    job_id = store.submit(DUE, NOW)
    store.see_phones("host", seen_at(at(599), "a", "b"), at(599))
    wanted = store.cells(job_id)[0].cell_id
    assert store.claim("h", "a", at(600)) is None
    assert store.claim("h", "a", at(600), cell_id=wanted) is None
    store.submit(replace(SPEC, name="later"), at(600))
    assert store.cell(claimed(store, "a", at(600)).cell_id).job_id != job_id
    assert store.claim("h", "b", at(599), cell_id=wanted) is not None


def test_only_a_new_job_is_refused_for_its_deadline(store: LabStore) -> None:
    with pytest.raises(UsageError, match=r"due: its deadline, 2026-01-01 00:10 UTC, has passed"):
        store.submit(DUE, at(600))
    assert store.jobs() == ()
    job_id = store.submit(DUE, at(599))
    assert store.submit(DUE, at(601)) == job_id


def test_a_job_that_ended_in_time_or_was_cancelled_before_is_not_overdue(store: LabStore) -> None:
    plain = replace(DUE, requirements=Requirements())
    in_time, by_hand = store.submit(plain, NOW), store.submit(replace(plain, name="x"), at(1))
    store.finish(claimed(store, "a"), Outcome.DONE, at(2))
    store.cancel(by_hand, at(3), reason="no phone was left for it")
    store.expire(at(601))
    assert [(store.job(one).cancelled, store.job(one).overdue) for one in (in_time, by_hand)] == [
        (False, False),
        (True, False),
    ]
    assert store.cells(by_hand)[0].reason == "no phone was left for it"


def test_a_memory_that_was_told_once_stays_known_and_is_no_other_system(store: LabStore) -> None:
    silent = replace(make_phone("c"), info=replace(make_phone("c").info, memory_bytes=0))
    store.see_phones("host", [silent], NOW)
    store.submit(replace(SPEC, requirements=Requirements(min_memory_bytes=1)), NOW)
    assert store.claim("h", "c", NOW) is None
    big = replace(silent, info=replace(silent.info, memory_bytes=6 << 30))
    store.see_phones("host", [big], at(1))
    lease = claimed(store, "c", at(2))
    store.record_block(lease, "1", "{}", at(3))
    store.finish(lease, Outcome.RELEASED, at(4))
    for host in ("host", "other", "host"):  # an agent that was started again, another host
        store.see_phones(host, [silent], at(5))
        assert store.phones()[-1].phone.info.memory_bytes == 6 << 30
        assert store.cell(lease.cell_id).home_phone_id == "c"
    assert store.claim("h", "c", at(6)) is not None


def test_learning_a_memory_leaves_what_was_begun_at_home_and_another_memory_does_not(
    store: LabStore,
) -> None:
    def see(memory_bytes: int, now: datetime) -> None:
        phone = replace(make_phone("a"), seen_at=now)
        info = replace(phone.info, memory_bytes=memory_bytes)
        store.see_phones("new", [replace(phone, phone_id="p", info=info)], now)

    see(0, NOW)
    store.submit(replace(SPEC, requirements=Requirements(phone_ids=("p",))), NOW)
    lease = claimed(store, "p")
    store.record_block(lease, "1", "{}", NOW)
    store.finish(lease, Outcome.RELEASED, NOW)
    see(4 << 30, at(1))
    assert store.cell(lease.cell_id).home_phone_id == "p"
    see(8 << 30, at(2))
    assert store.cell(lease.cell_id).home_phone_id is None


def test_phones_come_go_move_and_are_not_ready(store: LabStore) -> None:
    store.see_phones("host", seen_at(at(1), "a"), at(1))
    assert state_of(store, "b") is PhoneState.ABSENT
    assert store.claim("h", "b", at(1)) is None
    store.see_phones("other", seen_at(at(2), "b"), at(2))
    store.see_phones("host", seen_at(at(3), "a"), at(3))
    assert state_of(store, "b") is PhoneState.AVAILABLE
    store.see_phones("other", seen_at(at(4), "a", "b"), at(4))
    store.see_phones("host", [], at(5))
    assert state_of(store, "a") is PhoneState.AVAILABLE
    flat = replace(make_phone("a"), battery_percent=3.0, blocked="its screen is locked")
    store.see_phones("other", [flat, *seen_at(at(5), "b")], at(5))
    (known,) = [one for one in store.phones() if one.phone.phone_id == "a"]
    assert known.state is PhoneState.BLOCKED
    assert known.reason is not None
    assert "battery" in known.reason
    assert "locked" in known.reason
    assert known.since == at(5)
    assert kinds(store) == ["phone-arrived"] * 2 + ["phone-left", "phone-arrived", "phone-moved"]


def test_a_host_that_falls_silent_loses_its_phones(store: LabStore) -> None:
    store.expire(at(120))
    assert state_of(store, "a") is PhoneState.AVAILABLE
    store.expire(at(121))
    assert state_of(store, "a") is PhoneState.ABSENT
    store.see_phones("host", seen_at(at(122), "a"), at(122))
    assert state_of(store, "a") is PhoneState.AVAILABLE
    assert state_of(store, "b") is PhoneState.ABSENT


def test_labels_that_people_gave_outlive_what_the_host_sees(store: LabStore) -> None:
    store.submit(replace(SPEC, requirements=Requirements(labels=("rack-1",))), NOW)
    assert store.claim("h", "a", NOW) is None
    store.label("a", ["rack-1", "new"], NOW)
    store.see_phones("host", [make_phone("a"), make_phone("b")], NOW)
    assert next(iter(store.phones())).phone.labels == ("new", "rack-1")
    claimed(store, "a")
    with pytest.raises(UsageError, match="does not know"):
        store.label("nobody", [], NOW)


def test_the_queue_is_served_by_priority_deadline_and_age(store: LabStore) -> None:
    base = replace(SPEC, requirements=Requirements())
    specs = [
        replace(base, name="old"),
        replace(base, name="new"),
        replace(base, name="due later", deadline=at(7200)),
        replace(base, name="due", deadline=at(3600)),
        replace(base, name="urgent", priority=3),
        replace(base, name="unimportant", priority=-3),
        replace(base, name="impossible", priority=9, requirements=Requirements(soc="none")),
    ]
    for number, spec in enumerate(specs):
        store.submit(spec, at(number))
    served = []
    while (
        cell := choose_cell(make_phone("a"), store.open_cells(), NOW, ReadinessLimits())
    ) is not None:
        lease = claimed(store, "a")
        assert lease.cell_id == cell.cell_id
        store.finish(lease, Outcome.DONE, NOW)
        served.append(store.job(cell.job_id).spec.name)
    assert served == ["urgent", "due", "due later", "old", "new", "unimportant"]


def test_one_cell_can_be_asked_for(store: LabStore) -> None:
    store.submit(replace(SPEC, models=("m", "n")), NOW)
    wanted = store.cells()[2]
    lease = store.claim("h", "a", NOW, cell_id=wanted.cell_id)
    assert lease is not None
    assert lease.cell_id == wanted.cell_id
    assert store.claim("h", "b", NOW, cell_id=wanted.cell_id) is None
    assert store.claim("h", "b", NOW, cell_id="none") is None


def test_a_job_is_found_by_what_people_remember(store: LabStore) -> None:
    job_id = store.submit(replace(SPEC, name="nightly_1"), NOW)
    other = store.submit(replace(SPEC, name="other"), at(1))
    assert store.job("nightly_1").job_id == job_id
    assert store.job(job_id[:10].upper()).job_id == job_id
    assert [job.job_id for job in store.jobs()] == [other, job_id]
    store.submit(replace(SPEC, name="other", priority=1), at(2))
    with pytest.raises(UsageError, match="cannot tell which"):
        store.job("other")
    for nothing in ("", "nightly%1", "____", "%", "\u2028" * 5):
        with pytest.raises(UsageError, match="cannot find"):
            store.job(nothing)


def test_results_are_kept_and_found(store: LabStore) -> None:
    job_id = store.submit(replace(SPEC, models=("m", "n")), NOW)
    expected = []
    for number in range(2):
        lease = claimed(store, "a")
        result = make_result(store.cell(lease.cell_id), finished_at=at(number))
        store.finish(lease, Outcome.DONE, NOW, result=result)
        expected.append(result)
    assert store.results() == tuple(reversed(expected))
    assert store.results(newest_first=False, limit=1) == (expected[0],)
    assert len(store.results(model_name="reader", phone_id="a", job_id=job_id)) == 2
    assert store.results(model_name="detector") == ()


def test_a_result_of_another_cell_is_refused(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    (other,) = [cell for cell in store.cells() if cell.cell_id != lease.cell_id]
    with pytest.raises(StorageError, match="result of the cell"):
        store.finish(lease, Outcome.DONE, NOW, result=make_result(other))
    assert store.finish(lease, Outcome.DONE, NOW) is Outcome.DONE


def test_a_text_that_no_database_takes_is_told_in_words(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    with pytest.raises(StorageError, match="lab's store"):
        store.record_block(lease, "\ud800", "{}", NOW)
    store.record_block(lease, "1", "{}", NOW)


def test_the_overview_tells_progress_reasons_and_an_estimate(store: LabStore) -> None:
    job_id = store.submit(replace(SPEC, retries=0), NOW)
    nowhere = store.submit(replace(SPEC, requirements=Requirements(soc="X1")), at(1))
    store.finish(claimed(store, "a"), Outcome.FAILED, at(10), reason="the cable broke")
    lease = claimed(store, "b")
    store.record_block(lease, "1", "{}", NOW)
    before = store.overview(at(20))
    assert before.block_count == 1
    assert [one.token for one in before.leases] == [lease.token]
    second, first = before.jobs
    assert (first.job.job_id, second.job.job_id) == (job_id, nowhere)
    assert first.cells == {CellState.FAILED: 1, CellState.LEASED: 1}
    assert first.reasons == ("the cable broke",)
    assert second.reasons
    assert "X1" in second.reasons[0]
    assert first.estimate is None
    store.finish(lease, Outcome.DONE, at(30))
    store.submit(replace(SPEC, name="third"), at(40))
    estimate = store.overview(at(50)).jobs[0].estimate
    assert estimate is not None
    assert (estimate.typical_s, estimate.counted_cells) == (30.0, 2)


def test_an_old_silence_shows_in_the_overview(store: LabStore) -> None:
    known = store.overview(at(1000)).phones[0]
    assert known.state is PhoneState.BLOCKED
    assert "not seen" in (known.reason or "")


def test_what_is_over_can_be_deleted_but_never_a_baseline(store: LabStore) -> None:
    job_id = store.submit(SPEC, NOW)
    keep = store.submit(replace(SPEC, name="keep"), at(1))
    store.set_baseline(keep, baseline=True)
    for phone_id in ("a", "b"):
        lease = claimed(store, phone_id)
        store.begin_experiment(lease, "text", NOW)
        store.record_block(lease, "1", "{}", NOW)
        with pytest.raises(UsageError, match="not over"):
            store.delete_job(job_id)
        with pytest.raises(UsageError, match="not over"):
            store.delete_blocks(lease.cell_id)
        cell = store.cell(lease.cell_id)
        store.finish(lease, Outcome.DONE, NOW, result=make_result(cell, phone_id))
    assert store.delete_blocks(lease.cell_id) == 1
    assert store.blocks(lease.cell_id) == ()
    assert len(store.results()) == 2
    assert store.delete_job(job_id) == 1
    assert [job.job_id for job in store.jobs()] == [keep]
    lease = claimed(store, "a")
    store.cancel(keep, NOW)
    store.finish(lease, Outcome.CANCELLED, NOW)
    with pytest.raises(UsageError, match="baseline"):
        store.delete_job(keep)
    with pytest.raises(UsageError, match="baseline"):
        store.delete_blocks(lease.cell_id)
    assert store.overview(NOW).block_count == 0
    assert store.integrity_check() == ()


def test_every_row_can_be_exported(store: LabStore) -> None:
    store.submit(SPEC, NOW)
    lease = claimed(store, "a")
    for number in range(4100):
        store.record_block(lease, str(number), "{}", NOW)
    assert [row["block_id"] for row in store.rows("blocks")] == [str(n) for n in range(4100)]
    assert [row["phone_id"] for row in store.rows("phones")] == ["a", "b"]
    with pytest.raises(UsageError, match="cannot export"):
        list(store.rows("blocks; DROP TABLE blocks"))


def test_an_error_names_no_password(tmp_path: Path) -> None:
    for url in (
        "postgresql://lab:hunter2@127.0.0.1:1/lab",
        "postgresql://lab:hunter2@127.0.0.1:hunter2/lab",
        "postgresql://127.0.0.1:1/lab?password=hunter2",
        "mysql://lab:hunter2@127.0.0.1/lab",
        "hunter2",
        f"sqlite:///{tmp_path}",
        "sqlite://",
        "",
    ):
        with pytest.raises((StorageError, UsageError)) as caught:
            LabStore(url)
        error: BaseException | None = caught.value
        while error is not None:
            assert "hunter2" not in str(error)
            error = error.__cause__


def test_importing_the_store_does_not_import_sqlalchemy() -> None:
    script = "import sys, device_lab.store; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
