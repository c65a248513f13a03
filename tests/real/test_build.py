"""Builds as users see them: steps while they run, the app or the reason at the end, a kept log."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_gradle import called, recorded_project

from android import toolchain
from ortlab.build import build_android, find_app, read_apk
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import OrtlabError, ToolchainError, UsageError
from ortlab.process import Command, SystemProcesses

RECORDED = Path(__file__).parents[1] / "data" / "gradle_errors"
STEPS = """Starting a Gradle Daemon (subsequent builds will be faster)
> Configure project :app
> Task :sdk:preBuild UP-TO-DATE
> Task :sdk:compileReleaseKotlin
> Task :bench:minifyReleaseWithR8
> Task :bench:packageRelease

BUILD SUCCESSFUL in 42s
"""

MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{package}"
    android:versionCode="{code}" android:versionName="1.5" {attributes}>
    <uses-sdk android:minSdkVersion="24" android:targetSdkVersion="29"/>
    <application android:label="Reader" android:hasCode="false"/>
</manifest>
"""


@pytest.fixture(autouse=True)
def _tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has Java and an Android SDK, as far as is looked."""
    for name in ("home/bin/java", "sdk/platforms/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    monkeypatch.delenv("ANDROID_SDK_ROOT", raising=False)


Link = Callable[..., Path]


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Link:
    """Return a function that makes an APK with Android's own linker."""

    def make(
        name: str, *, package: str = "com.example.reader", code: int = 3, split: str = ""
    ) -> Path:
        directory = tmp_path_factory.mktemp("apk")
        attributes = f'split="{split}"' if split else ""
        manifest = directory / "AndroidManifest.xml"
        manifest.write_text(MANIFEST.format(package=package, code=code, attributes=attributes))
        framework = toolchain.jar(toolchain.FRAMEWORK_RESOURCES)
        path = directory / name
        toolchain.run(["aapt2", "link", "-I", framework, "--manifest", manifest, "-o", path])
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(
                f"lib/{'arm64-v8a' if split else 'x86_64'}/libonnxruntime.so", b"n" * 90
            )
            if not split:
                archive.writestr("classes.dex", b"d" * 40)
                archive.writestr("assets/ortlab/m/fixed-arm.ort", b"m" * 700)
        return path

    return make


def build(project: Path, say: Callable[[str], None] = lambda _: None, **options: Any) -> BuiltApp:
    return build_android(project, processes=SystemProcesses(), say=say, **options)


# ------------------------------------------------------------------------------ a build that works


@pytest.mark.requires("apk")
def test_an_app_is_built_and_read(tmp_path: Path, link: Link) -> None:
    apk = link("made.apk")
    project = recorded_project(tmp_path / "my project", STEPS, apk=apk)
    said: list[str] = []
    app = build(project, said.append)
    assert called(project) == [
        str(project), str(tmp_path / "sdk"), ":bench:assembleRelease", "--console=plain",
    ]  # fmt: skip
    assert said == [
        "Gradle: :bench:assembleRelease",
        "Gradle: Starting a Gradle Daemon (subsequent builds will be faster)",
        "Gradle: Configure project :app",
        "Gradle: sdk: compileReleaseKotlin",
        "Gradle: bench: minifyReleaseWithR8",
        "Gradle: bench: packageRelease",
    ]
    log = (project / "build/ortlab-gradle.log").read_text()
    assert log == STEPS + "to standard error\n"
    assert app.platform is AppPlatform.ANDROID
    assert app.files == (project / "bench/build/outputs/apk/release/bench-release.apk",)
    assert app.sha256 == hashlib.sha256(apk.read_bytes()).hexdigest()
    assert (app.application_id, app.version_code, app.version_name) == (
        "com.example.reader", 3, "1.5",
    )  # fmt: skip
    assert (app.abis, app.debuggable, app.minimum_api_level) == (("x86_64",), False, 24)
    sizes = app.size_by_part
    assert (sizes["models"], sizes["native"], sizes["code"]) == (700, 90, 40)
    assert sum(sizes.values()) < apk.stat().st_size
    assert find_app(project) == app


