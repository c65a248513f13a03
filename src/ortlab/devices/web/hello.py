"""What a page tells of itself before it is given work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ortlab import codec
from ortlab.errors import DeviceError, StorageError
from ortlab.wire import BrowserFacts, RuntimeFacts

_LONGEST_TEXT: Final = 300
_BROWSERS: Final = (
    ("Edge", r"Edg(?:A|iOS)?/([\d.]+)"),
    ("Opera", r"OPR/([\d.]+)"),
    ("Samsung Internet", r"SamsungBrowser/([\d.]+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/([\d.]+)"),
    ("Chrome", r"(?:HeadlessChrome|Chrome|CriOS)/([\d.]+)"),
    ("Safari", r"Version/([\d.]+).*Safari/"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A page and its browser.

    Attributes:
        runtime: What runs in the page.
        browser: What can be told of the browser.
        absent_providers: Why a provider is not there, by ORT's name.
        core_count: As the browser tells, or None.
        memory_gb: Likewise, rounded by the browser.
        platform: Likewise; empty where it does not tell.
    """

    runtime: RuntimeFacts
    browser: BrowserFacts
    absent_providers: Mapping[str, str]
    core_count: int | None
    memory_gb: float | None
    platform: str


def read_hello(told: Mapping[str, Any]) -> Hello:
    """Read what a page told, as strictly as a stranger's.

    Raises:
        DeviceError: It is not what a bench page tells.
    """
    try:
        runtime = codec.from_json(
            RuntimeFacts, json.dumps(told.get("runtime")), source="what the page runs"
        )
        browser = codec.from_json(
            BrowserFacts, json.dumps(told.get("browser")), source="the page's browser"
        )
    except StorageError as error:
        message = f"cannot use the page: it is no bench page of this release ({error.message})"
        raise DeviceError(message, next_step="build the app again") from error
    absent = told.get("absent_providers")
    cores, memory_gb = told.get("hardware_concurrency"), told.get("device_memory_gb")
    return Hello(
        runtime=runtime,
        browser=browser,
        absent_providers={
            str(name): str(why)[:_LONGEST_TEXT]
            for name, why in (absent.items() if isinstance(absent, dict) else ())
        },
        core_count=cores if isinstance(cores, int) and cores > 0 else None,
        memory_gb=memory_gb if isinstance(memory_gb, (int, float)) and memory_gb > 0 else None,
        platform=str(told.get("platform") or "")[:_LONGEST_TEXT],
    )


def browser_name(user_agent: str) -> str:
    """Return a browser's name and version from its user agent, as far as it can be told."""
    for name, pattern in _BROWSERS:
        if found := re.search(pattern, user_agent):
            return f"{name} {found[1]}"
    return "a browser"
