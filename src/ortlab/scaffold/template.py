"""The templates that projects are made from: where they are, and what of them is theirs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.errors import ToolchainError, UsageError
from ortlab.scaffold.files import Content

_SKIPPED_DIRECTORIES: Final = frozenset({"build", ".idea", "__pycache__"})
_SKIPPED_FILES: Final = frozenset({".DS_Store"})
_SKIPPED_SUFFIXES: Final = (".swp", ".pyc", "~")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A project without placeholders that generated ones start from.

    Attributes:
        name: Of its directory, in the package and in the checkout.
        project: What it is, in a sentence, such as ``an Android project``.
        settings: Path of its settings file.
        generated: Folder that `generate` fills.
        skipped_directories: Names of those that builds and editors leave in it.
        skipped_files: Likewise.
        skipped_suffixes: Ends of such names.
        executables: Names of files that may be run.
    """

    name: str
    project: str
    settings: str
    generated: str
    skipped_directories: frozenset[str] = frozenset()
    skipped_files: frozenset[str] = frozenset()
    skipped_suffixes: tuple[str, ...] = ()
    executables: frozenset[str] = frozenset()

    def directory(self) -> Path:
        """Return where it is: in the package, or in the checkout.

        Raises:
            ToolchainError: The installation is incomplete.
        """
        here = Path(__file__)
        for directory in (here.parents[1] / self.name, here.parents[3] / self.name):
            if (directory / self.settings).is_file():
                return directory
        message = f"cannot generate {self.project}: the template is missing from this installation"
        raise ToolchainError(message, next_step="pip install --force-reinstall ortlab")

    def files(self, directory: Path) -> Iterator[tuple[str, Content]]:
        """Yield its own files, without what builds and editors leave in it."""
        skipped_directories = _SKIPPED_DIRECTORIES | self.skipped_directories
        for root, directories, names in os.walk(directory):
            directories[:] = sorted(set(directories) - skipped_directories)
            for name in sorted(names):
                path = Path(root, name)
                relative = path.relative_to(directory).as_posix()
                if not self._skips(name) and not relative.startswith(self.generated + "/"):
                    executable = name in self.executables
                    yield relative, Content.of(path.read_bytes(), executable=executable)

    def _skips(self, name: str) -> bool:
        skipped = name in _SKIPPED_FILES or name in self.skipped_files
        return skipped or name.endswith((*_SKIPPED_SUFFIXES, *self.skipped_suffixes))


def template_version(files: Mapping[str, Content]) -> str:
    """Return what changes with any file of a template."""
    lines = [f"{path} {content.sha256}" for path, content in sorted(files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def check_destination(destination: Path, prepared_directory: Path, template: Path) -> None:
    """Refuse to generate where something of ours is.

    Raises:
        UsageError: The prepared model or the template is there.
    """
    place, prepared = destination.resolve(), prepared_directory.resolve()
    if place.is_relative_to(prepared):
        message = f"cannot generate into {destination}: the next preparation would remove it"
        raise UsageError(message, next_step=f"give a directory outside {prepared_directory}")
    if place.is_relative_to(template.resolve()):
        message = f"cannot generate into {destination}: it is the template"
        raise UsageError(message, next_step="give another directory")
