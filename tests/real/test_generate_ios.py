"""Generated Xcode projects: golden ones, and ones that Swift builds and runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from ios import swift
from ortlab.domain import AppPlatform
from ortlab.scaffold.ios import GENERATED, SETTINGS, template_directory
from ortlab.scaffold.xcconfig import read_xcconfig, xcconfig_text


def script(name: str) -> ModuleType:
    """Return a script of the repository as a module."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, swift.CHECKOUT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


renew_golden = script("renew_golden")
IOS = AppPlatform.IOS
SPECS = renew_golden.specs(IOS)
MODELS = sorted(SPECS)
OURS = {SETTINGS, "Package.swift", ".ortlab/generated.json"}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    directory = tmp_path_factory.mktemp("golden")
    for name in MODELS:
        renew_golden.generate(name, directory / name, IOS)
    return {name: directory / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_a_project_is_as_the_golden_one(projects: Mapping[str, Path], name: str) -> None:
    """When this fails as intended: ``python scripts/renew_golden.py``, then read the diff."""
    generated = renew_golden.golden_files(projects[name], IOS)
    stored = renew_golden.stored_files(name, IOS)
    assert sorted(generated) == sorted(stored)
    for path, data in generated.items():
        assert data.decode() == stored[path].decode(), path


@pytest.mark.parametrize("name", MODELS)
def test_the_rest_is_the_template_byte_for_byte(projects: Mapping[str, Path], name: str) -> None:
    project, template = projects[name], template_directory()
    rest = {
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.is_file() and not path.is_relative_to(project / GENERATED)
    } - OURS
    assert {"Podfile", ".gitignore", "Starter.xcodeproj/project.pbxproj", "App/Info.plist"} <= rest
    for path in rest:
        assert (project / path).read_bytes() == (template / path).read_bytes(), path
    ours, theirs = ((d / "Package.swift").read_text().splitlines() for d in (project, template))
    changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert [b for _, b in changed] == ["// settings: of the template"]
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", str(template)],
        cwd=swift.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode == 0:
        names = {
            Path(swift.CHECKOUT / path).relative_to(template).as_posix()
            for path in tracked.stdout.split("\0")
            if path and (swift.CHECKOUT / path).is_file()
        }
        assert rest == {n for n in names if not n.startswith(GENERATED + "/")} - OURS


@pytest.mark.parametrize("name", MODELS)
def test_settings_mean_what_was_said(projects: Mapping[str, Path], name: str) -> None:
    settings = read_xcconfig((projects[name] / SETTINGS).read_bytes())
    spec = SPECS[name]
    assert xcconfig_text(settings["APP_NAME"]) == spec.name
    assert xcconfig_text(settings["APP_VERSION"]) == spec.version_name
    assert settings["APP_ID"] == spec.application_id
    assert settings["DEVELOPMENT_TEAM"] == spec.team_id


RUBY = pytest.mark.skipif(shutil.which("ruby") is None, reason="there is no Ruby here")
RECORDER = """
require 'json'
$pods, $scope = {}, ['all']
def platform(*) = nil
def project(*) = nil
def use_frameworks!(*) = nil
def install!(*) = nil
def abstract_target(name) = yield
def target(name)
  $scope.push(name)
  yield
  $scope.pop
end
def pod(name, *given) = ($pods[$scope.last] ||= {})[name] = given
eval(File.read(ARGV[0]), binding, ARGV[0])
puts JSON.generate($pods)
"""


@RUBY
@pytest.mark.parametrize(
    ("settings", "runtime"),
    [
        ({}, ["1.24.9"]),
        ({"ORT_PODSPEC": "Frameworks/o.podspec"}, [{"podspec": "Frameworks/o.podspec"}]),
        ({"ORT_XCFRAMEWORK": "Frameworks/o.xcframework"}, [{"path": "."}]),
        ({"CUSTOM_OPS": "Frameworks/Ops.xcframework"}, ["1.24.9"]),
    ],
)
def test_the_podfile_takes_what_the_settings_say(
    tmp_path: Path, settings: Mapping[str, str], runtime: object
) -> None:
    """Ruby runs the Podfile; what it calls is written down here instead of by CocoaPods."""
    shutil.copy(template_directory() / "Podfile", tmp_path)
    hostile = "APP_NAME = Tom's // $$1 \u202e = 🐙\n"
    lines = [f"{key} = {value} // why\n" for key, value in settings.items()]
    empty = "ORT_PODSPEC =\nORT_XCFRAMEWORK =\nCUSTOM_OPS =\n"
    text = f"{hostile}{empty}ORT_VERSION = 1.24.9\n{''.join(lines)}"
    (tmp_path / "App.xcconfig").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["ruby", "-", str(tmp_path / "Podfile")],
        input=RECORDER,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    pods = json.loads(done.stdout)
    ours = {"COrt", "Ort", *(["CustomOps"] if "CUSTOM_OPS" in settings else [])}
    assert pods == {
        "all": {"onnxruntime-c": runtime} | {name: [{"path": "."}] for name in ours},
        "App": {"ModelSDK": [{"path": "."}]},
        "Bench": {"BenchCore": [{"path": "."}]},
    }


@RUBY
def test_pods_of_frameworks_name_the_file_of_the_settings() -> None:
    reader = """
require 'json'
class Spec < BasicObject
  def method_missing(name, *given) = given.empty? ? self : ($found[name] = given[0])
end
module Pod; end
Pod::Spec = Class.new { def self.new = yield(::Spec.allocate) }
$found = {}
eval(File.read(ARGV[0]), binding, ARGV[0])
puts JSON.generate($found)
"""
    for name, key in {"onnxruntime-c": "ORT_XCFRAMEWORK", "CustomOps": "CUSTOM_OPS"}.items():
        done = subprocess.run(
            ["ruby", "-", str(template_directory() / f"{name}.podspec")],
            input=reader,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, f"ORTLAB_{key}": f"Frameworks/{key}.xcframework"},
        )
        found = json.loads(done.stdout)
        assert found["name="] == name
        assert found["vendored_frameworks="] == f"Frameworks/{key}.xcframework"


