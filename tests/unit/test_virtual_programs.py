"""What a virtual phone runs, and the package that stands for it."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from ortlab.devices.virtual import (
    KotlinCore,
    PythonRunner,
    VirtualPhoneSpec,
    default_program,
    runner_package,
)
from ortlab.devices.virtual.android.runner_packages import read_runner_package
from ortlab.errors import UsageError


def test_without_a_jvm_the_python_runner_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ORTLAB_BENCH_CORE", str(tmp_path / "core.jar"))
    assert default_program() == PythonRunner(sys.executable)


def test_with_a_jvm_and_the_core_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    (tmp_path / "native").mkdir()
    classpath = os.pathsep.join(str(tmp_path / name) for name in ("core.jar", "kotlin.jar"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("ORTLAB_BENCH_CORE", classpath)
    program = default_program()
    assert program == KotlinCore(str(java), classpath, str(tmp_path / "native"))
    arguments = program.arguments("request.json")
    assert arguments[0] == str(java)
    assert arguments[-2:] == ("dev.ortlab.benchcore.MainKt", "request.json")
    assert arguments[arguments.index("-cp") + 1] == classpath


def test_a_runner_package_is_the_same_each_time_and_is_read_back(tmp_path: Path) -> None:
    first = runner_package(tmp_path / "a.apk", "com.example.bench", 3)
    second = runner_package(tmp_path / "b.apk", "com.example.bench", 3)
    assert first.read_bytes() == second.read_bytes()
    found = read_runner_package(first)
    assert found is not None
    assert (found.application_id, found.version_code) == ("com.example.bench", 3)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"schema": "x"}', b"\xff"])
def test_other_zips_are_no_runner_packages(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ortlab-runner.json", content)
    assert read_runner_package(path) is None
    path.write_bytes(content)
    assert read_runner_package(path) is None


@pytest.mark.parametrize("level", range(24, 37))
def test_each_android_version_announces_what_it_can_do(level: int) -> None:
    spec = VirtualPhoneSpec(api_level=level)
    assert "shell_v2" in spec.features
    assert ("abb_exec" in spec.features) is (level >= 30)
    assert ("sendrecv_v2" in spec.features) is (level >= 30)
    assert (spec.protocol_version, spec.largest_payload_bytes) == (
        (0x01000001, 1 << 20) if level >= 28 else (0x01000000, 256 << 10)
    )
    assert spec.banner("device").startswith(b"device::ro.product.name=virtual_phone;")


@pytest.mark.parametrize("level", [0, 23, 37])
def test_other_android_versions_are_refused(level: int) -> None:
    with pytest.raises(UsageError, match="API level"):
        VirtualPhoneSpec(api_level=level)
