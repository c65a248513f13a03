"""Generated projects: golden ones, compiled ones, and ones whose writer was killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from android import toolchain
from ortlab.codec import to_json
from ortlab.domain import PreparedModel
from ortlab.scaffold.android import template_directory
from prepared_models import prepared_model, small_template, with_other_weights, write

GENERATED = "sdk/src/generated"


def script(name: str) -> ModuleType:
    """Return a script of the repository as a module."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, toolchain.ROOT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module  # where a dataclass of it looks for its names
    spec.loader.exec_module(module)
    return module


renew_golden = script("renew_golden")
renew_template = script("renew_template")
MODELS = sorted(renew_golden.specs())


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    directory = tmp_path_factory.mktemp("golden")
    for name in MODELS:
        renew_golden.generate(name, directory / name)
    return {name: directory / name for name in MODELS}


# ------------------------------------------------------------------------------ golden trees


@pytest.mark.parametrize("name", MODELS)
def test_a_project_is_as_the_golden_one(projects: Mapping[str, Path], name: str) -> None:
    """When this fails as intended: ``python scripts/renew_golden.py``, then read the diff."""
    generated, stored = renew_golden.golden_files(projects[name]), renew_golden.stored_files(name)
    assert sorted(generated) == sorted(stored)
    for path, data in generated.items():
        assert data.decode() == stored[path].decode(), path


@pytest.mark.parametrize("name", MODELS)
def test_the_rest_is_the_template_byte_for_byte(projects: Mapping[str, Path], name: str) -> None:
    project, template = projects[name], template_directory()
    ours = {"app.properties", ".ortlab/generated.json"}
    rest = {
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.is_file() and not path.is_relative_to(project / GENERATED)
    } - ours
    assert {"gradlew", "settings.gradle.kts", "sdk/build.gradle.kts", ".gitignore"} <= rest
    for path in rest:
        assert (project / path).read_bytes() == (template / path).read_bytes(), path
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", str(template)],
        cwd=toolchain.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode == 0:
        names = {
            Path(toolchain.ROOT / path).relative_to(template).as_posix()
            for path in tracked.stdout.split("\0")
            if path and (toolchain.ROOT / path).is_file()
        }
        assert rest == {n for n in names if not n.startswith(GENERATED + "/")} - ours
    assert os.access(project / "gradlew", os.X_OK)


def test_the_template_holds_what_would_be_generated_for_its_sample(tmp_path: Path) -> None:
    """When this fails as intended: ``python scripts/renew_template.py``, then read the diff."""
    wanted = renew_template.wanted_files(tmp_path)
    assert len(wanted) > 3
    assert renew_template.files_below(template_directory()) == wanted


@pytest.mark.parametrize("colour", ["red", "green", "blue", "grey"])
def test_the_sample_model_tells_colours(colour: str) -> None:
    import numpy as np
    import onnxruntime

    labels = list(renew_template.LABELS)
    picture = np.full((1, 3, 32, 32), 0.4, np.float32)
    if colour != "grey":
        picture[0, labels.index(colour)] = 0.9
    for variant in ("fixed-arm.ort", "runtime-arm.ort"):
        path = renew_template.PREPARED / "variants" / variant
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (scores,) = session.run(None, {"picture": picture})
        assert labels[int(scores.argmax())] == colour
        assert scores.max() > 0.5


@pytest.mark.requires("kotlin")
def test_what_is_generated_compiles_and_lints_clean(
    projects: Mapping[str, Path], tmp_path: Path
) -> None:
    """One run of the compiler: the SDK, the classes of all three, one registry of models."""
    kotlin = {name: projects[name] / GENERATED / "kotlin" for name in MODELS}
    registries = [next(directory.rglob("Models.kt")) for directory in kotlin.values()]
    classes = [
        path
        for directory in kotlin.values()
        for path in directory.rglob("*.kt")
        if path not in registries
    ]
    assert len(classes) == len(MODELS)
    sources = (projects[MODELS[0]] / "sdk/src/main/kotlin", *classes, registries[0])
    toolchain.compile_kotlin(
        toolchain.KotlinModule(
            name="sdk",
            sources=sources,
            libraries=(toolchain.ONNXRUNTIME, toolchain.ANDROID),
            explicit_api=True,
        ),
        tmp_path / "classes",
    )
    toolchain.ktlint([f"*/{GENERATED}/**/*.kt"], projects[MODELS[0]].parent)