def test_a_change_of_a_setting_reaches_the_package(projects: Mapping[str, Path]) -> None:
    """Swift keeps what a manifest said; the mark in it is what makes it look again."""
    manifests = {(project / "Package.swift").read_bytes() for project in projects.values()}
    assert len(manifests) == 2  # two of them take the template's ONNX Runtime


@pytest.mark.requires("swift")
def test_what_is_generated_lints_clean(projects: Mapping[str, Path]) -> None:
    directories = [projects[name] / GENERATED / "Swift" for name in MODELS]
    swift.format_lint(directories, directory=swift.CHECKOUT)


@pytest.mark.requires("swift")
def test_a_generated_project_builds_and_runs_with_its_models_inside(
    projects: Mapping[str, Path],
) -> None:
    """The project's own package, with warnings as errors, and its own tests of the resources."""
    project = projects["digits"]
    driver = project / "Tests" / "ModelSDKTests"
    for path in driver.iterdir():
        path.unlink()
    (driver / "GeneratedTests.swift").write_text(TESTS)
    shutil.rmtree(project / "Tests" / "OrtTests")
    shutil.rmtree(project / "Tests" / "BenchCoreTests")
    manifest = project / "Package.swift"
    lines = manifest.read_text().splitlines(keepends=True)
    unwanted = ('name: "OrtTests"', 'name: "BenchCoreTests"')
    manifest.write_text("".join(line for line in lines if not any(u in line for u in unwanted)))
    done = swift.run(
        [
            *("swift", "test", "-j", "1", "--scratch-path", swift.CACHE / "build" / "generated"),
            *("-Xlinker", f"-L{swift.ort_directory()}", "-Xswiftc", "-warnings-as-errors"),
        ],
        directory=project,
        deadline_s=1200.0,
    )
    assert "Executed 1 test, with 0 failures" in done.stdout + done.stderr


TESTS = """
import ModelSDK
import XCTest

final class GeneratedTests: XCTestCase {
    func testEveryPackagedModelRunsItsSample() throws {
        XCTAssertEqual(Models.all.count, 1)
        for model in Models.all {
            for style in model.variants.map(\\.style) {
                let session = try model.open(SessionOptions(style: style))
                let outputs = try session.run(try model.loadSample())
                XCTAssertEqual(outputs.count, model.outputs.count)
                session.close()
            }
        }
    }
}
"""
