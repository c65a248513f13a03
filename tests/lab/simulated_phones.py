"""Phones that are files: a file in a host's directory is a cable, a block is a pause.

What is measured is written down beside them, so that a test can tell what was measured from what
was stored; what a gate's cells show is planted there, block by block. The lab itself takes them
for phones: they come from an inventory and go through a `Measure` like any other.
"""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from device_lab.measuring import Recorder
from device_lab.values import Cell, CellResult, Comparison, JobSpec, LabPhone, Lease, StoredBlock
from ortlab.domain import DeviceInfo, DeviceKind
from ortlab.errors import BenchmarkError, DeviceLostError, InterruptedRunError

SOC = "SIM1"


def utc_now() -> datetime:
    return datetime.now(UTC)


def simulated_phone(phone_id: str, host_id: str, now: datetime) -> LabPhone:
    info = DeviceInfo(
        device_id=phone_id,
        kind=DeviceKind.ANDROID,
        name=f"Phone {phone_id}",
        os_version="Android 14",
        architecture="arm64-v8a",
        cpu="8 cores",
        memory_bytes=8 << 30,
        ort_version="1.20.0",
        available_providers=("CPUExecutionProvider",),
    )
    return LabPhone(
        phone_id=phone_id,
        host_id=host_id,
        info=info,
        soc=SOC,
        labels=(),
        battery_percent=90.0,
        temperature_c=25.0,
        free_bytes=10 << 30,
        noise_floor=None,
        seen_at=now,
    )


def simulated_result(lease: Lease, cell: Cell) -> CellResult:
    return CellResult(
        cell_id=cell.cell_id,
        job_id=cell.job_id,
        model=cell.model,
        model_name=Path(cell.model).name,
        phone_id=lease.phone_id,
        phone_name=f"Phone {lease.phone_id}",
        virtual=True,
        finished_at=utc_now(),
        control="0" * 64,
        control_label="cpu",
        trust="A",
        comparisons=(),
        sentences=("Nothing was measured: the phone is simulated.",),
    )


def compared(result: CellResult, blocks: tuple[StoredBlock, ...]) -> CellResult:
    """Return a result that compares new with base as the stored blocks say, a block a round."""
    comparison = Comparison(
        arm="new",
        baseline="base",
        ratio=1.0,
        low=1.0,
        high=1.0,
        verdict="inconclusive",
        sentence="",
        log_ratios=tuple(json.loads(block.line)["log_ratio"] for block in blocks),
    )
    return replace(result, comparisons=(comparison,))


@dataclass(frozen=True)
class Rack:
    """Some hosts' simulated phones, below one directory."""

    directory: Path
    blocks: int = 5
    block_s: float = 0.1
    edge_s: float = 0.05  # before the experiment begins and before it ends

    def plug_in(self, host_id: str, phone_id: str) -> None:
        (self.directory / host_id).mkdir(parents=True, exist_ok=True)
        (self.directory / host_id / phone_id).touch()

    def pull(self, host_id: str, phone_id: str) -> None:
        (self.directory / host_id / phone_id).unlink(missing_ok=True)

    def look(self, host_id: str, now: datetime) -> tuple[LabPhone, ...]:
        directory = self.directory / host_id
        cables = sorted(directory.iterdir()) if directory.is_dir() else []
        return tuple(simulated_phone(cable.name, host_id, now) for cable in cables)

    def plant(self, effects: dict[str, tuple[float, float] | None]) -> None:
        """Say what gates see: ``MODEL@PHONE`` to its log ratio in the screening and in the rerun.

        None fails every attempt; cells that are not named show no difference.
        """
        (self.directory / "planted.json").write_text(json.dumps(effects))

    def _planted(self, lease: Lease, cell: Cell, spec: JobSpec) -> float:
        path = self.directory / "planted.json"
        effects = json.loads(path.read_text()) if path.exists() else {}
        effect = effects.get(f"{Path(cell.model).name}@{lease.phone_id}", (0.0, 0.0))
        if effect is None:
            message = "its runtime cannot load the model"
            raise BenchmarkError(message)
        return float(effect["rerun" in spec.name])

    def has(self, host_id: str, phone_id: str) -> bool:
        return (self.directory / host_id / phone_id).exists()

    def measured(self) -> list[dict[str, Any]]:
        """Return every block that any process ever measured."""
        return self._read("measured")

    def acknowledged(self) -> list[dict[str, Any]]:
        """Return every block that the store said it has."""
        return self._read("acknowledged")

    def _read(self, kind: str) -> list[dict[str, Any]]:
        path = self.directory / f"{kind}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def measure(
        self, host_id: str, lease: Lease, cell: Cell, spec: JobSpec, recorder: Recorder
    ) -> CellResult:
        time.sleep(self.edge_s)
        effect = self._planted(lease, cell, spec)
        noise = random.Random(f"{cell.cell_id} {lease.phone_id}")
        recorder.begin(json.dumps({"cell": cell.cell_id, "blocks": self.blocks}))
        time.sleep(self.edge_s)
        there = {block.block_id for block in recorder.recorded()}
        for number in range(self.blocks):
            block_id = f"block-{number}"
            log_ratio = noise.gauss(effect, 0.005)
            if block_id in there:
                continue
            if recorder.stopped():
                message = "asked to end"
                raise InterruptedRunError(message)
            begun_ns = time.monotonic_ns()
            time.sleep(self.block_s)
            if not self.has(host_id, lease.phone_id):
                message = f"the phone {lease.phone_id} answers no more: its cable was pulled"
                raise DeviceLostError(message)
            line = self._measured(lease, block_id, begun_ns, log_ratio)
            recorder.block(block_id, line)
            self._write("acknowledged", line)
        time.sleep(self.edge_s)
        result = simulated_result(lease, cell)
        return compared(result, recorder.recorded()) if spec.bases else result

    def _measured(self, lease: Lease, block_id: str, begun_ns: int, log_ratio: float) -> str:
        block = {
            "cell": lease.cell_id,
            "phone": lease.phone_id,
            "block": block_id,
            "token": lease.token,
            "pid": os.getpid(),
            "begun_ns": begun_ns,
            "ended_ns": time.monotonic_ns(),
            "log_ratio": log_ratio,
        }
        line = json.dumps(block)
        self._write("measured", line)
        return line

    def _write(self, kind: str, line: str) -> None:
        # One write of one line: appended whole, whoever else appends.
        with (self.directory / f"{kind}.jsonl").open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())
