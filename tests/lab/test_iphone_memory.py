"""An iPhone tells its memory only to an app on it: the lab learns it when it first measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab.lab_host import LabHost, convolutions
from ortlab.devices.virtual import PythonRunner
from ortlab.devices.virtual.iphone.phone import VirtualIPhone
from ortlab.devices.virtual.iphone.runner_bundles import runner_bundle
from ortlab.devices.virtual.iphone.session import known_to_clients
from ortlab.devices.virtual.iphone.spec import VirtualIPhoneSpec
from ortlab.devices.virtual.iphone.usbmux import VirtualUsbmux
from ortlab.process import Command, SystemProcesses

pytestmark = [pytest.mark.real, pytest.mark.requires("ios")]

MODEL = 'models = ["prepared/model-0"]\n'
BENCH = """
[bench]
app = "runner.ipa"
style = ["onnx"]
threads = [1, 2]
min_rounds = 2
max_rounds = 2
block_s = 0.05
memory_blocks = 0
cold_start_blocks = 0
"""
LARGE = "priority = 9\n[requirements]\nmin_memory_bytes = 1_000_000\n"


def test_a_job_that_needs_memory_waits_until_the_iphone_told_its_own(tmp_path: Path) -> None:
    host = LabHost(tmp_path / "host")
    host.prepare(convolutions())
    runner_bundle(host.directory / "models" / "runner.ipa", PythonRunner())
    spec = VirtualIPhoneSpec(paired=True, in_every_profile=True)
    with (
        VirtualUsbmux() as mux,
        known_to_clients(mux, tmp_path / "home"),
        VirtualIPhone(spec, program=PythonRunner(), mux=mux),
    ):
        pair()
        (phone,) = host.answer("init", "--host-id", "rack")["phones"]
        assert (phone["blocked"], phone["info"]["memory_bytes"]) == (None, 0)
        large, small = host.job(MODEL + LARGE + BENCH, "large"), host.job(MODEL + BENCH, "any")
        (note,) = host.answer("submit", str(large))["notes"]
        assert "its memory is not known yet" in note
        assert host.answer("submit", str(small))["notes"] == []
        assert host.answer("agent", "--until-done")["outcomes"] == {"done": 2}
    store = host.store
    (known,) = store.phones()
    assert known.phone.info.memory_bytes > 1_000_000
    started = [attempt.cell_id for attempt in reversed(store.attempts())]
    jobs = [store.job(store.cell(cell_id).job_id).spec.name for cell_id in started]
    assert jobs == ["any", "large"]
    assert store.integrity_check() == ()
    store.close()


def pair() -> None:
    command = (sys.executable, "-m", "pymobiledevice3", "lockdown", "pair")
    done = SystemProcesses().run(Command(arguments=command, deadline_s=60))
    assert done.succeeded, done.stderr