@pytest.mark.requires("apk")
def test_module_and_variant_are_asked_for(tmp_path: Path, link: Link) -> None:
    project = recorded_project(
        tmp_path / "p", STEPS, apk=link("made.apk"), module="app", variant="debug"
    )
    (project / "gradlew").chmod(0o644)  # as it comes out of an archive that knows no modes
    app = build(project, module="app", variant="debug")
    assert called(project)[2] == ":app:assembleDebug"
    assert app == find_app(project, module="app")
    with pytest.raises(UsageError, match="the module bench was not built"):
        find_app(project)


def test_steps_are_told_while_it_runs(tmp_path: Path) -> None:
    project = recorded_project(tmp_path / "p", STEPS, exit_code=1, pause_s=0.4)
    when: list[float] = []
    with pytest.raises(ToolchainError):
        build(project, lambda _: when.append(time.monotonic()))
    assert when[-1] - when[0] > 1.0  # eight lines of 0.4 s: not all at the end


# ------------------------------------------------------------------------------ builds that fail


@pytest.mark.parametrize("name", ["licences", "kotlin_error", "something_else"])
def test_a_failure_says_why_what_to_do_and_where_the_log_is(tmp_path: Path, name: str) -> None:
    recording = (RECORDED / f"{name}.txt").read_text()
    project = recorded_project(tmp_path / "p", recording, exit_code=1)
    with pytest.raises(ToolchainError, match="cannot build bench of") as failed:
        build(project)
    error = failed.value
    assert error.next_step
    assert error.log_path == project / "build/ortlab-gradle.log"
    assert error.log_path.read_text() == recording + "to standard error\n"
    assert error.exit_code == 4


def test_success_without_an_apk_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="made no APK"):
        build(recorded_project(tmp_path / "p", STEPS))


def test_an_old_apk_is_no_answer_to_a_failed_build(tmp_path: Path) -> None:
    project = recorded_project(tmp_path / "p", STEPS, exit_code=1)
    old = project / "bench/build/outputs/apk/release/bench-release.apk"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    with pytest.raises(ToolchainError, match="cannot build bench"):
        build(project)


def test_a_deadline_ends_it_with_its_children(tmp_path: Path) -> None:
    project = recorded_project(tmp_path / "p", "> Task :sdk:slow\n" * 3, pause_s=30)
    started = time.monotonic()
    with pytest.raises(ToolchainError, match="not done after 1 s") as failed:
        build(project, deadline_s=1.0)
    assert time.monotonic() - started < 20
    assert failed.value.log_path
    assert "Task :sdk:slow" in failed.value.log_path.read_text()


def _no_sdk(project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("ANDROID_HOME")
    patch.setenv("HOME", str(project))


def _sdk_elsewhere(project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("ANDROID_HOME", str(project / "gone"))


def _bad_java_home(project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("JAVA_HOME", str(project))


def _no_java(project: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("JAVA_HOME")
    patch.setenv("PATH", str(project))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_no_sdk, "there is no Android SDK, and ANDROID_HOME is not set"),
        (_sdk_elsewhere, "ANDROID_HOME names .*gone, which is no directory"),
        (_bad_java_home, "JAVA_HOME names .*, which is no JDK"),
        (_no_java, "there is no Java"),
    ],
)
def test_a_tool_that_is_missing_is_told_before_anything_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
    why: str,
) -> None:
    project = recorded_project(tmp_path / "p", STEPS)
    change(project, monkeypatch)
    with pytest.raises(ToolchainError, match=why) as failed:
        build(project)
    assert "ortlab doctor" in (failed.value.next_step or "") or "ANDROID_HOME" in str(
        failed.value.next_step
    )
    assert not (project / "called.txt").exists()


@pytest.mark.parametrize("place", ["Android/Sdk", "Library/Android/sdk"])
def test_the_sdk_of_android_studio_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    project = recorded_project(tmp_path / "p", STEPS, exit_code=1)
    _no_sdk(tmp_path, monkeypatch)
    (tmp_path / place).mkdir(parents=True)
    with pytest.raises(ToolchainError):
        build(project)
    assert called(project)[1] == str(tmp_path / place)


