"""The npm packages of the web template, installed once, and programs run on them.

They lie in `.cache/web`, in a directory for each lock file. It is for tests and benchmarks alone:
users run `npm ci` in their project.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ortlab.process import Command, Completed, SystemProcesses

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "web_template"
CACHE = ROOT / ".cache" / "web"

_WANTED = ("package.json", "package-lock.json", ".npmrc")


class ToolFailedError(Exception):
    """A tool ended with an error; the message is what it said."""


@functools.cache
def node_modules() -> Path:
    """Return the directory of the packages that the template's lock names; install it if needed."""
    lock = (TEMPLATE / "package-lock.json").read_bytes()
    home = CACHE / f"packages-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (home / "node_modules").is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="install-") as place:
            for name in _WANTED:
                shutil.copy(TEMPLATE / name, place)
            run("npm", "ci", "--ignore-scripts", directory=Path(place), deadline_s=300)
            try:
                Path(place).rename(home)
            except OSError:  # another process was quicker
                assert (home / "node_modules").is_dir()
    return home / "node_modules"


def run(
    *arguments: str | Path,
    directory: Path,
    deadline_s: float = 300,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run a program of the packages, or npm or node."""
    program, *rest = map(str, arguments)
    own = directory / "node_modules" / ".bin" / program
    done = SystemProcesses().run(
        Command(
            arguments=(str(own) if own.exists() else program, *rest),
            deadline_s=deadline_s,
            working_directory=directory,
            environment={"CI": "1", "NO_COLOR": "1", **(environment or {})},
        )
    )
    if check and not done.succeeded:
        message = f"{' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}"
        raise ToolFailedError(message)
    return done


def use_packages(project: Path) -> None:
    """Give a project the packages, without a copy."""
    (project / "node_modules").symlink_to(node_modules(), target_is_directory=True)
