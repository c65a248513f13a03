"""The browser of this machine: found, started with a fresh profile, ended with all its children."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ortlab.errors import DeviceError, ToolchainError, UsageError
from ortlab.process import Command, Processes

VARIABLE: Final = "ORTLAB_CHROMIUM"
ARGUMENTS_VARIABLE: Final = "ORTLAB_CHROMIUM_ARGUMENTS"
INSTALL: Final = f"install chromium, or set {VARIABLE} to a Chromium or Chrome"

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPS: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_QUIET: Final = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The browser's own measure of memory waits up to 20 s for a collection of garbage otherwise.
    "--enable-blink-features=ForceEagerMeasureMemory",
)
_GPU_NODES: Final = Path("/dev/dri")
_LIST_DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chromium:
    """A Chromium of this machine and how it is started.

    Attributes:
        executable: Its program.
        arguments: That it gets.
        extra_arguments: Those of them that the user added.
        sandbox: Whether pages are kept in their sandbox; root has none.
    """

    executable: str
    arguments: tuple[str, ...]
    extra_arguments: tuple[str, ...]
    sandbox: bool


def find_chromium() -> str | None:
    """Return the program of this machine's Chromium, or None."""
    named = os.environ.get(VARIABLE)
    if named:
        return shutil.which(named)
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None and sys.platform == "darwin":
        return next((path for path in _MAC_APPS if Path(path).exists()), None)
    return found


def chromium() -> Chromium:
    """Return this machine's Chromium.

    Raises:
        DeviceError: There is none.
        UsageError: The arguments that the user adds cannot be read.
    """
    executable = find_chromium()
    if executable is None:
        named = os.environ.get(VARIABLE)
        why = f"{VARIABLE} names {named}, which is no program" if named else "it is not installed"
        message = f"cannot run blocks in Chromium: {why}"
        raise DeviceError(message, next_step=INSTALL)
    try:
        extra = tuple(shlex.split(os.environ.get(ARGUMENTS_VARIABLE, "")))
    except ValueError as error:
        message = f"cannot read {ARGUMENTS_VARIABLE}: {error}"
        raise UsageError(message, next_step="write arguments as in a shell") from error
    # Without a graphics device, Chromium would spend time on looking for one.
    gpu = () if _has_gpu() else ("--disable-gpu",)
    return Chromium(
        executable=executable,
        arguments=(*_QUIET, *gpu, *extra),
        extra_arguments=extra,
        sandbox=os.geteuid() != 0,
    )


def make_profile() -> Path:
    """Return a directory for a profile that nobody used before.

    Raises:
        ToolchainError: There is no room for it.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="ortlab-browser-"))
    except OSError as error:
        message = f"cannot make a profile for the browser: {error.strerror}"
        raise ToolchainError(message, next_step="make room, or set TMPDIR") from error


def end_browser(profile: Path, processes: Processes) -> None:
    """Kill every process that runs on a profile, with its process group, and remove the profile."""
    own = os.getpgid(0)
    for pid, group in _on_profile(profile, processes):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group in (own, 0):
                os.kill(pid, signal.SIGKILL)
            else:
                os.killpg(group, signal.SIGKILL)
    shutil.rmtree(profile, ignore_errors=True)


def processes_of(profile: Path, processes: Processes) -> tuple[int, ...]:
    """Return the processes that run on a profile."""
    return tuple(pid for pid, _ in _on_profile(profile, processes))


def _on_profile(profile: Path, processes: Processes) -> list[tuple[int, int]]:
    listing = Command(
        arguments=("ps", "-A", "-ww", "-o", "pid=,pgid=,args="), deadline_s=_LIST_DEADLINE_S
    )
    try:
        listed = processes.run(listing).stdout
    except ToolchainError:  # without ps, closing the browser has to do
        return []
    found = []
    for line in listed.splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and f"--user-data-dir={profile}" in words[2]:
            found.append((int(words[0]), int(words[1])))
    return found


def _has_gpu() -> bool:
    return sys.platform == "darwin" or any(_GPU_NODES.glob("renderD*"))