def test_local_properties_name_the_sdk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = recorded_project(tmp_path / "p", STEPS, exit_code=1)
    _no_sdk(tmp_path, monkeypatch)
    (project / "local.properties").write_text("sdk.dir=/opt/sdk\n")
    with pytest.raises(ToolchainError):
        build(project)
    assert called(project)[1] == "unset"


def test_words_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    project = recorded_project(tmp_path / "p", STEPS)
    with pytest.raises(UsageError, match="one of app, bench"):
        build(project, module="sdk")
    with pytest.raises(UsageError, match="one of release, debug"):
        build(project, variant="profile")
    with pytest.raises(UsageError, match="there is no Gradle project"):
        build(tmp_path / "nowhere")
    (project / "gradlew").unlink()
    with pytest.raises(UsageError, match="gradlew is missing"):
        build(project)


# ------------------------------------------------------------------------------ apps that are there


@pytest.mark.requires("apk")
def test_an_apk_with_its_splits_is_one_app(tmp_path: Path, link: Link) -> None:
    base, split = link("base.apk"), link("split_config.arm64_v8a.apk", split="config.arm64_v8a")
    for path in (base, split):
        shutil.copy(path, tmp_path)
    app = find_app(tmp_path)
    assert [path.name for path in app.files] == ["base.apk", "split_config.arm64_v8a.apk"]
    assert app.sha256 == hashlib.sha256(base.read_bytes() + split.read_bytes()).hexdigest()
    assert app.abis == ("arm64-v8a", "x86_64")
    assert app.size_by_part["native"] == 180
    assert read_apk([tmp_path / split.name, tmp_path / base.name]) == app
    assert find_app(tmp_path / "base.apk").files == (tmp_path / "base.apk",)


@pytest.mark.requires("apk")
def test_files_of_several_apps_are_no_app(link: Link) -> None:
    base = link("base.apk")
    for others, why in (
        ([link("other.apk")], "2 are bases"),
        ([link("s.apk", split="a", package="com.example.other")], "application id is another"),
        ([link("s.apk", split="a", code=4)], "version code is another"),
    ):
        with pytest.raises(ToolchainError, match=why):
            read_apk([base, *others])
    with pytest.raises(ToolchainError, match="none is a base"):
        read_apk([link("s.apk", split="a")])


@pytest.mark.requires("apk")
def test_of_builds_for_single_abis_the_one_for_phones_is_taken(tmp_path: Path, link: Link) -> None:
    project = recorded_project(tmp_path / "p", STEPS)
    directory = project / "app/build/outputs/apk/release"
    directory.mkdir(parents=True)
    elements = []
    for abi in ("x86_64", "arm64-v8a"):
        shutil.copy(link(f"app-{abi}.apk"), directory)
        filters = [{"filterType": "ABI", "value": abi}]
        elements.append({"outputFile": f"app-{abi}.apk", "filters": filters})
    (directory / "output-metadata.json").write_text(json.dumps({"elements": elements}))
    assert find_app(project, module="app").files[0].name == "app-arm64-v8a.apk"


def test_what_is_no_app_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.apk").write_bytes(b"PK")
    for name, why in (
        ("gone", "no such file or directory"),
        ("empty", "no APK is in it"),
        ("broken.apk", "as an Android package"),
    ):
        with pytest.raises(OrtlabError, match=why):
            find_app(tmp_path / name)


# ------------------------------------------------------------------------------ a kept output


def test_a_program_can_print_into_a_file_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "all.txt"
    command = Command(
        arguments=("sh", "-c", "echo one; echo two >&2; echo three"),
        deadline_s=30,
        output_path=path,
    )
    completed = SystemProcesses().run(command)
    assert path.read_text() == completed.stdout == "one\ntwo\nthree\n"
    assert completed.stderr == ""
    SystemProcesses().run(command)
    assert path.read_text() == "one\ntwo\nthree\n"
    (tmp_path / "file").write_text("")
    with pytest.raises(OrtlabError, match="cannot write"):
        SystemProcesses().run(
            Command(arguments=("true",), deadline_s=1, output_path=tmp_path / "file/x")
        )
