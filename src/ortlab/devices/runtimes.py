"""Other ORT releases for the host: an environment each, made once and kept."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ortlab.errors import StorageError, ToolchainError, UsageError
from ortlab.process import Command, Processes

_PREFIX: Final = "onnxruntime=="
_STEP_DEADLINE_S: Final = 600.0
_COMPLETE: Final = "complete"


def names_release(text: str) -> bool:
    """Whether a text means an ORT release and not a path."""
    return text.startswith(_PREFIX)


def interpreter_with(
    requirement: str, cache: Path, *, processes: Processes, say: Callable[[str], None]
) -> Path:
    """Return a Python interpreter that has another ORT release; install it if needed.

    Args:
        requirement: Such as ``onnxruntime==1.29.0``.
        cache: Where environments are kept; they can be deleted at any time.
        processes: Runs venv and pip.
        say: Told when something is installed.

    Raises:
        UsageError: It is not a release.
        ToolchainError: It cannot be installed for this Python; the log is named.
        StorageError: The cache cannot be written.
    """
    version = requirement.removeprefix(_PREFIX)
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", version):
        message = f"cannot measure against {requirement!r}: it is not a release"
        raise UsageError(message, next_step=f"write it as {_PREFIX}1.29.0")
    home = cache / f"{version}-py{sys.version_info.major}{sys.version_info.minor}"
    python = home / "bin" / "python"
    if (home / _COMPLETE).exists():
        return python
    say(f"installing onnxruntime {version} into {home}")
    steps = (
        (sys.executable, "-m", "venv", "--clear", str(home)),
        (str(python), "-m", "pip", "install", "--quiet", requirement, "numpy"),
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for step in steps:
            done = processes.run(Command(arguments=step, deadline_s=_STEP_DEADLINE_S))
            if not done.succeeded:
                log = home.with_suffix(".log")
                log.write_text(done.stdout + done.stderr, encoding="utf-8")
                message = f"cannot install onnxruntime {version} for this Python"
                raise ToolchainError(message, next_step="choose another release", log_path=log)
        (home / _COMPLETE).touch()
    except OSError as error:
        message = f"cannot keep onnxruntime {version} in {cache}: {error.strerror}"
        raise StorageError(message, next_step="make room, or set XDG_CACHE_HOME") from error
    return python
