"""Android phones, iPhones and this machine in one lab: one queue, one status, one summary."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab_host import BENCH, LabHost, adb, bench_apk, convolutions, phone_on

pytestmark = [pytest.mark.real, pytest.mark.requires("adb"), pytest.mark.requires("ios")]

JOB = """
models = ["prepared/model-0"]
[requirements]
phone_count = 3
{bench}
app = "bench.apk"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    made = LabHost(tmp_path_factory.mktemp("mixed"))
    made.prepare(convolutions(), convolutions(seed=1))
    bench_apk(made.directory / "models" / "bench.apk")
    with adb() as rack, phone_on(rack, "LAB0000M"):
        found = made.answer("init", "--host-device", "--device", "virtual:ios", "--host-id", "rack")
        kinds = {phone["phone_id"]: phone["info"]["kind"] for phone in found["phones"]}
        assert kinds == {"LAB0000M": "android", "virtual:ios@rack": "ios", "host@rack": "host"}
        yield made


def test_every_kind_of_phone_measures_and_stands_in_one_status(host: LabHost) -> None:
    assert host.answer("submit", str(host.job(JOB.format(bench=BENCH))))["notes"] == []
    assert host.answer("agent", "--until-done")["outcomes"] == {"done": 3}
    status = host.answer("status")
    results = {result["phone_id"]: result for result in status["results"]}
    assert set(results) == {"LAB0000M", "virtual:ios@rack", "host@rack"}
    assert {name: result["virtual"] for name, result in results.items()} == {
        "LAB0000M": True,
        "virtual:ios@rack": True,
        "host@rack": False,
    }
    for name, result in results.items():
        (comparison,) = result["comparisons"]
        assert (comparison["verdict"] == "no verdict") is (name != "host@rack")
        assert len(comparison["log_ratios"]) == 2
        assert result["model_name"] == "model-0"
    shown = host.run("lab", "status").stdout
    assert "Virtual iPhone" in shown
    assert "Virtual Phone" in shown
    store = host.store
    assert store.integrity_check() == ()
    store.close()


def test_one_night_judges_them_all_in_one_summary(host: LabHost, tmp_path: Path) -> None:
    junit, summary = tmp_path / "night.xml", tmp_path / "night.md"
    with host.agent() as agent:
        done = host.run(
            *("lab", "gate", "models/prepared/model-1", "--against", "models/prepared/model-0"),
            *("--rounds", "8", "--block-s", "0.05", "--app", "models/bench.apk"),
            *("--junit", str(junit), "--summary", str(summary)),
        )
        assert done.exit_code in (0, 8), done.stderr
        assert agent.end() == 130
    told = summary.read_text()
    cases = [str(case.attrib) for case in ET.parse(junit).getroot().iter("testcase")]
    assert len(cases) == 3
    assert "Virtual iPhone" in told
    assert "Virtual Phone" in told
