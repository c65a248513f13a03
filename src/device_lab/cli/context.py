"""What the lab's commands share: the time, the store, the settings, progress."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from device_lab.settings import LabSettings, load_settings, open_store
from ortlab.cli import render

if TYPE_CHECKING:
    from device_lab.measuring import Say
    from device_lab.store import LabStore


def utc_now() -> datetime:
    """Return the time; the only clock of the commands."""
    return datetime.now(UTC)


@contextlib.contextmanager
def opened_store(url: str | None) -> Iterator[LabStore]:
    """Open the store that an option, the environment or `lab.toml` names; close it again."""
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def shown_progress() -> Iterator[Say]:
    """Show progress that several threads tell of."""
    lock = threading.Lock()
    with render.Progress() as progress:

        def say(text: str) -> None:
            with lock:
                progress.update(text)

        yield say


def settings_with(
    name: str | None, device: Sequence[str] | None, *, host_device: bool
) -> LabSettings:
    """Return what `lab.toml` says, and what the command line adds to it."""
    from device_lab.inventory import check_devices

    settings = load_settings()
    added = (*settings.devices, *(device or ()), *(("host",) if host_device else ()))
    return replace(settings, host_id=name or settings.host_id, devices=check_devices(added))
