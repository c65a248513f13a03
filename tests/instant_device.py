"""A device that answers at once, from a formula: for tests of the loop, never of a measurement.

Its latencies are made up and say so (language ``none``); nothing that depends on what ORT does may
be tested with it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ortlab.domain import Arm, DeviceInfo, DeviceKind
from ortlab.wire import (
    BlockRequest,
    BlockResult,
    Clock,
    Conditions,
    Death,
    Purpose,
    RuntimeFacts,
    Timing,
)

CPU = "CPUExecutionProvider"
VERSION = "1.31.1"

Answer = BlockResult | Death

INFO = DeviceInfo(
    device_id="instant",
    kind=DeviceKind.HOST,
    name="instant device",
    os_version="none",
    architecture=platform.machine(),
    cpu="none",
    memory_bytes=0,
    ort_version=VERSION,
    available_providers=(CPU,),
    virtual=True,
)


class InstantDevice:
    """Implements ``domain.Device``.

    Args:
        change: Applied to each answer, with the request; may raise.
        version: ORT version it pretends to have.
    """

    def __init__(
        self,
        change: Callable[[BlockRequest, BlockResult], Answer] = lambda _, result: result,
        *,
        version: str = VERSION,
    ) -> None:
        self.change = change
        self.version = version
        self.asked: list[str] = []

    @property
    def info(self) -> DeviceInfo:
        return replace(INFO, ort_version=self.version)

    def runtime_of(self, arm: Arm) -> tuple[str, tuple[str, ...]]:  # noqa: ARG002
        return self.version, (CPU,)

    def conditions(self) -> Conditions:
        return Conditions()

    def run_block(self, request: BlockRequest, arm: Arm) -> Answer:  # noqa: ARG002
        self.asked.append(request.block_id)
        directory = Path(request.output_directory)
        profile = None
        if request.purpose is Purpose.PROFILE:
            profile = "profile.json"
            node = {"op_name": "Conv", "provider": CPU, "node_index": "0"}
            events = [{"name": "c_kernel_time", "args": node}, {"name": "model_run", "args": {}}]
            (directory / profile).write_text(json.dumps(events))
        number = sum(map(ord, request.block_id))
        result = BlockResult(
            block_id=request.block_id,
            failure=None,
            runtime=RuntimeFacts(
                ort_version=self.version,
                language="none",
                language_version="",
                runner_version="",
                available_providers=(CPU,),
            ),
            requested_providers=request.providers,
            registered_providers=(CPU,),
            clock=Clock(name="none", resolution_ns=1),
            timing=Timing(measured_ns=tuple(1000 + (number * k) % 97 for k in range(1, 31))),
            profile_path=profile,
        )
        (directory / "result.json").write_text(json.dumps({"block_id": request.block_id}))
        return self.change(request, result)

    def close(self) -> None:
        pass
