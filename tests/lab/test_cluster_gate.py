"""A night's gate over several hosts: scheduler and agents as processes, the store on PostgreSQL.

The phones are simulated, and what they measure is planted; submitting, scheduling, storing,
waiting and judging are as people run them.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "real"))

from small_models import convolutions
from stories import ortlab

from conftest import find_postgres
from device_lab.store import LabStore
from device_lab.values import Lease, Outcome
from lab.cluster_processes import Cluster, Program, await_until, cluster
from lab.postgres import server, with_new_database
from lab.simulated_phones import Rack, utc_now

pytestmark = [pytest.mark.real, pytest.mark.requires("postgres")]

ROUNDS = 8


@pytest.fixture
def store_url() -> Iterator[str]:
    programs = find_postgres()
    assert programs is not None
    with server(programs) as url:
        yield with_new_database(url)


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Return a directory with two releases of two models."""
    for name in ("reader", "twin"):
        onnx.save(convolutions(count=1), tmp_path / f"{name}.onnx")
    prepare = ("prepare", "reader.onnx", "twin.onnx", "--style", "onnx", "--no-configs")
    done = ortlab(tmp_path, *prepare, "-o", "tonight")
    assert done.succeeded, done.stderr
    shutil.copytree(tmp_path / "tonight", tmp_path / "release")
    return tmp_path


def gate(lab: Cluster) -> Program:
    """Hold a night to its limit; it writes night.xml and night.md."""
    return lab.start(
        "gate",
        *("-m", "ortlab", "lab", "gate", "tonight", "--against", "release"),
        *("--rounds", str(ROUNDS), "--max-slowdown", "2%"),
        *("--junit", "night.xml", "--summary", "night.md"),
    )


def cases(report: Path) -> dict[str, str]:
    """Return each case of a JUnit file with what it holds: failure, skipped, or nothing."""
    suite = ET.parse(report).find("testsuite")
    assert suite is not None
    return {
        str(case.get("name")): next((one.tag for one in case if one.tag != "system-out"), "")
        for case in suite.iter("testcase")
    }


def test_a_night_over_two_hosts_is_judged_though_an_agent_is_killed(
    store_url: str, releases: Path
) -> None:
    store = LabStore(store_url)
    with cluster(releases, store_url, lease_s=2.0, blocks=ROUNDS, block_s=0.1) as lab:
        rack = Rack(lab.rack)
        for host in ("left", "right"):
            for number in range(2):
                rack.plug_in(host, f"{host}-{number}")
        rack.plant(
            {
                "reader@left-0": (0.06, 0.06),
                "twin@right-1": (0.06, 0.0),
                "reader@right-0": None,
            }
        )
        lab.scheduler()
        left, _ = lab.agent("left"), lab.agent("right")
        await_until(lambda: len(store.phones()) == 4, "both hosts told their phones")
        night = gate(lab)
        await_until(lambda: any(one.phone_id == "left-0" for one in running(store)), "it measures")
        left.kill()
        lab.agent("left")
        assert night.process.wait(120) == 7, night.said()
        found = cases(releases / "night.xml")
        assert Counter(found.values()) == {"": 6, "failure": 1, "skipped": 1}
        assert found["reader on Phone left-0 (left-0)"] == "failure"
        assert found["reader on Phone right-0 (right-0)"] == "skipped"
        summary = (releases / "night.md").read_text()
        assert summary.startswith("### ortlab lab gate: fail\n")
        assert "its runtime cannot load the model" in summary
        assert "not confirmed" in summary
        assert len(store.jobs()) == 1 + 2
    outcomes = Counter(attempt.outcome for attempt in store.attempts())
    assert outcomes[Outcome.DONE] == 7 + 2
    assert outcomes[Outcome.EXPIRED] + outcomes[Outcome.RELEASED] >= 1  # the killed agent's
    assert store.integrity_check() == ()
    store.close()


def running(store: LabStore) -> tuple[Lease, ...]:
    return store.overview(utc_now()).leases
