"""From `ortlab lab init` to a verdict: two phones on a real adb server, kills, a pulled cable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adb_server import OwnAdb
from device_lab.values import CellState, Outcome, PhoneState
from lab.lab_host import BENCH, LabHost, adb, bench_apk, convolutions, phone_on, wait_until
from ortlab.devices.virtual import VirtualAndroidPhone

pytestmark = [pytest.mark.real, pytest.mark.requires("adb")]

MODELS = 'models = ["prepared/model-0"]\n'
APP = BENCH + 'app = "bench.apk"\n'
ONE_PHONE = MODELS + APP
TWO_PHONES = MODELS + '[requirements]\nplatform = "android"\nphone_count = 2\n' + APP


@pytest.fixture(scope="module")
def rack() -> Iterator[OwnAdb]:
    with adb() as running:
        yield running


@pytest.fixture(scope="module")
def first(rack: OwnAdb) -> Iterator[VirtualAndroidPhone]:
    with phone_on(rack, "LAB0000A") as phone:
        yield phone


@pytest.fixture
def second(rack: OwnAdb) -> Iterator[VirtualAndroidPhone]:
    with phone_on(rack, "LAB0000B", api_level=30) as phone:
        yield phone


@pytest.fixture
def host(tmp_path: Path) -> LabHost:
    made = LabHost(tmp_path)
    made.prepare(convolutions())
    bench_apk(tmp_path / "models" / "bench.apk")
    return made


@pytest.mark.usefixtures("first", "second")
def test_from_nothing_to_verdicts_of_two_phones(host: LabHost) -> None:
    found = host.answer("init")
    assert [phone["phone_id"] for phone in found["phones"]] == ["LAB0000A", "LAB0000B"]
    assert {phone["blocked"] for phone in found["phones"]} == {None}
    assert all(phone["battery_percent"] and phone["free_bytes"] for phone in found["phones"])

    job = host.job(TWO_PHONES)
    submitted = host.answer("submit", str(job))
    again = host.answer("submit", str(job))
    assert (submitted["new"], again["new"]) == (True, False)
    assert submitted["job_id"] == again["job_id"]
    assert (submitted["cells"], submitted["notes"]) == (2, [])

    assert host.answer("agent", "--until-done")["outcomes"] == {"done": 2}

    status = host.answer("status")
    assert status["jobs"][0]["cells"] == {"done": 2}
    assert {phone["state"] for phone in status["phones"]} == {"available"}
    results = status["results"]
    assert {result["phone_id"] for result in results} == {"LAB0000A", "LAB0000B"}
    assert {result["virtual"] for result in results} == {True}
    assert {c["verdict"] for result in results for c in result["comparisons"]} == {"no verdict"}
    assert all(len(c["log_ratios"]) >= 2 for result in results for c in result["comparisons"])
    assert len({result["control"] for result in results}) == 1, "the same arm on both phones"

    store = host.store
    for cell in store.cells():
        (run,) = (host.runs / cell.cell_id).iterdir()
        on_disk = (run / "blocks.jsonl").read_text().splitlines()
        stored = store.blocks(cell.cell_id)
        assert [block.line for block in stored] == on_disk
        assert {json.loads(line)["outcome"] for line in on_disk} == {"ok"}
        assert {block.phone_id for block in stored} == {cell.phone_id}
    assert store.integrity_check() == ()
    store.close()
    shown = host.run("lab", "status").stdout
    assert "nightly" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.usefixtures("first")
def test_a_killed_agent_loses_at_most_the_block_in_flight(host: LabHost) -> None:
    host.answer("init")
    host.answer("submit", str(host.job(ONE_PHONE)))
    store = host.store
    (cell,) = store.cells()
    kept: list[str] = []
    for least in (3, 9):
        with host.agent() as agent:

            def come_in(least: int = least) -> bool:
                return len(store.blocks(cell.cell_id)) >= least

            wait_until(come_in, "blocks come in")
            agent.kill()
        stored = [block.line for block in store.blocks(cell.cell_id)]
        (run,) = (host.runs / cell.cell_id).iterdir()
        on_disk = (run / "blocks.jsonl").read_text().splitlines()
        assert stored[: len(kept)] == kept, "what was stored stays"
        assert on_disk[: len(stored)] == stored
        assert len(on_disk) - len(stored) <= 1
        kept = stored
    assert host.answer("agent", "--until-done")["outcomes"] == {"done": 1}
    blocks = [block.line for block in store.blocks(cell.cell_id)]
    assert blocks[: len(kept)] == kept
    sessions = {json.loads(line)["session_id"] for line in blocks}
    assert len(sessions) == 3, "three agents measured one experiment"
    assert len({json.loads(line)["block_id"] for line in blocks}) == len(blocks)
    (ended,) = store.cells()
    assert (ended.state, ended.failed_attempts) == (CellState.DONE, 0)
    outcomes = [attempt.outcome for attempt in store.attempts()]
    assert outcomes == [Outcome.DONE, Outcome.RELEASED, Outcome.RELEASED]
    assert store.integrity_check() == ()
    store.close()


def test_a_pulled_cable_is_told_and_the_cell_goes_on_where_it_was(
    host: LabHost, rack: OwnAdb, first: VirtualAndroidPhone
) -> None:
    host.answer("init")
    host.answer("submit", str(host.job(ONE_PHONE)))
    store = host.store
    (cell,) = store.cells()
    with host.agent("--until-done", "--look-every-s", "0.5") as agent:
        wait_until(lambda: len(store.blocks(cell.cell_id)) >= 3, "blocks come in")
        first.unplug()
        wait_until(
            lambda: any(a.outcome is Outcome.FAILED for a in store.attempts()), "it is noticed"
        )
        before = [block.line for block in store.blocks(cell.cell_id)]
        wait_until(
            lambda: store.phones()[0].state in (PhoneState.ABSENT, PhoneState.BLOCKED),
            "the phone leaves",
        )
        first.plug()
        rack.server.phone(first.serial).wait(deadline_s=30)
        assert agent.process.wait(240) == 0, agent.said()
    failed = [a for a in store.attempts() if a.outcome is Outcome.FAILED]
    assert len(failed) == 1, "a phone that is gone is not asked again and again"
    reason = failed[0].reason
    assert reason is not None
    assert "next: " in reason
    assert reason in agent.said()
    (ended,) = store.cells()
    assert (ended.state, ended.failed_attempts) == (CellState.DONE, 1)
    assert [block.line for block in store.blocks(cell.cell_id)][: len(before)] == before
    assert {json.loads(block.line)["outcome"] for block in store.blocks(cell.cell_id)} == {"ok"}
    assert store.integrity_check() == ()
    store.close()

    host.answer("phones", "quarantine", "LAB0000A", "--reason", "its cable is loose")
    probed = host.answer("phones", "release", "LAB0000A", "--probe")["answer"]
    assert "short blocks of model-0" in probed, "what failed last runs now"
    (phone,) = host.answer("phones")["phones"]
    assert phone["state"] == "available"


@pytest.mark.usefixtures("first")
def test_cancelling_cuts_off_what_measures_and_ctrl_c_gives_it_back(host: LabHost) -> None:
    host.answer("init")
    host.answer("submit", str(host.job(ONE_PHONE)))
    store = host.store
    (cell,) = store.cells()
    with host.agent("--lease-s", "8") as agent:
        wait_until(lambda: store.blocks(cell.cell_id), "blocks come in")
        assert agent.end() == 130
    assert store.cell(cell.cell_id).state is CellState.OPEN
    assert store.attempts()[0].outcome is Outcome.RELEASED
    with host.agent("--lease-s", "8", "--until-done") as agent:
        wait_until(lambda: store.attempts()[0].outcome is None, "it measures")
        assert host.answer("cancel", "nightly")["dropped"] == 1
        assert agent.process.wait(120) == 0, agent.said()
    assert store.cell(cell.cell_id).state is CellState.CANCELLED
    assert store.attempts()[0].outcome is Outcome.CANCELLED
    assert store.phones()[0].state is PhoneState.AVAILABLE
    assert host.run("lab", "submit", str(host.job(ONE_PHONE))).exit_code == 2
    store.close()


@pytest.mark.usefixtures("first")
def test_a_job_that_cannot_work_says_why_and_blames_no_phone(host: LabHost) -> None:
    host.answer("init")
    host.answer("submit", str(host.job(MODELS + BENCH)))  # without an app for the phone
    assert host.answer("agent", "--until-done", "--look-every-s", "0.3")["outcomes"] == {
        "failed": 3
    }
    status = host.answer("status")
    (job,) = status["jobs"]
    assert job["cells"] == {"failed": 1}
    assert any("no benchmark app was given" in reason for reason in job["reasons"])
    assert any("next: ortlab generate" in reason for reason in job["reasons"])
    assert {phone["state"] for phone in status["phones"]} == {"available"}, "the job is to blame"

    host.answer("phones", "quarantine", "LAB0000A")
    assert "quarantined" in host.run("lab", "phones").stdout
    refused = host.run("lab", "phones", "release", "LAB0000A", "--probe")
    assert refused.exit_code == 2
    assert "no benchmark app" in refused.stderr
    assert host.answer("phones", "release", "LAB0000A")["phone_id"] == "LAB0000A"
    host.answer("phones", "label", "LAB0000A", "rack-1", "slow")
    (phone,) = [
        p for p in host.answer("phones", "list")["phones"] if p["phone"]["phone_id"] == "LAB0000A"
    ]
    assert (phone["state"], phone["phone"]["labels"]) == ("available", ["rack-1", "slow"])


@pytest.mark.usefixtures("first")
def test_a_probe_that_passes_ends_a_quarantine(host: LabHost) -> None:
    host.answer("init")
    host.answer("phones", "quarantine", "LAB0000A", "--reason", "it fell")
    assert host.answer("phones")["phones"][0]["reason"] == "it fell"
    told = host.answer("phones", "release", "0000A", "--probe")
    assert "here and ready" in told["answer"]
    assert host.answer("phones")["phones"][0]["state"] == "available"
    unknown = host.run("lab", "phones", "release", "LAB9")
    assert unknown.exit_code == 2
    assert "LAB0000A" in unknown.stderr


def test_a_second_agent_on_one_host_is_refused(host: LabHost) -> None:
    host.answer("init")
    with host.agent() as agent:
        (lock,) = wait_until(lambda: [*host.lab.glob("agent-*.lock")], "it starts")
        wait_until(lambda: lock.read_text() == f"{agent.process.pid}\n", "it holds the lock")
        refused = host.run("lab", "agent", "--until-done")
        assert refused.exit_code == 2
        assert f"process {agent.process.pid} is one already" in refused.stderr.replace("\n", " ")
        assert agent.process.poll() is None
        assert agent.end() == 130
