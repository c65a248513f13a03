"""The house itself: what is imported at start, what the wheel carries, what is tracked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ("android_template/", "ios_template/", "web_template/")
HEAVY = {"onnx", "onnxruntime", "pandas", "scipy", "altair", "numpy", "pyarrow"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tracked_files(*options: str) -> list[Path]:
    listed = run("git", "ls-files", "-z", *options)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# ----------------------------------------------------------------------------------------- start


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["bench", "--help"], ["nonsense"]]
)
def test_starting_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from ortlab.cli import run\n"
        "try:\n"
        "    run(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    started = run(sys.executable, "-c", code, *arguments)
    modules = started.stderr.splitlines()[-1].split()
    assert "ortlab.cli.app" in modules, started.stderr
    assert {name.split(".")[0] for name in modules} & HEAVY == set()


def test_the_program_and_the_module_are_the_same() -> None:
    program = run(str(Path(sysconfig.get_path("scripts")) / "ortlab"), "--version")
    module = run(sys.executable, "-m", "ortlab", "--version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert program.stdout == module.stdout == f"ortlab {project['version']}\n"


def test_another_package_may_add_commands(tmp_path: Path) -> None:
    (tmp_path / "more_plugin.py").write_text(
        "import typer\napp = typer.Typer()\n\n\n@app.command()\ndef hello():\n    print('hi')\n"
    )
    information = tmp_path / "more_plugin-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: more-plugin\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[ortlab.commands]\nmore = more_plugin:app\n")
    command = (sys.executable, "-m", "ortlab", "more", "hello")
    assert run(*command, PYTHONPATH=str(tmp_path)).stdout == "hi\n"
    assert run(*command).returncode == 2


def test_the_arrows_between_the_parts_hold() -> None:
    checked = run(str(Path(sysconfig.get_path("scripts")) / "lint-imports"), "--no-cache")
    assert checked.returncode == 0, checked.stdout


# ------------------------------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    directory = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory))
    assert built.returncode == 0, built.stderr
    (wheel,) = directory.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_carries_the_package_protocol_and_template_and_nothing_else(
    wheel_names: set[str],
) -> None:
    expected = set()
    for path in tracked_files("--cached", "--others", "--exclude-standard"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(("src/ortlab/", "src/device_lab/")):
            expected.add(name.removeprefix("src/"))
        elif name.startswith(("bench_protocol/", *TEMPLATES)):
            expected.add(f"ortlab/{name}")
    assert "ortlab/py.typed" in expected
    assert any(name.endswith(".schema.json") for name in expected)
    assert {name for name in wheel_names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


# ----------------------------------------------------------------------------------- what is kept


def locked() -> dict[str, str]:
    text = "".join((ROOT / "requirements" / name).read_text() for name in ("lock.txt", "ios.txt"))
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ \\]+)", text, flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_the_lock_holds_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(line for lines in project["project"]["optional-dependencies"].values() for line in lines),
        *project["build-system"]["requires"],
    ]
    versions = locked()
    for requirement in map(Requirement, wanted):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"make lock: {requirement.name} is not locked"
        assert requirement.specifier.contains(version), f"make lock: {requirement} is not met"


@pytest.mark.parametrize("name", ["lock.txt", "ios.txt", "models.txt"])
def test_a_lock_has_hashes_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert options == []
    assert "://" not in text
    assert " @ " not in text


def test_no_tracked_file_knows_this_machine() -> None:
    """Neither this checkout, nor anybody's home, nor a package index by host."""
    here = [str(ROOT), sys.prefix]
    if Path.home() != Path("/"):
        here.append(f"{Path.home()}/")
    patterns = [
        *map(re.escape, here),
        "/(home|Users)/" + "[a-z][a-z0-9_-]*/",
        r"--(index-url|extra-index-url|find-links|trusted-host)[ =]+[^-\s]",
    ]
    pattern = re.compile("|".join(patterns).encode())
    found = {}
    for path in tracked_files():
        if match := pattern.search(path.read_bytes()):
            found[path.relative_to(ROOT).as_posix()] = match.group().decode()
    assert found == {}


def test_make_tells_its_targets_and_each_one_told_of_exists() -> None:
    told = re.findall(r"^  make ([a-z-]+)", run("make", "help").stdout, flags=re.MULTILINE)
    assert {"demo", "test", "check", "install"} <= set(told)
    makefile = (ROOT / "Makefile").read_text()
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    for path in documents:
        for block in re.findall(r"`(?:[^`\n]*; )?make ([a-z-]+)", path.read_text()):
            assert re.search(rf"^{block}:", makefile, flags=re.MULTILINE), f"{path}: make {block}"
    assert documents
