"""The adb program of this machine, and where its server listens."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import shutil
from pathlib import Path
from typing import Final

from ortlab.devices.android.channel import Deadline
from ortlab.errors import ToolchainError, UsageError
from ortlab.process import Command, Processes

DEFAULT_PORT: Final = 5037

_INSTALL = "apt-get install adb (or set ADBUTILS_ADB_PATH to an adb program)"


def server_address() -> tuple[str, int]:
    """Return host and port of the adb server that the environment names, as adb itself reads it.

    Raises:
        UsageError: It names an address that cannot be one.
    """
    port = os.environ.get("ANDROID_ADB_SERVER_PORT")
    default = _port("ANDROID_ADB_SERVER_PORT", port) if port else DEFAULT_PORT
    if spec := os.environ.get("ADB_SERVER_SOCKET"):
        match = re.fullmatch(r"tcp:(?:(\[[^\]]+\]|[^:\s]+):)?(\d+)", spec)
        if match is None:
            message = f"cannot use ADB_SERVER_SOCKET={spec!r}: it is not of the form tcp:host:port"
            raise UsageError(message, next_step="unset ADB_SERVER_SOCKET")
        host = (match[1] or "127.0.0.1").strip("[]")
        return host, _port("ADB_SERVER_SOCKET", match[2])
    return os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1", default


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def find() -> Path:
    """Return the adb program: the one named by the environment, on the path, or with adbutils.

    Raises:
        ToolchainError: There is none.
    """
    if named := os.environ.get("ADBUTILS_ADB_PATH"):
        path = shutil.which(named)
        if path is None:
            message = f"cannot use ADBUTILS_ADB_PATH={named!r}: it is no program"
            raise ToolchainError(message, next_step="unset ADBUTILS_ADB_PATH")
        return Path(path)
    if found := shutil.which("adb"):
        return Path(found)
    spec = importlib.util.find_spec("adbutils")
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        if found := shutil.which(str(Path(directory) / "binaries" / "adb")):
            return Path(found)
    message = "cannot use phones: there is no adb on this machine"
    raise ToolchainError(message, next_step=_INSTALL)


def start_server(adb: Path, port: int, processes: Processes, deadline: Deadline) -> str:
    """Start a server on this machine, which outlives us, and return what adb said.

    Raises:
        ToolchainError: The program cannot be started.
    """
    arguments = (str(adb), "-P", str(port), "start-server")
    try:
        completed = processes.run(Command(arguments=arguments, deadline_s=deadline.remaining_s()))
    except TimeoutError:
        return f"not started within {deadline.seconds:g} s"
    return (completed.stderr or completed.stdout).strip()[-500:]


def _port(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        message = f"cannot use {variable}={text!r}: it is no port"
        raise UsageError(message, next_step=f"unset {variable}")
    return int(text)
