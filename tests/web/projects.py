"""Projects with the web template's sources, any models' generated classes, and a driver."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ortlab.scaffold.sdk_model import ModelForSdk
from ortlab.scaffold.typescript_sdk import runtime_source, typescript_sources
from web import packages

DRIVERS = Path(__file__).parent
RUN_S = 600.0

_NOT_COPIED = ("node_modules", "dist", "build", "generated", "test")


def write_project(
    target: Path,
    models: Sequence[ModelForSdk],
    assets: Path,
    driver: str,
    *,
    providers: Sequence[str] = ("wasm",),
) -> None:
    """Write a project; what runs in it is the driver, a directory beside this file."""
    shutil.copytree(packages.TEMPLATE, target, ignore=shutil.ignore_patterns(*_NOT_COPIED, "*.log"))
    packages.use_packages(target)
    generated = target / "src" / "generated"
    sources = {**typescript_sources(models), "runtime.ts": runtime_source(providers)}
    for path, text in sources.items():
        (generated / path).parent.mkdir(parents=True, exist_ok=True)
        (generated / path).write_text(text, encoding="utf-8")
    shutil.copytree(assets, generated / "assets")
    (target / "test").mkdir()
    shutil.copy(DRIVERS / "node" / "setup.ts", target / "test")
    for source in (DRIVERS / driver).glob("*.test.ts"):
        shutil.copy(source, target / "test")


def run_driver(project: Path, outputs: Path) -> str:
    """Run a project's driver in Node.js, with the build of the runtime that pages ship.

    Returns:
        What it said.

    Raises:
        AssertionError: Something in it failed; the message is what it said.
    """
    shutil.copy(DRIVERS / "node" / "runtime.ts", project / "src" / "generated")
    done = packages.run(
        *("vitest", "run", "--reporter=verbose"),
        directory=project,
        deadline_s=RUN_S,
        environment={"ORTLAB_OUTPUTS": str(outputs)},
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.succeeded, said
    return said
