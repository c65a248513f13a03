"""This machine's browser as the tests of blocks in it open it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ortlab.devices.host import HostDevice
from ortlab.devices.web import WebDevice, WebOptions
from ortlab.devices.web.bench_page import PageBuild, bench_page
from ortlab.devices.web.browsers import chromium
from ortlab.process import SystemProcesses

CACHE = Path(__file__).parents[2] / ".cache" / "web" / "ortlab" / "bench-page"
SOFTWARE_ADAPTER = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


def built_page(build: PageBuild = PageBuild.WASM) -> Path:
    """Return the template's bench page, built once for each state of the template.

    ``ORTLAB_BENCH_PAGE`` names one that is built already.
    """
    named = os.environ.get("ORTLAB_BENCH_PAGE")
    if named and build is PageBuild.WASM:
        return Path(named)
    return bench_page(CACHE, processes=SystemProcesses(), say=lambda _: None, build=build)


@contextmanager
def open_browser(page: Path, *extra: str, options: WebOptions | None = None) -> Iterator[WebDevice]:
    """Open a device whose browser gets these arguments too."""
    processes = SystemProcesses()
    found = chromium()
    found = replace(found, arguments=(*found.arguments, *extra), extra_arguments=extra)
    device = WebDevice(
        found, page, processes=processes, host=HostDevice(processes), options=options
    )
    try:
        yield device
    finally:
        device.close()
