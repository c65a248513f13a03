"""Commands of other packages: the entry-point group ``ortlab.commands``.

Read here, for importing ``importlib.metadata``, which does it otherwise, takes a tenth of a start.
The format: https://packaging.python.org/en/latest/specifications/entry-points/
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

GROUP = "ortlab.commands"


def add_to(app: "typer.Typer", path: Iterable[str]) -> None:
    """Add what the packages on a search path bring; the first of a name counts."""
    for name, target in entry_points(path).items():
        module, _, attribute = target.partition(":")
        app.add_typer(attrgetter(attribute)(import_module(module)), name=name)


def entry_points(path: Iterable[str]) -> dict[str, str]:
    """Return ``module:attribute`` by name of command."""
    found: dict[str, str] = {}
    for text in _files(path):
        section = ""
        for line in map(str.strip, text.decode(errors="replace").splitlines()):
            if line.startswith("["):
                section = line.strip("[] ")
            elif section == GROUP and "=" in line and not line.startswith("#"):
                name, _, target = line.partition("=")
                found.setdefault(name.strip(), target.partition("[")[0].strip())
    return found


def _files(path: Iterable[str]) -> Iterator[bytes]:
    """Read the files that name the group.

    Without `pathlib`, for it runs at every start and once for each package that is installed.
    """
    wanted = f"[{GROUP}]".encode()
    for directory in path:
        with contextlib.suppress(OSError):
            for name in os.listdir(directory or "."):  # noqa: PTH208
                if name.endswith(".dist-info"):
                    text = _content(f"{directory or '.'}/{name}/entry_points.txt")
                    if wanted in text:
                        yield text


def _content(file: str) -> bytes:
    try:
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123
            return opened.read()
    except OSError:
        return b""
