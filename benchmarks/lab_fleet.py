"""32 virtual phones on one host, sleeping blocks of 5 s: are they kept busy, at what cost?

    python benchmarks/lab_fleet.py [--phones N] [--jobs N] [--blocks N] [--seconds S]

Reach: ≥ 90 % of ideal busy time, which is that every phone sleeps from the first lease to the last
end; the driver takes ≤ 1 core. All of the lab runs: the store on disk, leases, renewals, looks at
the phones, adb, run directories. Only the benchmark program sleeps instead of measuring, and the
experiments have latency blocks alone. Each phone is a process of its own, as real ones are, and so
is the adb server; neither counts as the driver.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real"))

import onnx
from android_phones import adb_server, phone_process
from small_models import convolutions

from device_lab.agent import Agent, AgentOptions, holder_of
from device_lab.experiments import PhoneMeasure
from device_lab.inventory import Inventory
from device_lab.store import LabStore
from device_lab.values import JobSpec, Outcome, Requirements
from lab.lab_host import bench_apk
from ortlab import pipeline
from ortlab.config import BenchSection, ModelSection, PrepareSection
from ortlab.devices import virtual
from ortlab.devices.virtual import VirtualPhoneSpec
from ortlab.domain import BlockCounts, Experiment
from ortlab.settings import prepare_options

REACH_BUSY = 0.9
REACH_CORES = 1.0
SLEEPER = Path(virtual.__file__).parent / "sleeping.py"


@dataclass(frozen=True)
class SleepingLatency:
    """The program that phones run."""

    seconds: float

    @property
    def language(self) -> str:
        """As its results say."""
        return "sleep"

    def arguments(self, question: str) -> tuple[str, ...]:
        """Return how to start it."""
        script = Path(__file__).with_name("sleeping_latency.py")
        asked = (str(SLEEPER), str(self.seconds), question)
        return (sys.executable, "-I", "-S", str(script), *asked)


def plan(*arguments: Any, **options: Any) -> Experiment:
    """Plan as always, with latency blocks alone."""
    counts = BlockCounts(parity=0, profile=0, memory=0, cold_start=0)
    return replace(pipeline.plan(*arguments, **options), counts=counts)


def now() -> datetime:
    return datetime.now(UTC)


def prepared(directory: Path) -> Path:
    onnx.save(convolutions(), directory / "conv.onnx")
    section = PrepareSection(style=("onnx",), target=("arm",), predictions=False, configs=False)
    options = prepare_options(ModelSection(path="conv.onnx"), section)
    pipeline.prepare([directory / "conv.onnx"], directory / "prepared", options, say=lambda _: None)
    return directory / "prepared" / "conv"


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def jobs(directory: Path, options: argparse.Namespace) -> list[JobSpec]:
    bench = BenchSection(
        style=("onnx",),
        threads=(1,),
        min_rounds=options.blocks,
        max_rounds=options.blocks,
        block_s=options.seconds,
        app=str(bench_apk(directory / "bench.apk")),
    )
    model = str(prepared(directory))
    return [
        JobSpec(
            name=f"night {number}",
            models=(model,),
            bench=bench,
            requirements=Requirements(phone_count=options.phones),
        )
        for number in range(options.jobs)
    ]


def measure(directory: Path, options: argparse.Namespace) -> tuple[float, float, int]:
    """Return the seconds from the first lease to the last end, the driver's CPU time, blocks."""
    os.environ["XDG_STATE_HOME"] = str(directory / "state")
    specs = jobs(directory, options)
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(adb_server())
        for number in range(options.phones):
            phone = VirtualPhoneSpec(serial_number=f"FLEET{number:03d}")
            program = SleepingLatency(options.seconds)
            server.connect(opened.enter_context(phone_process(program, phone)), deadline_s=60)
        store = opened.enter_context(contextlib.closing(LabStore(f"sqlite:///{directory}/lab.db")))
        inventory = Inventory("fleet", say=print)
        store.see_phones("fleet", inventory.look(now()), now())
        for spec in specs:
            store.submit(spec, now())
        agent = Agent(
            store,
            AgentOptions(host_id="fleet", until_done=True),
            holder=holder_of("fleet", os.getpid()),
            look=inventory.look,
            measure=PhoneMeasure(inventory, plan=plan),
            clock=now,
            say=lambda text: print(text) if options.verbose else None,
        )
        before_s = cpu_s()
        report = agent.run()
        used_s = cpu_s() - before_s
        cells = options.jobs * options.phones
        if report.outcomes != {Outcome.DONE: cells}:
            message = f"not every cell was done: {report.outcomes}"
            raise SystemExit(message)
        attempts = store.attempts(limit=10 * cells)
        ends = [attempt.ended_at for attempt in attempts if attempt.ended_at is not None]
        took_s = (max(ends) - min(attempt.started_at for attempt in attempts)).total_seconds()
        return took_s, used_s, store.overview(now()).block_count


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--phones", type=int, default=32)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        took_s, used_s, blocks = measure(Path(name), options)
    busy = blocks * options.seconds / (options.phones * took_s)
    cores = used_s / took_s
    print(f"{options.phones} phones, {options.jobs} experiments of {options.blocks} blocks each")
    print(f"{blocks} blocks of {options.seconds:g} s in {took_s:.1f} s")
    for what, reached, text in (
        ("busy", busy >= REACH_BUSY, f"{busy:.1%} of ideal; reach: {REACH_BUSY:.0%}"),
        ("driver", cores <= REACH_CORES, f"{cores:.2f} cores; reach: {REACH_CORES:g}"),
    ):
        print(f"{what}: {text}: {'reached' if reached else 'NOT REACHED'}")
    return 0 if busy >= REACH_BUSY and cores <= REACH_CORES else 1


if __name__ == "__main__":
    sys.exit(main())
