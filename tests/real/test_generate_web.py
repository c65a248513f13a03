"""Generated web projects: golden ones, and what users see of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_generate_ios import renew_golden, script

from ortlab.domain import AppPlatform
from ortlab.scaffold.web import GENERATED, SETTINGS, template_directory

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))  # its scripts import each other
renew_web_template = script("renew_web_template")
WEB = AppPlatform.WEB
SPECS = renew_golden.specs(WEB)
MODELS = sorted(SPECS)
OURS = {SETTINGS, ".ortlab/generated.json"}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    directory = tmp_path_factory.mktemp("golden")
    for name in MODELS:
        renew_golden.generate(name, directory / name, WEB)
    return {name: directory / name for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_a_project_is_as_the_golden_one(projects: Mapping[str, Path], name: str) -> None:
    """When this fails as intended: ``python scripts/renew_golden.py``, then read the diff."""
    generated = renew_golden.golden_files(projects[name], WEB)
    stored = renew_golden.stored_files(name, WEB)
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
    assert {"package-lock.json", ".npmrc", ".gitignore", "src/sdk/session.ts"} <= rest
    for path in rest:
        assert (project / path).read_bytes() == (template / path).read_bytes(), path
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", str(template)],
        cwd=template.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode == 0 and template.parent.name != "ortlab":
        names = {
            (template.parent / path).relative_to(template).as_posix()
            for path in tracked.stdout.split("\0")
            if path and (template.parent / path).is_file()
        }
        assert rest == {n for n in names if not n.startswith(GENERATED + "/")} - OURS


@pytest.mark.parametrize("name", MODELS)
def test_settings_mean_what_was_said(projects: Mapping[str, Path], name: str) -> None:
    text = (projects[name] / SETTINGS).read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.split("\n"))
    settings, spec = json.loads(text), SPECS[name]
    assert settings["name"] == spec.name
    assert settings["id"] == spec.application_id
    assert settings["version"] == spec.version_name
    assert settings["versionCode"] == spec.version_code
    assert settings["serviceWorker"] is spec.service_worker


def test_the_template_carries_what_is_generated_for_the_sample() -> None:
    """When this fails as intended: ``python scripts/renew_web_template.py``."""
    assert renew_web_template.current_files() == renew_web_template.wanted_files()


def test_no_file_names_a_registry(projects: Mapping[str, Path]) -> None:
    lock = json.loads((projects["digits"] / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