# ------------------------------------------------------------------------------ killed writers

WRITER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from ortlab.codec import from_json
from ortlab.domain import AppSpec, PreparedModel
from ortlab.scaffold import generate_android

directory = Path(sys.argv[1])
prepared = from_json(PreparedModel, (directory / "small.json").read_bytes(), source="small")
spec = AppSpec(name="Reader", application_id="dev.example.reader")
print("ready", flush=True)
generate_android(prepared, directory, spec, Path(sys.argv[2]), template=Path(sys.argv[3]))
"""


class Writer:
    """Generates in a process of its own that can be killed at any moment."""

    def __init__(self, directory: Path) -> None:
        self.prepared_directory = directory / "prepared"
        self.template = small_template(directory / "template")
        for number in range(60):
            write(self.template, f"app/src/File{number}.kt", f"val a{number} = 1\n".encode())
        self.project = directory / "project"
        self.store(prepared_model(self.prepared_directory))

    def store(self, prepared: PreparedModel) -> None:
        self.prepared = prepared
        write(self.prepared_directory, "small.json", to_json(prepared).encode())

    def change(self) -> None:
        self.store(with_other_weights(self.prepared, self.prepared_directory))
        for number in range(60):
            write(self.template, f"app/src/File{number}.kt", f"val a{number} = 2\n".encode())

    def run(self, *, kill_after_s: float | None = None) -> bool:
        """Return whether it came to its own end."""
        here = str(Path(__file__).parent)
        places = (self.prepared_directory, self.project, self.template)
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, *map(str, places), here], stdout=subprocess.PIPE
        )
        assert child.stdout
        try:
            assert child.stdout.readline() == b"ready\n"
            if kill_after_s is not None:
                time.sleep(kill_after_s)
                os.kill(child.pid, signal.SIGKILL)
            return child.wait(timeout=60) == 0
        finally:
            child.kill()
            child.wait()
            child.stdout.close()

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.project).as_posix(): path.read_bytes()
            for path in self.project.rglob("*")
            if path.is_file()
        }

    def own_files(self) -> dict[str, bytes]:
        return {path: data for path, data in self.files().items() if path[:8] != ".ortlab/"}


def test_a_first_run_that_is_killed_leaves_all_or_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    writer = Writer(tmp_path)
    writer.run()
    whole = writer.files()
    outcomes = set()
    for _ in range(8):
        if writer.project.exists():
            writer.project.rename(tmp_path / f"old-{chance.random()}")
        ended = writer.run(kill_after_s=chance.uniform(0, 0.12))
        outcomes.add((ended, writer.project.exists()))
        assert not writer.project.exists() or writer.files() == whole
    assert writer.run()
    assert writer.files() == whole
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert (False, False) in outcomes, "no run was killed in time"


def test_a_later_run_that_is_killed_leaves_a_project_that_the_next_one_completes(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    writer = Writer(tmp_path)
    writer.run()
    old = writer.own_files()
    record = (writer.project / ".ortlab/generated.json").read_bytes()
    mine = write(writer.project, "app/src/Mine.kt", b"class Mine\n")[0]
    writer.change()
    assert writer.run()
    new = writer.own_files()
    assert new != old
    for _ in range(8):
        for path, data in old.items():
            write(writer.project, path, data)
        write(writer.project, ".ortlab/generated.json", record)
        writer.run(kill_after_s=chance.uniform(0, 0.12))
        now = writer.own_files()
        assert now.pop(mine) == b"class Mine\n"
        assert set(now) == set(old)
        assert all(now[path] in (old[path], new[path]) for path in now)
        folder = {path: data for path, data in now.items() if path.startswith(GENERATED)}
        states = [{p: d for p, d in state.items() if p in folder} for state in (old, new)]
        assert folder in states, "the generated folder is neither the old nor the new one"
        assert writer.run()
        assert writer.own_files() == new
    assert not (writer.project / ".ortlab/staging").exists()
