"""A lab over several hosts: real processes on loopback, phones that are simulated.

Everything here is killed at some moment; what must hold is that the store has every block once
and that every job comes to its end.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import CellState, JobSpec, Outcome, Requirements
from lab.cluster_processes import Cluster, Program, await_until, cluster
from lab.postgres import server, with_new_database
from lab.simulated_phones import Rack, utc_now

pytestmark = pytest.mark.real
OVER = {CellState.DONE, CellState.FAILED, CellState.CANCELLED}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgres"))]
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return with_new_database(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'lab.db'}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.db'}"


def job(models: int, *, phones: int = 1, retries: int = 5, name: str = "nightly") -> JobSpec:
    return JobSpec(
        name=name,
        models=tuple(f"models/{number}" for number in range(models)),
        requirements=Requirements(phone_count=phones),
        retries=retries,
    )


def states(store: LabStore) -> Counter[CellState]:
    return Counter(cell.state for cell in store.cells())


def all_done(store: LabStore) -> bool:
    return set(states(store)) == {CellState.DONE}


def running(store: LabStore) -> list[str]:
    return [cell.cell_id for cell in store.cells() if cell.state is CellState.LEASED]


def blocks_of(store: LabStore) -> list[tuple[str, str, str]]:
    return [
        (block.cell_id, block.phone_id, block.block_id)
        for cell in store.cells()
        for block in store.blocks(cell.cell_id)
    ]


def two_hosts(lab: Cluster, phones: int = 2) -> Rack:
    rack = Rack(lab.rack)
    for host in ("left", "right"):
        for number in range(phones):
            rack.plug_in(host, f"{host}-{number}")
    return rack


def check(store: LabStore, lab: Cluster, rack: Rack, *, kills: int) -> None:
    """Every cell has each block once, and no more was measured again than was in flight."""
    stored = blocks_of(store)
    assert len(stored) == len(set(stored))
    per_cell = Counter((cell, phone) for cell, phone, _ in stored)
    done = [cell for cell in store.cells() if cell.state is CellState.DONE]
    assert done
    assert all(per_cell[cell.cell_id, cell.phone_id or ""] == lab.blocks for cell in done)
    lost = len(rack.measured()) - len(stored)
    assert 0 <= lost <= kills, f"{lost} blocks were measured and lost with {kills} in flight"
    assert store.integrity_check() == ()


def test_a_job_is_measured_on_the_phones_of_two_hosts(store_url: str, tmp_path: Path) -> None:
    store = LabStore(store_url)
    with cluster(tmp_path, store_url) as lab:
        rack = two_hosts(lab)
        scheduler, *agents = lab.scheduler(), lab.agent("left"), lab.agent("right")
        store.submit(job(6, phones=2), utc_now())
        await_until(lambda: all_done(store), "all cells done")
        ends = [program.end() for program in (*agents, scheduler)]
        assert ends == [0, 0, 0]
    check(store, lab, rack, kills=0)
    holders = {attempt.holder.partition(":")[0] for attempt in store.attempts()}
    assert holders == {"left", "right"}
    assert {attempt.outcome for attempt in store.attempts()} == {Outcome.DONE}
    assert len(store.results()) == 12
    store.close()


@pytest.mark.parametrize("victim", ["agent", "scheduler", "both agents"])
def test_whoever_is_killed_loses_at_most_the_block_in_flight(
    store_url: str, tmp_path: Path, victim: str
) -> None:
    store = LabStore(store_url)
    with cluster(tmp_path, store_url, lease_s=2.0, block_s=0.3) as lab:
        rack = two_hosts(lab)
        programs = {
            "scheduler": lab.scheduler(),
            "left": lab.agent("left"),
            "right": lab.agent("right"),
        }
        store.submit(job(8), utc_now())
        await_until(lambda: len(running(store)) == 4 and blocks_of(store), "four phones measure")
        killed = {"agent": ["left"], "scheduler": ["scheduler"]}.get(victim, ["left", "right"])
        for name in killed:
            programs[name].kill()
        for name in killed:
            lab.scheduler() if name == "scheduler" else lab.agent(name)
        await_until(lambda: all_done(store), "all cells done")
    check(store, lab, rack, kills=4)
    expired = [one for one in store.attempts() if one.outcome is Outcome.EXPIRED]
    assert len(expired) == {"agent": 2, "scheduler": 0}.get(victim, 4)
    store.close()


def test_phones_measure_on_while_the_scheduler_is_away(sqlite_url: str, tmp_path: Path) -> None:
    store = LabStore(sqlite_url)
    with cluster(tmp_path, sqlite_url, block_s=0.4) as lab:
        rack = Rack(lab.rack)
        rack.plug_in("left", "phone")
        scheduler, agent = lab.scheduler(), lab.agent("left")
        store.submit(job(2), utc_now())
        await_until(lambda: blocks_of(store), "a block")
        scheduler.kill()
        await_until(lambda: states(store)[CellState.DONE] == 1, "the cell is done without it")
        assert states(store)[CellState.OPEN] == 1
        lab.scheduler()
        await_until(lambda: all_done(store), "the other cell is done, too")
        assert agent.running()
    check(store, lab, rack, kills=0)
    assert {attempt.outcome for attempt in store.attempts()} == {Outcome.DONE}
    store.close()


def test_an_agent_that_is_asked_to_end_gives_its_cell_back(sqlite_url: str, tmp_path: Path) -> None:
    store = LabStore(sqlite_url)
    with cluster(tmp_path, sqlite_url, block_s=0.4, lease_s=60.0) as lab:
        rack = Rack(lab.rack)
        rack.plug_in("left", "phone")
        lab.scheduler()
        agent = lab.agent("left")
        store.submit(job(1), utc_now())
        await_until(lambda: blocks_of(store), "a block")
        assert agent.end() == 0
        (attempt,) = store.attempts()
        assert attempt.outcome is Outcome.RELEASED
        assert states(store) == {CellState.OPEN: 1}
        lab.agent("left")
        await_until(lambda: all_done(store), "done by the next agent")
    check(store, lab, rack, kills=0)
    assert len({block.token for block in store.blocks(store.cells()[0].cell_id)}) == 2
    store.close()


def test_a_phone_that_moves_to_another_host_goes_on_there(sqlite_url: str, tmp_path: Path) -> None:
    store = LabStore(sqlite_url)
    with cluster(tmp_path, sqlite_url, block_s=0.4) as lab:
        rack = Rack(lab.rack)
        rack.plug_in("left", "phone")
        lab.scheduler()
        lab.agent("left")
        lab.agent("right")
        store.submit(job(1), utc_now())
        await_until(lambda: blocks_of(store), "a block on the left")
        rack.pull("left", "phone")
        rack.plug_in("right", "phone")
        await_until(lambda: all_done(store), "done on the right")
    check(store, lab, rack, kills=1)
    attempts = sorted(store.attempts(), key=lambda one: one.token)
    assert [attempt.outcome for attempt in attempts] == [Outcome.FAILED, Outcome.DONE]
    assert "its cable was pulled" in (attempts[0].reason or "")
    assert [attempt.holder.partition(":")[0] for attempt in attempts] == ["left", "right"]
    assert len({block.token for block in store.blocks(store.cells()[0].cell_id)}) == 2
    store.close()


def test_a_cancelled_job_ends_and_leaves_its_phone_to_the_next(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = LabStore(sqlite_url)
    with cluster(tmp_path, sqlite_url, block_s=0.3) as lab:
        rack = Rack(lab.rack)
        rack.plug_in("left", "phone")
        lab.scheduler()
        lab.agent("left")
        cancelled = store.submit(job(3), utc_now())
        await_until(lambda: blocks_of(store), "a block")
        store.cancel(cancelled, utc_now())
        store.submit(job(1, name="next"), utc_now())
        await_until(lambda: states(store)[CellState.DONE] == 1, "the next job's cell is done")
        assert states(store)[CellState.CANCELLED] == 3
    assert store.integrity_check() == ()
    store.close()


def listening(program: Program) -> set[str]:
    connections = psutil.Process(program.pid).net_connections("inet")
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def test_nothing_listens_beyond_loopback(sqlite_url: str, tmp_path: Path) -> None:
    store = LabStore(sqlite_url)
    with cluster(tmp_path, sqlite_url) as lab:
        Rack(lab.rack).plug_in("left", "phone")
        programs = [lab.scheduler(), lab.agent("left")]
        store.submit(job(1), utc_now())
        await_until(lambda: all_done(store), "done")
        assert [listening(program) for program in programs] == [{"127.0.0.1"}, {"127.0.0.1"}]
    store.close()


def lab_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ortlab", "lab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("listen", "told"),
    [
        ("0.0.0.0:0", "without TLS"),
        ("tls://127.0.0.1:0", "names no certificates"),
        ("http://127.0.0.1", "it must be tcp://HOST:PORT"),
        ("127.0.0.1:99999", "it must be tcp://HOST:PORT"),
    ],
)
def test_an_address_that_will_not_do_is_refused(sqlite_url: str, listen: str, told: str) -> None:
    done = lab_command("scheduler", "--store", sqlite_url, "--listen", listen)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told(sqlite_url: str, tmp_path: Path) -> None:
    with cluster(tmp_path, sqlite_url) as lab:
        first = lab.scheduler()
        await_until(lambda: "listening on" in first.said(), "the first listens")
        done = lab_command("scheduler", "--store", sqlite_url, "--listen", lab.address)
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr


@pytest.mark.requires("postgres")
def test_a_password_stays_with_who_connects(postgres: str, tmp_path: Path) -> None:
    url = with_new_database(postgres).replace("postgres@", "postgres:hush-hush@")
    store = LabStore(url)
    with cluster(tmp_path, url, environment={"DASK_LOGGING__DISTRIBUTED": "debug"}) as lab:
        Rack(lab.rack).plug_in("left", "phone")
        programs = [lab.scheduler(), lab.agent("left")]
        store.submit(job(1), utc_now())
        await_until(lambda: all_done(store), "done")
        for program in programs:
            assert "hush-hush" not in " ".join(psutil.Process(program.pid).cmdline())
        assert "hush-hush" not in lab.logs()
    told = [str(event) for event in store.events()] + [str(one) for one in store.attempts()]
    assert not [text for text in told if "hush-hush" in text]
    store.close()


def make_certificates(directory: Path) -> dict[str, str]:
    """Make a certificate that signs itself and return Dask's settings for all roles."""
    certificate, key = directory / "lab.pem", directory / "lab.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    roles = [f"{prefix}{role}__" for role in ("SCHEDULER", "WORKER", "CLIENT")]
    return {
        f"{prefix}CA_FILE": str(certificate),
        **{f"{role}CERT": str(certificate) for role in roles},
        **{f"{role}KEY": str(key) for role in roles},
    }


def test_tls_is_what_dask_is_told(sqlite_url: str, tmp_path: Path) -> None:
    store = LabStore(sqlite_url)
    settings = make_certificates(tmp_path)
    with cluster(tmp_path, sqlite_url, environment=settings, protocol="tls") as lab:
        rack = two_hosts(lab, phones=1)
        lab.scheduler()
        # The other agent has a certificate that nobody here trusts.
        (tmp_path / "other").mkdir()
        stranger = lab.agent("right", **make_certificates(tmp_path / "other"))
        lab.agent("left")
        store.submit(job(3), utc_now())
        await_until(lambda: all_done(store), "done")
        await_until(lambda: "cannot reach the scheduler" in stranger.said(), "it is refused")
    assert {attempt.phone_id for attempt in store.attempts()} == {"left-0"}
    check(store, lab, rack, kills=0)
    store.close()


def test_sigint_ends_a_scheduler_without_agents(sqlite_url: str, tmp_path: Path) -> None:
    with cluster(tmp_path, sqlite_url) as lab:
        scheduler = lab.scheduler()
        await_until(lambda: "listening on" in scheduler.said(), "it listens")
        scheduler.signal(signal.SIGINT)
        assert scheduler.process.wait(30) == 0
