"""What a person who submits with a deadline is told: at once, before it, and when it passed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.lab_host import LabHost

pytestmark = pytest.mark.real


@pytest.fixture
def host(tmp_path: Path) -> LabHost:
    made = LabHost(tmp_path)
    made.answer("init")
    return made


def test_a_deadline_is_refused_once_it_passed_and_told_when_it_passes(host: LabHost) -> None:
    now = datetime.now(UTC)
    asked = ("submit", "--model", "reader", "--name", "tonight", "--deadline")
    past = host.run("lab", *asked, (now - timedelta(hours=1)).isoformat())
    assert past.exit_code == 2
    assert "has passed next: give it a later deadline" in told(past.stderr)
    assert host.answer("status")["jobs"] == []

    due = now + timedelta(hours=1)
    assert host.answer(*asked, due.isoformat())["new"]
    store = host.store
    store.expire(due)
    store.close()
    (job,) = host.answer("status")["jobs"]
    assert job["job"]["overdue"]
    assert job["reasons"] == ["1 cancelled: its deadline passed"]
    shown = told(host.run("lab", "status").stdout)
    assert "overdue" in shown
    assert "1 cancelled: its deadline passed" in shown
    again = host.run("lab", *asked, due.isoformat(), "--json")
    assert again.exit_code == 2
    message = json.loads(again.stdout)["error"]["message"]
    assert message == "cannot submit tonight again: the same job was cancelled: its deadline passed"


def told(text: str) -> str:
    return " ".join(text.split())
