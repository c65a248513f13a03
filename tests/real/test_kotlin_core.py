"""The Kotlin benchmark core on a JVM: the contracts of runners and devices, and what is its own."""

from __future__ import annotations

import json
import re
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from core_contract import DOUBLING, CoreContract, identity
from device_contract import CPU, DeviceContract, make_arm, make_request
from onnx import TensorProto
from runner_contract import Program, RunnerContract

from android import core, toolchain
from ortlab import codec, tensors
from ortlab.devices.answers import RESULT
from ortlab.domain import Device
from ortlab.process import Command, SystemProcesses
from ortlab.wire import BlockResult, FailureKind, RuntimeFacts

pytestmark = pytest.mark.requires("kotlin")


@pytest.fixture
def device() -> Device:
    return core.CoreDevice()


@pytest.fixture
def program() -> Program:
    return Program(core.core_arguments, core.CoreDevice())


class TestKotlinRunner(RunnerContract):
    # The Java API has no unsigned integers of more than 8 bits, and JNI on this machine mangles
    # characters beyond U+FFFF, of which this vector of strings has one.
    REFUSED = frozenset({"uint16", "uint32", "uint64", "string"})

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())

    @pytest.fixture
    def custom_ops_device(self) -> Device:
        """The operators' library is one for Python: it needs the symbols of an interpreter."""
        names = sysconfig.get_config_vars("LIBDIR", "LDLIBRARY")
        return core.CoreDevice(f"LD_PRELOAD={Path(*names)}")


class TestKotlinCore(CoreContract):
    REFUSED_NAMES = frozenset({"x🎈"})
    BYTES_STAY_IN_PLACE = False

    @pytest.fixture(scope="class")
    @classmethod
    def program(cls) -> Program:
        return Program(core.core_arguments, core.CoreDevice())

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()


class TestKotlinDevice(DeviceContract):
    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return core.CoreDevice()


def test_its_sources_are_in_the_official_style() -> None:
    toolchain.ktlint(["src/**/*.kt", "*.kts"], core.CORE)


def test_its_own_tests_pass(tmp_path: Path) -> None:
    said = core.run_unit_tests(tmp_path)
    found = re.search(r"(\d+) tests successful", said)
    assert found is not None, said
    assert int(found[1]) > 80
    assert re.search(r"\b0 tests aborted", said), said
    assert re.search(r"\b0 tests skipped", said), said


NEWER_THAN_MIN_SDK = (
    "java/nio/file/",
    "java/time/",
    "java/lang/ProcessHandle",
    "readAllBytes:",
    "readNBytes:",
    "transferTo:(Ljava/io/OutputStream;)",
)
"""What Android 7 lacks and D8 does not rewrite; the JDK that compiles this has all of it."""


def test_it_needs_nothing_that_the_oldest_android_lacks() -> None:
    jar = core.core_jar()
    with zipfile.ZipFile(jar) as archive:
        classes = [name[:-6] for name in archive.namelist() if name.endswith(".class")]
    said = toolchain.run(["javap", "-c", "-p", "-cp", jar, *classes]).stdout
    lines = [line for line in said.splitlines() if "// " in line]
    assert any("dev/ortlab/benchcore/" in line for line in lines)
    found = [line for line in lines if any(word in line for word in NEWER_THAN_MIN_SDK)]
    assert found == []


# ------------------------------------------------------------------------------ requests


def test_the_runtime_is_not_started_while_telemetry_is_on(tmp_path: Path) -> None:
    request = make_request(make_arm(DOUBLING), tmp_path)
    path = tmp_path / "request.json"
    path.write_text(codec.to_json(request), encoding="utf-8")
    arguments = [word for word in core.core_arguments(path) if "TELEMETRY" not in word]
    done = SystemProcesses().run(Command(arguments=tuple(arguments), deadline_s=60))
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "out" / RESULT).read_text(encoding="utf-8")
    result = codec.from_json(BlockResult, text, source="it")
    assert result.runtime is None
    assert result.failure is not None
    assert result.failure.kind is FailureKind.UNSUPPORTED
    assert "ORT_DISABLE_TELEMETRY=1" in result.failure.message


def test_probe_tells_machine_and_runtime(program: Program, tmp_path: Path) -> None:
    told = json.loads(program.start("--probe", directory=tmp_path).stdout)
    facts = codec.from_json(RuntimeFacts, json.dumps(told["runtime"]), source="probe")
    assert facts.ort_version == "1.29.0"
    assert facts.language == "kotlin"
    assert facts.available_providers == (CPU.name,)
    assert told["memory_bytes"] > 1 << 20


# ------------------------------------------------------------------------------ element types


def test_strings_that_jni_passes_go_through(device: Device, tmp_path: Path) -> None:
    model = identity(tmp_path, "x", TensorProto.STRING, [2, 3])
    texts = np.asarray([["", "a", "grüße"], ["日本語", "line\nbreak", "x" * 1000]], dtype=object)
    inputs = (tensors.write_tensor(tmp_path / "t.bin", "x", texts),)
    result = device.run_block(
        make_request(make_arm(model), tmp_path, inputs=inputs), make_arm(model)
    )
    assert isinstance(result, BlockResult)
    assert result.failure is None, result.failure
    assert tensors.read_tensor(result.outputs[0]).tolist() == texts.tolist()
