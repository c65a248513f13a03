"""Where the lab is kept, and what this machine is in it: `lab.toml` and the environment.

store = "postgresql+psycopg://lab@db.example/lab"   # SQLite beside this file if left out
host_id = "rack-1"                                  # a name made once if left out
devices = ["host", "virtual:android"]               # beside the phones that are attached

[limits]
min_battery_percent = 30
max_temperature_c = 38
min_free_bytes = 1_073_741_824
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from device_lab.planning import ReadinessLimits
from ortlab.errors import StorageError, ToolchainError, UsageError
from ortlab.pipeline import state_directory

if TYPE_CHECKING:
    from device_lab.store import LabStore

STORE_VARIABLE: Final = "ORTLAB_LAB_STORE"
SETTINGS_FILE: Final = "lab.toml"

_HOST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LIMITS: Final = {
    "min_battery_percent": (0, 100),
    "max_temperature_c": (0, 100),
    "min_free_bytes": (0, 1 << 50),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """What `lab.toml` says.

    Attributes:
        store: URL of the store; None for the embedded one.
        host_id: What this machine is called in the lab; None for the name made for it once.
        devices: Beside the phones that are attached: ``host``, ``virtual:android`` …
        limits: When a phone may start an experiment.
    """

    store: str | None = None
    host_id: str | None = None
    devices: tuple[str, ...] = ()
    limits: ReadinessLimits = field(default_factory=ReadinessLimits)


def lab_directory() -> Path:
    """Return the user's lab directory."""
    return state_directory() / "lab"


def runs_directory(cell_id: str) -> Path:
    """Return where this machine keeps the run directories of a cell."""
    return lab_directory() / "runs" / cell_id


def load_settings() -> LabSettings:
    """Read `lab.toml`; without one everything is as it comes.

    Raises:
        UsageError: It says what means nothing.
        StorageError: It cannot be read.
    """
    path = lab_directory() / SETTINGS_FILE
    try:
        plain = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        return LabSettings()
    except ValueError as error:
        message = f"cannot read {path}: it is not TOML that we can use: {error}"
        raise UsageError(message, next_step="mend it, or remove it and run: ortlab lab init") from (
            error
        )
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise StorageError(message) from error
    return _checked(plain, path)


def store_url(option: str | None = None) -> str:
    """Return the store's URL: of the option, the environment, `lab.toml`, or the embedded one."""
    return (
        option
        or os.environ.get(STORE_VARIABLE)
        or load_settings().store
        or f"sqlite:///{lab_directory() / 'lab.db'}"
    )


def open_store(option: str | None = None) -> LabStore:
    """Open the lab's store; the caller closes it.

    Raises:
        UsageError: `lab.toml` says what means nothing.
        ToolchainError: The extra ``lab`` is not installed.
        StorageError: The store cannot be opened.
    """
    try:
        from device_lab.store import LabStore
    except ImportError as error:
        message = f"cannot open the lab's store: {error.name or 'a package'} is not installed"
        raise ToolchainError(message, next_step="pip install 'ortlab[lab]'") from error

    url = store_url(option)
    if url.startswith("sqlite:///"):
        _make(Path(url.removeprefix("sqlite:///")).parent)
    return LabStore(url)


def host_id(settings: LabSettings) -> str:
    """Return what this machine is called in the lab; a name is made once and kept.

    Raises:
        StorageError: The name cannot be kept.
    """
    if settings.host_id is not None:
        return settings.host_id
    path = lab_directory() / "host_id"
    with contextlib.suppress(OSError):
        kept = path.read_text().strip()
        if _HOST_ID.fullmatch(kept):
            return kept
    # Containers share names, and two hosts of one name would take each other's phones.
    plain = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])[:48]
    made = f"{plain.strip('-') or 'host'}-{secrets.token_hex(3)}"
    _make(path.parent)
    _write(path, made + "\n")
    return made


def write_settings(
    *, store: str | None, host_id: str | None, devices: tuple[str, ...], replace: bool = False
) -> Path:
    """Write `lab.toml`, readable by its owner alone: a URL may hold a password.

    Raises:
        UsageError: It is there already, or would mean nothing.
        StorageError: It cannot be written.
    """
    path = lab_directory() / SETTINGS_FILE
    if path.exists() and not replace:
        message = f"cannot write {path}: it is there already"
        raise UsageError(message, next_step="edit it, or ortlab lab init --force")
    plain: dict[str, Any] = {"store": store, "host_id": host_id, "devices": list(devices)}
    told = {key: value for key, value in plain.items() if value}
    _checked(told, path)
    lines = ["# The lab as this machine sees it; see: ortlab lab --help"]
    lines += [f"{key} = {_toml(value)}" for key, value in told.items()]
    _make(path.parent)
    _write(path, "\n".join(lines) + "\n")
    return path


@contextlib.contextmanager
def only_agent(name: str) -> Iterator[None]:
    """Hold the lock of a host's agent: only one may speak for its phones.

    Args:
        name: Of the host.

    Raises:
        UsageError: Another agent runs.
        StorageError: The lock cannot be written.
    """
    path = lab_directory() / f"agent-{name}.lock"
    _make(path.parent)
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise StorageError(message) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            message = f"cannot start an agent for {name}: process {holder} is one already"
            raise UsageError(message, next_step="ortlab lab status") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _checked(plain: dict[str, Any], path: Path) -> LabSettings:
    def refuse(key: str, why: str) -> NoReturn:
        message = f"cannot use {path}: {key}: {why}"
        raise UsageError(message, next_step="mend it, or remove it and run: ortlab lab init")

    left = dict(plain)
    store, name = left.pop("store", None), left.pop("host_id", None)
    devices, limits = left.pop("devices", []), left.pop("limits", {})
    if left:
        refuse(min(left), "there is no such key")
    if store is not None and not (isinstance(store, str) and "://" in store):
        refuse("store", "it must be a URL such as postgresql+psycopg://lab@db.example/lab")
    if name is not None and not (isinstance(name, str) and _HOST_ID.fullmatch(name)):
        refuse("host_id", "it must be 1 to 64 letters, digits, dots, hyphens and underscores")
    if not isinstance(devices, list) or not all(isinstance(item, str) for item in devices):
        refuse("devices", "it must be an array of texts")
    if wrong := [item for item in devices if item != "host" and not item.startswith("virtual:")]:
        refuse(
            "devices", f"{wrong[0]!r} is neither host nor virtual; phones are found by themselves"
        )
    if not isinstance(limits, dict):
        refuse("limits", "it must be a table")
    for key, value in limits.items():
        least, most = _LIMITS.get(key) or refuse(f"limits.{key}", "there is no such key")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            refuse(f"limits.{key}", f"it must be a number from {least} to {most}")
    return LabSettings(
        store=store,
        host_id=name,
        devices=tuple(dict.fromkeys(devices)),
        limits=ReadinessLimits(**limits),
    )


def _toml(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    escaped = "".join(
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value
    )
    return f'"{escaped}"'


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"cannot make {directory}: {error.strerror}"
        raise StorageError(message, next_step="make room, or set XDG_STATE_HOME") from error


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        message = f"cannot write {path}: {error.strerror}"
        raise StorageError(message) from error
