"""Leases under whatever may happen, played by hypothesis on real databases.

Agents claim, measure, crash, come back late and finish; clocks jump; phones move and go; jobs are
cancelled or reach their deadline; the store is closed and opened again. Beside it runs a model in
plain Python, and at every step both must agree: never two holders, never a lost or doubled block,
every job ends.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as play

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import (
    DEADLINE_PASSED,
    CellState,
    JobSpec,
    Lease,
    LeaseOverError,
    Outcome,
    PhoneState,
    Requirements,
)
from lab.postgres import server, with_new_database
from lab.test_store import NOW, make_phone
from ortlab.errors import StorageError, UsageError

pytestmark = pytest.mark.real

PHONES = ("a", "b", "c")
HOSTS = ("host-1", "host-2")
OVER = (CellState.DONE, CellState.FAILED, CellState.CANCELLED)
SPECS = (
    JobSpec(name="one", models=("m",), retries=1),
    JobSpec(name="all", models=("m", "n"), requirements=Requirements(phone_count=3), retries=2),
    JobSpec(name="urgent", models=("m",), priority=5, retries=0),
    JobSpec(name="pair", models=("m",), requirements=Requirements(phone_count=2), retries=1),
    JobSpec(name="soon", models=("m", "n"), deadline=NOW + timedelta(seconds=150), retries=1),
    JobSpec(
        name="later",
        models=("m", "n"),
        requirements=Requirements(phone_count=2),
        deadline=NOW + timedelta(seconds=700),
        retries=0,
    ),
    JobSpec(
        name="nowhere",
        models=("m",),
        requirements=Requirements(soc="none"),
        deadline=NOW + timedelta(seconds=400),
    ),
)


@dataclass
class Held:
    """A lease as the model knows it."""

    lease: Lease
    job_id: str
    ended: Outcome | None = None


@dataclass
class Model:
    """What must be in the store."""

    held: list[Held] = field(default_factory=list)
    blocks: dict[tuple[str, str, str], str] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    overdue: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHONES, 0))
    tries: dict[str, int] = field(default_factory=dict)

    def running(self) -> list[Held]:
        """Return the leases that nobody ended yet."""
        return [held for held in self.held if held.ended is None]

    def end(self, held: Held, outcome: Outcome) -> None:
        """Write down how a lease ended."""
        held.ended = Outcome.CANCELLED if held.job_id in self.cancelled else outcome
        if held.ended in (Outcome.FAILED, Outcome.EXPIRED):
            cell_id = held.lease.cell_id
            self.tries[cell_id] = self.tries.get(cell_id, 0) + 1
        if held.ended is Outcome.FAILED:
            self.failures[held.lease.phone_id] += 1
        if held.ended is Outcome.DONE:
            self.failures[held.lease.phone_id] = 0

    def over(self, held: Held, now: datetime) -> Outcome | None:
        """Return why a lease gives no right, or None."""
        if held.ended is not None:
            return held.ended
        if held.job_id in self.cancelled:
            return Outcome.CANCELLED
        return Outcome.EXPIRED if held.lease.expires_at <= now else None


class LeaseMachine(RuleBasedStateMachine):
    """One example: a store of its own and the model of it."""

    make_url: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.url = self.make_url()
        self.store = LabStore(self.url)
        self.now = NOW
        self.model = Model()
        self.quarantined: set[str] = set()
        self.store.see_phones(HOSTS[0], [make_phone(one) for one in PHONES], self.now)

    # What people do

    @initialize(numbers=st.sets(st.integers(0, len(SPECS) - 1), min_size=1))
    def begin(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            self.submit(number)

    @rule(number=st.integers(0, len(SPECS) - 1))
    def submit(self, number: int) -> None:
        spec = SPECS[number]
        if is_due(spec, self.now) and spec.digest not in self.model.cells:
            with pytest.raises(UsageError, match="has passed"):
                self.store.submit(spec, self.now)
            return
        job_id = self.store.submit(spec, self.now)
        assert job_id == spec.digest
        self.model.cells[job_id] = len(spec.models) * spec.requirements.phone_count

    @precondition(lambda self: self.model.cells)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model.cells)))
        unfinished = [c for c in self.store.cells(job_id) if c.state not in OVER]
        count = self.store.cancel(job_id, self.now)
        assert count == (0 if job_id in self.model.cancelled else len(unfinished))
        self.model.cancelled.add(job_id)

    @rule(phone_id=st.sampled_from(PHONES))
    def quarantine(self, phone_id: str) -> None:
        self.store.quarantine(phone_id, "by hand", self.now)
        self.quarantined.add(phone_id)

    @rule(phone_id=st.sampled_from(PHONES))
    def release(self, phone_id: str) -> None:
        if phone_id in self.quarantined:
            self.model.failures[phone_id] = 0
        self.store.release_phone(phone_id, self.now)
        self.quarantined.discard(phone_id)

    # What happens

    @rule(seconds=st.sampled_from([1.0, 30.0, 119.0, 120.0, 700.0, -1.0, -300.0]))
    def clock(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(host=st.sampled_from(HOSTS), seen=st.sets(st.sampled_from(PHONES)))
    def look(self, host: str, seen: set[str]) -> None:
        self.see(host, seen)

    @rule()
    def see_all(self) -> None:
        self.see(HOSTS[0], set(PHONES))

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = LabStore(self.url)

    # What agents do

    @rule(phone_id=st.sampled_from(PHONES), holder=st.sampled_from(["x", "y"]))
    def claim(self, phone_id: str, holder: str) -> None:
        self.take(phone_id, holder, None)

    @rule(blocks=st.lists(st.integers(0, 3), min_size=len(PHONES), max_size=len(PHONES)))
    def claim_all(self, blocks: list[int]) -> None:
        """Let an agent look, give every phone a cell, and measure some blocks of each."""
        self.see(HOSTS[0], set(PHONES))
        for phone_id, count in zip(PHONES, blocks, strict=True):
            held = self.take(phone_id, "x", None)
            for block in range(count if held is not None else 0):
                assert held is not None
                self.write(held, f"b{block}", "{}")

    @rule(number=st.integers(0, len(SPECS) - 1), seconds=st.sampled_from([-1.0, 0.0]))
    def claim_at_a_deadline(self, number: int, seconds: float) -> None:
        """Ask for cells when a job is just not over yet, and when it just is."""
        deadline = SPECS[number].deadline
        if deadline is not None:
            self.now = deadline + timedelta(seconds=seconds)
            self.claim_all([1] * len(PHONES))

    @precondition(lambda self: self.model.cells)
    @rule(phone_id=st.sampled_from(PHONES), data=st.data())
    def claim_one_cell(self, phone_id: str, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(self.store.cells()))
        held = self.take(phone_id, "z", cell.cell_id)
        assert held is None or held.lease.cell_id == cell.cell_id

    @precondition(lambda self: self.model.held)
    @rule(data=st.data(), block=st.integers(0, 3), content=st.sampled_from(["{}", "{}", "[]"]))
    def record(self, data: st.DataObject, block: int, content: str) -> None:
        # Any lease ever given: the holders of old ones crashed, slept, or were cut off.
        self.write(self.draw(data), f"b{block}", content)

    @rule(seconds=st.sampled_from([-1.0, 0.0]))
    def write_at_the_very_end(self, seconds: float) -> None:
        """Write when leases are just not over yet, and when they just are."""
        running = self.model.running()
        if running:
            self.now = min(held.lease.expires_at for held in running)
            self.now += timedelta(seconds=seconds)
        for held in running:
            self.write(held, "b1", "{}")

    def write(self, held: Held, block_id: str, content: str) -> None:
        key = (held.lease.cell_id, held.lease.phone_id, block_id)
        over = self.model.over(held, self.now)
        kept = self.model.blocks.get(key, content)
        if over is not None:
            with pytest.raises(LeaseOverError) as caught:
                self.store.record_block(held.lease, key[2], content, self.now)
            assert caught.value.reason is over
        elif kept != content:
            with pytest.raises(StorageError, match="another content"):
                self.store.record_block(held.lease, key[2], content, self.now)
        else:
            self.store.record_block(held.lease, key[2], content, self.now)
            self.model.blocks[key] = content

    @precondition(lambda self: self.model.held)
    @rule(data=st.data(), duration_s=st.sampled_from([1.0, 120.0]))
    def renew(self, data: st.DataObject, duration_s: float) -> None:
        held = self.draw(data)
        if (over := self.model.over(held, self.now)) is not None:
            with pytest.raises(LeaseOverError) as caught:
                self.store.renew(held.lease, self.now, duration_s=duration_s)
            assert caught.value.reason is over
            return
        held.lease = self.store.renew(held.lease, self.now, duration_s=duration_s)
        assert held.lease.expires_at == self.now + timedelta(seconds=duration_s)

    @precondition(lambda self: self.model.held)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(
            [Outcome.DONE, Outcome.FAILED, Outcome.FAILED, Outcome.RELEASED, Outcome.CANCELLED]
        ),
    )
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        self.finish_one(self.draw(data), outcome)

    def finish_one(self, held: Held, outcome: Outcome) -> None:
        late = held.ended is not None or held.lease.expires_at <= self.now
        if late:
            with pytest.raises(LeaseOverError):
                self.store.finish(held.lease, outcome, self.now)
            return
        written = self.store.finish(held.lease, outcome, self.now, reason="why")
        if outcome is Outcome.CANCELLED and held.job_id not in self.model.cancelled:
            outcome = Outcome.RELEASED
        self.model.end(held, outcome)
        assert written is held.ended
        if self.model.failures[held.lease.phone_id] >= 3:
            self.quarantined.add(held.lease.phone_id)

    @rule(outcome=st.sampled_from([Outcome.DONE, Outcome.FAILED, Outcome.RELEASED]))
    def finish_all(self, outcome: Outcome) -> None:
        for held in self.model.running():
            self.finish_one(held, outcome)

    @rule()
    def expire(self) -> None:
        due = [held for held in self.model.running() if held.lease.expires_at <= self.now]
        left = {cell.cell_id: cell for cell in self.store.cells() if cell.state not in OVER}
        ended = self.store.expire(self.now)
        assert {one.token for one in ended} == {held.lease.token for held in due}
        for held in due:
            self.model.end(held, Outcome.EXPIRED)
        for cell in left.values():
            spec = self.store.job(cell.job_id).spec
            out_of_tries = self.model.tries.get(cell.cell_id, 0) > spec.retries
            if is_due(spec, self.now) and not out_of_tries:
                self.model.cancelled.add(cell.job_id)
                self.model.overdue.add(cell.job_id)
                assert self.store.cell(cell.cell_id).reason == DEADLINE_PASSED
        for cell in self.store.cells():
            if is_due(self.store.job(cell.job_id).spec, self.now):
                assert cell.state in OVER

    # What must hold

    @invariant()
    def agrees(self) -> None:
        overview = self.store.overview(self.now)
        running = self.model.running()
        assert [one.token for one in overview.leases] == [held.lease.token for held in running]
        assert len({held.lease.phone_id for held in running}) == len(running)
        assert len({held.lease.cell_id for held in running}) == len(running)
        assert overview.block_count == len(self.model.blocks)
        quarantined = {
            one.phone.phone_id for one in overview.phones if one.state is PhoneState.QUARANTINED
        }
        assert quarantined == self.quarantined
        for progress in overview.jobs:
            job = progress.job
            assert sum(progress.cells.values()) == self.model.cells[job.job_id]
            assert job.cancelled == (job.job_id in self.model.cancelled)
            assert job.overdue == (job.job_id in self.model.overdue)

    def teardown(self) -> None:
        self.check_blocks()
        self.bring_to_the_end()
        self.check_blocks()
        assert self.store.integrity_check() == ()
        for progress in self.store.overview(self.now).jobs:
            assert set(progress.cells) <= set(OVER)
        for cell in self.store.cells():
            tries = self.model.tries.get(cell.cell_id, 0)
            assert cell.failed_attempts == tries
            spec = self.store.job(cell.job_id).spec
            if cell.job_id not in self.model.cancelled:
                assert (cell.state is CellState.FAILED) == (tries > spec.retries)
        ended = [event.subject for event in self.store.events(limit=100_000)]
        assert set(self.model.cells) <= set(ended)
        self.store.close()

    def bring_to_the_end(self) -> None:
        """Let every phone work until nothing is open; it must not take for ever."""
        for _ in range(40):
            if not self.model.running() and not self.store.open_cells():
                return
            self.now += timedelta(seconds=200)
            self.expire()
            self.see(HOSTS[0], set(PHONES))
            for phone_id in PHONES:
                self.release(phone_id)
                held = self.take(phone_id, "last", None)
                if held is not None:
                    assert self.store.finish(held.lease, Outcome.DONE, self.now) is Outcome.DONE
                    self.model.end(held, Outcome.DONE)

    def check_blocks(self) -> None:
        stored = {
            (block.cell_id, block.phone_id, block.block_id): block.line
            for cell in self.store.cells()
            for block in self.store.blocks(cell.cell_id)
        }
        assert stored == self.model.blocks
        tokens = {held.lease.token: held.lease for held in self.model.held}
        for row in self.store.rows("blocks"):
            lease = tokens[int(str(row["token"]))]
            assert (row["cell_id"], row["phone_id"]) == (lease.cell_id, lease.phone_id)

    def see(self, host: str, seen: set[str]) -> None:
        from dataclasses import replace

        phones = [replace(make_phone(one), seen_at=self.now) for one in sorted(seen)]
        self.store.see_phones(host, phones, self.now)

    def take(self, phone_id: str, holder: str, cell_id: str | None) -> Held | None:
        before = [held for held in self.model.running() if held.lease.phone_id == phone_id]
        states = {one.phone.phone_id: one.state for one in self.store.phones()}
        waiting = {cell.cell_id: cell for cell in self.store.open_cells()}
        lease = self.store.claim(holder, phone_id, self.now, cell_id=cell_id)
        out = states[phone_id] in (PhoneState.QUARANTINED, PhoneState.ABSENT)
        for held in before:
            if held.lease.expires_at <= self.now and not out:
                self.model.end(held, Outcome.EXPIRED)
                before = []
        if lease is None:
            return None
        assert not before
        assert not out
        assert lease.token > max((held.lease.token for held in self.model.held), default=0)
        cell = self.store.cell(lease.cell_id)
        assert not is_due(self.store.job(cell.job_id).spec, self.now)
        assert cell.state is CellState.LEASED
        assert cell.phone_id == phone_id
        if cell.cell_id in waiting:
            assert phone_id not in waiting[cell.cell_id].taken_phone_ids
            assert waiting[cell.cell_id].home_phone_id in (None, phone_id)
        held = Held(lease, cell.job_id)
        self.model.held.append(held)
        return held

    def draw(self, data: st.DataObject) -> Held:
        # The newest first: those are mostly the ones that still run.
        return data.draw(st.sampled_from(list(reversed(self.model.held))))


def is_due(spec: JobSpec, now: datetime) -> bool:
    return spec.deadline is not None and spec.deadline <= now


def machine(make_url: Callable[[], str]) -> Any:
    return type("Machine", (LeaseMachine,), {"make_url": staticmethod(make_url)})


def chosen(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def sqlite_urls() -> Iterator[Callable[[], str]]:
    with tempfile.TemporaryDirectory(prefix="ortlab-leases-") as name:
        first = Path(name) / "first.db"
        LabStore(f"sqlite:///{first}").close()
        numbers = itertools.count()

        def make_url() -> str:
            place = Path(name) / f"{next(numbers)}.db"
            shutil.copyfile(first, place)
            return f"sqlite:///{place}"

        yield make_url


def test_leases_hold_on_sqlite(sqlite_urls: Callable[[], str]) -> None:
    play(machine(sqlite_urls), settings=chosen(80, 50))


@pytest.mark.requires("postgres")
def test_leases_hold_on_postgresql() -> None:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        play(machine(lambda: with_new_database(url)), settings=chosen(6, 40))
