"""One store under many threads and processes, and under processes that die in a commit."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import CellState, JobSpec, LeaseOverError, Outcome, Requirements
from lab.postgres import server, with_new_database
from lab.test_store import NOW, make_phone
from ortlab.errors import StorageError

pytestmark = pytest.mark.real

Answer = TypeVar("Answer")
DEADLINE_S = 120.0
PHONES = 12
SPEC = JobSpec(
    name="load", models=("m", "n", "o"), requirements=Requirements(phone_count=PHONES), retries=20
)
WORKER = """
import sys
from datetime import UTC, datetime
from device_lab.store import LabStore
from device_lab.values import Outcome
url, part, parts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
now = datetime(2026, 1, 1, tzinfo=UTC)
store = LabStore(url)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    for number in range(12):
        # Each process asks for every phone, so that they contend for each.
        lease = store.claim(f"worker {part}", f"p{number:02}", now)
        if lease is None:
            continue
        for block in range(5):
            store.record_block(lease, str(block), "{}", now)
            print(lease.cell_id, lease.phone_id, block, flush=True)
        store.finish(lease, Outcome.DONE, now)
store.close()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        yield url


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgres"))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return with_new_database(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'lab.db'}"


def begin(url: str) -> LabStore:
    store = LabStore(url)
    store.see_phones("host", [make_phone(f"p{number:02}") for number in range(PHONES)], NOW)
    store.submit(SPEC, NOW)
    return store


def in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert errors == []


def check_whole(store: LabStore, blocks: int) -> None:
    assert store.integrity_check() == ()
    assert {cell.state for cell in store.cells()} == {CellState.DONE}
    assert store.overview(NOW).block_count == blocks
    stored = [(r["cell_id"], r["phone_id"], r["block_id"]) for r in store.rows("blocks")]
    assert len(stored) == len(set(stored)) == blocks
    for model in SPEC.models:
        phones = [cell.phone_id for cell in store.cells() if cell.model == model]
        assert sorted(phones, key=str) == [f"p{number:02}" for number in range(PHONES)]


def test_threads_share_one_store_and_each_is_told_its_own_error(url: str) -> None:
    store = begin(url)
    refused = []

    def work(number: int) -> None:
        for _ in SPEC.models:
            lease = store.claim("thread", f"p{number:02}", NOW)
            assert lease is not None
            for block in range(6):
                store.record_block(lease, str(block), "{}", NOW)
                if block % 3 == 0:
                    # One that is refused must not take the others of its transaction with it.
                    with pytest.raises(StorageError, match="another content"):
                        store.record_block(lease, str(block), "[]", NOW)
                    refused.append(lease.token)
            store.finish(lease, Outcome.DONE, NOW)
            with pytest.raises(LeaseOverError):
                store.record_block(lease, "late", "{}", NOW)

    in_threads(PHONES, work)
    assert len(refused) == PHONES * 3 * 2
    check_whole(store, PHONES * 3 * 6)
    store.close()


def test_threads_that_want_one_phone_get_it_one_after_the_other(url: str) -> None:
    store = begin(url)
    got = []

    def work(number: int) -> None:
        lease = store.claim(f"thread {number}", "p00", NOW)
        if lease is not None:
            got.append(lease)

    in_threads(PHONES, work)
    assert len(got) == 1
    store.close()


def test_an_operation_that_spoils_its_transaction_spoils_no_other(url: str) -> None:
    store = begin(url)
    leases = [store.claim("h", f"p{number:02}", NOW) for number in range(PHONES)]
    spoiled = []

    def work(number: int) -> None:
        lease = leases[number]
        assert lease is not None
        for block in range(10):
            # PostgreSQL cannot store this character in a text and ends the whole transaction.
            line = "\x00" if number == 0 and block % 2 else "{}"
            try:
                store.record_block(lease, str(block), line, NOW)
            except StorageError:
                spoiled.append(block)

    in_threads(PHONES, work)
    assert set(spoiled) <= {1, 3, 5, 7, 9}
    for lease in leases[1:]:
        assert lease is not None
        assert len(store.blocks(lease.cell_id)) == 10
    assert store.integrity_check() == ()
    store.close()


