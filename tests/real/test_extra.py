"""The extra for iPhones, whose licence is another than ours, is loaded for iPhones alone.

Commands run in processes of their own, on whose path a package of the extra's name notes that it
was imported and then is none.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ortlab.devices import is_virtual, kind_of

PREPARED = Path(__file__).parents[1] / "data" / "sample_model"
TRAP = """
import os, traceback
with open(os.environ["ORTLAB_TRAP"], "a") as file:
    traceback.print_stack(file=file)
raise ModuleNotFoundError("No module named 'pymobiledevice3'", name="pymobiledevice3")
"""
HIDING = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec.__func__


def find_spec(cls, name, path=None, target=None):
    hidden = name.partition(".")[0] == "pymobiledevice3"
    return None if hidden else find(cls, name, path, target)


PathFinder.find_spec = classmethod(find_spec)
"""
UDID = "00008110-001A2B3C4D5E6F70"


class Trapped:
    """A place to run commands in, without iPhones and where imports of the extra are noted."""

    def __init__(self, directory: Path) -> None:
        package = directory / "path" / "pymobiledevice3"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(TRAP)
        self.directory = directory
        self.marker = directory / "imported.txt"
        self.environment = {
            **{name: text for name, text in os.environ.items() if "USBMUXD" not in name},
            "PYTHONPATH": str(package.parent),
            "ORTLAB_TRAP": str(self.marker),
            "XDG_STATE_HOME": str(directory / "state"),
            "COLUMNS": "80",
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def imported(self) -> str:
        return self.marker.read_text() if self.marker.exists() else ""


@pytest.fixture
def trapped(tmp_path: Path) -> Trapped:
    return Trapped(tmp_path)


def test_the_trap_notes_an_import(trapped: Trapped) -> None:
    assert trapped.run("-c", "import pymobiledevice3").returncode == 1
    assert "pymobiledevice3/__init__.py" in trapped.imported()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("devices --json", 0),
        ("doctor --json", 0),
        ("bench {model} --dry-run --json", 0),
        ("bench {model} --dry-run --device virtual:android --json", 0),
        ("generate {model} --android android --json", 0),
        ("deploy nothing --device emulator-5554 --json", 2),
        ("build android --json", 2),
    ],
)
def test_nothing_else_loads_what_speaks_to_iphones(trapped: Trapped, line: str, code: int) -> None:
    done = trapped.run("-m", "ortlab", *shlex.split(line.format(model=PREPARED)))
    assert done.returncode == code, done.stdout + done.stderr
    assert trapped.imported() == ""


def test_every_module_can_be_loaded_without_it(trapped: Trapped) -> None:
    script = """
import pkgutil, ortlab
for module in pkgutil.walk_packages(ortlab.__path__, "ortlab."):
    if ".runner" not in module.name and not module.name.endswith("__main__"):
        __import__(module.name)
"""
    done = trapped.run("-c", script)
    assert done.returncode == 0, done.stderr
    assert trapped.imported() == ""


def test_who_asks_for_an_iphone_is_told_of_the_extra_and_its_licence(trapped: Trapped) -> None:
    hidden = trapped.directory / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDING)
    set_so = {"USBMUXD_SOCKET_ADDRESS": "127.0.0.1:1", "PYTHONPATH": str(hidden)}
    line = ("-m", "ortlab", "bench", str(PREPARED), "--device", UDID, "--dry-run", "--json")
    done = trapped.run(*line, **set_so)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["family"]) == (4, "ToolchainError")
    assert "GPL-3.0-or-later" in error["message"]
    assert error["next_step"] == "pip install 'ortlab[ios]'"
    listed = trapped.run("-m", "ortlab", "devices", "--json", **set_so)
    assert listed.returncode == 0
    assert json.loads(listed.stdout)["devices"][0]["device_id"] == "host"
    assert "note: iPhones cannot be listed" in listed.stderr
    assert "pip install 'ortlab[ios]'" in " ".join(listed.stderr.split())


@pytest.mark.requires("ios")
def test_iphones_are_listed_with_what_to_press(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ortlab.cli import run
    from ortlab.devices.virtual.iphone import (
        IPhoneFaults,
        VirtualIPhone,
        VirtualIPhoneSpec,
        VirtualUsbmux,
        known_to_clients,
    )
    from ortlab.devices.virtual.programs import PythonRunner

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    spec = VirtualIPhoneSpec(ios_version="26.1", udid=UDID, product="iPhone16,1", name="Ann's")
    with VirtualUsbmux() as mux, known_to_clients(mux, tmp_path / "home"):
        with VirtualIPhone(spec, program=PythonRunner(), faults=IPhoneFaults(), mux=mux):
            assert run(["devices", "--json"]) == 0
            found = json.loads(capsys.readouterr().out)["devices"]
            assert run(["doctor", "--json"]) in (0, 4)
            looked = json.loads(capsys.readouterr().out)["findings"]
        assert run(["devices", "--json"]) == 0
        unplugged = json.loads(capsys.readouterr().out)["devices"]
    (phone,) = [device for device in found if device["kind"] == "ios"]
    assert phone["device_id"] == UDID
    assert not phone["ready"]  # it was never asked whether it trusts this computer
    assert "trust" in phone["detail"]
    assert phone["next_step"]
    assert any(UDID in finding["subject"] for finding in looked)
    assert not [device for device in unplugged if device["kind"] == "ios"]


@pytest.mark.parametrize(
    ("device_id", "kind", "virtual"),
    [
        ("host", "host", False),
        (UDID, "ios", False),
        ("a" * 40, "ios", False),
        ("a" * 39, "android", False),
        ("R58M123ABC", "android", False),
        ("192.168.1.5:5555", "android", False),
        ("virtual:android", "android", True),
        ("virtual:android:29", "android", True),
        ("virtual:ios", "ios", True),
        ("virtual:ios:16.7", "ios", True),
    ],
)
def test_an_id_tells_the_platform(device_id: str, kind: str, virtual: bool) -> None:
    assert kind_of(device_id) == kind
    assert is_virtual(device_id) is virtual
