"""Builds of web projects as users see them: steps, the page or the reason, a kept log."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ortlab.build import build_web, find_app
from ortlab.build.web import BUILD_LOG, INSTALL_LOG
from ortlab.cli import run
from ortlab.domain import AppPlatform, BuiltApp
from ortlab.errors import OrtlabError, ToolchainError, UsageError
from ortlab.process import SystemProcesses

RECORDED = Path(__file__).parents[1] / "data" / "npm_errors"
BUILT = """
> reader@1.0.0 build
> tsc && vite build

vite v6.4.6 building for production...
transforming...
rendering chunks...
"""

NPM = """#!/bin/sh
here={here}
printf '%s\\n' "$*" >> "$here/called.txt"
name=$(printf '%s' "$1-$2" | tr -d /)
if [ -e "$here/$name.txt" ]; then cat "$here/$name.txt" >&2; exit 1; fi
if [ "$1" = ci ]; then rm -rf node_modules; mkdir node_modules; exit 0; fi
{pause}
cat "$here/built.txt"
[ -e "$here/makes-nothing" ] && exit 0
mkdir -p dist/assets
echo '<!doctype html>' | tee dist/index.html > dist/bench.html
echo wasm > dist/assets/ort.wasm
echo model > dist/assets/fixed-arm.ort
[ "$4" = --sourcemap ] && echo '{{}}' > dist/assets/index.js.map
exit 0
"""
"""Is no model of npm: it prints what npm once printed, and makes a page as small as one can be."""


class Machine:
    """A project, and programs of the names that a build starts."""

    def __init__(self, place: Path) -> None:
        self.bin = place / "bin"
        self.project = place / "reader"
        self.said: list[str] = []
        for name, text in {
            "app.json": '{"id": "dev.example.reader", "version": "2.0", "versionCode": 3}',
            "vite.config.ts": "export default {};\n",
            "package.json": "{}",
            "package-lock.json": "{}",
            ".ortlab/generated.json": json.dumps({"files": {"src/generated/assets/m.ort": "x"}}),
            "src/generated/assets/m.ort": "model",
        }.items():
            (self.project / name).parent.mkdir(parents=True, exist_ok=True)
            (self.project / name).write_text(text)
        self.program("node", "#!/bin/sh\necho v20.11.0\n")
        self.npm()

    def program(self, name: str, text: str) -> None:
        self.bin.mkdir(exist_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def npm(self, *, pause: str = ":") -> None:
        self.program("npm", NPM.format(here=self.bin, pause=pause))
        (self.bin / "built.txt").write_text(BUILT)

    def fails(self, step: str, recording: str) -> None:
        shutil.copy(RECORDED / f"{recording}.txt", self.bin / f"{step}.txt")

    def build(self, **options: Any) -> BuiltApp:
        return build_web(
            self.project,
            processes=SystemProcesses(),
            say=self.said.append,
            **options,
        )

    def called(self) -> list[str]:
        return (self.bin / "called.txt").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    tools = [str(Path(found).parent) for name in ("sh", "cat") if (found := shutil.which(name))]
    monkeypatch.setenv("PATH", ":".join([str(machine.bin), *dict.fromkeys(tools)]))
    return machine


def only_programs(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Leave a search path on which nothing else is."""
    monkeypatch.setenv("PATH", str(directory))


def refusal(action: Callable[[], object]) -> OrtlabError:
    with pytest.raises(OrtlabError) as caught:
        action()
    return caught.value


# ------------------------------------------------------------------------------ what works


def test_a_page_is_built_step_by_step(machine: Machine) -> None:
    app = machine.build()
    assert machine.called() == ["ci", "run build"]
    assert app == find_app(machine.project)
    assert app.platform is AppPlatform.WEB
    assert app.files[0] == machine.project / "dist/bench.html"
    assert (app.application_id, app.version_name, app.version_code) == (
        "dev.example.reader",
        "2.0",
        3,
    )
    assert not app.debuggable
    assert machine.said[0] == "npm: ci"
    assert "npm: tsc && vite build" in machine.said
    assert "npm: vite v6.4.6 building" in machine.said
    assert (machine.project / BUILD_LOG).read_text() == BUILT
    assert (machine.project / INSTALL_LOG).is_file()


