"""A store of the first version, with data, becomes one of today; what is newer is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import device_lab.store as store_package
from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import CellState, JobSpec, Outcome, PhoneState, Requirements
from lab.postgres import server, with_new_database
from lab.test_store import make_phone
from ortlab.codec import to_json
from ortlab.errors import StorageError

pytestmark = pytest.mark.real
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = JobSpec(
    name="first",
    models=("m", "n"),
    requirements=Requirements(phone_count=2),
    priority=3,
    deadline=NOW + timedelta(days=1),
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
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return with_new_database(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path / 'lab.db'}"


def at_first_version(connection: sa.Connection) -> None:
    """Make the tables of the first version with the migration that made them then."""
    config = Config()
    place = Path(store_package.__file__).parent / "migrations"
    config.set_main_option("script_location", str(place))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def fill(connection: sa.Connection) -> str:
    """Write what the first version would have: cells in every state, blocks, a quarantine."""
    job_id = SPEC.digest
    when = NOW.isoformat(timespec="microseconds")
    until = (NOW + timedelta(seconds=120)).isoformat(timespec="microseconds")

    def insert(table: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)

    insert(
        "jobs",
        {"job_id": job_id, "spec": to_json(SPEC), "submitted_at": when, "cancelled": False},
    )
    cell = {"job_id": job_id, "phone_id": None, "failed_attempts": 0}
    insert(
        "cells",
        {**cell, "cell_id": "x-0-0", "model": "m", "slot": 0, "state": "done", "phone_id": "a"},
        {**cell, "cell_id": "x-0-1", "model": "m", "slot": 1, "state": "open"},
        {**cell, "cell_id": "x-1-0", "model": "n", "slot": 0, "state": "open"},
        {**cell, "cell_id": "x-1-1", "model": "n", "slot": 1, "state": "leased", "phone_id": "b"},
    )
    insert(
        "phones",
        {"phone_id": "a", "value": to_json(make_phone("a")), "state": "available", "reason": None},
        {"phone_id": "b", "value": to_json(make_phone("b")), "state": "available", "reason": None},
        {"phone_id": "c", "value": to_json(make_phone("c")), "state": "quarantined", "reason": "x"},
    )
    attempt = {"holder": "h", "started_at": when, "expires_at": until, "reason": None}
    insert(
        "attempts",
        {**attempt, "cell_id": "x-0-0", "phone_id": "a", "ended_at": when, "outcome": "done"},
        {**attempt, "cell_id": "x-1-0", "phone_id": "a", "ended_at": when, "outcome": "released"},
        {**attempt, "cell_id": "x-1-1", "phone_id": "b", "ended_at": None, "outcome": None},
    )
    tokens = connection.execute(sa.text("SELECT token FROM attempts ORDER BY token")).scalars()
    first, second, third = tokens.all()
    insert(
        "blocks",
        {"cell_id": "x-0-0", "block_id": "1", "token": first, "line": "one"},
        {"cell_id": "x-0-0", "block_id": "2", "token": first, "line": "two"},
        {"cell_id": "x-1-0", "block_id": "1", "token": second, "line": "begun"},
        {"cell_id": "x-1-1", "block_id": "1", "token": third, "line": "held"},
    )
    return job_id


def test_a_store_of_the_first_version_keeps_everything_and_goes_on(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        at_first_version(connection)
        job_id = fill(connection)
    engine.dispose()
    store = LabStore(url)
    assert store.integrity_check() == ()
    assert store.job("first").spec == SPEC
    assert [block.line for block in store.blocks("x-0-0", "a")] == ["one", "two"]
    states = {one.phone.phone_id: one.state for one in store.phones()}
    assert states == {
        "a": PhoneState.AVAILABLE,
        "b": PhoneState.LEASED,
        "c": PhoneState.QUARANTINED,
    }
    overview = store.overview(NOW)
    assert overview.block_count == 4
    assert overview.jobs[0].cells == {CellState.DONE: 1, CellState.OPEN: 2, CellState.LEASED: 1}
    # The lease that ran goes on, and a begun cell goes back to its phone.
    (lease,) = overview.leases
    store.record_block(lease, "1", "held", NOW)
    store.record_block(lease, "2", "next", NOW)
    assert store.finish(lease, Outcome.DONE, NOW) is Outcome.DONE
    again = store.claim("h", "a", NOW)
    assert again is not None
    assert again.cell_id == "x-1-0"
    assert again.token > lease.token
    store.finish(again, Outcome.DONE, NOW)
    last = store.claim("h", "b", NOW)
    assert last is not None
    store.finish(last, Outcome.DONE, NOW)
    assert {cell.state for cell in store.cells(job_id)} == {CellState.DONE}
    assert store.integrity_check() == ()
    store.close()


def test_a_migrated_store_has_the_tables_of_a_new_one(url: str, tmp_path: Path) -> None:
    fresh = f"sqlite:///{tmp_path / 'fresh.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        at_first_version(connection)
        fill(connection)
    LabStore(url).close()
    LabStore(fresh).close()
    other = sa.create_engine(fresh)
    shapes = [
        {
            table: sorted(column["name"] for column in sa.inspect(one).get_columns(table))
            for table in sa.inspect(one).get_table_names()
        }
        for one in (engine, other)
    ]
    engine.dispose()
    other.dispose()
    assert shapes[0] == shapes[1]


def test_opening_twice_changes_nothing(url: str) -> None:
    store = LabStore(url)
    store.submit(SPEC, NOW)
    again = LabStore(url)
    assert len(again.cells()) == 4
    again.close()
    store.close()


def test_a_store_that_a_newer_version_wrote_is_refused_in_words(url: str) -> None:
    LabStore(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="a newer version of ortlab has written it") as caught:
        LabStore(url)
    assert caught.value.next_step is not None
    with engine.begin() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    engine.dispose()
    assert found == "9999"


def test_a_migration_that_fails_leaves_the_first_version_whole(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        at_first_version(connection)
        fill(connection)
        connection.execute(sa.text("UPDATE jobs SET spec = 'no json'"))
    with pytest.raises(StorageError):
        LabStore(url)
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM blocks")).scalar() == 4
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        connection.execute(sa.text("UPDATE jobs SET spec = :spec"), {"spec": to_json(SPEC)})
    assert found == "0001"
    assert "tallies" not in sa.inspect(engine).get_table_names()
    engine.dispose()
    LabStore(url).close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("not a database, but somebody's notes\n" * 100)
    with pytest.raises(StorageError, match="cannot open the lab's store"):
        LabStore(f"sqlite:///{place}")
    assert place.read_text() == "not a database, but somebody's notes\n" * 100
