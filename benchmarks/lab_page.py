"""How long the lab's page and `ortlab lab status` take with 1,000,000 stored blocks.

    python benchmarks/lab_page.py [--store sqlite|postgresql] [--blocks N] [--cells N]
        [--phones N] [--line-bytes N] [--repeats N] [--export] [--json]

Reach: ≤ 0.5 s each, on SQLite and on PostgreSQL. Jobs, phones, leases and results come in through
the store as agents bring them; only the blocks themselves are inserted in bulk, since a million
commits are not what is measured here. Every answer is asked of a real server over a socket, and
`status` is a process of its own, its start included. With `--export`, the export to Parquet is
carried out too, and its time and largest memory are told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import JobSpec, Lease, Outcome, Requirements
from lab.page_samples import make_phone, make_result
from lab.postgres import server, with_new_database

REACH_S = 0.5
MODELS = 20


@contextlib.contextmanager
def new_store(kind: str, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'lab.db'}"
        return
    programs = find_postgres()
    assert programs is not None, "apt-get install postgresql"
    with server(programs) as url:
        yield with_new_database(url)


# ------------------------------------------------------------------------------ filling


def fill(store: LabStore, url: str, options: argparse.Namespace) -> None:
    """Carry nights of jobs out on the phones, then put the blocks in."""
    now = datetime.now(UTC)
    phones = [make_phone(f"phone-{n:04d}", seen_at=now) for n in range(options.phones)]
    names = [f"model-{n:02d}" for n in range(MODELS)]
    nights = max(1, options.cells // (MODELS * options.phones))
    leases: list[Lease] = []
    for night in range(nights):
        at = now - timedelta(days=nights - 1 - night, hours=4)
        seen = [make_phone(phone.phone_id, seen_at=at) for phone in phones]
        store.see_phones("rack-1", seen, at)
        for name in names:
            wanted = Requirements(phone_count=options.phones)
            spec = JobSpec(name=f"night {night} {name}", models=(name,), requirements=wanted)
            job_id = store.submit(spec, at)
            for phone in phones:
                lease = store.claim("agent", phone.phone_id, at)
                assert lease is not None
                ratio = 1 + 0.004 * ((hash((name, phone.phone_id, night)) % 11) / 5 - 1)
                result = make_result(lease.cell_id, job_id, phone, name, at, ratio=ratio)
                store.finish(lease, Outcome.DONE, at, result=result)
                leases.append(lease)
    store.see_phones("rack-1", phones, now)
    for index in range(20):  # what waits and what runs now
        store.submit(JobSpec(name=f"tonight {index}", models=tuple(names)), now)
    for phone in phones[: options.phones // 2]:
        assert store.claim("agent", phone.phone_id, now, duration_s=7200) is not None
    put_blocks(url, leases, options)


def put_blocks(url: str, leases: list[Lease], options: argparse.Namespace) -> None:
    samples = [10_000_000 + n % 997 for n in range(max(1, options.line_bytes // 9))]
    line = json.dumps({"result": {"timing": {"measured_ns": samples}}})

    def rows() -> Iterator[tuple[str, str, str, int, str]]:
        for number in range(options.blocks):
            lease = leases[number % len(leases)]
            name = f"latency-{number // len(leases):05d}"
            yield lease.cell_id, lease.phone_id, name, lease.token, line

    count = f"UPDATE counters SET value = value + {options.blocks} WHERE name = 'blocks'"
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            statement = (
                "INSERT INTO blocks (cell_id, phone_id, block_id, token, line)"
                " VALUES (?, ?, ?, ?, ?)"
            )
            file.executemany(statement, rows())
            file.execute(count)
            file.commit()
        return
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        columns = "COPY blocks (cell_id, phone_id, block_id, token, line) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(columns) as copy:
            for row in rows():
                copy.write_row(row)
        connection.execute(count)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ANALYZE")


# ------------------------------------------------------------------------------ asking


@contextlib.contextmanager
def served(home: Path, url: str) -> Iterator[tuple[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ortlab", "lab", "serve", "--port", "0", "--store", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(home)},
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        base, _, token = address.partition("/?token=")
        yield base, token
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def timed_pages(base: str, token: str, repeats: int) -> dict[str, list[float]]:
    chosen = {"model": "model-03", "phone": "phone-0001"}
    targets = {
        "page /": "/",
        "page /history": f"/history?{urlencode(chosen)}",
        "page /phone": "/phone?id=phone-0001",
        "/api/overview": "/api/overview",
    }
    found: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(repeats):
        for name, target in targets.items():
            request = urllib.request.Request(base + target)
            request.add_header("Authorization", f"Bearer {token}")
            start = time.perf_counter()
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200
                assert answer.read()
            found[name].append(time.perf_counter() - start)
    return found


def timed_status(home: Path, url: str, repeats: int) -> dict[str, list[float]]:
    environment = {**os.environ, "XDG_STATE_HOME": str(home)}
    # As it is installed, where what was compiled once is kept.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = [sys.executable, "-m", "ortlab"]
    commands = {
        "ortlab lab status": [*program, "lab", "status", "--store", url],
        "  of that, start": [*program, "lab", "status", "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
            found[name].append(time.perf_counter() - start)
    return found


def exported(home: Path, url: str) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "ortlab", "lab", "export", str(home / "out"), "--store", url]
    environment = {**os.environ, "XDG_STATE_HOME": str(home)}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=3600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(path.stat().st_size for path in (home / "out").iterdir())
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        "largest_memory_mb": after.ru_maxrss / 1000,
        "size_mb": size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--phones", type=int, default=50)
    parser.add_argument("--line-bytes", type=int, default=900)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ortlab-page-") as directory,
        new_store(options.store, Path(directory)) as url,
    ):
        home = Path(directory)
        store = LabStore(url)
        start = time.perf_counter()
        fill(store, url, options)
        overview = store.overview(datetime.now(UTC))
        assert overview.block_count == options.blocks
        store.close()
        print(f"filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        with served(home, url) as (base, token):
            found = timed_pages(base, token, options.repeats)
        found |= timed_status(home, url, options.repeats)
        answer: dict[str, object] = {
            "store": options.store,
            "blocks": overview.block_count,
            "phones": len(overview.phones),
            "reach_s": REACH_S,
            "median_s": {name: statistics.median(times) for name, times in found.items()},
            "largest_s": {name: max(times) for name, times in found.items()},
        }
        if options.export:
            answer["export"] = exported(home, url)
    if options.json:
        print(json.dumps(answer, indent=2))
        return
    print(f"{options.store}, {overview.block_count:,} blocks, {len(overview.phones)} phones")
    for name, times in found.items():
        mark = "ok" if statistics.median(times) <= REACH_S else f"over {REACH_S} s"
        print(
            f"{name:20} median {statistics.median(times):6.3f} s, max {max(times):6.3f} s  {mark}"
        )
    if options.export:
        print(f"export: {json.dumps(answer['export'])}")


if __name__ == "__main__":
    main()