def test_processes_share_one_store(url: str) -> None:
    store = begin(url)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(part), "3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(3)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        acknowledged = [worker.communicate(timeout=DEADLINE_S)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(DEADLINE_S)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    told = [line for text in acknowledged for line in text.splitlines()]
    assert len(told) == len(set(told))
    # A process may have found every phone busy, so what is left is carried through here.
    in_threads(PHONES, lambda number: carry_through(store, number))
    check_whole(store, PHONES * 3 * 5)
    store.close()


def carry_through(store: LabStore, number: int) -> None:
    while (lease := store.claim("last", f"p{number:02}", NOW)) is not None:
        for block in range(5):
            store.record_block(lease, str(block), "{}", NOW)
        store.finish(lease, Outcome.DONE, NOW)


def test_a_process_that_is_killed_loses_no_block_that_it_was_told_of(url: str) -> None:
    store = begin(url)
    chance = random.Random(7)
    told: set[tuple[str, str, str]] = set()
    now = NOW
    for _ in range(6):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER.replace("range(5)", "range(200)"), url, "0", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
            worker.stdin.write("go\n")
            worker.stdin.flush()
            for _ in range(chance.randrange(1, 30)):
                cell_id, phone_id, block = worker.stdout.readline().split()
                told.add((cell_id, phone_id, block))
            # While it goes on writing, at whatever point of a transaction it is.
            time.sleep(chance.random() * 0.02)
            worker.send_signal(signal.SIGKILL)
            rest, _ = worker.communicate(timeout=DEADLINE_S)
            whole = rest[: rest.rfind("\n") + 1]
            told.update(
                (cell, phone, block) for cell, phone, block in map(str.split, whole.splitlines())
            )
        finally:
            worker.kill()
            worker.wait(DEADLINE_S)
        stored = {
            (str(row["cell_id"]), str(row["phone_id"]), str(row["block_id"]))
            for row in store.rows("blocks")
        }
        assert told <= stored
        assert store.overview(now).block_count == len(stored)
        assert store.integrity_check() == ()
        # The dead one's lease holds its phone until its time is over.
        (lease,) = store.overview(now).leases
        assert store.claim("h", lease.phone_id, now) is None
        assert store.expire(now + timedelta(seconds=120)) == (lease,)
        store.see_phones("host", [make_phone(f"p{number:02}") for number in range(PHONES)], now)
    store.close()


def test_a_thread_that_is_interrupted_leaves_the_store_usable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    begin(url).close()
    script = (
        "import sys, threading, _thread, time\n"
        "from datetime import UTC, datetime\n"
        "from device_lab.store import LabStore\n"
        "now = datetime(2026, 1, 1, tzinfo=UTC)\n"
        "store = LabStore(sys.argv[1])\n"
        "lease = store.claim('h', 'p00', now)\n"
        "threading.Timer(0.3, _thread.interrupt_main).start()\n"
        "written = []\n"
        "try:\n"
        "    for block in range(10**6):\n"
        "        store.record_block(lease, str(block), '{}', now)\n"
        "        written.append(str(block))\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "store.record_block(lease, 'after', '{}', now)\n"
        "stored = {block.block_id for block in store.blocks(lease.cell_id)}\n"
        "assert set(written) | {'after'} <= stored\n"
        "assert len(stored) <= len(written) + 2\n"
        "assert store.integrity_check() == ()\n"
    )
    subprocess.run([sys.executable, "-c", script, url], check=True, timeout=DEADLINE_S)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("DELETE FROM attempts WHERE outcome IS NULL", "nobody holds it"),
        ("UPDATE attempts SET outcome = 'done'", "nobody holds it"),
        ("UPDATE cells SET state = 'open'", "still runs"),
        ("UPDATE cells SET phone_id = 'p05' WHERE state = 'leased'", "another phone"),
        ("UPDATE cells SET state = 'done' WHERE state = 'open'", "no attempt did it"),
        ("UPDATE cells SET state = 'lost' WHERE state = 'leased'", "no state"),
        ("UPDATE blocks SET phone_id = 'p05'", "another cell or phone"),
        ("DELETE FROM blocks WHERE block_id = '1'", "counts 2 blocks"),
        ("UPDATE tallies SET cells = cells + 1 WHERE state = 'open'", "that are open"),
        ("UPDATE jobs SET open_cells = 1", "open cells"),
        ("DELETE FROM jobs", "missing"),
        (
            "INSERT INTO results SELECT cell_id, job_id, 'p00', 'm', '', '{}' FROM cells LIMIT 1",
            "stands beside a cell",
        ),
    ],
)
def test_the_integrity_check_finds_planted_damage(tmp_path: Path, damage: str, word: str) -> None:
    place = tmp_path / "lab.db"
    store = begin(f"sqlite:///{place}")
    lease = store.claim("h", "p00", NOW)
    assert lease is not None
    for block in ("1", "2"):
        store.record_block(lease, block, "{}", NOW)
    assert store.integrity_check() == ()
    with sqlite3.connect(place) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(damage).rowcount > 0
    connection.close()
    assert any(word in line for line in store.integrity_check())
    store.close()