def test_packages_are_installed_where_they_are_not_as_the_lock_says(machine: Machine) -> None:
    machine.build()
    machine.build()
    assert machine.called() == ["ci", "run build", "run build"]
    (machine.project / "package-lock.json").write_text('{"changed": true}')
    machine.build()
    assert machine.called()[-2:] == ["ci", "run build"]
    shutil.rmtree(machine.project / "node_modules")
    machine.build()
    assert machine.called()[-2:] == ["ci", "run build"]


def test_a_build_to_debug_is_told_as_one(machine: Machine) -> None:
    assert machine.build(variant="debug").debuggable
    assert machine.called()[-1] == "run build -- --sourcemap --minify false"


# ------------------------------------------------------------------------------ what fails


@pytest.mark.parametrize(
    ("step", "recording", "cause", "log"),
    [
        ("ci-", "refused", "registry cannot be reached (ECONNREFUSED)", INSTALL_LOG),
        ("ci-", "lock_out_of_date", "package-lock.json does not fit", INSTALL_LOG),
        ("ci-", "disk_full", "the disk is full", INSTALL_LOG),
        ("run-build", "type_error", "src/main.ts:1: Type 'string'", BUILD_LOG),
    ],
)
def test_a_failure_has_its_cause_and_its_log(
    machine: Machine, step: str, recording: str, cause: str, log: str
) -> None:
    machine.fails(step, recording)
    error = refusal(machine.build)
    assert isinstance(error, ToolchainError)
    assert f"cannot build {machine.project}: " in str(error)
    assert cause in str(error)
    assert error.next_step
    assert error.log_path == machine.project / log
    assert error.log_path.read_text() == (RECORDED / f"{recording}.txt").read_text()


def test_packages_that_were_not_all_installed_are_installed_anew(machine: Machine) -> None:
    machine.fails("ci-", "disk_full")
    refusal(machine.build)
    (machine.bin / "ci-.txt").unlink()
    machine.build()
    assert machine.called() == ["ci", "ci", "run build"]


def test_a_build_that_hangs_ends_at_its_deadline(machine: Machine) -> None:
    machine.npm(pause="sleep 60")
    started = time.monotonic()
    error = refusal(lambda: machine.build(deadline_s=2))
    assert time.monotonic() - started < 30
    assert "it was not done after" in str(error)
    assert "--deadline-s" in (error.next_step or "")


def test_a_machine_without_tools_is_told_what_to_install(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.program("node", "#!/bin/sh\necho v16.20.2\n")
    error = refusal(machine.build)
    assert "it needs Node.js 18, and" in str(error)
    assert str(error).endswith("is 16.20.2")
    machine.program("node", "#!/bin/sh\nexit 3\n")
    assert "does not say which Node.js it is" in str(refusal(machine.build))
    only_programs(monkeypatch, machine.bin)
    (machine.bin / "npm").unlink()
    assert "there is no npm" in str(refusal(machine.build))
    (machine.bin / "node").unlink()
    error = refusal(machine.build)
    assert "there is no Node.js" in str(error)
    assert "ortlab doctor" in (error.next_step or "")


def test_a_model_that_was_deleted_is_missed_before_anything_runs(machine: Machine) -> None:
    (machine.project / "src/generated/assets/m.ort").unlink()
    error = refusal(machine.build)
    assert "src/generated/assets/m.ort is missing" in str(error)
    assert not (machine.bin / "called.txt").exists()


def test_a_build_without_a_page_is_none(machine: Machine) -> None:
    (machine.bin / "makes-nothing").touch()
    assert "made no page in dist" in str(refusal(machine.build))


def test_words_that_mean_nothing_are_refused(machine: Machine, tmp_path: Path) -> None:
    for action, cause in (
        (lambda: machine.build(module="sdk"), "the module 'sdk': it is one of app, bench"),
        (lambda: machine.build(variant="x"), "the variant 'x': it is one of release, debug"),
    ):
        error = refusal(action)
        assert isinstance(error, UsageError)
        assert cause in str(error)
    with pytest.raises(UsageError, match="there is no web project"):
        build_web(tmp_path, processes=SystemProcesses())


# ------------------------------------------------------------------------------ the commands


def test_the_commands_say_what_becomes_of_a_page(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["build", str(machine.project)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "dev.example.reader 2.0 (3)" in told
    assert "wasm 5 B" in told
    assert "npm run serve" in told
    assert f"ortlab bench PREPARED --device web --app {machine.project}" in told
    assert run(["deploy", str(machine.project), "--device", "web"]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert "put on a web server, which is yours" in told
    assert "node " in told
    assert "serve.mjs" in told
