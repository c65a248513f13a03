"""The Swift benchmark core on Linux: the contracts of runners and devices, and what is its own."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from core_contract import CoreContract
from device_contract import DeviceContract
from runner_contract import Program, RunnerContract

from ios import core
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
