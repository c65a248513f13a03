"""A night in which everything is killed: what was acknowledged is there, and every job ends.

ORTLAB_TEST_SEED=7 pytest tests/lab/test_chaos.py          another night
ORTLAB_CHAOS_KILLS=2000 pytest tests/lab/test_chaos.py     a long one
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from conftest import find_postgres
from device_lab.values import CellState, Outcome, StoredBlock
from lab.chaos import KINDS, LEASE_STATES, Chaos, night
from lab.postgres import server, with_new_database

pytestmark = pytest.mark.real
KILLS = int(os.environ.get("ORTLAB_CHAOS_KILLS", "100"))


def stored_blocks(chaos: Chaos) -> list[StoredBlock]:
    return [
        block
        for cell in chaos.store.cells()
        if not cell.model.startswith(str(chaos.directory / "adb-host"))
        for block in chaos.store.blocks(cell.cell_id)
    ]


def check_blocks(chaos: Chaos) -> None:
    """Nothing acknowledged is lost, nothing is doubled, an attempt loses at most one block."""
    stored = stored_blocks(chaos)
    keys = [(block.cell_id, block.phone_id, block.block_id) for block in stored]
    assert len(keys) == len(set(keys))
    lines = {block.line for block in stored}
    assert {json.dumps(block) for block in chaos.rack.acknowledged()} <= lines
    measured = chaos.rack.measured()
    assert lines <= {json.dumps(block) for block in measured}
    lost = Counter(block["token"] for block in measured if json.dumps(block) not in lines)
    assert max(lost.values(), default=0) <= 1
    outcomes = {one.token: one.outcome for one in chaos.store.attempts(limit=1_000_000)}
    assert all(outcomes[token] is not Outcome.DONE for token in lost)


def check_phones(chaos: Chaos) -> None:
    """No two attempts ever measured on one phone at the same moment."""
    spans = defaultdict(list)
    for block in chaos.rack.measured():
        spans[block["phone"]].append((block["begun_ns"], block["ended_ns"]))
    for phone, found in spans.items():
        ordered = sorted(found)
        pairs = itertools.pairwise(ordered)
        assert all(first[1] <= second[0] for first, second in pairs), phone


def check_ends(chaos: Chaos) -> None:
    """Every cell is done with all its blocks, or has the reason why it is not."""
    cancelled = {job.job_id for job in chaos.store.jobs() if job.cancelled}
    counts = Counter((block.cell_id, block.phone_id) for block in stored_blocks(chaos))
    ends = Counter(cell.state for cell in chaos.store.cells())
    assert set(ends) <= {CellState.DONE, CellState.FAILED, CellState.CANCELLED}
    assert ends[CellState.DONE] > ends[CellState.FAILED]
    results = {result.cell_id for result in chaos.store.results(limit=1_000_000)}
    for cell in chaos.store.cells():
        if cell.state is CellState.DONE:
            assert cell.cell_id in results
            if counts[cell.cell_id, cell.phone_id or ""]:
                assert counts[cell.cell_id, cell.phone_id or ""] == chaos.rack.blocks
        elif cell.state is CellState.CANCELLED:
            assert cell.job_id in cancelled
        else:
            newest = chaos.store.attempts(cell_id=cell.cell_id, limit=1)
            assert newest[0].reason, f"{cell.cell_id} failed without a reason"


def check(chaos: Chaos, kinds: set[str], kills: int) -> None:
    sys.stderr.write(
        f"\nseed {chaos.seed}: kills {dict(chaos.killed)}, leases hit {dict(chaos.states)},"
        f" besides {dict(chaos.happened)}\n"
    )
    assert chaos.trouble == []
    assert chaos.killed.total() >= kills
    # Without these the night would have been quiet, and nothing shown.
    assert {kind for kind, count in chaos.killed.items() if count} == kinds
    assert {state for state, count in chaos.states.items() if count} == set(LEASE_STATES)
    assert chaos.happened["cable pulled"]
    assert chaos.happened["phone moved"]
    outcomes = {one.outcome for one in chaos.store.attempts(limit=1_000_000)}
    # Which of these ends a cut experiment finds depends on who is quicker.
    assert Outcome.DONE in outcomes
    assert outcomes & {Outcome.FAILED, Outcome.EXPIRED, Outcome.RELEASED}
    check_ends(chaos)
    check_blocks(chaos)
    check_phones(chaos)
    assert chaos.store.integrity_check() == ()


@pytest.mark.requires("adb")
def test_a_night_of_kills_loses_nothing(tmp_path: Path, seed: int) -> None:
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    with night(tmp_path, url, seed=seed, kills=KILLS, with_adb=True) as chaos:
        check(chaos, set(KINDS), KILLS)


def end_connections(url: str) -> None:
    """Cut every connection, as a restart of the database does."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


@pytest.mark.requires("postgres")
def test_a_night_with_a_database_that_is_restarted_loses_nothing(tmp_path: Path, seed: int) -> None:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as main_url:
        url = with_new_database(main_url)
        restart = functools.partial(end_connections, url)
        kills = max(KILLS // 4, 25)
        with night(
            tmp_path, url, seed=seed, kills=kills, with_adb=False, restart_database=restart
        ) as chaos:
            assert chaos.happened["database restart"] >= 3
            check(chaos, {kind for kind in KINDS if "adb" not in kind}, kills)
