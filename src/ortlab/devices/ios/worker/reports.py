"""What the system wrote of crashes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from ortlab.devices.ios.worker.phone import END_S, Phone
from ortlab.devices.ios.worker.problems import LocalFileError
from ortlab.devices.local_files import staged
from ortlab.errors import StorageError

_LARGEST_REPORT_BYTES: Final = 8 << 20


class Reports:
    """Crash reports.

    Args:
        phone: To ask.
    """

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def reports(self, names: list[str], known: list[str] | None, directory: str) -> list[str]:
        """Bring reports of crashes whose names begin so and that are not known yet.

        Args:
            names: Beginnings of the names of reports.
            known: Those that are not wanted; None only tells what is there.
            directory: Of this computer.
        """
        from pymobiledevice3.services.crash_reports import CrashReportsManager

        client = await self._phone.trusted()
        async with CrashReportsManager(client) as manager:
            if known is not None:
                with contextlib.suppress(TimeoutError):
                    await self._phone.within(END_S, manager.flush(), "collecting crash reports")
            self._phone.doing = "fetching crash reports"
            there = [path.lstrip("/") for path in await manager.ls("/", depth=1)]
            wanted = [path for path in there if path.startswith(tuple(names))]
            if known is None:
                return wanted
            fresh = sorted(set(wanted) - set(known))
            for name in fresh:
                data = await manager.afc.get_file_contents(f"/{name}")
                try:
                    with staged(Path(directory) / name) as file:
                        file.write(data[:_LARGEST_REPORT_BYTES])
                except StorageError as error:
                    raise LocalFileError(error.message) from error
        return fresh
