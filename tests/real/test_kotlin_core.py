"""The Kotlin benchmark core on a JVM: the contracts of runners and devices, and what is its own."""

from __future__ import annotations

import pytest
from device_contract import DeviceContract
from runner_contract import Program, RunnerContract

from android import core
from ortlab.domain import Device

pytestmark = pytest.mark.requires("kotlin")


class TestKotlinRunner(RunnerContract):
    REFUSED = frozenset({"uint16", "uint32", "uint64", "string"})

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())


class TestKotlinDevice(DeviceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()
