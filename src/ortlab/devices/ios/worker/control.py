"""Instruments' control of processes, and how to read what it tells."""

from __future__ import annotations

import asyncio
from typing import Any


def control_class() -> Any:
    """Return process control that also keeps how processes ended."""
    from pymobiledevice3.dtx import DTXContext, dtx_on_invoke
    from pymobiledevice3.dtx_service import DtxService
    from pymobiledevice3.services.dvt.instruments.process_control import ProcessControlService

    class EndKeepingService(ProcessControlService):
        def __init__(self, ctx: DTXContext) -> None:
            super().__init__(ctx)
            self.ends: dict[int, tuple[int | None, int | None]] = {}
            self.ended = asyncio.Event()

        @dtx_on_invoke("processWithPID:terminatedWithExitCode:orCrashingSignal:")
        async def _keep_end(self, pid: Any, code: Any, number: Any) -> None:
            self.ends[plain(pid) or 0] = (plain(code), plain(number))
            self.ended.set()

    class EndKeepingControl(DtxService[EndKeepingService]):
        pass

    return EndKeepingControl


def plain(value: Any) -> int | None:
    """Return a number that may be wrapped, or None for what is none."""
    number = getattr(value, "value", value)
    return int(number) if isinstance(number, int) else None


def words(error: Any) -> str:
    """Return what an `NSError` says, with those below it."""
    parts: list[str] = []
    told = getattr(error, "error", None)
    while told is not None and len(parts) < 16:
        information = getattr(told, "user_info", None) or {}
        for key in ("NSLocalizedDescription", "NSLocalizedFailureReason"):
            text = str(information.get(key) or "")
            if text and text not in parts:
                parts.append(text)
        told = information.get("NSUnderlyingError")
    return " ".join(parts) or str(error)
