"""Where things are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return where things that can be made again are kept."""
    return _home("XDG_CACHE_HOME", ".cache")


def state_directory() -> Path:
    """Return where measured noise floors are kept."""
    return _home("XDG_STATE_HOME", ".local/state")


def _home(variable: str, default: str) -> Path:
    root = os.environ.get(variable)
    return (Path(root) if root else Path.home() / default) / "ortlab"
