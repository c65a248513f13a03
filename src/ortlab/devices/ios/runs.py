"""Starting the benchmark app on an iPhone, and what it prints."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ortlab import codec
from ortlab.devices.ios.client import IphoneClient
from ortlab.devices.ios.messages import Action
from ortlab.domain import BuiltApp
from ortlab.errors import OrtlabError
from ortlab.wire import Conditions, MemoryKind, MemoryPhase, MemoryPoint, Stage

FOOTPRINT: Final = "physFootprint"
OUTSIDE: Final = "process, sampled from outside"
"""Metric and scope of the memory that the system tells of the app, as a cross-check."""

_LAUNCH_S: Final = 90.0
_PROBE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRun:
    """How a process of the app went.

    Attributes:
        pid: On the phone.
        timed_out: Whether it had to be ended.
        exit_code: Where the phone told one.
        signal: Number of the one that ended it, where the phone told.
        output: What it printed.
        footprint_bytes: Largest that was sampled from outside; 0 where none was.
        stages: That it told it entered.
    """

    pid: int
    timed_out: bool
    exit_code: int | None
    signal: int | None
    output: str
    footprint_bytes: int
    stages: tuple[Stage, ...]

    @property
    def memory(self) -> tuple[MemoryPoint, ...]:
        """What was sampled from outside, for the result."""
        if self.footprint_bytes <= 0:
            return ()
        return (
            MemoryPoint(
                metric=FOOTPRINT,
                kind=MemoryKind.PEAK,
                scope=OUTSIDE,
                phase=MemoryPhase.END,
                size_bytes=self.footprint_bytes,
            ),
        )


class AppRuns:
    """Starts an app in a fresh process; every method raises what the client does.

    Args:
        client: Of the phone.
    """

    def __init__(self, client: IphoneClient) -> None:
        self._client = client

    def run(
        self,
        app: BuiltApp,
        arguments: Sequence[str],
        *,
        limit_s: float,
        sample: bool = False,
        leave: bool = False,
    ) -> AppRun:
        """Run the app to its end.

        Args:
            app: Installed.
            arguments: Of its program.
            limit_s: After which it is ended.
            sample: Whether its memory is sampled from outside.
            leave: Whether it may go on after that instead.
        """
        stages: list[Stage] = []

        def note(text: str) -> None:
            with contextlib.suppress(ValueError):
                stages.append(Stage(text))

        told = self._client.ask(
            Action.RUN,
            deadline_s=limit_s + _LAUNCH_S,
            doing=f"run {app.application_id}",
            what=app.application_id,
            on_stage=note,
            bundle_id=app.application_id,
            arguments=list(arguments),
            environment={},
            limit_s=limit_s,
            sample=sample,
            leave=leave,
        )
        return AppRun(**told, stages=tuple(stages))

    def probe(self, app: BuiltApp) -> str:
        """Return what the app says of itself."""
        return self.run(app, ["--probe"], limit_s=_PROBE_S).output

    def conditions(self, app: BuiltApp) -> Conditions | None:
        """Return the phone's state as the app reads it; None where it does not tell."""
        told = self.run(app, ["--conditions"], limit_s=_PROBE_S).output
        try:
            text = json.dumps(object_in(told))
            return codec.from_json(Conditions, text, source="the app's conditions")
        except OrtlabError:
            return None


def object_in(output: str) -> dict[str, Any]:
    """Return the last JSON object that an app printed, or an empty one."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found
    return {}