def test_the_integrity_check_finds_a_damaged_page(tmp_path: Path) -> None:
    place = tmp_path / "lab.db"
    store = begin(f"sqlite:///{place}")
    lease = store.claim("h", "p00", NOW)
    assert lease is not None
    for block in range(300):
        store.record_block(lease, str(block), "x" * 500, NOW)
    store.close()
    assert not Path(f"{place}-wal").exists()
    with sqlite3.connect(place) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_blocks_1'"
        ).fetchone()
    connection.close()
    with place.open("r+b") as file:
        # The cells of a page lie at its end.
        file.seek(root * size - 300)
        file.write(b"\xff" * 300)
    store = LabStore(f"sqlite:///{place}")
    try:
        found = store.integrity_check()
    except StorageError as error:
        found = (error.message,)
    assert found
    store.close()


def test_a_disk_that_is_full_is_told_in_words_and_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    begin(url).close()
    # The system refuses to let any file grow further, as it would on a full disk.
    script = (
        "import resource, sys\n"
        "from datetime import UTC, datetime\n"
        "from device_lab.store import LabStore\n"
        "from ortlab.errors import StorageError\n"
        "now = datetime(2026, 1, 1, tzinfo=UTC)\n"
        "store = LabStore(sys.argv[1])\n"
        "lease = store.claim('h', 'p00', now)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "for block in range(10_000):\n"
        "    try:\n"
        "        store.record_block(lease, str(block), 'x' * 5000, now)\n"
        "    except StorageError as error:\n"
        '        assert "cannot use the lab\'s store" in error.message\n'
        "        print(block)\n"
        "        break\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url],
        check=True,
        timeout=DEADLINE_S,
        stdout=subprocess.PIPE,
        text=True,
    )
    store = LabStore(url)
    (lease,) = store.overview(NOW).leases
    found = [block.block_id for block in store.blocks(lease.cell_id)]
    assert found == [str(number) for number in range(int(done.stdout))]
    assert len(found) > 10
    store.record_block(lease, "after", "{}", NOW)
    assert store.integrity_check() == ()
    store.close()


@pytest.mark.requires("postgres")
def test_a_server_that_goes_and_comes_again_is_waited_for(postgres: str) -> None:
    import psycopg

    url = with_new_database(postgres)
    name = url.rpartition("/")[2]
    store = begin(url)
    over = threading.Event()

    def disturb() -> None:
        with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as admin:
            while not over.wait(0.1):
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (name,),
                )
                time.sleep(0.05)
                admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        in_threads(PHONES, lambda number: insist(store, number))
    finally:
        over.set()
        disturber.join(DEADLINE_S)
    check_whole(store, PHONES * 3 * 6)
    store.close()


def insist(store: LabStore, number: int) -> None:
    """Carry a phone's cells through as an agent would that is told of a broken connection."""
    left = len(SPEC.models)
    while left:
        lease = again(lambda: store.claim("h", f"p{number:02}", NOW))
        if lease is None:
            # The claim was written, but its answer was lost with the connection.
            held = again(lambda: store.overview(NOW)).leases
            lease = next(one for one in held if one.phone_id == f"p{number:02}")
        for block in range(6):
            again(partial(store.record_block, lease, str(block), "{}", NOW))
        with contextlib.suppress(LeaseOverError):
            again(partial(store.finish, lease, Outcome.DONE, NOW))
        left -= 1


def again(operation: Callable[[], Answer]) -> Answer:
    for _ in range(20):
        try:
            return operation()
        except LeaseOverError:
            raise
        except StorageError:
            continue
    return operation()
