"""The extra for iPhones, whose licence is another than ours, is loaded for iPhones alone.

Commands run in processes of their own, on whose path a package of the extra's name notes that it
was imported and then is none.
"""

from __future__ import annotations

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
