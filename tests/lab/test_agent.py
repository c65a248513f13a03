"""The agent of one host with phones that are pauses: claims, ends, failures, leases, arrivals."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_lab.agent import Agent, AgentOptions, give_back, holder_of
from device_lab.measuring import Measure, Recorder, carry_out
from device_lab.store import LabStore
from device_lab.values import (
    Cell,
    CellResult,
    CellState,
    JobSpec,
    KnownPhone,
    LabPhone,
    Lease,
    Outcome,
    PhoneState,
    Requirements,
)
from lab.simulated_phones import simulated_phone, simulated_result
from ortlab.errors import (
    DeviceLostError,
    InstallError,
    InterruptedRunError,
    OrtlabError,
    StorageError,
    UsageError,
)

pytestmark = pytest.mark.real

HOST = "rack"
SPEC = JobSpec(name="night", models=("a", "b"), requirements=Requirements(phone_count=2))
NAMES = ("p0", "p1", "p2")


def utc_now() -> datetime:
    return datetime.now(UTC)


def look(now: datetime) -> tuple[LabPhone, ...]:
    return tuple(simulated_phone(name, HOST, now) for name in NAMES)


def well(lease: Lease, cell: Cell, _spec: JobSpec, recorder: Recorder) -> CellResult:
    """Measure three blocks."""
    recorder.begin("{}")
    there = {block.block_id for block in recorder.recorded()}
    for number in range(3):
        if recorder.stopped():
            message = "stopped"
            raise InterruptedRunError(message)
        if f"b{number}" not in there:
            recorder.block(f"b{number}", f'{{"token": {lease.token}}}')
    return simulated_result(lease, cell)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabStore]:
    opened = LabStore(f"sqlite:///{tmp_path / 'lab.db'}")
    yield opened
    opened.close()


def leased(store: LabStore, spec: JobSpec = SPEC, *, lease_s: float = 60.0) -> Lease:
    store.submit(spec, utc_now())
    store.see_phones(HOST, look(utc_now()), utc_now())
    lease = store.claim(holder_of(HOST, 1), "p0", utc_now(), duration_s=lease_s)
    assert lease is not None
    return lease


def set_apart(store: LabStore) -> list[KnownPhone]:
    return [known for known in store.phones() if known.state is PhoneState.QUARANTINED]


def make_agent(store: LabStore, measure: Measure = well, **changes: Any) -> Agent:
    options = AgentOptions(host_id=HOST, look_every_s=0.05, ask_every_s=0.05, until_done=True)
    return Agent(
        store,
        replace(options, **changes),
        holder=holder_of(HOST, 7),
        look=look,
        measure=measure,
        clock=utc_now,
    )


def test_every_cell_is_measured_once_on_distinct_phones(store: LabStore) -> None:
    store.submit(SPEC, utc_now())
    report = make_agent(store).run()
    assert report.outcomes == {Outcome.DONE: 4}
    cells = store.cells()
    assert {cell.state for cell in cells} == {CellState.DONE}
    for model in SPEC.models:
        assert len({cell.phone_id for cell in cells if cell.model == model}) == 2
    assert len(store.results()) == 4
    assert len(store.attempts()) == 4
    assert store.integrity_check() == ()


def test_phones_measure_at_once(store: LabStore) -> None:
    together = threading.Barrier(3, timeout=30)

    def meet(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        together.wait()  # breaks unless three measure at the same time
        return well(lease, cell, spec, recorder)

    store.submit(replace(SPEC, models=("a",), requirements=Requirements(phone_count=3)), utc_now())
    assert make_agent(store, meet).run().outcomes == {Outcome.DONE: 3}


def test_arrivals_and_departures_are_noticed_while_it_runs(store: LabStore) -> None:
    here: set[str] = set()
    said: list[str] = []

    def look_now(now: datetime) -> tuple[LabPhone, ...]:
        return tuple(simulated_phone(name, HOST, now) for name in sorted(here))

    options = AgentOptions(host_id=HOST, look_every_s=0.05, ask_every_s=0.05)
    agent = Agent(
        store,
        options,
        holder="rack:7",
        look=look_now,
        measure=well,
        clock=utc_now,
        say=said.append,
    )
    store.submit(replace(SPEC, models=("a",), requirements=Requirements()), utc_now())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(agent.run)
        try:
            here.add("p5")
            _until(store.results)
            here.clear()
            _until(lambda: store.phones()[0].state is PhoneState.ABSENT)
        finally:
            agent.stop()
        assert running.result().outcomes == {Outcome.DONE: 1}
    assert any("p5: Phone p5 is here" in text for text in said)
    assert any("p5: Phone p5 left" in text for text in said)


def test_a_phone_that_fails_again_and_again_is_set_apart_with_the_evidence(
    store: LabStore,
) -> None:
    def lose(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        if lease.phone_id == "p1":
            message = "lost Phone p1 in block latency-3: no answer"
            raise DeviceLostError(message, next_step="connect it again")
        _until(lambda: set_apart(store))
        return well(lease, cell, spec, recorder)

    store.submit(replace(SPEC, models=tuple("abcdefgh"), retries=20), utc_now())
    assert make_agent(store, lose).run().outcomes[Outcome.FAILED] == 3
    (bad,) = set_apart(store)
    assert bad.phone.phone_id == "p1"
    assert bad.reason is not None
    assert "3 attempts failed in a row" in bad.reason
    assert "lost Phone p1 in block latency-3: no answer; next: connect it again" in bad.reason
    assert {cell.state for cell in store.cells()} == {CellState.DONE}, "the others took them up"
    store.release_phone("p1", utc_now())
    store.submit(replace(SPEC, name="again", requirements=Requirements(phone_count=3)), utc_now())
    assert make_agent(store).run().outcomes == {Outcome.DONE: 6}


@pytest.mark.parametrize("error", [UsageError, StorageError, InstallError])
def test_what_is_not_the_phones_fault_fails_the_cell_and_no_phone(
    store: LabStore, error: type[OrtlabError]
) -> None:
    def refuse(*_: object) -> CellResult:
        message = "cannot find a prepared model in /models/a"
        raise error(message, next_step="ortlab prepare")

    store.submit(replace(SPEC, models=("a",), retries=4), utc_now())
    assert make_agent(store, refuse).run().outcomes == {Outcome.FAILED: 10}
    assert {known.state for known in store.phones()} == {PhoneState.AVAILABLE}
    (progress,) = store.overview(utc_now()).jobs
    assert any("cannot find a prepared model in /models/a" in text for text in progress.reasons)
    assert any("next: ortlab prepare" in text for text in progress.reasons)


def test_a_bug_fails_its_cell_and_nothing_else(store: LabStore) -> None:
    def stumble(*_: object) -> CellResult:
        raise ZeroDivisionError

    assert carry_out(store, leased(store), stumble, clock=utc_now) is Outcome.FAILED
    assert "bug of ours: ZeroDivisionError" in (store.attempts()[0].reason or "")


def test_stopping_gives_cells_back_and_blames_nobody(store: LabStore) -> None:
    begun = threading.Event()

    def hang(_lease: Lease, _cell: Cell, _spec: JobSpec, recorder: Recorder) -> CellResult:
        recorder.begin("{}")
        recorder.block("b0", "{}")
        begun.set()
        _until(recorder.stopped)
        message = "the device was closed under the block"  # as closing amid a block may end
        raise DeviceLostError(message)

    store.submit(SPEC, utc_now())
    agent = make_agent(store, hang)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(agent.run)
        assert begun.wait(30)
        agent.stop()
        assert set(running.result(30).outcomes) == {Outcome.RELEASED}
    assert {cell.state for cell in store.cells()} == {CellState.OPEN}
    assert {cell.failed_attempts for cell in store.cells()} == {0}
    assert make_agent(store).run().outcomes == {Outcome.DONE: 4}
    assert store.integrity_check() == ()


def test_what_a_killed_agent_held_goes_back_at_once(store: LabStore) -> None:
    lease = leased(store, lease_s=3600)
    other = store.claim("elsewhere:1", "p1", utc_now(), duration_s=3600)
    assert other is not None
    assert give_back(store, HOST, utc_now()) == (lease,)
    assert store.cell(lease.cell_id).state is CellState.OPEN
    assert store.cell(lease.cell_id).failed_attempts == 0
    assert store.cell(other.cell_id).state is CellState.LEASED, "another host's"
    with pytest.raises(StorageError):
        store.record_block(lease, "late", "{}", utc_now())
    assert give_back(store, HOST, utc_now()) == ()


def test_a_lease_is_renewed_while_it_is_needed(store: LabStore) -> None:
    lease = leased(store, lease_s=3)

    def slow(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        _until(lambda: utc_now() > lease.expires_at)
        assert store.expire(utc_now()) == ()
        return well(lease, cell, spec, recorder)

    assert carry_out(store, lease, slow, clock=utc_now, lease_s=3) is Outcome.DONE


def test_a_lease_that_ran_out_stops_the_run_and_nothing_is_written(store: LabStore) -> None:
    lease = leased(store)
    later = itertools.count(1)

    def jump(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        store.expire(utc_now() + timedelta(hours=1))
        return well(lease, cell, spec, recorder)

    outcome = carry_out(store, lease, jump, clock=lambda: utc_now() + next(later) * timedelta(0))
    assert outcome is Outcome.EXPIRED
    assert store.blocks(lease.cell_id) == ()
    assert store.results() == ()


def test_a_cancelled_job_frees_its_phone(store: LabStore) -> None:
    lease = leased(store)

    def cancel(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        recorder.block("b0", "{}")
        store.cancel(cell.job_id, utc_now())
        return well(lease, cell, spec, recorder)

    assert carry_out(store, lease, cancel, clock=utc_now) is Outcome.CANCELLED
    assert store.attempts()[0].outcome is Outcome.CANCELLED
    assert {known.state for known in store.phones()} == {PhoneState.AVAILABLE}


def test_what_measures_at_its_deadline_is_cut_off_and_the_agent_is_done(store: LabStore) -> None:
    ahead = timedelta()
    deadline = utc_now() + timedelta(seconds=50)
    done = threading.Event()
    in_time = JobSpec(name="in time", models=("a",), priority=1, deadline=deadline)
    endless = JobSpec(name="endless", models=("b",), deadline=deadline)
    nowhere = replace(endless, name="nowhere", requirements=Requirements(soc="none"))
    for spec in (in_time, endless, nowhere):
        store.submit(spec, utc_now())

    def measure(lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder) -> CellResult:
        nonlocal ahead
        for number in itertools.count() if spec.name == "endless" else range(3):
            recorder.block(f"b{number}", "{}")
            if number == 2 and spec.name == "endless":
                assert done.wait(60)
                ahead = timedelta(seconds=55)
            time.sleep(0.02)
        return simulated_result(lease, cell)

    def say(text: str) -> None:
        said.append(text)
        if text.endswith(" done"):
            done.set()

    said: list[str] = []
    options = AgentOptions(host_id=HOST, look_every_s=0.05, ask_every_s=0.05, until_done=True)
    agent = Agent(
        store,
        options,
        holder=holder_of(HOST, 7),
        look=look,
        measure=measure,
        clock=lambda: utc_now() + ahead,
        say=say,
    )
    assert agent.run().outcomes == {Outcome.DONE: 1, Outcome.CANCELLED: 1}
    jobs = {progress.job.spec.name: progress for progress in store.overview(utc_now()).jobs}
    assert {name: one.job.overdue for name, one in jobs.items()} == {
        "in time": False,
        "endless": True,
        "nowhere": True,
    }
    cells = {cell.model: cell for cell in store.cells(endless.digest)}
    assert len(store.blocks(cells["b"].cell_id)) > 1
    assert any(text.endswith("cancelled: its deadline passed") for text in said)
    assert store.integrity_check() == ()
    assert {known.state for known in store.phones()} == {PhoneState.AVAILABLE}


def test_a_store_that_falters_is_asked_again(
    store: LabStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = leased(store)
    falters = iter([True, False, True, True, False, True, False, False, False])
    record = store.record_block

    def record_or_falter(*arguments: Any) -> None:
        if next(falters):
            message = "cannot use the lab's store: the server is starting"
            raise StorageError(message)
        record(*arguments)

    monkeypatch.setattr(store, "record_block", record_or_falter)
    assert carry_out(store, lease, well, clock=utc_now) is Outcome.DONE
    assert len(store.blocks(lease.cell_id)) == 3


def test_that_cells_wait_for_another_phone_is_said_once(store: LabStore) -> None:
    said: list[str] = []
    wanted = Requirements(labels=("flagship",))
    store.submit(replace(SPEC, models=("a",), requirements=wanted), utc_now())
    options = AgentOptions(host_id=HOST, look_every_s=0.05, ask_every_s=0.05, until_done=True)
    agent = Agent(
        store,
        options,
        holder="rack:7",
        look=look,
        measure=well,
        clock=utc_now,
        say=said.append,
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(agent.run)
        _until(lambda: any("cells wait" in text for text in said))
        time.sleep(0.3)
        assert sum("cells wait" in text for text in said) == 1
        store.label("p1", ["flagship"], utc_now())
        assert running.result(60).outcomes == {Outcome.DONE: 1}
    assert store.results()[0].phone_id == "p1"


def test_the_agent_outlives_looks_that_fail(store: LabStore) -> None:
    fails = iter([True, True])

    def look_or_fail(now: datetime) -> tuple[LabPhone, ...]:
        if next(fails, False):
            message = "adb hangs"
            raise DeviceLostError(message)
        return look(now)

    said: list[str] = []
    store.submit(SPEC, utc_now())
    options = AgentOptions(host_id=HOST, look_every_s=0.05, ask_every_s=0.05, until_done=True)
    agent = Agent(
        store,
        options,
        holder="rack:7",
        look=look_or_fail,
        measure=well,
        clock=utc_now,
        say=said.append,
    )
    assert agent.run().outcomes == {Outcome.DONE: 4}
    assert sum("adb hangs" in text for text in said) == 1, "told once"


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
