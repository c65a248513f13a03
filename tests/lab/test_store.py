"""The store's promises, on a real SQLite file and a real PostgreSQL server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import CellState, JobSpec, LabPhone, Outcome, Requirements
from lab.postgres import server, with_new_database
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import StorageError

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
