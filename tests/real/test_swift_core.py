"""The Swift benchmark core on Linux: the contracts of runners and devices, and what is its own."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

import pytest
from core_contract import CoreContract
from device_contract import DeviceContract
from runner_contract import Program, RunnerContract, check_registered

from ios import core, swift
from ortlab.domain import Device

pytestmark = pytest.mark.requires("swift")


class TestSwiftRunner(RunnerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())

    @pytest.fixture
    def custom_ops_device(self) -> Device:
        """The operators' library is one for Python: it needs the symbols of an interpreter."""
        names = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
        return core.CoreDevice(f"LD_PRELOAD={Path(*names)}")


@pytest.mark.requires("custom_ops")
def test_operators_that_are_linked_in_are_registered_by_a_function(tmp_path: Path) -> None:
    """As in an app that links them; here the loader brings them in beside the program."""
    from onnxruntime_extensions import get_library_path

    names = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
    device = core.CoreDevice(f"LD_PRELOAD={Path(*names)} {get_library_path()}")
    check_registered(device, tmp_path, "@linked/RegisterCustomOps")


class TestSwiftCore(CoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()


class TestSwiftDevice(DeviceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()


def test_its_sources_are_formatted() -> None:
    targets = ("Ort", "BenchCore", "bench-cli")
    sources = [swift.TEMPLATE / "Sources" / name for name in targets]
    tests = [swift.TEMPLATE / "Tests" / f"{name}Tests" for name in ("Ort", "BenchCore")]
    swift.format_lint([*sources, *tests], swift.TEMPLATE)
    swift.parse([swift.TEMPLATE / "Sources/BenchCore/ApplePlatform.swift"], swift.TEMPLATE)


def test_its_own_tests_pass() -> None:
    done = swift.run(
        [
            *("swift", "test", "--scratch-path", swift.CACHE / "build/core-tests"),
            *("-Xlinker", f"-L{swift.ort_directory()}"),
            *("--filter", "OrtTests|BenchCoreTests"),
        ],
        directory=swift.TEMPLATE,
        deadline_s=1200,
    )
    found = re.findall(r"Executed (\d+) tests, with 0 failures", done.stdout + done.stderr)
    assert max(map(int, found), default=0) >= 26, done.stdout
